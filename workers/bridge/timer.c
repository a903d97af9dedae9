/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/timer.h"

#include <stdio.h>

#include "base/clock.h"

void rk_timer_begin(struct ev_loop *loop, ev_timer *timer, uint64_t after_ns)
{
	ev_timer_stop(loop, timer);
	ev_now_update(loop);
	ev_timer_set(timer, (double)after_ns / (double)RK_NS_PER_S, 0.);
	ev_timer_start(loop, timer);
}

const char *rk_timer_text(char text[static RK_TIMER_TEXT], uint64_t ns)
{
	const char *unit = ns >= RK_NS_PER_S ? "s" : ns >= RK_NS_PER_MS ? "ms" : "us";
	uint64_t one = ns >= RK_NS_PER_S ? RK_NS_PER_S : ns >= RK_NS_PER_MS ? RK_NS_PER_MS : RK_NS_PER_US;

	/* %g drops the zeros behind the point; seven digits are 115 days. */
	(void)snprintf(text, RK_TIMER_TEXT, "%.7g%s", (double)(ns / (one / 100)) / 100., unit);
	return text;
}
