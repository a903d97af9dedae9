/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epoch: grace periods between processes, for the views on the board. No
 * flavour of liburcu works across processes (FIELDNOTES §4), hence this.
 *
 * A reader announces the epoch it saw in its own line, then loads the index of
 * the published view. A buffer may be written again once every active reader
 * announces a newer epoch than the one in which the buffer was replaced, or its
 * owner is confirmed dead. Never by time-out: a stopped reader keeps its view.
 *
 * Order between a reader's announcement and its load of the view (E2, E3):
 * plain mode  the reader stores plainly; the writer calls
 *             membarrier(GLOBAL_EXPEDITED) before it looks (E5). Readers have
 *             registered with the kernel.
 * exchange    the reader's announcement is a seq_cst exchange. Where the
 *             kernel lacks the command, and under ThreadSanitizer.
 *
 * Who       reader: one thread per line. writer: the supervisor.
 * Crash     a reader killed inside a section blocks its buffer until its death
 *           is confirmed; a writer killed anywhere leaves the old or the new
 *           view published.
 * Blocking  never.
 * Source    Fraser, Practical lock-freedom (2004), §5.2.3; membarrier(2).
 */
#ifndef RK_SHM_EPOCH_H
#define RK_SHM_EPOCH_H

#include "shm/layout.h"

/* This process will read in plain mode. Returns 0; -ENOSYS or what membarrier(2) says. */
RK_MUST_USE int rk_epoch_register(void);

/* The mode a writer on this kernel can offer. */
enum rk_epoch_mode rk_epoch_probe(void);

/*
 * Enters a section: returns the published view, which stays as it is until
 * rk_epoch_leave(). Sections do not nest. `line` is the reader's own.
 */
const struct rk_view *rk_epoch_enter(const struct rk_shm *m, struct rk_reader *line);
void rk_epoch_leave(struct rk_reader *line);

/* ---- writer ---- */

/* Advances the epoch and, in plain mode, orders every reader. Returns the new epoch. */
uint64_t rk_epoch_advance(const struct rk_shm *m);

/* Whether the reader of this line may still hold what was replaced before `epoch` began. */
bool rk_epoch_holds(const struct rk_reader *line, uint64_t epoch);

#endif
