/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Last verdict: of a worker that the supervisor killed, why. The board has only the signal; the
 * verdict is the flight recorder's, while that still knows it.
 *
 * Who       rekindle, one thread. What the recorder says is input, cleaned by recall.h.
 * Blocking  never; allocates.
 */
#ifndef RK_CLI_LAST_VERDICT_H
#define RK_CLI_LAST_VERDICT_H

#include "cli/recall.h"
#include "cli/snapshot.h"

/*
 * Reads the verdicts by which a process was ended, if a worker of the snapshot died of a signal at
 * all. name as rk_recall_open() takes it. Without a flight recorder there are none.
 */
void rk_last_verdicts_load(const struct rk_snapshot *s, const char *name,
			   struct rk_recall_list *ret);

/*
 * Leaves the deadly ones of a list of verdicts, each cut to what people read, a NUL, the verdict's
 * name. Pure; done by rk_last_verdicts_load().
 */
void rk_last_verdicts_keep(struct rk_recall_list *l);

/*
 * What stands there of the worker's last death: "hung", "looped"; NULL if it was no verdict's. The
 * list's. fleet: of several, which one it is of; "" = there is one.
 */
const char *rk_last_verdict_words(const struct rk_recall_list *l, const char *fleet,
				  const struct rk_snapshot_worker *w);

/* Its name, as 'rekindle why' has it: "asleep". NULL as above, else text. */
const char *rk_last_verdict(const struct rk_recall_list *l, const char *fleet,
			    const struct rk_snapshot_worker *w, char *text, size_t size);

#endif
