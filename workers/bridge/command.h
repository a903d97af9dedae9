/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command: one command at a time, run beside the program: its end, how long it took, and the first line that it
 * wrote to stderr.
 *
 *     start ──> running ── it ends ──────────────> told
 *                  └────── the time is over ──> killed ──> told
 *
 * It runs in a process group of its own, which is killed when the command has ended, when its time is over, and by
 * rk_command_cancel(): what it left in the background does not stay. It has /dev/null for stdin and stdout, no other
 * descriptor of ours, no signal blocked or ignored, and our environment. It does not outlive this process.
 *
 * Who       the thread of libev's default loop, which alone knows of children (ev_child) and reaps them, also what
 *           is killed here: until the loop turns again that one is a zombie.
 * Blocking  never. Allocates at rk_command_new() alone.
 * Units     ns.
 */
#ifndef RK_BRIDGE_COMMAND_H
#define RK_BRIDGE_COMMAND_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

#define RK_COMMAND_LINE 160u /* of its first line with the NUL; longer ones are cut */
#define RK_COMMAND_TEXT 252u /* room for any end in words */

struct rk_command;

/* How it ended. */
struct rk_command_end {
	bool is_late; /* it was killed; status says nothing */
	int status;   /* as waitpid(2) has it */
	uint64_t took_ns; /* of a late one its limit */
	char line[RK_COMMAND_LINE]; /* first line on stderr, without control characters; "" = none */
};

/* It may start the next one, or free the command. */
typedef void (*rk_on_command)(const struct rk_command_end *end, void *arg);

/* Returns one that is the caller's, or NULL: no memory. Descriptors 0 to 2 of this process are open. */
RK_MUST_USE struct rk_command *rk_command_new(struct ev_loop *loop, rk_on_command on_end, void *arg);

/*
 * Starts argv, looked for along PATH. Returns 0: on_end will be called from the loop, also when there is no such
 * command (it exits with 127 then, and its line says why); -EALREADY while one runs; another -errno: there is no room
 * for a process or a descriptor, and nothing was started.
 */
RK_MUST_USE int rk_command_start(struct rk_command *c, char *const *argv, uint64_t timeout_ns);

/* Kills what runs; on_end is not called for it. */
void rk_command_cancel(struct rk_command *c);

/* Cancels and frees. NULL is fine. */
void rk_command_free(struct rk_command *c);

/* Whether it exited with 0 in time. */
bool rk_command_is_good(const struct rk_command_end *end);

/* Writes "exited with 1: <line>", "was killed by SIGSEGV", "did not end within 1s". Returns text. */
const char *rk_command_text(char text[static RK_COMMAND_TEXT], const struct rk_command_end *end);

#endif
