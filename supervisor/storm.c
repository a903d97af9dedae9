/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/storm.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/proc.h"

#define RENEW_NS RK_NS_PER_S /* the kernel renews avg10 every 2 s */
#define OOM_FRESH_NS (20 * RK_NS_PER_MS)

void rk_storm_open(struct rk_storm *p)
{
	char path[64];

	*p = (struct rk_storm){ .read_ns = 0 };
	for (int i = 0; i < RK_BRAKE_KINDS; i++) {
		(void)snprintf(path, sizeof(path), "/proc/pressure/%s",
			       rk_brake_kind_name((enum rk_brake_kind)i));
		p->fd[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
}

void rk_storm_close(struct rk_storm *p)
{
	for (int i = 0; i < RK_BRAKE_KINDS; i++)
		rk_close_p(&p->fd[i]);
}

void rk_storm_refresh(struct rk_storm *p, uint64_t now_ns)
{
	if (p->read_ns && now_ns < p->read_ns + RENEW_NS)
		return;
	p->read_ns = now_ns;
	for (int i = 0; i < RK_BRAKE_KINDS; i++) {
		char text[256];
		ssize_t n = p->fd[i] < 0 ? -1 : pread(p->fd[i], text, sizeof(text), 0);
		uint32_t pressure;

		if (n > 0 && rk_brake_parse(text, (size_t)n, &pressure, NULL) == 0)
			rk_brake_on_pressure(&p->brake, (enum rk_brake_kind)i, pressure, now_ns);
	}
}

uint64_t rk_storm_oom_kills(struct rk_storm *p, uint64_t now_ns)
{
	if (p->oom_read_ns && now_ns < p->oom_read_ns + OOM_FRESH_NS)
		return p->n_oom_kills;
	p->oom_read_ns = now_ns;
	if (rk_proc_oom_kills(&p->n_oom_kills) < 0)
		p->n_oom_kills = UINT64_MAX;
	return p->n_oom_kills;
}

void rk_storm_oom_forget(struct rk_storm *p)
{
	p->oom_read_ns = 0;
}

uint64_t rk_storm_on_restart(struct rk_storm *p, uint64_t now_ns)
{
	uint64_t wait_ns = 0;

	if (rk_brake_n_restarts(&p->brake, now_ns) >= RK_BRAKE_FREE) {
		rk_storm_refresh(p, now_ns);
		wait_ns = rk_brake_wait_ns(&p->brake, now_ns);
	}
	rk_brake_on_restart(&p->brake, now_ns);
	return wait_ns;
}
