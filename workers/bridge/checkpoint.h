/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint: has the program save its state, at intervals and once more on stop, and has it restored before it
 * starts; each time the result and how long it took are recorded.
 *
 *     restore ──> begin ──> (save, interval)* ──> rk_checkpoint_finish() ──> the last save
 *
 * A save or a restore is a command (command.h), or `ask`: the caller asks the program in a way of its own, a line or
 * a request, and tells with rk_checkpoint_answered() what came of it. At most one is under way. One that is late
 * counts as failed; a failed one stops nothing: the caller is told, and decides.
 *
 * Who       the thread of libev's default loop.
 * Blocking  never. Allocates at rk_checkpoint_new() alone.
 * Units     ns.
 */
#ifndef RK_BRIDGE_CHECKPOINT_H
#define RK_BRIDGE_CHECKPOINT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"
#include "workers/bridge/command.h"

#define RK_CHECKPOINT_NOTHING 1 /* > 0: there is nothing to do; on_end is not called */
#define RK_CHECKPOINT_LINE 400u

enum rk_checkpoint_deed { RK_CHECKPOINT_RESTORE, RK_CHECKPOINT_SAVE, RK_CHECKPOINT_LAST_SAVE, RK_CHECKPOINT_DEEDS };

/* How one went. */
struct rk_checkpoint_record {
	enum rk_checkpoint_deed deed;
	bool is_ok;
	uint64_t began_wall_ns; /* CLOCK_REALTIME; 0 = there was none yet */
	uint64_t took_ns;
	char text[RK_COMMAND_TEXT]; /* of a failure, why; one line */
};

/* All is copied but arg. Without save and ask nothing is saved, without restore nothing restored. */
struct rk_checkpoint_conf {
	char *const *save, *const *restore; /* commands; end with NULL; specifiers are expanded */
	/* Instead of save: begins to ask. 0 = rk_checkpoint_answered() will follow, from the loop; -errno: it cannot. */
	int (*ask)(void *arg);
	uint64_t interval_ns; /* between the end of one save and the next; 0 = only the last one */
	uint64_t timeout_ns;
	/* Each end, good or bad. It may start the next one, or free the whole. */
	void (*on_end)(const struct rk_checkpoint_record *record, void *arg);
	void *arg;
};

struct rk_checkpoint;

/* Returns one that is the caller's; NULL: no memory. */
RK_MUST_USE struct rk_checkpoint *rk_checkpoint_new(struct ev_loop *loop, const struct rk_checkpoint_conf *conf);

/* Restores. Returns 0: on_end will be called; RK_CHECKPOINT_NOTHING; -EALREADY; -errno: it could not be started. */
RK_MUST_USE int rk_checkpoint_restore(struct rk_checkpoint *c);

/* Saves at intervals from now on; the first time after one. */
void rk_checkpoint_begin(struct rk_checkpoint *c);

/*
 * The last save: at once, or as soon as the one that is under way has ended, since that may have missed what was
 * done meanwhile. No interval begins any more. Returns 0: on_end will be called with RK_CHECKPOINT_LAST_SAVE;
 * RK_CHECKPOINT_NOTHING; -errno: it could not be started.
 */
RK_MUST_USE int rk_checkpoint_finish(struct rk_checkpoint *c);

/* What came of what was asked; text says why it failed, and may be NULL. Without anything under way: nothing. */
void rk_checkpoint_answered(struct rk_checkpoint *c, bool is_ok, const char *text);

/* The last one that ended. */
const struct rk_checkpoint_record *rk_checkpoint_last(const struct rk_checkpoint *c);

/* Writes a line about it: "checkpoint failed after 1.2s: exited with 1: ...", "restored in 20ms". Returns text. */
const char *rk_checkpoint_line(char text[static RK_CHECKPOINT_LINE], const struct rk_checkpoint_record *record);

/* Ends what is under way, and the intervals; on_end is not called. */
void rk_checkpoint_cancel(struct rk_checkpoint *c);

/* Cancels and frees. NULL is fine. */
void rk_checkpoint_free(struct rk_checkpoint *c);

#endif
