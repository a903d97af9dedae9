/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_hog.h"

#include <signal.h>

int rk_demo_hog_start(struct rk_demo_child *hogs, uint32_t n, struct rk_err *err)
{
	static char words[][16] = { "rekindle", "demo", RK_DEMO_HOG_ARGUMENT };
	char *argv[] = { words[0], words[1], words[2], NULL };
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = rk_demo_child_start(&hogs[i], &(struct rk_demo_spawn){ .path = "/proc/self/exe", .argv = argv,
									   .death_signal = SIGKILL, .fd = -1, .output = -1 },
					err);
	return r;
}

void rk_demo_hog_end(struct rk_demo_child *hogs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		(void)rk_demo_child_signal(&hogs[i], SIGKILL); /* all at once, then each is reaped */
	for (uint32_t i = 0; i < n; i++)
		rk_demo_child_end(&hogs[i], 0);
}

void rk_demo_hog_main(void)
{
	for (;;)
		__asm__ volatile("" ::: "memory");
}
