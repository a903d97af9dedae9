/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a supervisor that collects a fleet's memory from its workers may be killed at any instruction: the memory
 *         that workers and clients use is never written; keeper holds something that can be adopted not before all
 *         of it is there and the journal is filled in; the next supervisor collects the same fleet once more, or
 *         adopts this one; each process that lives is one slot's, each slot without one is due to be looked after.
 * Method  rk_collect_memory() in a child under PTRACE_SINGLESTEP, with real memory and real processes that hold the
 *         leases. This process is keeper. Whenever it is given something, or the journal has changed since, a
 *         successor, in this process, goes by the product's own code on what keeper holds: whole, or given up and
 *         collected anew. What comes of it is held against what is collected without a death. Who is asked, and
 *         through /proc: system/systemd. What is in the journal then: unit/collect.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/beat.h"
#include "shm/fault.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/collect.h"
#include "supervisor/fleet.h"
#include "supervisor/fsm.h"
#include "supervisor/journal.h"
#include "tests/fault/scene.h"
#include "tests/fault/tap.h"

enum { SLOTS = 4, LIVING = 2, DEAD = 2, UNUSED = 3, NUMBER = 5, INCARNATION = 7 };

#define EARS 32u /* instructions, after which keeper listens and the memory is looked at */
#define NAME "words"

static void bail(const char *why)
{
	printf("Bail out! %s: %s\n", why, strerror(errno));
	exit(EXIT_FAILURE);
}

static struct {
	unsigned long n_steps, n_checks, n_whole, n_bad, took_ms;
	char why[200];
} found;

static void fail(const char *why)
{
	found.n_bad++;
	if (!found.why[0])
		(void)snprintf(found.why, sizeof(found.why), "at check %lu: %s", found.n_checks, why);
}

/* ---- the fleet, which has no journal any more ---- */

static struct rk_segments made;
static int news[2];
static pid_t peers[LIVING + 1]; /* the last one is dead */

static void peers_make(void)
{
	pid_t parent = getpid();

	for (uint32_t i = 0; i < LIVING + 1; i++) {
		peers[i] = fork();
		if (peers[i] < 0)
			bail("fork");
		if (peers[i] == 0) {
			if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || i == LIVING)
				_exit(77);
			for (;;)
				(void)pause();
		}
	}
	(void)waitpid(peers[LIVING], NULL, 0);
}

static void peers_end(void)
{
	for (uint32_t i = 0; i < LIVING; i++) {
		(void)kill(peers[i], SIGKILL);
		(void)waitpid(peers[i], NULL, 0);
	}
}

static void slot_set(uint32_t slot, uint64_t incarnation, uint32_t lease)
{
	struct rk_beat *b = rk_shm_beat(&made.m, slot);

	atomic_store(&b->incarnation, incarnation);
	atomic_store(&b->state, incarnation ? RK_BEAT_READY : RK_BEAT_STARTING);
	atomic_store(rk_beat_lease_word(b), lease);
}

/* Two workers live, one is dead, one was wanted and never there; a client is known, another one came behind the view. */
static void fleet_make(void)
{
	struct rk_geometry g;
	struct rk_err err = { 0 };
	struct rk_view *view;
	struct rk_view_client *seen;

	rk_geometry_default(&g);
	g.n_partitions = 4;
	g.n_workers = SLOTS;
	g.n_clients = 3;
	g.n_slots = 2;
	if (pipe2(news, O_CLOEXEC) < 0 || rk_segments_create(&made, &g, &err) < 0)
		bail(err.text);
	view = rk_shm_view(&made.m, atomic_load(&made.m.board->view) % RK_VIEWS);
	(void)snprintf(view->name, sizeof(view->name), NAME);
	for (uint32_t i = 0; i < SLOTS; i++)
		((struct rk_view_slot *)(void *)(view + 1))[i].state = RK_SLOT_READY;
	for (uint32_t i = 0; i < LIVING; i++)
		slot_set(i, INCARNATION + i, (uint32_t)peers[i] | (i ? FUTEX_WAITERS : 0));
	slot_set(DEAD, INCARNATION, (uint32_t)peers[LIVING] | FUTEX_OWNER_DIED);
	for (uint32_t p = 0; p < g.n_partitions; p++)
		rk_part_init(&made.m, p, p % 3);
	seen = (struct rk_view_client *)(void *)((char *)view + made.m.l.view_clients);
	seen[0] = (struct rk_view_client){ .id = 70, .pid = peers[0], .flags = RK_CLIENT_USED | RK_CLIENT_ALIVE };
	atomic_store(&rk_shm_client_ids(&made.m)[0], 70);
	atomic_store(&rk_shm_client_ids(&made.m)[1], 90);
	atomic_store(&rk_shm_reader(&made.m, 0)->pid, (uint32_t)peers[0]);
}

