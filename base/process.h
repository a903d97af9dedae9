/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process: what the kernel says of a process by its number. The number may be another process's
 * by the time it is read: good for words to people, and for a process that is held by its pidfd.
 *
 * Who       any process, any thread.
 * Blocking  never (procfs).
 */
#ifndef RK_BASE_PROCESS_H
#define RK_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Reads /proc/PID/FILE up to size - 1 bytes, and a NUL behind them. Returns how many; 0 also when it cannot be
 * read.
 */
size_t rk_process_read(pid_t pid, const char *file, char *text, size_t size);

/* Its state's letter, as ps(1) has it; 'X' of one that is gone or cannot be seen. */
char rk_process_state(pid_t pid);

/* Who started it, or whoever reaps it since; 0 of one that is gone. */
pid_t rk_process_parent(pid_t pid);

/*
 * In a child, between fork and exec: no signal is caught, ignored or blocked any more. Calls nothing but what is
 * async-signal-safe.
 */
void rk_process_reset_signals(void);

/* Whether a signal or a debugger has stopped it. */
bool rk_process_is_stopped(pid_t pid);

#endif
