/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timer: libev's timers in ns, and times as people read them.
 *
 * Who       the loop's thread.
 * Blocking  never.
 */
#ifndef RK_BRIDGE_TIMER_H
#define RK_BRIDGE_TIMER_H

#include <ev.h>
#include <stdint.h>

/*
 * (Re)starts the timer, once, this long from now: from now, and not from when the loop last woke up. 0 is in the
 * loop's next turn.
 */
void rk_timer_begin(struct ev_loop *loop, ev_timer *timer, uint64_t after_ns);

#define RK_TIMER_TEXT 24u

/* Writes "1s", "1.5s", "250ms", "20us". Returns text. */
const char *rk_timer_text(char text[static RK_TIMER_TEXT], uint64_t ns);

#endif