/* What everybody but the supervisor writes, or reads, of it, as it was. */
static struct {
	const char *at;
	char *was;
	size_t len;
} shared[RK_SEGMENT_KINDS];

static void shared_add(enum rk_segment_kind k, const void *at)
{
	shared[k].at = at;
	shared[k].len = rk_layout_segment_len(&made.m.l, k);
	shared[k].was = malloc(shared[k].len);
	if (!shared[k].was)
		bail("no memory");
	memcpy(shared[k].was, at, shared[k].len);
}

static void shared_note(void)
{
	shared_add(RK_SEGMENT_BOARD, made.m.board);
	shared_add(RK_SEGMENT_BEATS, made.m.beats);
	shared_add(RK_SEGMENT_PARTS, made.m.parts);
	shared_add(RK_SEGMENT_READERS, made.m.readers);
}

static bool is_touched(void)
{
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		if (shared[k].at && memcmp(shared[k].at, shared[k].was, shared[k].len) != 0)
			return true;
	return false;
}

/* ---- the supervisor that collects ---- */

static int to_keeper = -1;

static pid_t whose(uint32_t tid, void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < LIVING; i++)
		if ((uint32_t)peers[i] == tid)
			return peers[i];
	return 0;
}

static void on_made(void *arg)
{
	(void)arg;
}

/* As fleet_take_from(), with what a worker has. */
static int collect(struct rk_inherit *in, int link)
{
	struct rk_collected c = { .number = NUMBER, .whose = whose, .on_made = on_made };
	struct rk_err err = { 0 };
	int r;

	memset(c.fd, 0xff, sizeof(c.fd));
	memcpy(c.id, made.fleet, sizeof(c.id));
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		if (k != RK_SEGMENT_JOURNAL)
			c.fd[k] = fcntl(made.fd[k], F_DUPFD_CLOEXEC, 3);
	c.news = fcntl(news[0], F_DUPFD_CLOEXEC, 3);
	r = rk_collect_memory(&c, in, link, &err);
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		rk_close_p(&c.fd[k]);
	rk_close_p(&c.news);
	return r;
}

static void act_collect(struct stage *s)
{
	struct rk_inherit in = { 0 };

	(void)s;
	_exit(collect(&in, to_keeper) == 0 ? 0 : 1);
}

/* ---- keeper ---- */

static struct rk_inherit held; /* in the form in which a successor gets it */
static struct rk_journal *journal, journal_was;
static int from_supervisor = -1;

/* Returns whether there was anything. */
static bool listen_to(void)
{
	struct rk_link_msg msg;
	bool any = false;
	int fd;

	for (; rk_link_recv(from_supervisor, &msg, &fd) == 0; any = true) {
		struct rk_heirloom *at = realloc(held.at, (held.n + 1) * sizeof(*at));

		if (!at || msg.op != RK_LINK_KEEP)
			bail("keeper cannot hold it");
		held.at = at;
		held.at[held.n++] = (struct rk_heirloom){ .about = msg, .fd = fd };
		if (strcmp(msg.name, rk_segment_name(RK_SEGMENT_JOURNAL)) == 0) {
			journal = mmap(NULL, sizeof(*journal), PROT_READ, MAP_SHARED, fd, 0);
			if (journal == MAP_FAILED)
				bail("no memory");
			journal_was = *journal;
		}
	}
	return any;
}

static bool has_changed(void)
{
	if (!journal || memcmp(journal, &journal_was, sizeof(journal_was)) == 0)
		return false;
	memcpy(&journal_was, journal, sizeof(journal_was));
	return true;
}

/* ---- a successor ---- */

struct fleet {
	struct rk_journal head;
	struct rk_journal_slot slots[SLOTS];
	uint16_t owners[4];
	char clients[3 * sizeof(struct rk_journal_client)];
};

/* Without times, and without what is a memory's own. */
static void fleet_read(const struct rk_shm *m, struct fleet *ret)
{
	const size_t from = offsetof(struct rk_journal, last_client_id);

	memset(ret, 0, sizeof(*ret));
	memcpy((char *)&ret->head + from, (const char *)m->journal + from, sizeof(ret->head) - from);
	ret->head.inode[RK_SEGMENT_JOURNAL] = 0;
	ret->head.keeper_pid = 0;
	memcpy(ret->slots, rk_journal_slots(m->journal), sizeof(ret->slots));
	for (uint32_t i = 0; i < SLOTS; i++)
		for (uint32_t n = 0; n < 2; n++) {
			struct rk_journal_note *note = &ret->slots[i].notes[n];

			note->started_ns = note->entered_ns = note->noticed_ns = 0;
		}
	for (uint32_t p = 0; p < 4; p++)
		ret->owners[p] = *rk_journal_owner(m, p);
	memcpy(ret->clients, rk_journal_clients(m, m->journal), sizeof(ret->clients));
}

static struct fleet expected;

