/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collect, journal: what can be known of a fleet from the words that workers, clients and a dead
 * supervisor have left in shared memory.
 */
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "shm/beat.h"
#include "shm/words.h"
#include "supervisor/collect.h"
#include "supervisor/fsm.h"
#include "supervisor/journal.h"

#define ID_GAP (UINT64_C(1) << 32) /* nobody has given so many ids since the last view */

static struct rk_journal_who who_of(pid_t pid)
{
	rk_cleanup(rk_close_p) int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	return pidfd < 0 ? (struct rk_journal_who){ 0 } : rk_journal_who(pid, pidfd);
}

static void slot_write(const struct rk_shm *m, uint32_t slot, bool is_wanted, pid_t pid)
{
	struct rk_beat *beat = rk_shm_beat(m, slot);
	uint64_t incarnation = atomic_load_explicit(&beat->incarnation, memory_order_acquire), now_ns = rk_clock_ns();
	bool is_attached = atomic_load_explicit(&beat->state, memory_order_relaxed) != RK_BEAT_STARTING;
	struct rk_journal_note n = { .state = RK_FSM_EMPTY,
				     .flags = is_wanted ? RK_JOURNAL_WANTED : 0,
				     .incarnation = incarnation,
				     .started_ns = now_ns,
				     .entered_ns = now_ns };
	const struct rk_journal_who who = who_of(pid);

	if (who.pid) {
		n.state = n.from = is_attached ? RK_FSM_READY : RK_FSM_STARTING;
		n.flags |= RK_JOURNAL_WANTED | RK_JOURNAL_STARTED | RK_JOURNAL_MANNED;
		n.pid = pid;
		rk_journal_intent(m, slot, incarnation, 0);
		rk_journal_live(m, slot, &who);
	} else if (incarnation) { /* as in the middle of its death */
		n.state = RK_FSM_DOWN;
		n.from = RK_FSM_READY;
		n.event = RK_FSM_EV_EXITED;
		n.flags |= RK_JOURNAL_ACTING | RK_JOURNAL_STARTED | RK_JOURNAL_MANNED;
		n.pid = INT32_MAX; /* somebody who is gone; who it was nobody knows */
		n.noticed_ns = now_ns;
	} else if (is_wanted) { /* as in the middle of its start */
		n.state = RK_FSM_STARTING;
		n.from = RK_FSM_EMPTY;
		n.event = RK_FSM_EV_START;
		n.flags |= RK_JOURNAL_ACTING;
	}
	rk_journal_note(m, slot, &n);
}

/* What the published view says of clients; a page that it does not know is nobody's. */
static void clients_write(const struct rk_shm *m, const struct rk_view *view)
{
	const struct rk_view_client *clients = (const struct rk_view_client *)((const char *)view + m->l.view_clients);
	uint64_t last = 0;

	for (uint32_t i = 0; i < m->g.n_clients; i++) {
		uint64_t id = atomic_load_explicit(&rk_shm_client_ids(m)[i], memory_order_relaxed);
		/* One that has ended tells its clients so, whatever comes of it. */
		id = id == RK_CLIENT_ENDED ? 0 : id;
		bool is_known = id && clients[i].id == id;
		char name[RK_NAME_MAX];

		memcpy(name, clients[i].name, sizeof(name));
		name[sizeof(name) - 1] = '\0';
		last = rk_max_u64(last, rk_max_u64(id, clients[i].id));
		if (id)
			rk_journal_client(m, i, id, is_known ? clients[i].pid : 0,
					  RK_CLIENT_USED | (is_known ? clients[i].flags & RK_CLIENT_NAMED : 0),
					  is_known ? name : NULL);
	}
	atomic_store_explicit(&m->journal->last_client_id, last + ID_GAP, memory_order_relaxed);
}

static void readers_write(const struct rk_shm *m, const struct rk_view *view)
{
	const struct rk_view_client *clients = (const struct rk_view_client *)((const char *)view + m->l.view_clients);

	for (uint32_t r = 0; r < m->g.n_readers; r++) {
		pid_t pid = (pid_t)atomic_load_explicit(&rk_shm_reader(m, r)->pid, memory_order_relaxed);
		const struct rk_journal_who who = who_of(pid);
		uint32_t page = UINT32_MAX;

		for (uint32_t i = 0; who.pid && i < m->g.n_clients && page == UINT32_MAX; i++)
			if (clients[i].pid == pid && (clients[i].flags & RK_CLIENT_ALIVE))
				page = i;
		if (!who.pid)
			continue;
		rk_journal_reader(m, r, &who, page);
		rk_journal_answered(m, r);
	}
}

/* Who was evicted from which bank nobody knows: a bank that is not in use may be written to as long as the fleet runs. */
static void banks_write(const struct rk_shm *m, uint32_t partition, uint64_t owner)
{
	for (uint32_t b = 0; b < m->g.n_banks; b++)
		if (b != rk_owner_bank(owner) && m->g.n_banks > 1)
			atomic_store_explicit(rk_journal_kept(m, partition, b), UINT16_MAX, memory_order_relaxed);
}

void rk_collect_journal(const struct rk_shm *m, uint32_t n_wanted, rk_collect_whose whose, void *arg)
{
	const struct rk_view *view =
		rk_shm_view(m, atomic_load_explicit(&m->board->view, memory_order_acquire) % RK_VIEWS);

	for (uint32_t p = 0; p < m->g.n_partitions; p++) {
		uint64_t owner = atomic_load_explicit(&rk_shm_part(m, p)->owner, memory_order_acquire);

		rk_journal_own(m, p, rk_owner_worker(owner));
		banks_write(m, p, owner);
	}
	for (uint32_t i = 0; i < m->g.n_workers; i++) {
		uint32_t word = atomic_load_explicit(rk_beat_lease_word(rk_shm_beat(m, i)), memory_order_acquire);
		uint32_t tid = word & FUTEX_TID_MASK;

		slot_write(m, i, i < n_wanted, tid && !(word & FUTEX_OWNER_DIED) ? whose(tid, arg) : 0);
	}
	clients_write(m, view);
	readers_write(m, view);
	rk_journal_mark(m, RK_JOURNAL_RUNS | RK_JOURNAL_READY | RK_JOURNAL_PROVEN, true);
}
