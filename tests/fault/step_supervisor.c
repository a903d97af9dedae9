/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the supervisor may be killed at any instruction of what it does about partitions and deaths:
 *         its successor's adoption leaves each partition one owner, who lives or is due to be started
 *         and goes on with its jobs; no job is lost or done twice, a charge counts once.
 * Method  as step_calls.c: scenes and duets, one instruction at a time, in the world of the calls. The
 *         supervisor is the child. Its successor, in this process, is the product's own code: what the
 *         journal says is adopted (rk_adopt_partitions()), and where a death was being looked after that
 *         is done again (rk_slot_lay_down()), as rk_slot_go_on() would. Adoption is one of the
 *         operations too: it is killed, and adopted again.
 *
 *	step_supervisor [PART-OF-A-CLAIM]
 *
 * The journal's other words, clients and views: step_journal.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/evict.h"
#include "shm/fault.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/adopt.h"
#include "supervisor/handover.h"
#include "supervisor/journal.h"
#include "supervisor/slot.h"
#include "tests/fault/scene.h"
#include "tests/fault/step.h"
#include "tests/fault/tap.h"

#define PAIRS "adopts what was half adopted"
#define P 1u         /* the partition that it is about */
#define ROUNDS 500   /* far more than there is to do */
#define INCARNATION 7u /* of worker 0's process */

/* ---- a slot, as far as a death concerns it ---- */

/* One per process: the supervisor's own memory, which dies with it. */
static struct {
	struct rk_conf_fleet conf;
	struct rk_say say;
	struct rk_recorder recorder;
	struct rk_storm storm;
	struct rk_crew_conf c;
	struct rk_slot_host host;
	struct rk_slot slot;
	uint16_t table[4];
} own;

static int dead_pidfd = -1; /* of a process that SIGSEGV has ended: worker 0's */

static void on_down(struct rk_slot *s, void *arg)
{
	(void)s;
	(void)arg;
}

/* What a supervisor knows of slot 0 when its process has died. */
static void slot_open(struct stage *s)
{
	memset(&own, 0, sizeof(own));
	own.say.quiet = true;
	own.recorder.flight.fd = -1;
	(void)snprintf(own.conf.name, sizeof(own.conf.name), "world");
	for (uint32_t p = 0; p < rk_countof(own.table); p++)
		own.table[p] = rk_owner_worker(world_owner_word(&s->w, p)) == 0 ? 0 : 2;
	own.c = (struct rk_crew_conf){ .conf = &own.conf, .m = &s->w.m, .say = &own.say, .recorder = &own.recorder,
				       .storm = &own.storm, .link = -1 };
	own.host = (struct rk_slot_host){ .c = &own.c, .table = own.table, .storm = &own.storm, .on_down = on_down };
	own.slot = (struct rk_slot){ .host = &own.host,
				     .state = RK_FSM_DOWN,
				     .process = { .pid = 4711, .pidfd = dead_pidfd, .gate = -1 },
				     .cgroup = RK_CGROUP_SLOT_NONE,
				     .stat_fd = -1,
				     .incarnation = INCARNATION,
				     .exit_code = CLD_KILLED,
				     .exit_status = SIGSEGV,
				     .noticed_ns = 1,
				     .mourning = { .fleet = own.conf.name, .say = &own.say, .recorder = &own.recorder } };
}

static void act_lay_down(struct stage *s)
{
	slot_open(s);
	(void)rk_slot_lay_down(&own.slot, RK_ROUTE_UP, false);
}

/* ---- before ---- */

static struct client *client_of(struct stage *s, uint32_t page)
{
	return &s->w.shared->client[page];
}

static void give(struct stage *s, uint32_t partition, uint32_t worker)
{
	rk_journal_own(&s->w.m, partition, worker);
	world_assign(&s->w, partition, worker);
}

/* Partition 1 is worker 0's, the others are worker 2's; client 0 has a call in each. */
static void begun(struct stage *s)
{
	for (uint32_t p = 0; p < s->w.m.g.n_partitions; p++)
		give(s, p, p == P ? 0 : 2);
	for (uint32_t i = 0; i < WORLD_SLOTS; i++)
		if (!client_start(&s->w, client_of(s, 0), i, P) || !client_start(&s->w, client_of(s, 1), i, 2 * i))
			stage_fail(s, "cannot prepare calls");
}

/* All of worker 0's, who is asked for partition 1, for worker 2. */
static void asked(struct stage *s)
{
	begun(s);
	if (rk_part_ask(&s->w.m, P) < 0)
		stage_fail(s, "cannot ask for a partition");
}

