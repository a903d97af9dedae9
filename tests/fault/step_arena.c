/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    whoever is killed at any instruction of rk_arena_alloc() or rk_arena_free(), the
 *         successor's roll back leaves arena and contents as of the last commit; one that got
 *         to the end and committed leaves what it should.
 * Method  a job that allocates or frees, and writes to what it got, runs in a child under
 *         PTRACE_SINGLESTEP, in objects built with production flags. At every distinct state of
 *         the bank a copy of it is rolled back in another mapping, as by a successor, and
 *         compared with the bank before: every block's head, every used block's bytes (of free
 *         memory nobody can want the bytes back). Then the job is run again there, to its end.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/arena.h"
#include "tests/fault/tap.h"

#define STATE_LEN 64u
#define ARENA_LEN 3072u
#define BLOCKS 8
#define JOB 5

/* A bank, and where its blocks lie. They are known by their numbers, the same in both mappings. */
struct stage {
	struct rk_shm m;
	char *bank; /* shared with the child */
	char *copy; /* the successor's */
	char *before;
	uint64_t offset[BLOCKS]; /* from the bank's beginning; 0 = no block */
};

struct job {
	const char *name;
	void (*prepare)(struct stage *s);                /* what is committed before it */
	int (*run)(struct stage *s, struct rk_arena *a); /* the job; 0 or an error */
};

static void die(const char *why)
{
	printf("Bail out! %s\n", why);
	exit(EXIT_FAILURE);
}

static void *map_shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("no memory");
	return p;
}

static struct rk_bank bank_in(const struct stage *s, char *bank, struct rk_arena *ret)
{
	struct rk_bank b;

	rk_bank_view(&b, &s->m, bank);
	if (rk_arena_view(ret, &b, STATE_LEN, ARENA_LEN) < 0)
		die("the arena does not fit");
	return b;
}

static char *block(const struct rk_arena *a, const struct stage *s, int i)
{
	return (char *)a->bank->log + s->offset[i]; /* a bank begins with its log */
}

/* Bytes that tell one block from another, and one job from the next. */
static void paint(char *p, size_t len, int i, int round)
{
	for (size_t k = 0; k < len; k++)
		p[k] = (char)(i * 31 + round * 101 + (int)k + 1);
}

static void open_stage(struct stage *s)
{
	*s = (struct stage){ 0 };
	rk_geometry_default(&s->m.g);
	s->m.g.n_partitions = 1;
	s->m.g.n_clients = 2;
	s->m.g.n_slots = 2;
	s->m.g.n_dedup = 4;
	s->m.g.n_log = 64;
	s->m.g.log_data_len = 4096;
	s->m.g.reply_max = 64;
	s->m.g.state_max = 4096;
	rk_layout_init(&s->m.g, &s->m.l);
	s->bank = map_shared(s->m.l.bank_stride);
	s->copy = map_shared(s->m.l.bank_stride);
	s->before = map_shared(s->m.l.bank_stride);
}

static void close_stage(struct stage *s)
{
	(void)munmap(s->bank, s->m.l.bank_stride);
	(void)munmap(s->copy, s->m.l.bank_stride);
	(void)munmap(s->before, s->m.l.bank_stride);
}

/* ---- what is there before ---- */

/* Blocks of these lengths, side by side; then those whose numbers are in `freed` are freed. */
static void lay(struct stage *s, const size_t *lens, int n, uint32_t freed)
{
	struct rk_arena a;
	struct rk_bank b = bank_in(s, s->bank, &a);

	a.bank = &b;
	rk_arena_init(&a);
	rk_bank_begin(&b, JOB - 1);
	for (int i = 0; i < n; i++) {
		void *p;

		if (rk_arena_alloc(&a, lens[i], &p) < 0)
			die("cannot prepare");
		paint(p, lens[i], i, 0);
		s->offset[i] = (uint64_t)((char *)p - s->bank);
	}
	for (int i = 0; i < n; i++)
		if (freed >> i & 1 && rk_arena_free(&a, block(&a, s, i)) < 0)
			die("cannot prepare");
}

