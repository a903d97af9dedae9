/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that reads a clock. Deciding code gets its time as an argument.
 *
 * Who       any process, any thread.
 * Blocking  never (vDSO).
 * Units     nanoseconds.
 */
#ifndef RK_BASE_CLOCK_H
#define RK_BASE_CLOCK_H

#include <stdint.h>

#define RK_NS_PER_US UINT64_C(1000)
#define RK_NS_PER_MS UINT64_C(1000000)
#define RK_NS_PER_S UINT64_C(1000000000)

/* CLOCK_MONOTONIC: the same in every process of the machine, stands still while it sleeps. */
uint64_t rk_clock_ns(void);

/* CLOCK_BOOTTIME: the same, but goes on while the machine sleeps. */
uint64_t rk_clock_boot_ns(void);

/* CLOCK_REALTIME since 1970: for people and files, never for a decision. */
uint64_t rk_clock_wall_ns(void);

#define RK_CLOCK_TEXT 40u

/* "2026-11-24 16:20:11.123", the time of here, for lines that are kept. Returns text. Not behind a fork() of threads. */
const char *rk_clock_wall_text(char text[static RK_CLOCK_TEXT], uint64_t wall_ns);

#endif
