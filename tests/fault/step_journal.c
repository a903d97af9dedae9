/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the supervisor may be killed at any instruction of what it writes down, of giving and taking
 *         back client pages and reader lines, and of publishing a view, also while it adopts them from
 *         one that was killed before: its successor finds each note old or new and whole, no process
 *         that was not meant, no client id given twice; who is connected keeps page and line, a name
 *         finds its page again, nothing leaks, no reader's view is written, and no slot is stopped and
 *         started that was in no group.
 * Method  the operation runs in a child under PTRACE_SINGLESTEP; at each distinct state of the memory a
 *         successor, in this process, adopts it by the product's own code and is asked for all that it
 *         has; then the memory is put back and the child steps on. Peers and workers are real
 *         processes, held by pidfd. What follows about partitions and deaths: step_supervisor.c.
 *
 *	step_journal [PART-OF-A-CLAIM]
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/board.h"
#include "shm/call.h"
#include "shm/epoch.h"
#include "shm/fault.h"
#include "shm/part.h"
#include "shm/queue.h"
#include "shm/words.h"
#include "supervisor/clients.h"
#include "supervisor/journal.h"
#include "supervisor/slot.h"
#include "supervisor/ward_private.h"
#include "tests/fault/scene.h"
#include "tests/fault/tap.h"

enum { PAGES = 3, LINES = 5, PEERS = 3, SLOT = 1 };

struct op {
	const char *name;
	void (*prepare)(struct stage *);
	void (*act)(struct stage *);   /* in the child */
	void (*check)(struct stage *); /* the child is dead, or has done it */
};

/* ---- memory, all of it in one mapping that a forked child shares ---- */

