/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/scene.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/bell.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/epoch.h"
#include "shm/evict.h"
#include "shm/part.h"
#include "shm/words.h"

/* ---- children under ptrace ---- */

pid_t stage_child(struct stage *s, void (*act)(struct stage *))
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid < 0) {
		printf("Bail out! fork: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		(void)raise(SIGSTOP);
		world_elsewhere(&s->w, false);
		act(s);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL) < 0) {
		stage_kill(pid);
		return -1;
	}
	return pid;
}

bool stage_step(pid_t child, int *ret_status)
{
	if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0 || waitpid(child, ret_status, 0) != child)
		return false;
	return WIFSTOPPED(*ret_status);
}

void stage_kill(pid_t child)
{
	int status;

	if (child <= 0)
		return; /* there is none: kill() would take it for everybody */
	(void)kill(child, SIGKILL);
	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status))
		;
}

bool stage_continue(pid_t child)
{
	int status;

	if (ptrace(PTRACE_CONT, child, NULL, NULL) < 0 || waitpid(child, &status, 0) != child)
		return false;
	if (WIFEXITED(status))
		return true;
	if (WIFSTOPPED(status))
		stage_kill(child);
	return false;
}

#ifdef __x86_64__

/* A place to stand for a child that is made to call the kernel. */
__asm__(".pushsection .text\n"
	".globl stage_syscall\n"
	".hidden stage_syscall\n"
	"stage_syscall: syscall\n"
	"int3\n"
	".popsection\n");
extern const char stage_syscall[];

pid_t stage_twin(pid_t child)
{
	struct user_regs_struct before, call;
	int status;
	pid_t twin;

	if (ptrace(PTRACE_GETREGS, child, NULL, &before) < 0)
		return -1;
	before.orig_rax = (unsigned long long)-1; /* it is in no system call that would be begun again */
	call = before;
	call.rip = (uintptr_t)stage_syscall;
	call.rax = SYS_clone;
	call.rdi = CLONE_PARENT | CLONE_PTRACE | SIGCHLD; /* ours to wait for, ours to trace */
	call.rsi = call.rdx = call.r10 = call.r8 = 0;
	if (ptrace(PTRACE_SETREGS, child, NULL, &call) < 0 || !stage_step(child, &status) ||
	    ptrace(PTRACE_GETREGS, child, NULL, &call) < 0)
		return -1;
	twin = (pid_t)(long long)call.rax;
	if (ptrace(PTRACE_SETREGS, child, NULL, &before) < 0 || twin <= 0)
		return -1;
	if (waitpid(twin, &status, __WALL) != twin || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETREGS, twin, NULL, &before) < 0) {
		stage_kill(twin);
		return -1;
	}
	return twin;
}

#else

pid_t stage_twin(pid_t child)
{
	(void)child;
	return -1;
}

#endif

static void act_nothing(struct stage *s)
{
	(void)s;
}

const char *stage_without_ptrace(void)
{
	struct world_shared nowhere;
	struct stage s = { .w.shared = &nowhere };
	pid_t child = stage_child(&s, act_nothing), twin;
	int status;
	bool ok;

	if (child < 0)
		return "ptrace: not permitted here";
	ok = stage_step(child, &status);
	twin = ok ? stage_twin(child) : -1;
	if (ok)
		stage_kill(child);
	if (twin > 0 && stage_continue(twin))
		return NULL;
	return ok ? "ptrace: twins of a child need x86-64" : "ptrace: single steps do not work here";
}

/* ---- the stage ---- */

void stage_open(struct stage *s, const struct scene *scene, bool wrap, uint32_t n_spare)
{
	struct world_conf conf = { .n_calls = 256, .n_dedup = WORLD_CLIENTS * WORLD_SLOTS, .n_banks = 3,
				   .n_log = scene->n_log ? scene->n_log : 128, .batch_max = 4, .n_spare = n_spare,
				   .wrap = wrap, .outside_gate = scene->gated, .n_dead = 3, .dead_after = 3,
				   .retries = scene->retries };

	*s = (struct stage){ 0 };
	world_make(&s->w, &conf);
	s->w.copy_all = true; /* its pages are all there */
	s->prepared = stage_room(s);
}

void stage_close(struct stage *s)
{
	world_free(&s->w);
	free(s->prepared);
}

static bool reader_is_dead(uint32_t reader, void *arg)
{
	struct stage *s = arg;

	(void)reader;
	return !s->reader_alive;
}

void stage_prepare(struct stage *s, void (*prepare)(struct stage *))
{
	world_reset(&s->w, 2);
	for (uint32_t k = 0; k < WORLD_CLIENTS; k++)
		client_open(&s->w, &s->w.shared->client[k], k);
	worker_init(&s->me, 2);
	s->reader_alive = false;
	s->version = 0;
	prepare(s);
	stage_save(s, s->prepared);
}

