/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/look.h"

static uint64_t grown(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

void rk_look_add(struct rk_look *l, const struct rk_look_thread *before,
		 const struct rk_look_thread *now)
{
	uint64_t ran_ns = before ? grown(before->cpu_ns, now->cpu_ns) : 0;

	l->n_threads++;
	l->ran_ns += ran_ns;
	l->delayed_ns += before ? grown(before->delay_ns, now->delay_ns) : 0;
	switch (now->state) {
	case 'R':
		l->n_running += ran_ns > 0;
		l->n_starved += ran_ns == 0;
		l->n_new += !before && !l->is_first;
		break;
	case 'D':
		l->n_disk++;
		break;
	case 'T':
		l->n_stopped++;
		break;
	case 't':
		l->n_traced++;
		break;
	case 'Z':
	case 'X':
	case 'x':
		l->n_dead++;
		break;
	default:
		l->n_asleep++;
	}
}