static void empty(struct stage *s)
{
	lay(s, NULL, 0, 0);
}

static void five(struct stage *s)
{
	lay(s, (const size_t[]){ 40, 100, 64, 100, 40 }, 5, 0);
}

static void five_one_free(struct stage *s)
{
	lay(s, (const size_t[]){ 40, 100, 64, 100, 40 }, 5, 1u << 1);
}

static void five_two_free(struct stage *s)
{
	lay(s, (const size_t[]){ 40, 100, 64, 100, 40 }, 5, 1u << 1 | 1u << 3);
}

static void many_of_one_class(struct stage *s)
{
	lay(s, (const size_t[]){ 48, 48, 48, 48, 48, 48, 48, 48 }, 8, 1u << 1 | 1u << 3 | 1u << 5);
}

/* ---- jobs ---- */

static int get(struct stage *s, struct rk_arena *a, int i, size_t len)
{
	void *p;
	int r = rk_arena_alloc(a, len, &p);

	if (r < 0)
		return r;
	s->offset[i] = (uint64_t)((char *)p - (char *)a->bank->log);
	paint(p, len, i, 1);
	return 0;
}

static int get_60(struct stage *s, struct rk_arena *a)
{
	return get(s, a, 5, 60);
}

static int get_100(struct stage *s, struct rk_arena *a)
{
	return get(s, a, 5, 100);
}

static int get_48(struct stage *s, struct rk_arena *a)
{
	return get(s, a, 1, 48);
}

static int free_2(struct stage *s, struct rk_arena *a)
{
	return rk_arena_free(a, block(a, s, 2));
}

static int free_last(struct stage *s, struct rk_arena *a)
{
	return rk_arena_free(a, block(a, s, 4));
}

/* Gives a block back and gets the same one again, and a piece of its neighbor. */
static int free_and_get(struct stage *s, struct rk_arena *a)
{
	int r = rk_arena_free(a, block(a, s, 2));

	r = r < 0 ? r : get(s, a, 5, 64);
	return r < 0 ? r : get(s, a, 6, 20);
}

static const struct job jobs[] = {
	{ "alloc: from a fresh arena", empty, get_60 },
	{ "alloc: splits a free block, which changes its class", five_one_free, get_48 },
	{ "alloc: takes a whole free block", five_one_free, get_100 },
	{ "alloc: takes the first of a list", many_of_one_class, get_48 },
	{ "alloc: nothing fits but the rest", five_two_free, get_60 },
	{ "free: between used blocks", five, free_2 },
	{ "free: behind a free block", five_one_free, free_2 },
	{ "free: between free blocks", five_two_free, free_2 },
	{ "free: between free blocks of a longer list", many_of_one_class, free_2 },
	{ "free: before the rest", five, free_last },
	{ "free and alloc in one job", five, free_and_get },
	{ "free and alloc in one job, merged on both sides", five_two_free, free_and_get },
};

static int run(const struct job *job, struct stage *s, char *bank, bool successor)
{
	struct rk_arena a;
	struct rk_bank b = bank_in(s, bank, &a);

	a.bank = &b;
	if (successor)
		(void)rk_bank_roll_back(&b, JOB);
	rk_bank_begin(&b, JOB);
	return job->run(s, &a);
}

/* ---- what must be there after ---- */

static bool same(const struct rk_arena *x, const struct rk_arena *y, const char *p, size_t len)
{
	size_t offset = (size_t)(p - (const char *)x->bank->log);

	return memcmp(p, (const char *)y->bank->log + offset, len) == 0;
}

/* Head and end, every block's head, and every used block's bytes. */
static bool is_as_before(const struct stage *s)
{
	struct rk_arena x, y;
	struct rk_bank b = bank_in(s, s->before, &x), c = bank_in(s, s->copy, &y);
	uint32_t place = sizeof(struct rk_arena_head) / RK_ARENA_UNIT;

	x.bank = &b;
	y.bank = &c;
	if (!same(&x, &y, (const char *)x.head, sizeof(*x.head)) ||
	    !same(&x, &y, b.state, STATE_LEN))
		return false;
	for (uint32_t units; place <= x.end; place += units) {
		const char *at = (const char *)x.head + place * RK_ARENA_UNIT;
		uint32_t word = ((const struct rk_arena_block *)(const void *)at)->size;
		size_t len;

		units = word & ((1u << 28) - 1);
		len = word >> 28 == RK_ARENA_FREE ? sizeof(struct rk_arena_block)
						  : (size_t)units * RK_ARENA_UNIT;
		if (!same(&x, &y, at, len))
			return false;
	}
	return true;
}

