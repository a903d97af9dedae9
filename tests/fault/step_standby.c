/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a standby may be killed at any instruction between the order that makes it a worker and
 *         the end of the jobs it finds: the next process of the slot goes on, no job is lost or done
 *         twice, and nobody else waits.
 * Method  a fleet's memory with one slot and one client, this process being the supervisor and the
 *         client. The slot's first worker dies inside a job, behind a change. The standby, the
 *         library as it is installed, parks, is ordered, and goes on one instruction at a time.
 *         Whatever changes the memory is a state that a kill could leave: each is buried as the
 *         supervisor does it, an ordinary worker takes over, the calls and one more of each partition
 *         are answered by the right counts; then the memory is put back, and the standby steps on.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/call.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/evict.h"
#include "shm/promotion.h"
#include "shm/part.h"
#include "shm/region.h"
#include "supervisor/segments.h"
#include "tests/fault/tap.h"
#include "workers/lib/rekindle.h"

enum { PARTITIONS = 2, SLOT = 0, N_KINDS = 6 };
#define GIVE_UP_NS (10 * RK_NS_PER_S)
#define STATES_MIN 50u /* of a take-over and two jobs; fewer: it was not looked at */

static const enum rk_segment_kind kinds[N_KINDS] = { RK_SEGMENT_BEATS, RK_SEGMENT_CALLS, RK_SEGMENT_QUEUES,
						     RK_SEGMENT_PARTS, RK_SEGMENT_DEAD,  RK_SEGMENT_STATE };

struct stage {
	struct rk_segments s;
	char *map[N_KINDS];
	uint64_t len[N_KINDS];
	struct rk_caller caller;
	struct rk_call call[PARTITIONS]; /* as they were when the standby was ordered */
	int news;
	uint64_t incarnation;
	char why[160]; /* the first finding */
};

struct copy {
	char *bytes[N_KINDS];
};

static bool is_fatal; /* this process dies in its first job */

static void fail(struct stage *s, const char *why)
{
	if (!s->why[0])
		(void)snprintf(s->why, sizeof(s->why), "%s", why);
}

/* ---- workers ---- */

static int on_job(struct rk_job *job, void *state, void *arg)
{
	uint64_t *n = state;

	(void)arg;
	(void)rk_touch(job, n, sizeof(*n));
	++*n;
	if (is_fatal)
		(void)raise(SIGKILL);
	return rk_reply(job, n, sizeof(*n));
}

/* In the child. role: of REKINDLE_WORKER. */
static _Noreturn void become_worker(const struct stage *s, const char *role)
{
	static const struct rk_worker_def def = { .state_size = 64, .on_job = on_job };
	const int *fd = s->s.fd;
	char text[160];

	(void)snprintf(text, sizeof(text), "abi=%u %s fds=%d:%d:%d:%d:%d:%d:%d:%d:%d", RK_ABI_VERSION, role,
		       s->s.fd_read[RK_SEGMENT_BOARD], fd[RK_SEGMENT_BEATS], fd[RK_SEGMENT_CALLS],
		       fd[RK_SEGMENT_QUEUES], fd[RK_SEGMENT_PARTS], fd[RK_SEGMENT_STATE], fd[RK_SEGMENT_DEAD], s->news,
		       fd[RK_SEGMENT_READERS]);
	(void)setenv("REKINDLE_WORKER", text, 1);
	_exit(rk_worker_main(&def));
}