static void stage_make(struct stage *s)
{
	struct world *w = &s->w;
	uint64_t at[RK_SEGMENT_KINDS];
	struct rk_err err = { 0 };

	*s = (struct stage){ 0 };
	rk_geometry_default(&w->m.g);
	w->m.g.n_partitions = 4;
	w->m.g.n_workers = 2;
	w->m.g.n_clients = PAGES;
	w->m.g.n_readers = LINES;
	w->m.g.n_slots = 2;
	w->m.g.n_cells = 4;
	w->m.g.n_ring = RK_RING_MIN;
	w->m.g.request_max = w->m.g.reply_max = 64;
	w->m.g.state_max = 64;
	w->m.g.n_dead = 1;
	if (rk_geometry_check(&w->m.g, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(EXIT_FAILURE);
	}
	rk_layout_init(&w->m.g, &w->m.l);
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		at[k] = w->shm_len;
		if (k != RK_SEGMENT_STATE)
			w->shm_len += RK_ALIGN_UP(rk_layout_segment_len(&w->m.l, k), 4096ull);
	}
	w->len = w->shm_len + RK_ALIGN_UP(sizeof(*w->shared), 4096ull);
	w->base = mmap(NULL, w->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->base == MAP_FAILED) {
		printf("Bail out! no memory: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	w->m.board = (struct rk_board *)(void *)(w->base + at[RK_SEGMENT_BOARD]);
	w->m.beats = w->base + at[RK_SEGMENT_BEATS];
	w->m.calls = w->base + at[RK_SEGMENT_CALLS];
	w->m.queues = w->base + at[RK_SEGMENT_QUEUES];
	w->m.parts = w->base + at[RK_SEGMENT_PARTS];
	w->m.readers = w->base + at[RK_SEGMENT_READERS];
	w->m.journal = (struct rk_journal *)(void *)(w->base + at[RK_SEGMENT_JOURNAL]);
	w->m.dead = w->base + at[RK_SEGMENT_DEAD];
	w->shared = (struct world_shared *)(void *)(w->base + w->shm_len);
}

static void stage_empty(struct stage *s)
{
	memset(s->w.base, 0, s->w.len);
	s->w.m.board->epoch_mode = RK_EPOCH_EXCHANGE;
	atomic_store_explicit(&s->w.m.board->epoch, 2, memory_order_relaxed);
	for (uint32_t p = 0; p < s->w.m.g.n_partitions; p++) {
		rk_queue_init(&s->w.m, p, 0);
		rk_part_init(&s->w.m, p, 0);
	}
	for (uint32_t i = 0; i < PAGES; i++)
		rk_page_init(&s->w.m, i, 0);
}

/* ---- processes ---- */

static struct rk_peer peers[PEERS]; /* the last one is dead */

static void peers_make(void)
{
	pid_t parent = getpid();

	for (uint32_t i = 0; i < PEERS; i++) {
		peers[i].pid = fork();
		if (peers[i].pid < 0) {
			printf("Bail out! fork: %s\n", strerror(errno));
			exit(EXIT_FAILURE);
		}
		if (peers[i].pid == 0) {
			if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
				_exit(77);
			for (;;)
				(void)pause();
		}
		peers[i].pidfd = (int)syscall(SYS_pidfd_open, peers[i].pid, 0);
	}
	(void)kill(peers[PEERS - 1].pid, SIGKILL);
	(void)waitid(P_PID, (id_t)peers[PEERS - 1].pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
}

static void peers_end(void)
{
	for (uint32_t i = 0; i < PEERS; i++) {
		(void)kill(peers[i].pid, SIGKILL);
		(void)waitpid(peers[i].pid, NULL, 0);
		(void)close(peers[i].pidfd);
	}
}

/* ---- clients ---- */

/* bob and a nameless one are connected; dave was, has gone, and has left a call. */
static struct {
	struct rk_clients *c; /* of the supervisor that dies */
	struct rk_grant bob, nameless, dave, other;
	bool bob_lives, nameless_lives, dave_may_go;
} office;

static const char dave[] = "dave-whose-name-fills-more-than-one-register-0123456789abcdef";

static void grant(struct stage *s, const char *name, const struct rk_peer *p, struct rk_grant *ret)
{
	struct rk_err err = { 0 };

	if (rk_clients_open(office.c, name, p, ret, &err) < 0)
		stage_fail(s, "cannot prepare a client");
	else
		rk_clients_answered(office.c, ret->reader);
}

static void call_leave(struct stage *s, const struct rk_grant *g)
{
	struct rk_caller caller = { .m = &s->w.m, .page = g->page, .id = g->id };
	struct rk_call_request r = { .key = "k", .key_len = 1, .body = "b", .len = 1 };
	struct rk_call call;

	if (rk_call_start(&caller, 0, &r, &call) != RK_CALL_STARTED)
		stage_fail(s, "cannot prepare a call");
}

/* All references in partition 0 vanish, as its owner would see to. */
static void calls_consume(struct stage *s)
{
	const struct rk_shm *m = &s->w.m;
	uint64_t ref;

	for (uint64_t at = 0; (ref = rk_queue_peek(m, 0, at)) != 0; at++)
		if (rk_queue_take(m, 0, at, ref))
			rk_queue_recycle(m, 0, at, rk_ref_with(ref, RK_REF_TAKEN));
}

static void gone(const struct rk_grant *g)
{
	rk_clients_release(office.c, g->page);
	rk_clients_release_reader(office.c, g->reader);
}

static void office_open(struct stage *s)
{
	stage_empty(s);
	rk_clients_free(office.c);
	if (rk_clients_new(&s->w.m, &office.c) < 0)
		abort();
	office.bob_lives = office.nameless_lives = true;
	office.dave_may_go = false;
	grant(s, "bob", &peers[0], &office.bob);
	grant(s, NULL, &peers[1], &office.nameless);
	call_leave(s, &office.bob);
}

static void dave_left(struct stage *s, bool with_calls)
{
	office_open(s);
	grant(s, dave, &peers[1], &office.dave);
	if (with_calls)
		call_leave(s, &office.dave);
	gone(&office.dave);
}

static void dave_left_calls(struct stage *s)
{
	dave_left(s, true);
}

static void dave_left_nothing(struct stage *s)
{
	dave_left(s, false);
	office.dave_may_go = true;
}

/* bob's process is dead, which the supervisor hears now. */
static void bob_died(struct stage *s)
{
	dave_left_calls(s);
	office.bob_lives = false;
}

static void nameless_died(struct stage *s)
{
	dave_left_calls(s);
	office.nameless_lives = false;
}

static void nameless_died_with_calls(struct stage *s)
{
	nameless_died(s);
	call_leave(s, &office.nameless);
}

/* Another supervisor has died already, and with it the nameless one; somebody else was not answered yet. */
static void all_to_adopt(struct stage *s)
{
	struct rk_err err = { 0 };

	nameless_died_with_calls(s);
	if (rk_clients_read(office.c, &peers[0], &office.other.reader, &err) < 0)
		stage_fail(s, "cannot prepare a reader");
}

static void act_open(struct stage *s)
{
	struct rk_err err = { 0 };
	struct rk_grant g;

	(void)s;
	if (rk_clients_open(office.c, NULL, &peers[0], &g, &err) == 0)
		rk_clients_answered(office.c, g.reader);
}

static void act_open_named(struct stage *s)
{
	struct rk_err err = { 0 };
	struct rk_grant g;

	(void)s;
	if (rk_clients_open(office.c, "carol", &peers[0], &g, &err) == 0)
		rk_clients_answered(office.c, g.reader);
}

static void act_open_dave(struct stage *s)
{
	struct rk_err err = { 0 };
	struct rk_grant g;

	(void)s;
	if (rk_clients_open(office.c, dave, &peers[0], &g, &err) == 0)
		rk_clients_answered(office.c, g.reader);
}

static void act_release_bob(struct stage *s)
{
	(void)s;
	gone(&office.bob);
}

static void act_release_nameless(struct stage *s)
{
	(void)s;
	gone(&office.nameless);
}

static void act_read(struct stage *s)
{
	struct rk_err err = { 0 };
	uint32_t line;

	(void)s;
	if (rk_clients_read(office.c, &peers[0], &line, &err) == 0) {
		rk_clients_answered(office.c, line);
		rk_clients_release_reader(office.c, line);
	}
}

/* Whoever lives of those that were told: as rk_control_adopt() finds them by their connections. */
static struct rk_clients *adopt(struct stage *s, uint32_t *ret_n_lines)
{
	struct rk_clients *c;

	*ret_n_lines = 0;
	if (rk_clients_new(&s->w.m, &c) < 0)
		abort();
	rk_clients_adopt(c);
	for (uint32_t line = 0; line < LINES; line++) {
		bool is_bob = line == office.bob.reader, is_nameless = line == office.nameless.reader;
		struct rk_journal_who who;
		uint32_t page;

		if (!rk_clients_was(c, line, &who, &page))
			continue;
		if (who.pid != peers[0].pid && who.pid != peers[1].pid)
			stage_fail(s, "a line's holder is nobody that there ever was");
		if ((is_bob && !office.bob_lives) || (is_nameless && !office.nameless_lives))
			continue;
		if (!is_bob && !is_nameless)
			continue; /* of the act: that client has died with its supervisor */
		rk_clients_hold(c, line, page, is_bob ? &peers[0] : &peers[1]);
		++*ret_n_lines;
	}
	rk_clients_settle(c);
	return c;
}

static void act_adopt(struct stage *s)
{
	uint32_t n;

	(void)adopt(s, &n);
}

static uint64_t id_on_board(struct stage *s, uint32_t page)
{
	return atomic_load(&rk_shm_client_ids(&s->w.m)[page]);
}

static void expect_held(struct stage *s, struct rk_clients *c, const struct rk_grant *g, const struct rk_peer *p)
{
	if (!rk_clients_holds(c, g->page, p) || id_on_board(s, g->page) != g->id)
		stage_fail(s, "a client that is connected has lost its page");
	if (rk_clients_reader_is_dead(c, g->reader))
		stage_fail(s, "a client that is connected has lost its line");
}

static void expect_found(struct stage *s, struct rk_clients *c, const char *name, const struct rk_grant *was)
{
	struct rk_err err = { 0 };
	struct rk_grant g;

	if (rk_clients_open(c, name, &peers[1], &g, &err) < 0) {
		stage_fail(s, "a name that came back is refused");
		return;
	}
	if (g.page != was->page || g.id != was->id)
		stage_fail(s, "a name that came back has another page");
	if (!rk_page_has_calls(&s->w.m, g.page))
		stage_fail(s, "a name that came back does not find its calls");
	rk_clients_release(c, g.page);
	rk_clients_release_reader(c, g.reader);
}

/* Whatever is free can be had, by ids that nobody had. */
static void expect_rest(struct stage *s, struct rk_clients *c, uint32_t n_pages, uint32_t n_lines)
{
	struct rk_err err = { 0 };
	uint64_t last = rk_max_u64(rk_max_u64(office.bob.id, office.nameless.id), office.dave.id);
	uint32_t n = 0, line;
	struct rk_grant g;

	while (n <= PAGES && rk_clients_open(c, NULL, &peers[1], &g, &err) == 0) {
		if (g.id <= last)
			stage_fail(s, "a client id was given twice");
		if ((office.bob_lives && g.page == office.bob.page) ||
		    (office.nameless_lives && g.page == office.nameless.page))
			stage_fail(s, "a page of a living client was given away");
		last = g.id;
		n++;
	}
	if (n != n_pages)
		stage_fail(s, n < n_pages ? "a page is lost" : "a page that is kept was given away");
	while (n <= LINES && rk_clients_read(c, &peers[1], &line, &err) == 0)
		n++;
	if (n != n_lines)
		stage_fail(s, n < n_lines ? "a line is lost" : "a line of a living client was given away");
}

static void check_clients(struct stage *s)
{
	uint32_t n_lines, n_pages = 1 + !office.nameless_lives - !office.dave_may_go;
	struct rk_clients *c = adopt(s, &n_lines);

	if (n_lines != (uint32_t)office.bob_lives + office.nameless_lives)
		stage_fail(s, "a line that its client knows of is not in the journal");
	if (office.bob_lives)
		expect_held(s, c, &office.bob, &peers[0]);
	else
		expect_found(s, c, "bob", &office.bob);
	if (office.nameless_lives)
		expect_held(s, c, &office.nameless, &peers[1]);
	if (office.dave.id && !office.dave_may_go)
		expect_found(s, c, dave, &office.dave);
	calls_consume(s);
	(void)rk_clients_progress(c);
	expect_rest(s, c, office.dave.id ? n_pages : 1, LINES - n_lines);
	rk_clients_free(c);
}

/* Before dave ever was, and no more than one page is taken by the act. */
static void office_new(struct stage *s)
{
	office.dave = (struct rk_grant){ 0 };
	office_open(s);
}

/* ---- slots ---- */

static struct {
	struct rk_conf_fleet conf;
	struct rk_crew_conf c;
	struct rk_slot_host host;
	struct rk_slot slot, was; /* of the supervisor that dies, before the act */
	struct rk_cgroup cgroup;
	struct rk_storm storm;
	struct rk_say say;
	struct rk_recorder recorder;
} house;

static void slot_init(struct stage *s, struct rk_slot *slot)
{
	house.cgroup.dir = -1;
	house.recorder.flight.fd = -1;
	house.say.quiet = true;
	house.c = (struct rk_crew_conf){ .conf = &house.conf, .m = &s->w.m, .cgroup = &house.cgroup,
					 .storm = &house.storm, .say = &house.say, .recorder = &house.recorder, .link = -1 };
	house.host = (struct rk_slot_host){ .c = &house.c, .storm = &house.storm };
	rk_slot_init(slot, &house.host, SLOT);
}

static void slot_prepare(struct stage *s)
{
	stage_empty(s);
	memset(&house, 0, sizeof(house));
	slot_init(s, &house.slot);
	house.slot.is_wanted = true;
	house.slot.incarnation = 7;
	house.slot.n_restarts = 5;
	house.slot.state = RK_FSM_DOWN;
	house.slot.came_from = RK_FSM_READY;
	house.slot.came_by = RK_FSM_EV_EXITED;
	house.slot.restart.n_failed = 3;
	rk_slot_journal(&house.slot);
	house.was = house.slot;
}

static void act_note(struct stage *s)
{
	(void)s;
	house.slot.state = RK_FSM_STARTING;
	house.slot.came_from = RK_FSM_DOWN;
	house.slot.came_by = RK_FSM_EV_START;
	house.slot.is_acting = true;
	house.slot.n_restarts = 6;
	house.slot.restart.n_failed = 4;
	house.slot.reported_ns = house.slot.roll_since_ns = house.slot.late_attempts = 6;
	rk_slot_journal(&house.slot);
	house.slot.is_acting = false;
	house.slot.started_ns = 99;
	rk_slot_journal(&house.slot);
}

/* What keeper has: nothing. */
static struct rk_inherit nothing;

static void check_note(struct stage *s)
{
	struct rk_slot slot;
	bool is_old, is_acting, is_new;

	slot_init(s, &slot);
	rk_slot_adopt(&slot, &nothing);
	is_old = slot.state == RK_FSM_DOWN && slot.came_from == RK_FSM_READY && slot.came_by == RK_FSM_EV_EXITED &&
		 slot.n_restarts == 5 && slot.restart.n_failed == 3 && !slot.is_acting && slot.started_ns == 0;
	is_acting = slot.state == RK_FSM_STARTING && slot.came_from == RK_FSM_DOWN && slot.came_by == RK_FSM_EV_START &&
		    slot.n_restarts == 6 && slot.restart.n_failed == 4 && slot.is_acting && slot.started_ns == 0;
	is_new = slot.state == RK_FSM_STARTING && slot.came_from == RK_FSM_DOWN && slot.came_by == RK_FSM_EV_START &&
		 slot.n_restarts == 6 && slot.restart.n_failed == 4 && !slot.is_acting && slot.started_ns == 99;
	if (slot.reported_ns != slot.roll_since_ns || slot.late_attempts != slot.roll_since_ns ||
	    slot.roll_since_ns != (is_old ? 0 : 6))
		stage_fail(s, "a note's end is not of its beginning");
	if (!is_old && !is_acting && !is_new)
		stage_fail(s, "a note is neither the old nor the new one");
	if (!slot.is_wanted || slot.incarnation != 7)
		stage_fail(s, "a note has lost something");
}

/* From one stand to another, each with all its words. */
static void watch_write(struct stage *s, uint64_t n)
{
	const struct rk_ward_past past = {
		.incarnation = 7,
		.begun_ns = n,
		.pending_since_ns = n,
		.detect = { .last = { .job = n, .beats = n, .n_jobs = n, .calling_until_ns = n, .partition = (uint32_t)n },
			    .phase = RK_PHASE_WORKING,
			    .since_ns = n,
			    .budget_ns = n,
			    .deadline_ns = n,
			    .away_ns = n,
			    .blamed_ns = n,
			    .listed_asleep_ns = n,
			    .listed_disk_ns = n,
			    .spent = { n, n, n, n, n, n, n } },
	};

	rk_ward_note(&s->w.m, SLOT, &past);
}

static void watch_prepare(struct stage *s)
{
	slot_prepare(s);
	watch_write(s, 50);
}

static void act_watch(struct stage *s)
{
	watch_write(s, 51);
	watch_write(s, 52);
}

static void check_watch(struct stage *s)
{
	const struct rk_detect *d;
	struct rk_ward_past past;
	uint64_t n;

	if (!rk_ward_recall(&s->w.m, SLOT, 7, 100, &past)) {
		stage_fail(s, "nothing is known of a worker that was seen");
		return;
	}
	d = &past.detect;
	n = past.begun_ns;
	if (n < 50 || n > 52 || past.pending_since_ns != n || d->last.job != n || d->last.beats != n ||
	    d->last.n_jobs != n || d->last.calling_until_ns != n || d->last.partition != n || d->since_ns != n ||
	    d->budget_ns != n || d->deadline_ns != n || d->away_ns != n || d->blamed_ns != n || d->spent.burnt_ns != n ||
	    d->spent.asleep_ns != n || d->spent.disk_ns != n || d->spent.starved_ns != n || d->spent.paused_ns != n ||
	    d->spent.void_ns != n || d->spent.still_ns != n || d->listed_asleep_ns != n ||
	    d->listed_disk_ns != n)
		stage_fail(s, "how a worker was seen is a mixture of two looks");
	check_note(s);
}

/* spawn(), without the process: peer 0 is the new one, peer 2, which is dead, the one before. */
static void process_prepare(struct stage *s)
{
	const struct rk_journal_who who = rk_journal_who(peers[2].pid, peers[2].pidfd);

	slot_prepare(s);
	rk_journal_intent(&s->w.m, SLOT, 7, 0);
	rk_journal_live(&s->w.m, SLOT, &who);
	rk_journal_down(&s->w.m, SLOT);
	rk_journal_cause(&s->w.m, SLOT, CLD_EXITED, 3);
}

static void act_spawn(struct stage *s)
{
	const struct rk_journal_who who = rk_journal_who(peers[0].pid, peers[0].pidfd);

	rk_journal_intent(&s->w.m, SLOT, 8, 0);
	rk_journal_live(&s->w.m, SLOT, &who);
	rk_journal_down(&s->w.m, SLOT);
	rk_journal_cause(&s->w.m, SLOT, CLD_KILLED, SIGSEGV);
}

static void check_spawn(struct stage *s)
{
	const struct rk_journal_slot *j = &rk_journal_slots(s->w.m.journal)[SLOT];
	uint32_t state = atomic_load(&j->state);
	int code = j->exit_code, status = j->exit_status;
	struct rk_slot slot;

	slot_init(s, &slot);
	rk_slot_adopt(&slot, &nothing);
	if (slot.process.pid && (slot.process.pid != peers[0].pid || slot.process.pidfd < 0))
		stage_fail(s, "a slot has a process that was not meant");
	if (state == RK_JOURNAL_LIVE && slot.process.pid != peers[0].pid)
		stage_fail(s, "a slot's process is not found");
	if (state != RK_JOURNAL_LIVE && slot.process.pid)
		stage_fail(s, "a slot has a process that is confirmed dead");
	if (slot.incarnation != 7 && slot.incarnation != 8)
		stage_fail(s, "an incarnation is none of the two");
	if (state == RK_JOURNAL_INTENT && slot.incarnation != 8)
		stage_fail(s, "an incarnation is given twice");
	/* A mixture would tell people of a death that never was. */
	if (state == RK_JOURNAL_DOWN && code > 0 && !(code == CLD_EXITED && status == 3) &&
	    !(code == CLD_KILLED && (status == SIGSEGV || status == 0)))
		stage_fail(s, "a cause is a mixture of two");
	rk_slot_close(&slot);
}

static void act_sign(struct stage *s)
{
	const struct rk_journal_who who = rk_journal_who(peers[1].pid, peers[1].pidfd);

	rk_journal_sign(&s->w.m, &who);
}

static void sign_prepare(struct stage *s)
{
	const struct rk_journal_who who = rk_journal_who(peers[0].pid, peers[0].pidfd);

	stage_empty(s);
	rk_journal_sign(&s->w.m, &who);
}

/* Whoever is found by it will be killed, if he lives (predecessor_confirm()): a supervisor, or nobody. */
static void check_sign(struct stage *s)
{
	const struct rk_journal *j = s->w.m.journal;
	const struct rk_journal_who who = { j->supervisor_pid, j->supervisor_inode, j->supervisor_begun };
	int pidfd = rk_journal_find(&who);

	if (pidfd < 0 && memcmp(&who, &(struct rk_journal_who){ 0 }, sizeof(who)) == 0)
		stage_fail(s, "nobody has signed");
	if (pidfd >= 0 && who.pid != peers[0].pid && who.pid != peers[1].pid)
		stage_fail(s, "somebody else has signed");
	if (pidfd >= 0)
		(void)close(pidfd);
}

/* ---- groups ---- */

/* From one to the other: all that there is, and both ways. */
static const struct rk_journal_tie untied = { .until_ns = 70, .comes_up = true },
				   down = { .first = 2, .end = 4, .until_ns = 80 },
				   up = { .first = 2, .end = 4, .until_ns = 80, .comes_up = true },
				   more = { .first = 0, .end = 6, .until_ns = 90 };
static struct {
	const struct rk_journal_tie *from, *to;
} tie;

static void tie_prepare(struct stage *s, const struct rk_journal_tie *from, const struct rk_journal_tie *to)
{
	stage_empty(s);
	tie.from = from;
	tie.to = to;
	rk_journal_tie(&s->w.m, from);
}

static void tie_begins(struct stage *s)
{
	tie_prepare(s, &untied, &down);
}

static void tie_comes_up(struct stage *s)
{
	tie_prepare(s, &down, &up);
}

static void tie_grows(struct stage *s)
{
	tie_prepare(s, &down, &more);
}

static void tie_turns_back(struct stage *s)
{
	tie_prepare(s, &up, &more);
}

static void tie_ends(struct stage *s)
{
	tie_prepare(s, &up, &untied);
}

static void act_tie(struct stage *s)
{
	rk_journal_tie(&s->w.m, tie.to);
}

static bool ties_none(const struct rk_journal_tie *t)
{
	return t->first >= t->end;
}

static bool ties_same(const struct rk_journal_tie *a, const struct rk_journal_tie *b)
{
	return (ties_none(a) && ties_none(b)) || (a->first == b->first && a->end == b->end);
}

static void check_tie(struct stage *s)
{
	const struct rk_journal_tie is = rk_journal_tied(&s->w.m);
	bool is_old = ties_same(&is, tie.from), is_new = ties_same(&is, tie.to);

	if (!is_old && !is_new)
		stage_fail(s, "slots are tied that never were to be");
	if (ties_none(&is))
		return; /* the rest is nobody's */
	if (is.until_ns != tie.from->until_ns && is.until_ns != tie.to->until_ns)
		stage_fail(s, "the time of a group is none of the two");
	if (is_new && !is_old && (is.comes_up != tie.to->comes_up || is.until_ns != tie.to->until_ns))
		stage_fail(s, "new slots go by what was said of the old ones");
	if (is.comes_up && !tie.from->comes_up && !tie.to->comes_up)
		stage_fail(s, "a group that goes down comes up");
}

/* ---- views ---- */

static _Alignas(64) char room[1 << 14];

static bool publish(struct stage *s, struct rk_board_writer *w, int n)
{
	struct rk_view *v = (struct rk_view *)(void *)room;

	memset(v + 1, n, s->w.m.l.view_stride - sizeof(*v));
	v->published_ns = (uint64_t)n;
	return rk_board_publish(w, v);
}

static bool says(struct stage *s, const struct rk_view *v, uint64_t n)
{
	const char *bytes = (const char *)(v + 1);

	for (uint64_t i = 0; i < s->w.m.l.view_stride - sizeof(*v); i++)
		if (bytes[i] != (char)n)
			return false;
	return v->published_ns == n;
}

static bool reader_is_dead(uint32_t reader, void *arg)
{
	(void)arg;
	return reader > 1; /* lines 0 and 1 are living readers' */
}

static struct rk_board_writer writer; /* of the supervisor that dies */
static const struct rk_view *held;    /* by the reader of line 0 */

static void views_prepare(struct stage *s)
{
	if (s->w.m.l.view_stride > sizeof(room))
		abort();
	stage_empty(s);
	rk_board_writer_init(&writer, &s->w.m, reader_is_dead, NULL);
	(void)publish(s, &writer, 1);
	(void)publish(s, &writer, 2);
	held = rk_epoch_enter(&s->w.m, rk_shm_reader(&s->w.m, 0));
	(void)publish(s, &writer, 3);
}

static void act_publish(struct stage *s)
{
	(void)publish(s, &writer, 4);
}

static void act_adopt_board(struct stage *s)
{
	struct rk_board_writer w;

	rk_board_writer_init(&w, &s->w.m, reader_is_dead, NULL);
	rk_board_writer_adopt(&w);
	(void)publish(s, &w, 4);
	rk_epoch_leave(rk_shm_reader(&s->w.m, 0)); /* then the reader goes */
	(void)publish(s, &w, 4);
}

static void check_views(struct stage *s)
{
	const struct rk_view *now = rk_epoch_enter(&s->w.m, rk_shm_reader(&s->w.m, 1));
	uint64_t n = now->published_ns, version = now->version;
	bool is_held = atomic_load(&rk_shm_reader(&s->w.m, 0)->active) != 0;
	struct rk_board_writer w;

	if (n < 3 || n > 4 || !says(s, now, n))
		stage_fail(s, "the published view is neither the old nor the new one");
	rk_board_writer_init(&w, &s->w.m, reader_is_dead, NULL);
	rk_board_writer_adopt(&w);
	for (int i = 0; i < 2 * (int)RK_VIEWS; i++)
		(void)publish(s, &w, 50 + i);
	if (!says(s, now, n))
		stage_fail(s, "a view was written under its reader");
	if (is_held && !says(s, held, 2))
		stage_fail(s, "a view was written under its reader");
	rk_epoch_leave(rk_shm_reader(&s->w.m, 0));
	rk_epoch_leave(rk_shm_reader(&s->w.m, 1));
	if (!publish(s, &w, 99))
		stage_fail(s, "no view can be published any more");
	now = rk_epoch_enter(&s->w.m, rk_shm_reader(&s->w.m, 1));
	if (!says(s, now, 99) || now->version <= version)
		stage_fail(s, "the next view is not the newest one");
	rk_epoch_leave(rk_shm_reader(&s->w.m, 1));
}

/* ---- the program ---- */

static const struct op ops[] = {
	{ "a slot's note", slot_prepare, act_note, check_note },
	{ "how a slot's process is seen", watch_prepare, act_watch, check_watch },
	{ "a slot's process, from intent to its end", process_prepare, act_spawn, check_spawn },
	{ "who supervises", sign_prepare, act_sign, check_sign },
	{ "a group begins", tie_begins, act_tie, check_tie },
	{ "a group is down and comes up", tie_comes_up, act_tie, check_tie },
	{ "a group that goes down grows", tie_grows, act_tie, check_tie },
	{ "a group that comes up grows and goes down again", tie_turns_back, act_tie, check_tie },
	{ "a group ends", tie_ends, act_tie, check_tie },
	{ "opens a client", office_new, act_open, check_clients },
	{ "opens a client with a name", office_new, act_open_named, check_clients },
	{ "opens a client with a name that was there", dave_left_calls, act_open_dave, check_clients },
	{ "opens a client on the page of a name that left nothing", dave_left_nothing, act_open, check_clients },
	{ "a client with a name is gone", bob_died, act_release_bob, check_clients },
	{ "a client without a name is gone", nameless_died, act_release_nameless, check_clients },
	{ "a client without a name is gone, its calls are not", nameless_died_with_calls, act_release_nameless,
	  check_clients },
	{ "gives a line and takes it back", dave_left_calls, act_read, check_clients },
	{ "adopts clients", all_to_adopt, act_adopt, check_clients },
	{ "publishes a view", views_prepare, act_publish, check_views },
	{ "adopts the views", views_prepare, act_adopt_board, check_views },
};

static void check(struct stage *s, const struct op *op, struct snapshot *here)
{
	stage_save(s, here);
	s->n_checks++;
	op->check(s);
	memcpy(s->w.base, here->bytes, s->w.len);
}

static void walk(struct stage *s, const struct op *op, unsigned long *ret_n_steps)
{
	struct snapshot *here = stage_room(s);
	char *last = malloc(s->w.shm_len);
	int status = 0;
	pid_t child;

	if (!last)
		abort();
	op->prepare(s);
	memcpy(last, s->w.base, s->w.shm_len);
	check(s, op, here); /* before the first instruction */
	child = stage_child(s, op->act);
	while (child > 0 && stage_step(child, &status)) {
		++*ret_n_steps;
		if (memcmp(last, s->w.base, s->w.shm_len) == 0)
			continue;
		memcpy(last, s->w.base, s->w.shm_len);
		check(s, op, here);
	}
	if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		stage_fail(s, "the child did not come to its end");
	check(s, op, here);
	free(here);
	free(last);
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };
	const char *without = stage_without_ptrace(), *wanted = argc > 1 ? argv[1] : "";
	struct stage s;

	if (rk_fault_from_environment() == -EINVAL)
		return EXIT_FAILURE;
	if (without) {
		tap_skip(&tap, "whatever the supervisor writes down survives its death", without);
		return tap_end(&tap);
	}
	peers_make();
	stage_make(&s);
	for (size_t i = 0; i < rk_countof(ops); i++) {
		unsigned long n_steps = 0;
		char claim[160];

		if (!strstr(ops[i].name, wanted))
			continue;
		s.n_checks = s.n_bad = 0;
		s.why[0] = '\0';
		walk(&s, &ops[i], &n_steps);
		(void)snprintf(claim, sizeof(claim), "killed anywhere: %s", ops[i].name);
		(void)tap_result(&tap, !s.n_bad && s.n_checks > 2, claim);
		printf("# %lu instructions, %lu states, %lu bad%s%s\n", n_steps, s.n_checks, s.n_bad, s.why[0] ? ": " : "",
		       s.why);
	}
	peers_end();
	return tap_end(&tap);
}