/* Adopts memory that is whole: is it the fleet that there was? */
static void adopt(struct rk_inherit *in, struct fleet *ret)
{
	int fd[RK_SEGMENT_KINDS];
	struct rk_segments s;
	struct rk_err err = { 0 };

	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		struct rk_heirloom *one = rk_inherit_memory(in, rk_link_memory_tag(NUMBER), rk_segment_name(k));

		fd[k] = one ? rk_take_fd(&one->fd) : -1;
	}
	if (rk_segments_adopt(&s, fd, &err) < 0) {
		fail(err.text);
		return;
	}
	fleet_read(&s.m, ret);
	rk_segments_close(&s);
}

static void expect_same(struct rk_inherit *in)
{
	struct fleet f = { 0 };

	adopt(in, &f);
	if (memcmp(&f, &expected, sizeof(f)) != 0)
		fail("what can be adopted is not the fleet that there was");
}

/* Another one finds that of it, and has a keeper that listens. */
static void successor_check(void)
{
	struct rk_inherit in = { .at = calloc(held.n + 1, sizeof(*in.at)), .n = held.n };
	int pair[2];

	found.n_checks++;
	if (!in.at || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		bail("no successor");
	for (uint32_t i = 0; i < held.n; i++)
		in.at[i] = (struct rk_heirloom){ .about = held.at[i].about, .fd = fcntl(held.at[i].fd, F_DUPFD_CLOEXEC, 3) };
	if (rk_inherit_is_whole(&in, rk_link_memory_tag(NUMBER))) {
		found.n_whole++;
	} else {
		(void)rk_inherit_drop_partial(&in, pair[0]);
		if (in.n != 0)
			fail("a part of it is not given up");
		if (collect(&in, pair[0]) < 0 || !rk_inherit_is_whole(&in, rk_link_memory_tag(NUMBER)))
			fail("it cannot be collected again");
	}
	expect_same(&in);
	if (is_touched())
		fail("memory that workers and clients use was written");
	rk_inherit_close(&in);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* Nobody has died: each process that lives is one slot's, and nobody is forgotten. */
static void expected_make(void)
{
	struct rk_inherit in = { 0 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || collect(&in, pair[0]) < 0)
		bail("it cannot be collected");
	adopt(&in, &expected);
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct rk_journal_slot *s = &expected.slots[i];
		const struct rk_journal_note *n = &s->notes[s->note & 1];

		if (i < LIVING && (s->state != RK_JOURNAL_LIVE || s->pid != peers[i] || n->state != RK_FSM_READY))
			fail("a worker that lives is not its slot's");
		if (i >= LIVING && (s->state == RK_JOURNAL_LIVE || !(n->flags & RK_JOURNAL_ACTING)))
			fail("a slot without a process is not due");
	}
	rk_inherit_close(&in);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* ---- one instruction at a time ---- */

static void walk(void)
{
	struct world_shared nowhere = { 0 };
	struct stage s = { .w.shared = &nowhere };
	uint64_t began_ns = rk_clock_ns();
	int pair[2], status = 0;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		bail("no socket");
	from_supervisor = pair[0];
	to_keeper = pair[1];
	successor_check();
	child = stage_child(&s, act_collect);
	while (child > 0 && stage_step(child, &status)) {
		bool is_due = ++found.n_steps % EARS == 0;

		if (WSTOPSIG(status) != SIGTRAP)
			bail("the supervisor that collects has crashed");
		if (is_due && is_touched())
			fail("memory that workers and clients use was written");
		if ((is_due && listen_to()) || has_changed()) {
			(void)listen_to(); /* what it had sent counts */
			successor_check();
		}
	}
	if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail("the child did not come to its end");
	(void)listen_to();
	successor_check();
	found.took_ms = (rk_clock_ns() - began_ns) / RK_NS_PER_MS;
}

int main(void)
{
	const char *without = stage_without_ptrace(), *claim = "killed anywhere: collects a fleet's memory";
	struct tap tap = { 0 };

	if (rk_fault_from_environment() == -EINVAL)
		return EXIT_FAILURE;
	if (without) {
		tap_skip(&tap, claim, without);
		return tap_end(&tap);
	}
	peers_make();
	fleet_make();
	shared_note();
	expected_make();
	(void)tap_result(&tap, !found.n_bad, "what is collected: each process that lives is one slot's, the rest is due");
	walk();
	/* Before all is there it is given up, behind that adopted: both have to be seen. */
	(void)tap_result(&tap, !found.n_bad && found.n_whole > 0 && found.n_checks > found.n_whole + RK_SPAWN_FDS, claim);
	printf("# %lu instructions, %lu successors, %lu of them adopt it, %lu bad, %lu ms%s%s\n", found.n_steps, found.n_checks,
	       found.n_whole, found.n_bad, found.took_ms, found.why[0] ? ": " : "", found.why);
	peers_end();
	return tap_end(&tap);
}