void stage_restart(struct stage *s)
{
	stage_restore(s, s->prepared);
}

struct snapshot *stage_room(const struct stage *s)
{
	struct snapshot *room = malloc(sizeof(*room) + s->w.len);

	if (!room)
		abort();
	return room;
}

void stage_save(const struct stage *s, struct snapshot *to)
{
	memcpy(to->bytes, s->w.base, s->w.len);
	to->last_id = s->w.last_id;
	to->version = s->version;
}

void stage_restore(struct stage *s, const struct snapshot *from)
{
	memcpy(s->w.base, from->bytes, s->w.len);
	s->w.last_id = from->last_id;
	s->version = from->version;
	worker_init(&s->me, 2);
}

void stage_fail(struct stage *s, const char *why)
{
	s->n_bad++;
	if (!s->why[0])
		(void)snprintf(s->why, sizeof(s->why), "%s", why);
}

static struct client *client_of(struct stage *s, uint32_t page)
{
	return &s->w.shared->client[page];
}

/* Worker 2 does whatever there is to do; gates are opened. */
static void work(struct stage *s)
{
	int r = 1;

	for (int n = 0; n < 1000 && r > 0; n++) {
		r = worker_pass(&s->w, &s->me);
		if (r < 0)
			stage_fail(s, "a partition was taken from its only owner");
		for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
			if (rk_part_is_released(&s->w.m, p))
				world_assign(&s->w, p, 2);
			if (p && s->w.conf.outside_gate)
				world_open_gate(&s->w, p);
		}
	}
	if (r > 0)
		stage_fail(s, "a worker never comes to rest");
}

static bool finish(struct stage *s, uint32_t page)
{
	struct client *c = client_of(s, page);
	bool on = true;

	for (int n = 0; n < 200 && on; n++) {
		work(s);
		on = false;
		for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
			if (c->slot[i].on)
				(void)client_poll(&s->w, c, i, n > 3, false);
			on |= c->slot[i].on;
		}
	}
	return !on;
}

static bool call_once(struct stage *s, uint32_t page, uint32_t partition)
{
	struct client *c = client_of(s, page);
	struct my_call *k = &c->slot[0];
	enum ledger_state state;

	for (int n = 0; n < 100 && !k->on; n++)
		if (!client_start(&s->w, c, 0, partition))
			work(s);
	if (!k->on || !finish(s, page))
		return false;
	state = (enum ledger_state)world_ledger(&s->w, page, k->call.sequence)->state;
	return state == LEDGER_DONE || state == LEDGER_ERROR || state == LEDGER_QUARANTINED;
}

/* Calls of clients 0 and 1 that somebody will run, whatever dies: WANT, and in a ring. */
static void find_published(struct stage *s, uint64_t ret[2][WORLD_CELLS])
{
	for (uint32_t i = 0; i < 2 * WORLD_CELLS; i++) {
		struct rk_cell *cell = rk_shm_cell(&s->w.m, i);
		uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);

		ret[i / WORLD_CELLS][i % WORLD_CELLS] =
			rk_cellword_state(word) == RK_CELL_WANT && rk_queue_names(&s->w.m, i) ?
				rk_cellword_sequence(word) : 0;
	}
}

void stage_check(struct stage *s)
{
	uint64_t published[2][WORLD_CELLS];
	char verdict[160];

	s->n_checks++;
	find_published(s, published);
	for (uint32_t page = 0; page < 3; page++)
		if (!finish(s, page)) {
			stage_fail(s, "a call never ends");
			return;
		}
	for (int i = 0; i < 2 * WORLD_CELLS; i++) {
		uint64_t sequence = published[i / WORLD_CELLS][i % WORLD_CELLS];

		if (sequence && world_ledger(&s->w, (uint32_t)i / WORLD_CELLS, sequence)->state == LEDGER_NOT_APPLIED)
			stage_fail(s, "a completed publish did not survive");
	}
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (!call_once(s, 0, p)) {
			stage_fail(s, "the probe call was not answered");
			return;
		}
	if (!world_verify(&s->w, false, verdict, sizeof(verdict)))
		stage_fail(s, verdict);
}

/* ---- before ---- */

static void nothing(struct stage *s)
{
	(void)s;
}

static void called(struct stage *s)
{
	if (!client_start(&s->w, client_of(s, 0), 0, 1))
		stage_fail(s, "cannot prepare a call");
}

static void answered(struct stage *s)
{
	called(s);
	work(s);
}

static void give_all(struct stage *s, uint32_t worker)
{
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		world_assign(&s->w, p, worker);
}

