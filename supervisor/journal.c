/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/proc.h"

/* ---- who a process is ---- */

#define PIDFS_MAGIC 0x50494446 /* Linux 6.9: each process has an inode of its own, before all share one */

/* Whether the inode of a pidfd tells processes apart; *ret_inode: it, then, else 0. */
static bool has_inode(int pidfd, uint64_t *ret_inode)
{
	struct statfs fs;
	struct stat st;
	bool has = pidfd >= 0 && fstatfs(pidfd, &fs) == 0 && fs.f_type == PIDFS_MAGIC && fstat(pidfd, &st) == 0;

	*ret_inode = has ? st.st_ino : 0;
	return has;
}

static uint64_t begun_of(pid_t pid)
{
	rk_cleanup(rk_close_p) int fd = rk_proc_open(pid);
	uint64_t begun;

	return fd >= 0 && rk_proc_begun(fd, &begun) == 0 ? begun : 0;
}

struct rk_journal_who rk_journal_who(pid_t pid, int pidfd)
{
	struct rk_journal_who who = { .pid = pid };

	if (!has_inode(pidfd, &who.pidfd_inode))
		who.begun = begun_of(pid);
	return who;
}

int rk_journal_find(const struct rk_journal_who *who)
{
	rk_cleanup(rk_close_p) int pidfd = -1;
	struct rk_journal_who found;

	if (who->pid <= 0)
		return -ESRCH;
	pidfd = (int)syscall(SYS_pidfd_open, who->pid, 0);
	if (pidfd < 0) /* EINVAL, since Linux 6.15 ENOENT: a thread has that number */
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	found = rk_journal_who(who->pid, pidfd); /* behind the opening: of the pidfd's process, or of none */
	if (found.pidfd_inode != who->pidfd_inode || found.begun != who->begun)
		return -ESRCH;
	return rk_take_fd(&pidfd);
}

/* ---- slots ---- */

static struct rk_journal_slot *slot_of(const struct rk_shm *m, uint32_t slot)
{
	return &rk_journal_slots(m->journal)[slot];
}

/* J1: release; a successor that sees the state sees what was noted before it. */
static void state_set(struct rk_journal_slot *s, enum rk_journal_state state)
{
	atomic_store_explicit(&s->state, (uint32_t)state, memory_order_release);
}

void rk_journal_intent(const struct rk_shm *m, uint32_t slot, uint64_t incarnation, uint64_t cgroup)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	s->pid = 0;
	s->pidfd_inode = s->begun = 0;
	s->incarnation = incarnation;
	s->cgroup = cgroup;
	state_set(s, RK_JOURNAL_INTENT);
}

void rk_journal_live(const struct rk_shm *m, uint32_t slot, const struct rk_journal_who *who)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	s->pid = who->pid;
	s->pidfd_inode = who->pidfd_inode;
	s->begun = who->begun;
	state_set(s, RK_JOURNAL_LIVE);
}

void rk_journal_down(const struct rk_shm *m, uint32_t slot)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	s->n_exits++;
	s->exit_code = -1; /* unknown until keeper has reaped it */
	s->exit_status = 0;
	state_set(s, RK_JOURNAL_DOWN);
}

void rk_journal_cause(const struct rk_shm *m, uint32_t slot, int code, int status)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	s->exit_code = code;
	s->exit_status = status;
}

void rk_journal_note(const struct rk_shm *m, uint32_t slot, const struct rk_journal_note *note)
{
	struct rk_journal_slot *s = slot_of(m, slot);
	uint32_t other = !atomic_load_explicit(&s->note, memory_order_relaxed);

	s->notes[other] = *note;
	/* J2: release; a successor that sees the index sees the note. */
	atomic_store_explicit(&s->note, other, memory_order_release);
}

const struct rk_journal_note *rk_journal_noted(const struct rk_shm *m, uint32_t slot)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	return &s->notes[atomic_load_explicit(&s->note, memory_order_acquire) & 1];
}

void rk_journal_watch(const struct rk_shm *m, uint32_t slot, const struct rk_journal_watch *watch)
{
	struct rk_journal_slot *s = slot_of(m, slot);
	uint32_t other = !atomic_load_explicit(&s->watch, memory_order_relaxed);

	s->watches[other] = *watch;
	/* J5: release; as J2. */
	atomic_store_explicit(&s->watch, other, memory_order_release);
}

const struct rk_journal_watch *rk_journal_watched(const struct rk_shm *m, uint32_t slot)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	return &s->watches[atomic_load_explicit(&s->watch, memory_order_acquire) & 1];
}

void rk_journal_stopped(const struct rk_shm *m, uint32_t slot, bool is_stopped)
{
	atomic_store_explicit(&slot_of(m, slot)->stopped, is_stopped, memory_order_release);
}