/* ... and has let go. */
static void released(struct stage *s)
{
	asked(s);
	if (rk_part_release(&s->w.m, P, 0) < 0)
		stage_fail(s, "cannot release a partition");
}

/* ... and that it is worker 2's stands in the journal. */
static void released_owned(struct stage *s)
{
	released(s);
	rk_journal_own(&s->w.m, P, 2);
}

static void work_on(struct stage *s, struct worker *k)
{
	int r = 1;

	for (int n = 0; r > 0 && n < ROUNDS; n++)
		r = worker_pass(&s->w, k);
	if (r > 0)
		stage_fail(s, "a worker never comes to rest");
}

static void act_die_in_job(struct stage *s)
{
	struct worker k;

	s->w.die_in_handler = true;
	worker_init(&k, 0);
	work_on(s, &k);
}

/* Worker 0 has died in its first job, everything written, nothing committed. */
static void died_in_job(struct stage *s)
{
	struct rk_beat *beat;
	pid_t child;

	begun(s);
	beat = rk_shm_beat(&s->w.m, 0);
	atomic_store_explicit(&beat->incarnation, INCARNATION, memory_order_release);
	child = stage_child(s, act_die_in_job);
	if (child > 0) {
		(void)ptrace(PTRACE_CONT, child, NULL, NULL);
		(void)waitpid(child, &(int){ 0 }, 0);
		stage_kill(child);
	}
	if (atomic_load_explicit(&beat->state, memory_order_acquire) != RK_BEAT_RUNNING)
		stage_fail(s, "cannot prepare a death in a job");
}

/* ... and its partition shall be worker 2's. */
static void died_owned(struct stage *s)
{
	died_in_job(s);
	act_lay_down(s);
	rk_journal_own(&s->w.m, P, 2);
}

/* Something half done about each partition: 0 asked for, 1 to be taken by copy, 2 released. */
static void all_half_done(struct stage *s)
{
	begun(s);
	give(s, 0, 1);
	(void)rk_part_ask(&s->w.m, 0);
	rk_journal_own(&s->w.m, P, 2);
	give(s, 2, 1);
	if (rk_part_ask(&s->w.m, 2) < 0 || rk_part_release(&s->w.m, 2, 1) < 0)
		stage_fail(s, "cannot release a partition");
	rk_journal_own(&s->w.m, 2, 0);
}

/* Worker 0, evicted, is stopped; worker 1 has to copy. */
static void evicted(struct stage *s)
{
	begun(s);
	rk_journal_own(&s->w.m, P, 1);
	if (!world_evict(&s->w, P, 1))
		stage_fail(s, "no bank to evict to");
}

/* ... or cannot commit any more, and has lost nothing yet. */
static void fenced(struct stage *s)
{
	_Atomic uint64_t *commit = &rk_shm_part(&s->w.m, P)->commit;
	uint64_t word;

	begun(s);
	rk_journal_own(&s->w.m, P, 2);
	word = atomic_load_explicit(commit, memory_order_acquire);
	atomic_store_explicit(commit, rk_commit(rk_incarnation_next(rk_commit_incarnation(word)), rk_commit_cursor(word)),
			      memory_order_release);
}

/* ---- what the supervisor does ---- */

static void act_ask(struct stage *s)
{
	(void)rk_part_ask(&s->w.m, P);
}

/* moves_finish(), finish() */
static void act_hand_over(struct stage *s)
{
	rk_journal_own(&s->w.m, P, 2);
	(void)!rk_handover_give(&s->w.m, P, 2);
}

static void act_give_back(struct stage *s)
{
	(void)!rk_handover_give(&s->w.m, P, 0);
}

/* moves_begin(), of one that is stuck */
static void act_evict(struct stage *s)
{
	const struct rk_member_move move = { .partition = P, .from = 0, .to = 2, .is_copy = true };

	rk_journal_own(&s->w.m, P, 2);
	(void)!rk_handover_begin(&s->w.m, &move);
}

/* ... of one without a process: behind the repair, before the slot's own are taken again. */
static void act_pass_on(struct stage *s)
{
	const struct rk_member_move move = { .partition = P, .from = 0, .to = 2 };

	rk_journal_own(&s->w.m, P, 2);
	(void)!rk_handover_begin(&s->w.m, &move);
}