/* The reference at the cursor of partition 1 was taken by somebody who died. */
static void mark_taken(struct stage *s)
{
	struct rk_ring *ring = rk_shm_ring(&s->w.m, 1);
	uint64_t cursor = rk_commit_cursor(atomic_load_explicit(&rk_shm_part(&s->w.m, 1)->commit, memory_order_acquire));
	_Atomic uint64_t *place = rk_ring_place(&s->w.m, ring, cursor);

	atomic_store_explicit(place, rk_ref_with(atomic_load_explicit(place, memory_order_acquire), RK_REF_TAKEN),
			      memory_order_release);
}

static void taken(struct stage *s)
{
	called(s);
	mark_taken(s);
}

static void called_0(struct stage *s)
{
	called(s);
	give_all(s, 0);
}

static void taken_0(struct stage *s)
{
	taken(s);
	give_all(s, 0);
}

static void duplicate_0(struct stage *s)
{
	taken(s);
	if (rk_queue_publish(&s->w.m, 1, client_of(s, 0)->slot[0].call.cell) != RK_QUEUE_OK)
		stage_fail(s, "cannot prepare a duplicate");
	give_all(s, 0);
}

/* Client 0 has its reply and its cell back, and a second reference to that cell is still in the ring. */
static void cell_still_named(struct stage *s)
{
	struct client *c = client_of(s, 0);

	taken(s);
	if (rk_queue_publish(&s->w.m, 1, c->slot[0].call.cell) != RK_QUEUE_OK)
		stage_fail(s, "cannot prepare a duplicate");
	(void)worker_pass(&s->w, &s->me); /* one job */
	(void)client_poll(&s->w, c, 0, false, false);
	if (c->slot[0].on || !rk_queue_names(&s->w.m, c->slot[0].call.cell))
		stage_fail(s, "cannot prepare a cell that is named");
	c->caller.hand = 0; /* where it looks first */
}

/* Client 0 had time-outs and has a tombstone before client 1's job. */
static void tomb_0(struct stage *s)
{
	called(s);
	(void)client_poll(&s->w, client_of(s, 0), 0, true, false);
	if (!client_start(&s->w, client_of(s, 1), 0, 1))
		stage_fail(s, "cannot prepare a call");
	give_all(s, 0);
}

/* Four jobs of two clients, for a worker that takes several in one commit. */
static void several_1(struct stage *s)
{
	for (uint32_t page = 0; page < 2; page++)
		for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++)
			if (!client_start(&s->w, client_of(s, page), slot, 1))
				stage_fail(s, "cannot prepare calls");
	give_all(s, 1);
}

/* A worker until there is nothing to do; it looks ahead or not. */
static _Noreturn void act_as(struct stage *s, uint32_t number, bool looks_ahead)
{
	struct worker k;
	int r = 1;

	worker_init(&k, number);
	k.looks_ahead = looks_ahead;
	while (r > 0)
		r = worker_pass(&s->w, &k);
	_exit(r < 0 ? 3 : 0);
}

static void act_work_0(struct stage *s)
{
	act_as(s, 0, false);
}

static void act_work_1(struct stage *s)
{
	act_as(s, 1, false);
}

static void act_ahead_0(struct stage *s)
{
	act_as(s, 0, true);
}

static void act_ahead_1(struct stage *s)
{
	act_as(s, 1, true);
}

static void act_die_in_handler(struct stage *s)
{
	s->w.die_in_handler = true;
	act_work_0(s);
}

/* Worker 0 died inside the handler, everything written, nothing committed. */
static void half_done(struct stage *s)
{
	pid_t child;

	called_0(s);
	child = stage_child(s, act_die_in_handler);
	if (child > 0) {
		(void)ptrace(PTRACE_CONT, child, NULL, NULL);
		(void)waitpid(child, &(int){ 0 }, 0);
		stage_kill(child);
	}
}

static void half_done_for_1(struct stage *s)
{
	half_done(s);
	world_sweep(&s->w, 0);
	give_all(s, 1);
}

/* Worker 0 stands in the middle of a reply to client 0, and is killed there. */
static void half_written(struct stage *s)
{
	struct rk_cell *cell;
	pid_t child;
	int status;

	called_0(s);
	cell = rk_shm_cell(&s->w.m, client_of(s, 0)->slot[0].call.cell);
	child = stage_child(s, act_work_0);
	while (child > 0 && stage_step(child, &status))
		if (rk_cellword_state(atomic_load_explicit(&cell->word, memory_order_acquire)) == RK_CELL_WRITING)
			break;
	if (child > 0)
		stage_kill(child);
	if (rk_cellword_state(atomic_load_explicit(&cell->word, memory_order_acquire)) != RK_CELL_WRITING)
		stage_fail(s, "cannot prepare a half-written reply");
}

static void evict_to(struct stage *s, uint32_t from, uint32_t to)
{
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		if (rk_owner_worker(world_owner_word(&s->w, p)) != from)
			continue;
		if (rk_part_is_released(&s->w.m, p))
			world_assign(&s->w, p, to);
		else if (!world_evict(&s->w, p, to))
			stage_fail(s, "no bank to evict to");
	}
}

