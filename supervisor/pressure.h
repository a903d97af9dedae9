/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pressure: whether everybody waits for memory or for disks just now (PSI, the "full" lines of
 * /proc/pressure/{memory,io}), so that who sleeps in a page fault is not blamed for it.
 *
 * Who       the thread that observes; it owns the struct.
 * Blocking  never (procfs); no allocation. A look costs some 10 µs, four times a second at most.
 */
#ifndef RK_SUPERVISOR_PRESSURE_H
#define RK_SUPERVISOR_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/macro.h"

#define RK_PRESSURE_AGE_NS (250 * RK_NS_PER_MS) /* a younger answer stands */
#define RK_PRESSURE_SHARE 10u /* pressed: a tenth of the time since the last look */

enum rk_pressure_kind { RK_PRESSURE_MEMORY, RK_PRESSURE_IO, RK_PRESSURE_KINDS };

struct rk_pressure {
	int fd[RK_PRESSURE_KINDS]; /* kept open; -1 where the kernel counts none */
	uint64_t full_us[RK_PRESSURE_KINDS];
	uint64_t at_ns; /* of the last look; 0 = none */
	bool is_pressed;
};

void rk_pressure_open(struct rk_pressure *p);
void rk_pressure_close(struct rk_pressure *p);

/* Whether it was so between the last two looks. The first answer is no. */
bool rk_pressure_is_high(struct rk_pressure *p, uint64_t now_ns);

/*
 * "total=" of the "full" line in the text of a pressure file, in µs. Returns 0; -EPROTO for text
 * that is none, *ret_us untouched.
 */
RK_MUST_USE int rk_pressure_parse(const char *text, uint64_t *ret_us);

#endif