static bool fits_together(const struct stage *s)
{
	struct rk_arena_figures f;
	struct rk_arena a;
	struct rk_bank b = bank_in(s, s->copy, &a);

	a.bank = &b;
	return rk_arena_check(&a, &f) == 0;
}

/* The bank as it is, taken over by a successor; then it runs the job. */
static const char *take_over(const struct job *job, struct stage *s)
{
	struct rk_arena a;
	struct rk_bank b;
	struct stage mine = *s;

	memcpy(s->copy, s->bank, s->m.l.bank_stride);
	b = bank_in(s, s->copy, &a);
	a.bank = &b;
	(void)rk_bank_roll_back(&b, JOB);
	if (!is_as_before(s))
		return "rolled back, it is not as before";
	if (!fits_together(s))
		return "rolled back, it does not fit together";
	if (run(job, &mine, s->copy, true) < 0 || !fits_together(s))
		return "the successor cannot run the job";
	return NULL;
}

/* Committed: the next job's owner finds no log of its own. */
static const char *look_at_the_end(struct stage *s)
{
	struct rk_arena a;
	struct rk_bank b;

	memcpy(s->copy, s->bank, s->m.l.bank_stride);
	b = bank_in(s, s->copy, &a);
	if (rk_bank_roll_back(&b, JOB + 1) || !fits_together(s))
		return "committed, it does not fit together";
	return NULL;
}

static pid_t begin(const struct job *job, struct stage *s)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		(void)raise(SIGSTOP);
		_exit(run(job, s, s->bank, false) < 0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	return pid;
}

static bool is_possible(void)
{
	struct stage s;
	pid_t pid;
	int status;
	bool ok;

	open_stage(&s);
	jobs[0].prepare(&s);
	pid = begin(&jobs[0], &s);
	ok = pid > 0 && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 &&
	     waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	}
	close_stage(&s);
	return ok;
}

/* Steps the job to its end. Returns the first finding, or NULL. */
static const char *walk(const struct job *job, unsigned long *ret_steps, unsigned long *ret_states)
{
	const char *why = NULL;
	struct stage s;
	char *last;
	pid_t pid;
	int status = 0;

	open_stage(&s);
	last = map_shared(s.m.l.bank_stride);
	job->prepare(&s);
	memcpy(s.before, s.bank, s.m.l.bank_stride);
	memcpy(last, s.bank, s.m.l.bank_stride);
	pid = begin(job, &s);
	for (*ret_steps = *ret_states = 0; pid > 0 && !why; ++*ret_steps) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0 ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			break;
		if (memcmp(last, s.bank, s.m.l.bank_stride) == 0)
			continue;
		memcpy(last, s.bank, s.m.l.bank_stride);
		++*ret_states;
		why = take_over(job, &s);
	}
	if (why) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	} else {
		why = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? look_at_the_end(&s)
								    : "the job failed";
	}
	(void)munmap(last, s.m.l.bank_stride);
	close_stage(&s);
	return why;
}

int main(void)
{
	struct tap tap = { 0 };

	if (!is_possible()) {
		tap_skip(&tap, "an arena survives death at every instruction",
			 "ptrace: not permitted here");
		return tap_end(&tap);
	}
	for (size_t i = 0; i < rk_countof(jobs); i++) {
		unsigned long n_steps, n_states;
		const char *why = walk(&jobs[i], &n_steps, &n_states);

		tap_result(&tap, !why && n_states > 10, jobs[i].name);
		printf("# %lu instructions, %lu states%s%s\n", n_steps, n_states, why ? ": " : "",
		       why ? why : "");
	}
	return tap_end(&tap);
}