static void adopt(struct stage *s, bool worker_0_lives, uint16_t *owners)
{
	const bool lives[WORLD_WORKERS] = { worker_0_lives, true, true };
	struct rk_adopted told;

	rk_adopt_partitions(&s->w.m, lives, owners, &told);
	if (told.n_failed)
		stage_fail(s, "a partition was given to nobody");
}

static void act_adopt(struct stage *s)
{
	uint16_t owners[8];

	adopt(s, true, owners);
}

static void act_adopt_widow(struct stage *s)
{
	uint16_t owners[8];

	adopt(s, false, owners);
}

static void act_unask(struct stage *s)
{
	(void)rk_part_unask(&s->w.m, P);
}

static void work_as(struct stage *s, uint32_t worker)
{
	struct worker k;
	int r = 1;

	worker_init(&k, worker);
	for (int n = 0; r > 0 && n < ROUNDS; n++)
		r = worker_pass(&s->w, &k);
	_exit(r < 0 ? 3 : 0);
}

static void act_work_0(struct stage *s)
{
	work_as(s, 0);
}

static void act_work_1(struct stage *s)
{
	work_as(s, 1);
}

static void act_publish(struct stage *s)
{
	(void)client_start(&s->w, client_of(s, 2), 0, P);
}

/* ---- after ---- */

/* One owner each, by journal, word and route. */
static void expect_owners(struct stage *s, bool worker_0_lives, const uint16_t *owners)
{
	const struct rk_shm *m = &s->w.m;

	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		uint64_t word = world_owner_word(&s->w, p);
		uint64_t route = atomic_load_explicit(&rk_shm_routes(m)[p], memory_order_acquire);
		uint32_t flag = rk_owner_flag(word), worker = rk_owner_worker(word);

		if (worker >= WORLD_WORKERS || (flag != RK_OWNER_RUN && flag != RK_OWNER_COPY))
			stage_fail(s, "a partition is nobody's");
		if (owners[p] != worker || atomic_load(rk_journal_owner(m, p)) != worker)
			stage_fail(s, "a partition's owner is another one in the journal");
		if (rk_route_worker(route) != worker || rk_route_flags(route) != (worker || worker_0_lives ? RK_ROUTE_UP : 0))
			stage_fail(s, "a partition's route leads elsewhere");
	}
}

/* Every worker does what is its own, and calls are collected, until nothing is left. */
static void everybody_works(struct stage *s)
{
	struct worker k[WORLD_WORKERS];
	bool on = true;

	for (uint32_t i = 0; i < WORLD_WORKERS; i++)
		worker_init(&k[i], i);
	for (int n = 0; on && n < ROUNDS; n++) {
		on = false;
		for (uint32_t i = 0; i < WORLD_WORKERS; i++) {
			int r = worker_pass(&s->w, &k[i]);

			if (r < 0) /* it has lost something: its next process goes on */
				worker_init(&k[i], i);
			on |= r != 0;
		}
		for (uint32_t page = 0; page < 4; page++)
			for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
				if (!client_of(s, page)->slot[i].on)
					continue;
				(void)client_poll(&s->w, client_of(s, page), i, n > 20, false);
				on = true;
			}
	}
	if (on)
		stage_fail(s, "a call of before is never answered");
}

/* Whoever owns it answers, having been rung by the client alone. */
static void expect_served(struct stage *s)
{
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		struct client *c = client_of(s, 3);
		uint64_t sequence;

		if (!client_start(&s->w, c, 0, p)) {
			stage_fail(s, "a call cannot be started");
			return;
		}
		sequence = c->slot[0].call.sequence;
		everybody_works(s);
		switch ((enum ledger_state)world_ledger(&s->w, 3, sequence)->state) {
		case LEDGER_DONE:
		case LEDGER_ERROR:
			break;
		case LEDGER_NONE:
		case LEDGER_INTENT:
		case LEDGER_NOT_APPLIED:
		case LEDGER_QUARANTINED:
			stage_fail(s, "nobody serves a partition");
		}
	}
}

/* Worker 2 inherits everything, for the end of the scene. */
static void workers_end(struct stage *s)
{
	for (uint32_t i = 0; i < 2; i++)
		world_sweep(&s->w, i);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (rk_owner_worker(world_owner_word(&s->w, p)) != 2)
			give(s, p, 2);
	worker_init(&s->me, 2);
}

/* A successor, of a supervisor that died and of nobody else. */
static void bury_supervisor(struct stage *s)
{
	uint16_t owners[8];

	adopt(s, true, owners);
	expect_owners(s, true, owners);
	everybody_works(s);
	expect_served(s);
	workers_end(s);
}

