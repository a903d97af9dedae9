/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal: the supervisor's notes to its successor: which process each slot has, in which state and
 * with which past, whose each partition is, which client has each page. One writer, and another one,
 * the guard, of how processes are seen; a successor reads it when its predecessor is confirmed dead.
 *
 *   DOWN --intent--> INTENT --live--> LIVE --down--> DOWN
 *
 * Who       the supervisor's loop; rk_journal_watch() and rk_journal_watched() its guard.
 * Crash     killed in INTENT: the child, if there is one, never passed its gate and ends by
 *           itself. Killed in LIVE: pid and pidfd inode name the process. The state word is
 *           stored last (release), so a successor sees the words that belong to it.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_JOURNAL_H
#define RK_SUPERVISOR_JOURNAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "shm/layout.h"

/* A process as it can be found again: by pid and its pidfd's inode (Linux 6.9), before that by its start. */
struct rk_journal_who {
	int32_t pid;
	uint64_t pidfd_inode;
	uint64_t begun;
};

/* Who the process of this pidfd is. */
struct rk_journal_who rk_journal_who(pid_t pid, int pidfd);

/* A pidfd of it, if it lives or is not reaped yet: the caller's. -ESRCH: it is another one by now, or gone. */
RK_MUST_USE int rk_journal_find(const struct rk_journal_who *who);

/* ---- slots ---- */

/* A new process is about to be made, in the control group of this number (0: none). */
void rk_journal_intent(const struct rk_shm *m, uint32_t slot, uint64_t incarnation, uint64_t cgroup);

/* It exists and waits at its gate. */
void rk_journal_live(const struct rk_shm *m, uint32_t slot, const struct rk_journal_who *who);

/* Its death is confirmed. */
void rk_journal_down(const struct rk_shm *m, uint32_t slot);

/* How the last one ended; may come after its successor started. */
void rk_journal_cause(const struct rk_shm *m, uint32_t slot, int code, int status);

/* What the supervisor knows of it; killed in between, the one before holds. */
void rk_journal_note(const struct rk_shm *m, uint32_t slot, const struct rk_journal_note *note);

/* The last one; zero before the first. */
const struct rk_journal_note *rk_journal_noted(const struct rk_shm *m, uint32_t slot);

/* How the guard sees its process, as a note. The last one; zero before the first. */
void rk_journal_watch(const struct rk_shm *m, uint32_t slot, const struct rk_journal_watch *watch);
const struct rk_journal_watch *rk_journal_watched(const struct rk_shm *m, uint32_t slot);

/* A fault has stopped its process, and will let it go on; who adopts it does so. */
void rk_journal_stopped(const struct rk_shm *m, uint32_t slot, bool is_stopped);

/* Whose a partition is from now on: before it is assigned. */
void rk_journal_own(const struct rk_shm *m, uint32_t partition, uint32_t slot);

/* ---- clients, readers ---- */

/* The next client id; never the same one twice, however often the supervisor is replaced. */
uint64_t rk_journal_next_client(const struct rk_shm *m);

/*
 * Page `page` is this client's; id 0: nobody's. name may be NULL. Killed in between, it is the old one's, the new
 * one's, or, where they are two, nobody's: flags 0, and then no other word of it means anything.
 */
void rk_journal_client(const struct rk_shm *m, uint32_t page, uint64_t id, pid_t pid,
		       uint32_t flags, const char *name);

/* Reader line `reader` is this process's, and page with it (RK_CLIENTS_NONE: none); who->pid 0: nobody's. */
void rk_journal_reader(const struct rk_shm *m, uint32_t reader, const struct rk_journal_who *who, uint32_t page);

/* It has been told so. */
void rk_journal_answered(const struct rk_shm *m, uint32_t reader);

/* ---- groups ---- */

/* Slots of a fleet that a strategy stops and starts together. */
struct rk_journal_tie {
	uint32_t first, end; /* first == end: none */
	uint64_t until_ns;   /* not started before */
	bool comes_up;       /* all are down, and start again */
};

/*
 * Killed in between, a successor finds the old slots or the new ones, never others; while more are tied to those
 * that come up, it may find these going down, as all of them will.
 */
void rk_journal_tie(const struct rk_shm *m, const struct rk_journal_tie *tie);
struct rk_journal_tie rk_journal_tied(const struct rk_shm *m);

/* ---- the whole ---- */

/* Who writes the journal now. */
void rk_journal_sign(const struct rk_shm *m, const struct rk_journal_who *who);

/* Sets or clears flags of the fleet, enum rk_journal_fleet_flag. */
void rk_journal_mark(const struct rk_shm *m, uint32_t flags, bool is_set);
bool rk_journal_is_marked(const struct rk_shm *m, uint32_t flag);

#endif
