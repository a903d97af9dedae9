/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look at a program that is tried: whether it has read its input, whether it has written, who has a port.
 *
 * Who       rekindle check --try. Blocking: never (procfs).
 */
#ifndef RK_CLI_TRY_LOOK_H
#define RK_CLI_TRY_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The program of a bridge: its first child; 0 = none. */
pid_t rk_try_child(pid_t bridge);

/* Bytes that wait in its standard input; 0 also where nobody can tell. */
int rk_try_unread(pid_t pid);

/* Bytes that it, and those below it, have written so far, to whatever; 0 also where nobody can tell. */
uint64_t rk_try_written(pid_t pid);

/* Who listens at a port of this machine: "redis-server (pid 812)"; "" where nobody does, or nobody may know. Returns text. */
const char *rk_try_holder(uint16_t port, char *text, size_t size);

#endif
