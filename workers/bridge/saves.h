/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves: the program's checkpoints (checkpoint.h) in the life of the bridge: restored before the program
 * starts, saved at intervals while it is ready and once more when nothing is under way and it is to end. How
 * each ended is said on stderr.
 *
 * A failed restore ends the bridge: a program that starts with nothing would save that over what there was. A
 * failed save ends nothing.
 *
 * Who       the bridge's one thread.
 * Blocking  rk_saves_open(), until what was saved is restored.
 */
#ifndef RK_BRIDGE_SAVES_H
#define RK_BRIDGE_SAVES_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"

struct rk_bridge;

/* Makes b->saves, where there is something to save or restore, and restores. 0 or -errno with a sentence. */
RK_MUST_USE int rk_saves_open(struct rk_bridge *b, struct rk_err *err);

/* The program is ready: intervals begin. */
void rk_saves_begin(struct rk_bridge *b);

/* The last one. Returns whether it is under way; b->is_saved is set when it has ended, well or not. */
bool rk_saves_finish(struct rk_bridge *b);

/* What came of a save that the kind was asked for (its ops' save()). text may be NULL. */
void rk_saves_answered(struct rk_bridge *b, bool is_ok, const char *text);

void rk_saves_close(struct rk_bridge *b);

#endif