void rk_journal_own(const struct rk_shm *m, uint32_t partition, uint32_t slot)
{
	/* J3: release; before A1. */
	atomic_store_explicit(rk_journal_owner(m, partition), (uint16_t)slot, memory_order_release);
}

/* ---- clients, readers ---- */

uint64_t rk_journal_next_client(const struct rk_shm *m)
{
	/* Relaxed: one writer; spent before it is used, so a kill in between wastes one. */
	return atomic_fetch_add_explicit(&m->journal->last_client_id, 1, memory_order_relaxed) + 1;
}

/* Whether the words say so already, but for who it is just now. */
static bool is_holder(const struct rk_journal_client *c, uint64_t id, const char *name)
{
	return c->flags && c->id == id && strncmp(c->name, name, sizeof(c->name) - 1) == 0;
}

void rk_journal_client(const struct rk_shm *m, uint32_t page, uint64_t id, pid_t pid,
		       uint32_t flags, const char *name)
{
	struct rk_journal_client *c = &rk_journal_clients(m, m->journal)[page];

	/* One that comes and goes keeps its id and name all the while. */
	if (!is_holder(c, id, name ? name : "")) {
		c->flags = 0; /* while the words below are neither the old nor the new ones */
		atomic_signal_fence(memory_order_seq_cst);
		c->id = id;
		memset(c->name, 0, sizeof(c->name));
		if (name)
			memcpy(c->name, name, strnlen(name, sizeof(c->name) - 1));
	}
	c->pid = pid;
	atomic_signal_fence(memory_order_seq_cst);
	c->flags = flags;
}

void rk_journal_reader(const struct rk_shm *m, uint32_t reader, const struct rk_journal_who *who, uint32_t page)
{
	struct rk_journal_reader *r = &rk_journal_readers(m, m->journal)[reader];

	/* Nobody's while the words below are neither the old nor the new ones. */
	atomic_store_explicit(&r->pid, 0, memory_order_release);
	atomic_store_explicit(&r->answered, 0, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	r->page = page == UINT32_MAX ? 0 : page + 1;
	r->pidfd_inode = who->pidfd_inode;
	r->begun = who->begun;
	atomic_store_explicit(&r->pid, who->pid, memory_order_release);
}

void rk_journal_answered(const struct rk_shm *m, uint32_t reader)
{
	atomic_store_explicit(&rk_journal_readers(m, m->journal)[reader].answered, 1, memory_order_release);
}

/* ---- groups ---- */

void rk_journal_tie(const struct rk_shm *m, const struct rk_journal_tie *tie)
{
	struct rk_journal *j = m->journal;

	/* What was tied before is stopped first and started later, if anything of the new is true of it. */
	if (!tie->comes_up)
		rk_journal_mark(m, RK_JOURNAL_COMES_UP, false);
	atomic_store_explicit(&j->tied_until_ns, tie->until_ns, memory_order_release);
	/* J4: release; one word, so that no end meets another's beginning. */
	atomic_store_explicit(&j->tied, (uint64_t)tie->end << 32 | tie->first, memory_order_release);
	/* Last: until here what is tied now goes down, which it is. */
	if (tie->comes_up)
		rk_journal_mark(m, RK_JOURNAL_COMES_UP, true);
}

struct rk_journal_tie rk_journal_tied(const struct rk_shm *m)
{
	/* Acquire: J4. */
	uint64_t tied = atomic_load_explicit(&m->journal->tied, memory_order_acquire);

	return (struct rk_journal_tie){ .first = (uint32_t)tied,
					.end = (uint32_t)(tied >> 32),
					/* Relaxed: its writer is dead. */
					.until_ns = atomic_load_explicit(&m->journal->tied_until_ns, memory_order_relaxed),
					.comes_up = rk_journal_is_marked(m, RK_JOURNAL_COMES_UP) };
}

/* ---- the whole ---- */

void rk_journal_sign(const struct rk_shm *m, const struct rk_journal_who *who)
{
	m->journal->supervisor_inode = who->pidfd_inode;
	m->journal->supervisor_begun = who->begun;
	m->journal->supervisor_pid = who->pid;
}

void rk_journal_mark(const struct rk_shm *m, uint32_t flags, bool is_set)
{
	if (is_set)
		atomic_fetch_or_explicit(&m->journal->flags, flags, memory_order_release);
	else
		atomic_fetch_and_explicit(&m->journal->flags, ~flags, memory_order_release);
}

bool rk_journal_is_marked(const struct rk_shm *m, uint32_t flag)
{
	return (atomic_load_explicit(&m->journal->flags, memory_order_acquire) & flag) != 0;
}
