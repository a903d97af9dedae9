/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/journal.h"

#include <string.h>

static struct rk_journal_slot *slot_of(const struct rk_shm *m, uint32_t slot)
{
	return &rk_journal_slots(m->journal)[slot];
}

/* J1: release; a successor that sees the state sees what was noted before it. */
static void state_set(struct rk_journal_slot *s, enum rk_journal_state state)
{
	atomic_store_explicit(&s->state, (uint32_t)state, memory_order_release);
}

void rk_journal_intent(const struct rk_shm *m, uint32_t slot, uint64_t incarnation)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	s->pid = 0;
	s->pidfd_inode = 0;
	s->incarnation = incarnation;
	state_set(s, RK_JOURNAL_INTENT);
}

void rk_journal_live(const struct rk_shm *m, uint32_t slot, pid_t pid, uint64_t pidfd_inode)
{
	struct rk_journal_slot *s = slot_of(m, slot);

	s->pid = pid;
	s->pidfd_inode = pidfd_inode;
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

uint64_t rk_journal_next_client(const struct rk_shm *m)
{
	/* Relaxed: one writer; spent before it is used, so a kill in between wastes one. */
	return atomic_fetch_add_explicit(&m->journal->last_client_id, 1, memory_order_relaxed) + 1;
}

void rk_journal_client(const struct rk_shm *m, uint32_t page, uint64_t id, pid_t pid,
		       uint32_t flags, const char *name)
{
	struct rk_journal_client *c = &rk_journal_clients(m, m->journal)[page];

	c->flags = 0; /* while the words below are neither the old nor the new ones */
	atomic_signal_fence(memory_order_seq_cst);
	c->id = id;
	c->pid = pid;
	memset(c->name, 0, sizeof(c->name));
	if (name)
		memcpy(c->name, name, strnlen(name, sizeof(c->name) - 1));
	atomic_signal_fence(memory_order_seq_cst);
	c->flags = flags;
}

void rk_journal_sign(const struct rk_shm *m, pid_t pid, uint64_t pidfd_inode)
{
	m->journal->supervisor_inode = pidfd_inode;
	m->journal->supervisor_pid = pid;
}
