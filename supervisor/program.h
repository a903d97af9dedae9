/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Program: where keeper's binary stood when keeper was started, and a newer one may stand now. What
 * the kernel says later (/proc/PID/exe) follows the file when it is renamed, as by `install -b`.
 *
 *   keeper      note: into its environment, which its supervisors have
 *   supervisor  take: out of it again, since it is none of the workers' business
 *
 * Who       keeper's and the supervisor's main thread, at their start; rk_program_path() behind that.
 */
#ifndef RK_SUPERVISOR_PROGRAM_H
#define RK_SUPERVISOR_PROGRAM_H

void rk_program_note(void);
void rk_program_take(void);

/* In keeper's child that becomes a supervisor of another binary: of that one, which this descriptor holds. */
void rk_program_note_other(int exe);

/* A path from the root on; "" if nobody knows it. */
const char *rk_program_path(void);

#endif
