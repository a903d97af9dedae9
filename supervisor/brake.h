/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brake: how much longer a restart waits while many workers restart, or the machine is short
 * of something. It only adds to what restart.h says.
 *
 *  - A few restarts a second are no storm: they wait for nothing, whatever the pressure. So a
 *    lone death is never delayed.
 *  - Beyond those, each restart of the last second adds a step: a short one on a machine with
 *    room, up to a long one as the pressure rises (PSI, "some avg10", the worst of cpu, memory
 *    and io). So a storm of hundreds becomes a queue.
 *  - The addition is bounded, and pressure that was read long ago counts as none.
 *
 * Who       the supervisor's loop: one rk_brake for all fleets, told of each restart and, while
 *           there are restarts, of what /proc/pressure/{cpu,memory,io} say; pure.
 * Blocking  never; no allocation. Asks for no timer: P11.
 * Units     ns; pressure in hundredths of a percent.
 */
#ifndef RK_SUPERVISOR_BRAKE_H
#define RK_SUPERVISOR_BRAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_BRAKE_PRESSURE_MAX 10000u        /* 100 % */
#define RK_BRAKE_FRESH_NS 5000000000ull     /* avg10 is renewed every 2 s */
#define RK_BRAKE_WAIT_MAX_NS 10000000000ull /* of the addition */
#define RK_BRAKE_FREE 8u                    /* restarts in a second that are no storm */
#define RK_BRAKE_SHORT 2000u                /* memory pressure at which it may kill the innocent */

enum rk_brake_kind { RK_BRAKE_CPU, RK_BRAKE_MEMORY, RK_BRAKE_IO, RK_BRAKE_KINDS };

#define RK_BRAKE_BUCKETS 16u

/* Starts as zeros. */
struct rk_brake {
	uint32_t pressure[RK_BRAKE_KINDS];
	uint64_t read_ns[RK_BRAKE_KINDS];   /* 0 = never */
	uint32_t buckets[RK_BRAKE_BUCKETS]; /* restarts per sixteenth of a second */
	uint64_t newest;                    /* number of the newest bucket since the epoch */
};

/*
 * Reads "some avg10=" out of the text of a pressure file; len bytes, no NUL needed. Returns 0;
 * -EINVAL for text that is none, *ret_pressure untouched.
 */
RK_MUST_USE int rk_brake_parse(const char *text, size_t len, uint32_t *ret_pressure,
			       struct rk_err *err);

/* The pressure of one kind as just read; more than 100 % counts as 100 %. */
void rk_brake_on_pressure(struct rk_brake *b, enum rk_brake_kind kind, uint32_t pressure,
			  uint64_t now_ns);

/* A restart is decided, of any slot of any fleet; call it behind rk_brake_wait_ns(). */
void rk_brake_on_restart(struct rk_brake *b, uint64_t now_ns);

/* What the next restart waits beyond its own reasons; 0 to RK_BRAKE_WAIT_MAX_NS. */
uint64_t rk_brake_wait_ns(const struct rk_brake *b, uint64_t now_ns);

/* Restarts within the last second, to a sixteenth of it. */
uint32_t rk_brake_n_restarts(const struct rk_brake *b, uint64_t now_ns);

/* The worst pressure that is fresh, and of what; 0 and CPU when there is none. */
uint32_t rk_brake_pressure(const struct rk_brake *b, uint64_t now_ns, enum rk_brake_kind *ret_kind);

/* Whether memory is so short that the kernel may kill whom it likes; for blame.h. */
bool rk_brake_is_memory_short(const struct rk_brake *b, uint64_t now_ns);

/* "cpu", "memory", "io"; "?" outside. */
const char *rk_brake_kind_name(enum rk_brake_kind kind);

#endif