static void evict_all(struct stage *s, uint32_t from)
{
	evict_to(s, from, 2);
	worker_init(&s->me, 2);
}

/* Worker 0, stopped in the middle of a reply, has lost its partitions. */
static void half_written_evicted(struct stage *s)
{
	half_written(s);
	evict_all(s, 0);
}

/* ... and the successor has found that, raised skip and recycled; then worker 0 died. */
static void applied_undelivered(struct stage *s)
{
	half_written_evicted(s);
	work(s);
	world_sweep(&s->w, 0);
}

/* ... or did not die yet: the client meets WRITING. */
static void writing_for_ever(struct stage *s)
{
	half_written_evicted(s);
	work(s);
}

/* Worker 1 has to take over by copy what worker 0, stopped for ever in the middle of a job, has lost. */
static void evicted_for_1(struct stage *s)
{
	half_done(s);
	evict_to(s, 0, 1);
}

/* ... and worker 1, stopped in the middle of a copy, has lost it to worker 0's next process. */
static void copying_evicted(struct stage *s)
{
	struct tally *copy;
	pid_t child;
	int status;

	evicted_for_1(s);
	copy = world_tally(&s->w, 1);
	child = stage_child(s, act_work_1);
	while (child > 0 && !copy->n && stage_step(child, &status))
		;
	stage_kill(child);
	if (!copy->n)
		stage_fail(s, "cannot prepare half a copy");
	evict_to(s, 1, 0);
}

static const char *guarded_of(const struct stage *s, uint32_t partition, uint32_t bank)
{
	return s->w.state + rk_bank_offset(&s->w.m, partition, bank) + s->w.m.l.bank_guarded;
}

/*
 * Worker 1 has taken up what worker 0 left half-done and is evicted; when its state is copied and
 * its log not, it rolls back: it had looked before.
 */
static void rolled_back_while_copied(struct stage *s)
{
	uint64_t word, commit;
	struct rk_bank old;
	pid_t child;
	int status;

	half_done_for_1(s);
	evict_to(s, 1, 0);
	word = world_owner_word(&s->w, 1);
	child = stage_child(s, act_work_0);
	while (child > 0 && memcmp(guarded_of(s, 1, rk_owner_bank(word)), guarded_of(s, 1, rk_owner_from(word)),
				   s->w.m.l.guarded_len) != 0 && stage_step(child, &status))
		;
	commit = atomic_load_explicit(&rk_shm_part(&s->w.m, 1)->commit, memory_order_acquire);
	rk_bank_view(&old, &s->w.m, s->w.state + rk_bank_offset(&s->w.m, 1, rk_owner_from(word)));
	(void)rk_bank_roll_back(&old, rk_commit_cursor(commit));
	if (child < 0 || !stage_continue(child))
		stage_fail(s, "the successor does not come to its end");
	world_sweep(&s->w, 1);
	give_all(s, 2);
	worker_init(&s->me, 2);
}

/* ---- attempts and dead letters ---- */

/* Client 0's call is the next job of partition 1, and has used up its attempts. */
static void condemned_0(struct stage *s)
{
	struct rk_part *part = rk_shm_part(&s->w.m, 1);
	uint64_t cursor = rk_commit_cursor(atomic_load_explicit(&part->commit, memory_order_acquire));

	called(s);
	atomic_store_explicit(&part->attempts, rk_attempts(cursor, 3), memory_order_release);
	give_all(s, 0);
}

/* ... and every place for a dead letter is taken, by letters of the unused partition. */
static void condemned_without_room(struct stage *s)
{
	const struct rk_dead_letter l = { .partition = 3, .attempts = 3, .bytes = NULL };
	struct rk_dead_letter each = l;
	uint64_t commit = atomic_load_explicit(&rk_shm_part(&s->w.m, 3)->commit, memory_order_acquire);

	for (each.job = 0; each.job < s->w.m.g.n_dead; each.job++)
		if (rk_dead_push(&s->w.m, &each, 2, commit) < 0)
			stage_fail(s, "cannot prepare dead letters");
	condemned_0(s);
}

/* ... and its owner has found that out. */
static void blocked(struct stage *s)
{
	condemned_without_room(s);
	give_all(s, 2);
	work(s);
	if (!rk_dead_is_blocked(&s->w.m, 1))
		stage_fail(s, "cannot prepare a blocked partition");
}

/* The letter in place 0, as it lies there; 0 if there is none. */
static uint64_t first_letter(struct stage *s)
{
	_Alignas(8) char room[128];
	struct rk_dead_letter l = { .bytes = room };

	return rk_dead_look(&s->w.m, 0, &l) ? l.word : 0;
}

