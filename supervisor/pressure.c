/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

void rk_pressure_open(struct rk_pressure *p)
{
	static const char *const files[] = { "/proc/pressure/memory", "/proc/pressure/io" };

	_Static_assert(rk_countof(files) == RK_PRESSURE_KINDS, "a file for every kind");
	*p = (struct rk_pressure){ 0 };
	for (int i = 0; i < RK_PRESSURE_KINDS; i++)
		p->fd[i] = open(files[i], O_RDONLY | O_CLOEXEC);
}

void rk_pressure_close(struct rk_pressure *p)
{
	for (int i = 0; i < RK_PRESSURE_KINDS; i++)
		rk_close_p(&p->fd[i]);
}

int rk_pressure_parse(const char *text, uint64_t *ret_us)
{
	const char *full = strstr(text, "full "), *total = full ? strstr(full, "total=") : NULL;
	uint64_t us;

	if (!total || sscanf(total, "total=%" SCNu64, &us) != 1)
		return -EPROTO;
	*ret_us = us;
	return 0;
}

/* How much of one kind there was since the last look. */
static uint64_t grown_us(struct rk_pressure *p, int kind)
{
	uint64_t us = p->full_us[kind], before_us = us;
	char text[256];
	ssize_t n = p->fd[kind] < 0 ? -1 : pread(p->fd[kind], text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (rk_pressure_parse(text, &us) < 0 || us < before_us)
		return 0;
	p->full_us[kind] = us;
	return us - before_us;
}

bool rk_pressure_is_high(struct rk_pressure *p, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - p->at_ns, worst_us = 0;
	bool is_first = p->at_ns == 0;

	if (!is_first && passed_ns < RK_PRESSURE_AGE_NS)
		return p->is_pressed;
	for (int i = 0; i < RK_PRESSURE_KINDS; i++)
		worst_us = rk_max_u64(worst_us, grown_us(p, i));
	p->at_ns = now_ns;
	p->is_pressed = !is_first && worst_us * RK_NS_PER_US >= passed_ns / RK_PRESSURE_SHARE;
	return p->is_pressed;
}
