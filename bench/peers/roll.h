/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roll call: every tiny worker says when its main() began, over a socket that it then keeps. The
 * kernel says who it is. When the bench is gone the socket ends, and the worker with it.
 *
 * Who       roll_say() the worker, the others the bench.
 * Units     ns of CLOCK_MONOTONIC.
 */
#ifndef RK_BENCH_PEERS_ROLL_H
#define RK_BENCH_PEERS_ROLL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ROLL_PATH "PEERS_ROLL"       /* environment: the socket's path */
#define ROLL_SUBJECT "PEERS_SUBJECT" /* environment: a number the bench chose, said as well */
#define ROLL_READY "PEERS_READY_FD"  /* environment: where s6 wants a newline, if it wants one */

struct roll_entry {
	pid_t pid;
	int fd; /* open as long as the worker shall run */
	uint32_t subject;
	uint64_t main_ns;
};

/* Listens at path; the descriptor. */
int roll_open(const char *path);

/* Who comes next, until then. False: nobody came. */
bool roll_next(int listener, uint64_t until_ns, struct roll_entry *ret);

/* Says main_ns; the connection, or -1 if nobody listens. */
int roll_say(uint64_t main_ns);

#endif