/* Worker 0 is killed while it writes client 0's job into a dead letter. */
static void letter_half_written(struct stage *s)
{
	_Atomic uint64_t *word = &rk_shm_dead(&s->w.m, 0)->word;
	pid_t child;
	int status;

	condemned_0(s);
	child = stage_child(s, act_work_0);
	while (child > 0 && stage_step(child, &status))
		if (rk_deadword_state(atomic_load_explicit(word, memory_order_acquire)) == RK_DEAD_WRITING)
			break;
	if (child > 0)
		stage_kill(child);
	if (rk_deadword_state(atomic_load_explicit(word, memory_order_acquire)) != RK_DEAD_WRITING)
		stage_fail(s, "cannot prepare half a dead letter");
}

/* Worker 0 is asked to give partition 1 back, with client 0's call in it. */
static void asked_0(struct stage *s)
{
	called_0(s);
	if (rk_part_ask(&s->w.m, 1) < 0)
		stage_fail(s, "cannot ask for a partition");
}

/* Client 2, anonymous, is dead: one reply not collected, one call withdrawn, one filled and never published. */
static void dead_client(struct stage *s)
{
	struct client *c = client_of(s, 2);

	if (!client_start(&s->w, c, 0, 1))
		stage_fail(s, "cannot prepare a call");
	work(s);
	c->slot[0].on = false; /* dead: nobody will look */
	if (!client_start(&s->w, c, 1, 2))
		stage_fail(s, "cannot prepare a call");
	(void)rk_queue_tomb(&s->w.m, c->slot[1].call.cell);
	c->slot[1].on = false;
	work(s);
}

/* ---- acts ---- */

static void act_start_0(struct stage *s)
{
	(void)client_start(&s->w, client_of(s, 0), 0, 1);
}

/* Into another partition, so that it shows when somebody runs it from where it is not. */
static void act_start_elsewhere(struct stage *s)
{
	(void)client_start(&s->w, client_of(s, 0), 0, 2);
}

static void act_start_1(struct stage *s)
{
	(void)client_start(&s->w, client_of(s, 1), 0, 1);
}

static void act_expire(struct stage *s)
{
	struct client *c = client_of(s, 0);

	(void)client_poll(&s->w, c, 0, true, true);
	if (c->slot[0].on)
		(void)client_poll(&s->w, c, 0, true, true);
}

static void act_look(struct stage *s)
{
	(void)client_poll(&s->w, client_of(s, 0), 0, false, false);
}

static void act_sweep_0(struct stage *s)
{
	rk_deliver_sweep(&s->w.m, 0);
}

static void act_assign(struct stage *s)
{
	give_all(s, 2);
}

static void act_charge(struct stage *s)
{
	world_charge(&s->w, 0);
}

static void act_evict(struct stage *s)
{
	(void)world_evict(&s->w, 1, 2);
}

static void act_ask(struct stage *s)
{
	(void)rk_part_ask(&s->w.m, 1);
}

static void act_sweep_letter(struct stage *s)
{
	rk_dead_sweep(&s->w.m, 0);
}

static void act_drop_letter(struct stage *s)
{
	uint64_t word = first_letter(s);

	if (word && rk_dead_free(&s->w.m, 0, word) < 0)
		stage_fail(s, "a dead letter cannot be dropped");
}

static void act_reassign(struct stage *s)
{
	(void)world_reassign_page(&s->w, 2);
}

static void act_publish_view(struct stage *s)
{
	rk_board_writer_init(&s->board, &s->w.m, reader_is_dead, s);
	(void)world_publish_view(&s->w, &s->board, s->version + 1);
}

static void act_read(struct stage *s)
{
	struct rk_reader *line = rk_shm_reader(&s->w.m, 0);
	const struct rk_view *view;

	if (s->w.m.board->epoch_mode == RK_EPOCH_PLAIN && rk_epoch_register() < 0)
		_exit(77);
	view = rk_epoch_enter(&s->w.m, line);
	world_elsewhere(&s->w, true);
	if (!view->started_ns || view->published_ns != world_mix(view->started_ns))
		world_count(&s->w.shared->n_bad_view);
	world_elsewhere(&s->w, false);
	rk_epoch_leave(line);
}

/* ---- after ---- */

static void bury_client_0(struct stage *s)
{
	client_resume(&s->w, client_of(s, 0));
	worker_init(&s->me, 2);
}

static void bury_client_1(struct stage *s)
{
	client_resume(&s->w, client_of(s, 1));
	worker_init(&s->me, 2);
}

static void bury_worker(struct stage *s, uint32_t number)
{
	world_sweep(&s->w, number);
	world_charge(&s->w, number);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (rk_owner_worker(world_owner_word(&s->w, p)) == number)
			world_assign(&s->w, p, 2);
	worker_init(&s->me, 2);
}

static void bury_worker_0(struct stage *s)
{
	bury_worker(s, 0);
}