/* The same for one that was stopped, or is one of two: what it did is done to its end, or it is dead now. */
static void bury_adopter(struct stage *s)
{
	uint16_t owners[8];

	adopt(s, true, owners);
	expect_owners(s, true, owners);
}

static bool is_counted(struct stage *s)
{
	return rk_part_attempts(&s->w.m, P) == 1;
}

/* ... which was looking after a death: rk_slot_go_on() begins it again. */
static void bury_mourner(struct stage *s)
{
	uint64_t cursor = rk_commit_cursor(atomic_load(&rk_shm_part(&s->w.m, P)->commit));
	uint16_t owners[8];

	adopt(s, false, owners);
	expect_owners(s, false, owners);
	slot_open(s);
	own.table[P] = owners[P];
	(void)rk_slot_lay_down(&own.slot, RK_ROUTE_UP, false);
	/* The world may have gone on behind a stopped one, and with that job. */
	if (cursor == s->w.first_position && !is_counted(s))
		stage_fail(s, "a death was not charged, or twice");
	everybody_works(s);
	expect_served(s);
	workers_end(s);
}

/* Worker 0 and the supervisor are dead: the supervisor's successor finds out. */
static void bury_worker_0(struct stage *s)
{
	uint16_t owners[8];

	adopt(s, false, owners);
	expect_owners(s, false, owners);
	world_sweep(&s->w, 0);
	world_charge(&s->w, 0);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (owners[p] == 0)
			world_assign(&s->w, p, 0);
	everybody_works(s);
	expect_served(s);
	workers_end(s);
}

static void bury_worker_1(struct stage *s)
{
	world_sweep(&s->w, 1);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (rk_owner_worker(world_owner_word(&s->w, p)) == 1)
			world_assign(&s->w, p, 1);
	everybody_works(s);
	expect_served(s);
	workers_end(s);
}

static void bury_client(struct stage *s)
{
	rk_bell_ring_pending(&s->w.m);
	client_resume(&s->w, client_of(s, 2));
	everybody_works(s);
	expect_served(s);
	workers_end(s);
}

/* ---- meanwhile ---- */

/* A supervisor that is stopped holds up nobody. */
static void go_on_working(struct stage *s)
{
	everybody_works(s);
	worker_init(&s->me, 2);
}

static const struct scene own_scenes[] = {
	{ "asks for a partition", begun, act_ask, bury_supervisor, go_on_working, .is_long = true },
	{ "takes a question back", asked, act_unask, bury_supervisor, go_on_working, .is_long = true },
	{ "hands a partition over", released, act_hand_over, bury_supervisor, go_on_working, .is_long = true },
	{ "gives a partition back", released, act_give_back, bury_supervisor, go_on_working, .is_long = true },
	{ "takes a partition by copy", begun, act_evict, bury_supervisor, NULL, .is_long = true },
	{ "looks after a death", died_in_job, act_lay_down, bury_mourner, NULL, .is_long = true },
	{ "passes a dead worker's partition on", died_owned, act_pass_on, bury_mourner, NULL, .is_long = true },
	{ "adopts what was half done", all_half_done, act_adopt, bury_supervisor, go_on_working, .is_long = true },
	{ "adopts a hand-over", released_owned, act_adopt, bury_supervisor, go_on_working, .is_long = true },
	{ "adopts a take-over by copy", evicted, act_adopt, bury_supervisor, NULL, .is_long = true },
	{ "adopts a fenced owner's partition", fenced, act_adopt, bury_supervisor, NULL, .is_long = true },
	{ "adopts a dead worker's partition", died_owned, act_adopt_widow, bury_mourner, NULL, .is_long = true },
};

static const struct scene adopt_it = { "", begun, act_adopt, bury_adopter, NULL, .n_log = 0 };
static const struct scene work_0 = { "", begun, act_work_0, bury_worker_0, NULL, .n_log = 0 };
static const struct scene copy_1 = { "", begun, act_work_1, bury_worker_1, NULL, .is_long = true };
static const struct scene publish_2 = { "", begun, act_publish, bury_client, NULL, .n_log = 0 };
static const struct scene ask_1 = { "", begun, act_ask, bury_adopter, NULL, .n_log = 0 };
static const struct scene evict_1 = { "", begun, act_evict, bury_adopter, NULL, .n_log = 0 };

static const struct duet own_duets[] = {
	{ "adoption against release", asked, &adopt_it, &work_0 },
	{ "release against adoption", asked, &work_0, &adopt_it },
	{ "adoption against publish", released_owned, &adopt_it, &publish_2 },
	{ "adoption against a copy", evicted, &adopt_it, &copy_1 },
	{ "question against work", begun, &ask_1, &work_0 },
	{ "take-over by copy against work", begun, &evict_1, &work_0 },
};

