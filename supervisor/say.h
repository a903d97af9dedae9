/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Say: lines for people on standard output, one per event. A reader that does not read must
 * not stop supervision: what finds no room is dropped and counted.
 *
 * Who       the supervisor's loop.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_SAY_H
#define RK_SUPERVISOR_SAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

struct rk_say {
	bool quiet;
	const char *stamp; /* NULL; or the fleet's name: each line begins with the time and it */
	uint64_t n_dropped; /* lines since the last one that found room */
};

RK_PRINTF(2, 3) void rk_say(struct rk_say *s, const char *fmt, ...);

#endif
