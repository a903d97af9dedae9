/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal: the supervisor's notes to its successor: which process each slot has, which client
 * each page. One writer; a successor reads it when its predecessor is confirmed dead.
 *
 *   DOWN --intent--> INTENT --live--> LIVE --down--> DOWN
 *
 * Who       the supervisor's loop.
 * Crash     killed in INTENT: the child, if there is one, never passed its gate and ends by
 *           itself. Killed in LIVE: pid and pidfd inode name the process. The state word is
 *           stored last (release), so a successor sees the words that belong to it.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_JOURNAL_H
#define RK_SUPERVISOR_JOURNAL_H

#include <sys/types.h>

#include "shm/layout.h"

/* A new process is about to be made. */
void rk_journal_intent(const struct rk_shm *m, uint32_t slot, uint64_t incarnation);

/* It exists and waits at its gate. */
void rk_journal_live(const struct rk_shm *m, uint32_t slot, pid_t pid, uint64_t pidfd_inode);

/* Its death is confirmed. */
void rk_journal_down(const struct rk_shm *m, uint32_t slot);

/* How the last one ended; may come after its successor started. */
void rk_journal_cause(const struct rk_shm *m, uint32_t slot, int code, int status);

/* The next client id; never the same one twice, however often the supervisor is replaced. */
uint64_t rk_journal_next_client(const struct rk_shm *m);

/* Page `page` is this client's; id 0: nobody's. name may be NULL. */
void rk_journal_client(const struct rk_shm *m, uint32_t page, uint64_t id, pid_t pid,
		       uint32_t flags, const char *name);

/* Who writes the journal now. */
void rk_journal_sign(const struct rk_shm *m, pid_t pid, uint64_t pidfd_inode);

#endif