/* ---- a supervisor that dies while it adopts, and its successor, too ---- */

static const struct scene half_done = { "", all_half_done, act_adopt, bury_supervisor, NULL, .is_long = true };

/* On to the next state of the memory. False when it has ended. */
static bool walk_on(struct stage *s, pid_t child, char *last, unsigned long *n_steps)
{
	int status;

	while (stage_step(child, &status)) {
		++*n_steps;
		if (memcmp(last, s->w.base, s->w.shm_len) == 0)
			continue;
		memcpy(last, s->w.base, s->w.shm_len);
		return true;
	}
	return false;
}

static void adopt_again(struct stage *s, char *last, struct snapshot *there, struct step_result *r)
{
	pid_t child = stage_child(s, act_adopt);

	memcpy(last, s->w.base, s->w.shm_len);
	while (child > 0 && walk_on(s, child, last, &r->n_steps)) {
		r->n_states++;
		stage_save(s, there);
		bury_supervisor(s);
		stage_check(s);
		stage_restore(s, there);
	}
}

static void step_pairs(bool wrap, struct step_result *ret)
{
	struct snapshot *here, *there;
	char *last[2];
	struct stage s;
	pid_t child;

	*ret = (struct step_result){ .began_ns = rk_clock_ns() };
	stage_open(&s, &half_done, wrap, 2);
	stage_prepare(&s, half_done.prepare);
	here = stage_room(&s);
	there = stage_room(&s);
	last[0] = malloc(s.w.shm_len);
	last[1] = malloc(s.w.shm_len);
	if (!last[0] || !last[1])
		abort();
	memcpy(last[0], s.w.base, s.w.shm_len);
	child = stage_child(&s, half_done.act);
	while (child > 0 && walk_on(&s, child, last[0], &ret->n_steps)) {
		stage_save(&s, here);
		adopt_again(&s, last[1], there, ret);
		stage_restore(&s, here);
	}
	ret->n_checks = s.n_checks;
	ret->n_bad = s.n_bad;
	ret->took_ms = (rk_clock_ns() - ret->began_ns) / RK_NS_PER_MS;
	(void)snprintf(ret->why, sizeof(ret->why), "%s", s.why);
	for (int i = 0; i < 2; i++)
		free(last[i]);
	free(here);
	free(there);
	stage_close(&s);
}

/* ---- the program ---- */

static void report(struct tap *tap, const char *name, bool wrap, const struct step_result *r)
{
	char claim[160];

	(void)snprintf(claim, sizeof(claim), "supervisor: %s%s", name, wrap ? ", counters before their wraps" : "");
	(void)tap_result(tap, !r->n_bad && r->n_checks, claim);
	printf("# %lu instructions, %lu states, %lu checks, %lu bad, %lu ms%s%s\n", r->n_steps, r->n_states, r->n_checks,
	       r->n_bad, r->took_ms, r->why[0] ? ": " : "", r->why);
}

static void dead_make(void)
{
	pid_t pid = fork();

	if (pid < 0) {
		printf("Bail out! fork: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		(void)raise(SIGSEGV);
		_exit(1);
	}
	dead_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	(void)waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };
	const char *without = stage_without_ptrace(), *wanted = argc > 1 ? argv[1] : "";
	struct step_result r;

	if (rk_fault_from_environment() == -EINVAL)
		return EXIT_FAILURE;
	if (without) {
		tap_skip(&tap, "the supervisor may be killed at any instruction", without);
		return tap_end(&tap);
	}
	dead_make();
	for (size_t i = 0; i < rk_countof(own_scenes); i++)
		for (int wrap = 0; wrap < 2 && strstr(own_scenes[i].name, wanted); wrap++) {
			step_scene(&own_scenes[i], wrap, &r);
			report(&tap, own_scenes[i].name, wrap, &r);
		}
	for (int wrap = 0; wrap < 2 && strstr(PAIRS, wanted); wrap++) {
		step_pairs(wrap, &r);
		report(&tap, PAIRS, wrap, &r);
	}
	for (size_t i = 0; i < rk_countof(own_duets); i++) {
		if (!strstr(own_duets[i].name, wanted))
			continue;
		step_duet(&own_duets[i], false, &r);
		report(&tap, own_duets[i].name, false, &r);
	}
	return tap_end(&tap);
}