static pid_t fork_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0) {
		printf("Bail out! fork: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(77);
	return pid;
}

static pid_t worker_start(struct stage *s, bool fatal)
{
	char role[64];
	pid_t pid;

	(void)snprintf(role, sizeof(role), "worker=%d incarnation=%llu", SLOT,
		       (unsigned long long)++s->incarnation);
	pid = fork_child();
	if (pid == 0) {
		is_fatal = fatal;
		become_worker(s, role);
	}
	return pid;
}

static void worker_stop(struct stage *s, pid_t pid)
{
	int status;

	rk_beat_ask_stop(rk_shm_beat(&s->s.m, SLOT), true);
	rk_bell_ring_stop(&s->s.m, SLOT);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail(s, "a worker did not end in order");
}

/* ---- the supervisor's part ---- */

static void give_all(struct stage *s)
{
	for (uint32_t p = 0; p < PARTITIONS; p++) {
		if (rk_part_assign(&s->s.m, p, SLOT) < 0)
			fail(s, "a partition could not be assigned");
		rk_part_route(&s->s.m, p, SLOT, RK_ROUTE_UP);
	}
	rk_beat_ask_stop(rk_shm_beat(&s->s.m, SLOT), false);
}

/* As slot.c does: the slot's process is dead. */
static void bury(struct stage *s)
{
	const struct rk_shm *m = &s->s.m;

	rk_deliver_sweep(m, SLOT);
	rk_dead_sweep(m, SLOT);
	rk_evict_bury(m, SLOT);
	rk_bell_ring_pending(m);
	give_all(s);
	rk_beat_reset_lease(rk_shm_beat(m, SLOT));
}

/* ---- the client ---- */

static void call(struct stage *s, uint32_t p, struct rk_call *ret)
{
	const struct rk_call_request request = { .key = "k", .key_len = 1, .body = "add", .len = 3, .partition = p };

	if (rk_call_start(&s->caller, p, &request, ret) != RK_CALL_STARTED)
		fail(s, "a call could not be started");
}

static bool is_done(struct stage *s, struct rk_call *c)
{
	return rk_call_look(&s->caller, c) == RK_CALL_DONE;
}

/* As a client sleeps: whoever delivers rings its page's bell. False when that does not happen. */
static bool await_done(struct stage *s, struct rk_call *c)
{
	_Atomic uint32_t *bell = &rk_shm_page(&s->s.m, s->caller.page)->bell;
	uint64_t until_ns = rk_clock_ns() + GIVE_UP_NS;
	int r = 0;

	for (;;) {
		uint32_t word = rk_bell_park(bell);

		if (is_done(s, c) || r == -ETIMEDOUT)
			break;
		r = rk_bell_wait(bell, word, until_ns);
	}
	rk_bell_unpark(bell);
	return r != -ETIMEDOUT;
}

/* Waits for the reply, which must be this number. */
static void answered(struct stage *s, struct rk_call *c, uint64_t want)
{
	struct rk_call_reply reply;
	uint64_t n = 0;

	if (!await_done(s, c)) {
		fail(s, "a call is never answered");
		return;
	}
	rk_call_reply(&s->caller, c, &reply);
	if (reply.error || reply.len != sizeof(n))
		fail(s, "a call failed");
	else
		memcpy(&n, reply.bytes, sizeof(n));
	if (n != want)
		fail(s, n > want ? "a job was done twice" : "a job was lost");
	rk_call_release(&s->caller, c);
}

/* The first partition has done one job before; then both have one to do. */
static void check(struct stage *s)
{
	struct rk_call c[PARTITIONS];
	pid_t pid;

	memcpy(c, s->call, sizeof(c));
	bury(s);
	pid = worker_start(s, false);
	for (uint32_t p = 0; p < PARTITIONS; p++)
		answered(s, &c[p], p == 0 ? 2 : 1);
	for (uint32_t p = 0; p < PARTITIONS; p++) {
		call(s, p, &c[p]);
		answered(s, &c[p], p == 0 ? 3 : 2);
	}
	worker_stop(s, pid);
}

/* ---- memory ---- */

static void stage_open(struct stage *s)
{
	struct rk_geometry g;
	struct rk_err err = { 0 };

	rk_geometry_default(&g);
	g.n_partitions = PARTITIONS;
	g.n_workers = 2;
	g.n_clients = 1;
	g.n_ring = 64;
	g.state_max = 4096;
	if (rk_segments_create(&s->s, &g, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(EXIT_FAILURE);
	}
	for (int i = 0; i < N_KINDS; i++) {
		void *at;

		s->len[i] = rk_layout_segment_len(&s->s.m.l, kinds[i]);
		if (rk_region_map(s->s.fd[kinds[i]], 0, s->len[i], true, NULL, &at, &err) < 0)
			fail(s, err.text);
		s->map[i] = at;
	}
	atomic_store_explicit(&rk_shm_client_ids(&s->s.m)[0], 1, memory_order_relaxed);
	s->caller = (struct rk_caller){ .m = &s->s.m, .page = 0, .id = 1 };
	s->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void copy_make(struct copy *c, const struct stage *s)
{
	for (int i = 0; i < N_KINDS; i++) {
		c->bytes[i] = malloc(s->len[i]);
		if (!c->bytes[i])
			abort();
	}
}

static void copy_free(struct copy *c)
{
	for (int i = 0; i < N_KINDS; i++)
		free(c->bytes[i]);
}

static void save(const struct stage *s, struct copy *to)
{
	for (int i = 0; i < N_KINDS; i++)
		memcpy(to->bytes[i], s->map[i], s->len[i]);
}

static void restore(struct stage *s, const struct copy *from)
{
	for (int i = 0; i < N_KINDS; i++)
		memcpy(s->map[i], from->bytes[i], s->len[i]);
}

static bool has_changed(const struct stage *s, const struct copy *since)
{
	for (int i = 0; i < N_KINDS; i++)
		if (memcmp(s->map[i], since->bytes[i], s->len[i]) != 0)
			return true;
	return false;
}

/* ---- the standby ---- */

/* A slot whose worker died inside the job of a first call, behind a change; the second waits. */
static void prepare(struct stage *s)
{
	struct rk_call first;
	pid_t pid;
	int status;

	give_all(s);
	pid = worker_start(s, false);
	call(s, 0, &first);
	answered(s, &first, 1);
	worker_stop(s, pid);
	bury(s);
	for (uint32_t p = 0; p < PARTITIONS; p++)
		call(s, p, &s->call[p]);
	pid = worker_start(s, true);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		fail(s, "the first worker did not die in its job");
	bury(s);
}

/* Parked, stopped, and its order before it. -1: ptrace is not permitted. */
static pid_t standby_start(struct stage *s, int *ret_sock)
{
	const struct rk_promotion order = { .worker = SLOT, .incarnation = ++s->incarnation };
	int pair[2], status, r;
	char role[32];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	(void)snprintf(role, sizeof(role), "standby=%d", pair[1]);
	pid = fork_child();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		(void)raise(SIGSTOP);
		become_worker(s, role);
	}
	(void)close(pair[1]);
	*ret_sock = pair[0];
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL) < 0 || ptrace(PTRACE_CONT, pid, NULL, NULL) < 0)
		return -1;
	while ((r = rk_promotion_hear(pair[0])) == -EAGAIN)
		(void)poll(&(struct pollfd){ .fd = pair[0], .events = POLLIN }, 1, -1); /* or its end */
	(void)kill(pid, SIGSTOP);
	if (r < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		fail(s, "the standby does not park");
	if (rk_promotion_give(pair[0], &order, -1) < 0)
		fail(s, "the standby takes no order");
	return pid;
}

/* One instruction. False when it has ended. */
static bool step(pid_t pid, int *ret_status)
{
	return ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, ret_status, 0) == pid &&
	       WIFSTOPPED(*ret_status);
}