static void bury_worker_1(struct stage *s)
{
	bury_worker(s, 1);
}

static void bury_nobody(struct stage *s)
{
	worker_init(&s->me, 2);
}

/* The supervisor begins again, with the death it was about to repair. */
static void bury_sweep(struct stage *s)
{
	bury_worker(s, 0);
}

static void bury_charge(struct stage *s)
{
	world_charge(&s->w, 0);
	if (rk_part_attempts(&s->w.m, 1) != 1)
		stage_fail(s, "one death was not charged once");
	bury_worker(s, 0);
	if (rk_part_attempts(&s->w.m, 1) != 1)
		stage_fail(s, "one death was charged twice");
}

/* The supervisor begins again; worker 0, which was stopped for ever, is dead later. */
static void bury_evict(struct stage *s)
{
	if (rk_owner_worker(world_owner_word(&s->w, 1)) == 0 && !world_evict(&s->w, 1, 2))
		stage_fail(s, "an eviction cannot be repeated");
	worker_init(&s->me, 2);
	work(s);
	bury_worker(s, 0);
}

/* The supervisor begins again; whether it evicts then depends on what its worker did. */
static void bury_evictor(struct stage *s)
{
	if (rk_part_is_released(&s->w.m, 1))
		world_assign(&s->w, 1, 2);
	worker_init(&s->me, 2);
}

/* Whoever copies is dead, and then whoever was evicted. */
static void bury_copier(struct stage *s)
{
	bury_worker(s, 1);
	work(s);
	bury_worker(s, 0);
}

/* The partition alone waits, until a letter goes. */
static void bury_blocked(struct stage *s)
{
	bury_worker(s, 0);
	work(s);
	if (!rk_dead_is_blocked(&s->w.m, 1))
		stage_fail(s, "a job is quarantined without room for its letter");
	if (!call_once(s, 1, 2))
		stage_fail(s, "a blocked partition holds up another");
	act_drop_letter(s);
	work(s);
	if (rk_dead_is_blocked(&s->w.m, 1))
		stage_fail(s, "there is room and the partition is blocked");
}

/* The supervisor begins again: it rings whoever has work. */
static void bury_dropper(struct stage *s)
{
	_Atomic uint64_t *pending = rk_bell_pending(rk_shm_bell(&s->w.m, 2));

	rk_bell_ring_pending(&s->w.m);
	act_drop_letter(s);
	if (!(atomic_load_explicit(pending, memory_order_acquire) & 2))
		stage_fail(s, "nobody told the blocked partition that there is room");
	worker_init(&s->me, 2);
}

static void bury_reassign(struct stage *s)
{
	if (!world_reassign_page(&s->w, 2))
		stage_fail(s, "a dead client's page is never free");
	client_open(&s->w, client_of(s, 2), 2);
	worker_init(&s->me, 2);
	if (!call_once(s, 2, 1))
		stage_fail(s, "the page's new client gets no answer");
}

static void check_view(struct stage *s, uint64_t lowest, uint64_t highest)
{
	struct rk_view *v = rk_shm_view(
		&s->w.m, atomic_load_explicit(&s->w.m.board->view, memory_order_acquire) % RK_VIEWS);

	if (!world_view_is_whole(&s->w, v) || v->started_ns < lowest || v->started_ns > highest)
		stage_fail(s, "the published view is neither the old nor the new one");
}

static void bury_publisher(struct stage *s)
{
	check_view(s, s->version, s->version + 1);
	worker_init(&s->me, 2);
}

/* A dead reader holds up no view. */
static void bury_reader(struct stage *s)
{
	rk_board_writer_init(&s->board, &s->w.m, reader_is_dead, s);
	s->reader_alive = false;
	for (int i = 0; i < 2 * (int)RK_VIEWS; i++)
		if (!world_publish_view(&s->w, &s->board, ++s->version))
			stage_fail(s, "a dead reader holds up the views");
	check_view(s, s->version, s->version);
	worker_init(&s->me, 2);
}

static void published_views(struct stage *s)
{
	rk_board_writer_init(&s->board, &s->w.m, reader_is_dead, s);
	for (int i = 0; i < 3; i++)
		(void)world_publish_view(&s->w, &s->board, ++s->version);
}

/* ---- meanwhile ---- */

/* Another client moves partition 1's ring on by more than a lap. */
static void go_on_a_lap(struct stage *s)
{
	worker_init(&s->me, 2);
	work(s);
	for (uint32_t n = 0; n < RK_RING_MIN + 3; n++)
		if (!call_once(s, 1, 1)) {
			stage_fail(s, "a stopped client holds up another");
			return;
		}
}

static void go_on_working(struct stage *s)
{
	worker_init(&s->me, 2);
	work(s);
}

