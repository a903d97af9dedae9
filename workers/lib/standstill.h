/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standstill: which of a fleet's two root processes a signal or a debugger has stopped, or that keeper is gone, and the
 * way on. A stopped keeper says nothing of itself: what its sockets and the kernel say is all there is.
 *
 * Who       library and CLI: words for people, nothing is decided by them.
 * Blocking  never.
 */
#ifndef RK_LIB_STANDSTILL_H
#define RK_LIB_STANDSTILL_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/macro.h"

struct rk_standstill {
	pid_t keeper;     /* that is stopped; 0 = it is not, or nobody knows */
	pid_t supervisor; /* the same */
	const char *gone; /* the fleet, if keeper has ended and its memory is held all the same: by systemd; else NULL */
};

/* Of a process that answers, or listens: 0 = unknown. */
pid_t rk_standstill_peer(int sock);

/*
 * Looks at the supervisor, whose connection sock is (-1: there is none), and at keeper: its parent, also when it is
 * dead and not reaped, else whoever shows the boards of the fleet; NULL: nobody is asked.
 */
struct rk_standstill rk_standstill_look(const char *fleet, int sock);

#define RK_STANDSTILL_TEXT 160u

/* "keeper (pid 5) is stopped: 'kill -CONT 5' lets it go on"; "" if both are well. Returns text. Pure. */
const char *rk_standstill_text(char text[static RK_STANDSTILL_TEXT], const struct rk_standstill *s);

#endif