/* Asks it to end as soon as its jobs are done, before it parks for good. */
static void end_when_done(struct stage *s)
{
	struct rk_call c[PARTITIONS];

	memcpy(c, s->call, sizeof(c));
	if (is_done(s, &c[0]) && is_done(s, &c[1]))
		rk_beat_ask_stop(rk_shm_beat(&s->s.m, SLOT), true);
}

static void walk(struct stage *s, pid_t pid, unsigned long *ret_steps, unsigned long *ret_states)
{
	uint64_t incarnation = s->incarnation;
	struct copy here;
	int status = 0;

	copy_make(&here, s);
	save(s, &here);
	while (!s->why[0] && step(pid, &status)) {
		++*ret_steps;
		if (!has_changed(s, &here))
			continue;
		end_when_done(s);
		save(s, &here);
		++*ret_states;
		check(s);
		restore(s, &here);
		s->incarnation = incarnation;
	}
	if (!s->why[0] && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		fail(s, "the standby did not end in order");
	copy_free(&here);
}

int main(void)
{
	static const char claim[] = "a standby killed at any instruction of its take-over loses and doubles nothing";
	unsigned long n_steps = 0, n_states = 0;
	struct stage s = { 0 };
	struct tap tap = { 0 };
	int sock, status;
	pid_t pid;

	(void)alarm(110); /* whoever waits for ever is a finding */
	stage_open(&s);
	prepare(&s);
	pid = standby_start(&s, &sock);
	if (pid < 0) {
		tap_skip(&tap, claim, "ptrace: not permitted");
		return tap_end(&tap);
	}
	walk(&s, pid, &n_steps, &n_states);
	if (n_states < STATES_MIN)
		fail(&s, "too few states: it did not take over");
	if (!tap_result(&tap, !s.why[0], claim))
		printf("# at state %lu: %s\n", n_states, s.why);
	printf("# %lu instructions, %lu states of the memory\n", n_steps, n_states);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	(void)close(sock);
	rk_segments_close(&s.s);
	return tap_end(&tap);
}