/* Evicted while stopped; when it wakes, a reply lies there that nobody has collected. */
static void go_on_without(struct stage *s, uint32_t worker)
{
	evict_all(s, worker);
	stage_check(s);
	(void)client_start(&s->w, client_of(s, 0), 0, 1);
	work(s);
}

static void go_on_without_0(struct stage *s)
{
	go_on_without(s, 0);
}

/* Evicted while stopped; when it wakes, its job's place is a lap on and holds somebody else's. */
static void go_on_a_lap_without_0(struct stage *s)
{
	evict_all(s, 0);
	work(s);
	for (uint32_t n = 0; n + 1 < RK_RING_MIN; n++)
		if (!call_once(s, 1, 1)) {
			stage_fail(s, "a stopped worker holds up its successor");
			return;
		}
	(void)client_start(&s->w, client_of(s, 1), 0, 1);
}

static void go_on_without_1(struct stage *s)
{
	go_on_without(s, 1);
}

/* Views go on until the reader's buffer is the only one left; its own is never written. */
static void go_on_publishing(struct stage *s)
{
	rk_board_writer_init(&s->board, &s->w.m, reader_is_dead, s);
	s->reader_alive = true;
	for (int i = 0; i < 2 * (int)RK_VIEWS; i++)
		(void)world_publish_view(&s->w, &s->board, ++s->version);
	s->reader_alive = false;
}

/* Who looks meanwhile sees a whole view, the old one or the new one. */
static void go_on_looking(struct stage *s)
{
	struct rk_reader *line = rk_shm_reader(&s->w.m, 0);
	const struct rk_view *view;

	if (s->w.m.board->epoch_mode == RK_EPOCH_PLAIN && rk_epoch_register() < 0) {
		stage_fail(s, "no membarrier");
		return;
	}
	view = rk_epoch_enter(&s->w.m, line);
	if (!world_view_is_whole(&s->w, view) || view->started_ns < s->version || view->started_ns > s->version + 1)
		stage_fail(s, "a reader sees a view that is neither the old nor the new one");
	rk_epoch_leave(line);
	go_on_working(s);
}

const struct scene scenes[] = {
	{ "client: fill and publish", nothing, act_start_0, bury_client_0, go_on_a_lap, .n_log = 0 },
	{ "client: publish, its last cell still named by a ring", cell_still_named, act_start_elsewhere, bury_client_0,
	  go_on_working, .n_log = 0 },
	{ "client: time-out, tombstone", called, act_expire, bury_client_0, go_on_working, .n_log = 0 },
	{ "client: time-out of a taken job", taken, act_expire, bury_client_0, go_on_working, .n_log = 0 },
	{ "client: time-out while its reply is written", writing_for_ever, act_expire, bury_client_0, go_on_working, .n_log = 0 },
	{ "client: applied, asks again", applied_undelivered, act_look, bury_client_0, go_on_a_lap, .n_log = 0 },
	{ "client: collect and release", answered, act_look, bury_client_0, go_on_working, .n_log = 0 },
	{ "worker: take, touch, commit, deliver, recycle", called_0, act_work_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "worker: the same behind a gate", called_0, act_work_0, bury_worker_0, go_on_without_0, .gated = true },
	{ "worker: recycles, its ring a lap on", called_0, act_work_0, bury_worker_0, go_on_a_lap_without_0, .is_long = true },
	{ "worker: a job taken by a dead one", taken_0, act_work_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "worker: a job and its duplicate", duplicate_0, act_work_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "worker: a tombstone and a job", tomb_0, act_work_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "worker: four jobs in one commit", several_1, act_work_1, bury_worker_1, go_on_without_1, .n_log = 0 },
	{ "worker: four jobs that fill the log", several_1, act_work_1, bury_worker_1, go_on_without_1, .n_log = 88 },
	{ "worker: recover, roll back", half_done_for_1, act_work_1, bury_worker_1, go_on_without_1, .n_log = 0 },
	{ "worker: rolls back while an eviction copies it", rolled_back_while_copied, act_nothing, bury_nobody, NULL, .n_log = 0 },
	{ "worker: takes over by copy", evicted_for_1, act_work_1, bury_copier, go_on_without_1, .is_long = true },
	{ "worker: takes over by copy what was half copied", copying_evicted, act_work_0, bury_worker_0, NULL,
	  .is_long = true },
	{ "worker: releases what it is asked for", asked_0, act_work_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "worker: a job that wants another attempt", called_0, act_work_0, bury_worker_0, go_on_without_0, .retries = 1 },
	{ "worker: a dead letter", condemned_0, act_work_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "worker: a dead letter without room", condemned_without_room, act_work_0, bury_blocked, NULL, .n_log = 0 },
	{ "worker: looks ahead at four jobs, then runs them", several_1, act_ahead_1, bury_worker_1, go_on_without_1, .n_log = 0 },
	{ "worker: looks ahead at a tombstone and a job", tomb_0, act_ahead_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "worker: looks ahead at a duplicate", duplicate_0, act_ahead_0, bury_worker_0, go_on_without_0, .n_log = 0 },
	{ "supervisor: charge", half_done, act_charge, bury_charge, go_on_working, .n_log = 0 },
	{ "supervisor: eviction", half_done, act_evict, bury_evict, go_on_working, .n_log = 0 },
	{ "supervisor: asks for a partition", called, act_ask, bury_nobody, go_on_working, .n_log = 0 },
	{ "supervisor: sweep of half a dead letter", letter_half_written, act_sweep_letter, bury_sweep, go_on_working, .n_log = 0 },
	{ "supervisor: drops a dead letter", blocked, act_drop_letter, bury_dropper, NULL, .n_log = 0 },
	{ "supervisor: sweep", half_written, act_sweep_0, bury_sweep, go_on_working, .n_log = 0 },
	{ "supervisor: assignment", half_done, act_assign, bury_sweep, go_on_working, .n_log = 0 },
	{ "supervisor: page reassignment", dead_client, act_reassign, bury_reassign, go_on_working, .n_log = 0 },
	{ "supervisor: board publish", published_views, act_publish_view, bury_publisher, go_on_looking, .n_log = 0 },
	{ "reader: enter, read, leave", published_views, act_read, bury_reader, go_on_publishing, .n_log = 0 },
};
const unsigned int n_scenes = rk_countof(scenes);

/* Worker 1 and client 0's call to it; worker 2 is the test's. */
static void job_for_0(struct stage *s)
{
	if (!client_start(&s->w, client_of(s, 1), 0, 1))
		stage_fail(s, "cannot prepare a call");
	give_all(s, 0);
}

static const struct scene publish_0 = { "", nothing, act_start_0, bury_client_0, NULL, .n_log = 0 };
static const struct scene publish_1 = { "", nothing, act_start_1, bury_client_1, NULL, .n_log = 0 };
static const struct scene expire_0 = { "", nothing, act_expire, bury_client_0, NULL, .n_log = 0 };
static const struct scene work_0 = { "", nothing, act_work_0, bury_worker_0, NULL, .n_log = 0 };
static const struct scene ahead_0 = { "", nothing, act_ahead_0, bury_worker_0, NULL, .n_log = 0 };
static const struct scene work_1 = { "", nothing, act_work_1, bury_worker_1, NULL, .n_log = 0 };
static const struct scene evict_0 = { "", nothing, act_evict, bury_evictor, NULL, .n_log = 0 };
static const struct scene copy_1 = { "", nothing, act_work_1, bury_copier, NULL, .is_long = true };
static const struct scene evict_1 = { "", nothing, act_evict, bury_evictor, NULL, .n_log = 0 };
static const struct scene sweep_0 = { "", nothing, act_sweep_0, bury_sweep, NULL, .n_log = 0 };

/* Partition 1 is worker 1's; worker 0, evicted from it in the middle of a reply, is dead and not yet swept. */
static void half_written_for_1(struct stage *s)
{
	half_written(s);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (!world_evict(&s->w, p, 1))
			stage_fail(s, "no bank to evict to");
}

const struct duet duets[] = {
	{ "publish against publish", nothing, &publish_0, &publish_1 },
	{ "publish against consume", job_for_0, &publish_0, &work_0 },
	{ "consume against publish", job_for_0, &work_0, &publish_0 },
	{ "time-out against deliver", called_0, &expire_0, &work_0 },
	{ "deliver against time-out", called_0, &work_0, &expire_0 },
	{ "time-out against a look ahead", called_0, &expire_0, &ahead_0 },
	{ "look ahead against a time-out", called_0, &ahead_0, &expire_0 },
	{ "evict against a look ahead", called_0, &evict_0, &ahead_0 },
	{ "look ahead against evict", called_0, &ahead_0, &evict_0 },
	{ "sweep against deliver", half_written_for_1, &sweep_0, &work_1 },
	{ "deliver against sweep", half_written_for_1, &work_1, &sweep_0 },
	{ "evict against commit and delivery", called_0, &evict_0, &work_0 },
	{ "commit and delivery against evict", called_0, &work_0, &evict_0 },
	{ "evict against a dead letter", condemned_0, &evict_0, &work_0 },
	{ "a dead letter against evict", condemned_0, &work_0, &evict_0 },
	{ "release against publish", asked_0, &work_0, &publish_1 },
	{ "publish against release", asked_0, &publish_1, &work_0 },
	{ "evict against release", asked_0, &evict_0, &work_0 },
	{ "evict again against take-over by copy", evicted_for_1, &evict_1, &copy_1 },
	{ "take-over by copy against evict again", evicted_for_1, &copy_1, &evict_1 },
};
const unsigned int n_duets = rk_countof(duets);
