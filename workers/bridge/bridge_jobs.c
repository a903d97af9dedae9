/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge, its jobs: shown by the library, given to the program, answered, run; and which one is declared
 * as the one that is waited for.
 */
#include "workers/bridge/bridge_private.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "workers/bridge/saves.h"

/* What is declared, beside a job; RK_BRIDGE_UNKNOWN to begin with, and when a job has run meanwhile. */
#define NOTHING (UINT64_MAX - 1)
#define SIGN (UINT64_C(1) << 62)
#define OWN (UINT64_C(1) << 47) /* in a sign's number: it is an answer to what we asked, not a probe */

static void mark(struct rk_bridge *b, uint32_t partition)
{
	b->dirty[partition / 64] |= 1ull << partition % 64;
	b->has_happened = true;
}

void rk_bridge_answer(struct rk_bridge *b, uint32_t place, int error, const char *answer, size_t len)
{
	rk_window_answer(&b->window, place, error, answer, len);
	mark(b, b->window.at[place].partition);
	if (b->n_alone)
		b->n_alone--;
}

void rk_bridge_ready(struct rk_bridge *b)
{
	if (b->is_ready)
		return;
	b->is_ready = true;
	ev_timer_stop(b->loop, &b->settle);
	b->declared = RK_BRIDGE_UNKNOWN;
	rk_worker_announce(b->worker);
	rk_saves_begin(b);
}

/* A job runs when it has its answer: nothing is left to be done. */
int rk_bridge_on_job(struct rk_job *job, void *state, void *arg)
{
	struct rk_bridge *b = arg;
	uint32_t place = rk_window_find(&b->window, job->partition, job->number);
	const struct rk_window_job *j;

	(void)state;
	if (place == RK_WINDOW_NONE)
		return RK_RETRY; /* it was not shown: once more, from the beginning */
	j = &b->window.at[place];
	if (j->state != RK_WINDOW_ANSWERED)
		return RK_RETRY;
	return j->error ? j->error : rk_reply(job, j->answer, j->len);
}

/* Who has a job is at work: with that it is watched, and its death held against the job. */
static void give(struct rk_bridge *b, uint32_t place, const struct rk_ahead *a)
{
	rk_bridge_ready(b);
	b->ops->send(b, place, a);
}

static void on_ahead(const struct rk_ahead *a, void *arg)
{
	struct rk_bridge *b = arg;
	enum rk_window_state state = a->is_void ? RK_WINDOW_VOID : RK_WINDOW_WAITING;
	uint32_t place = rk_window_add(&b->window, a->partition, a->number, state, rk_clock_ns(), a->deadline_ns);

	if (place == RK_WINDOW_NONE) /* it never shows more than there is room for */
		return;
	b->has_happened = true;
	if (a->is_void)
		mark(b, a->partition);
	else if (a->deadline_ns && a->deadline_ns <= b->window.at[place].shown_ns)
		rk_bridge_answer(b, place, -ETIMEDOUT, NULL, 0); /* nobody waits for it any more, and it has not begun */
	else if (b->ops->send)
		give(b, place, a);
	else
		rk_bridge_answer(b, place, -EOPNOTSUPP, NULL, 0);
}

uint32_t rk_bridge_own_partition(const struct rk_bridge *b)
{
	return b->window.n_partitions - 1;
}

/*
 * Until when the oldest is to be answered, 0 = it does not say: the time that its client has given it, but from when
 * it has become the oldest. What it had to wait for is not its own, and not the program's fault.
 */
static uint64_t deadline_of(const struct rk_bridge *b, const struct rk_window_job *j)
{
	if (j->partition == rk_bridge_own_partition(b))
		return b->oldest_since_ns + b->o.hang_after_ns;
	return j->deadline_ns ? b->oldest_since_ns + (j->deadline_ns - j->shown_ns) : 0;
}

/* Begins the time of another one that has become the oldest. */
static void note_oldest(struct rk_bridge *b)
{
	uint32_t place = b->window.oldest_waiting;
	const struct rk_window_job *j = place == RK_WINDOW_NONE ? NULL : &b->window.at[place];
	uint64_t which = j ? (uint64_t)j->partition << 48 | j->number : NOTHING;

	if (which == b->oldest)
		return;
	b->oldest = which;
	b->oldest_since_ns = rk_clock_ns();
}

/*
 * Where answers come in any order the oldest may wait for ever while others come and go, and whoever looks from
 * outside sees that the worker gets on: no more come in, so that it is seen to stand still.
 */
static bool is_stuck(const struct rk_bridge *b)
{
	const struct rk_window_job *j;
	uint64_t now_ns, deadline_ns;

	if (b->in_order || b->window.oldest_waiting == RK_WINDOW_NONE)
		return false;
	j = &b->window.at[b->window.oldest_waiting];
	now_ns = rk_clock_ns();
	deadline_ns = deadline_of(b, j);
	return now_ns > (deadline_ns ? deadline_ns : b->oldest_since_ns + b->o.hang_after_ns);
}

/* How many more jobs the program may have now. */
uint32_t rk_bridge_room(const struct rk_bridge *b)
{
	if ((b->ops->waits_until_ready && !b->is_ready) || is_stuck(b))
		return 0;
	if (b->n_alone)
		return b->window.n_waiting ? 0 : 1;
	return b->window.n_max - b->window.n;
}

static void begin_draining(struct rk_bridge *b)
{
	if (b->stage == RK_BRIDGE_SERVING)
		b->stage = RK_BRIDGE_DRAINING;
	b->has_happened = true;
}

void rk_bridge_feed(struct rk_bridge *b)
{
	int r;

	if (b->stage != RK_BRIDGE_SERVING)
		return;
	note_oldest(b);
	r = rk_worker_ahead(b->worker, rk_bridge_room(b), on_ahead, b);
	if (r == RK_STOP)
		begin_draining(b);
	else if (r < 0)
		rk_bridge_end_loop(b, 0); /* the library knows why, and with what status */
	else if (r == 0 && b->n_alone && !b->window.n_waiting)
		b->n_alone = 0; /* whoever was under way when a predecessor died is done */
	if (b->ops->flush)
		b->ops->flush(b);
}

/* What was asked was to save. */
static void take_own(struct rk_bridge *b, uint64_t number)
{
	const struct rk_window_job *j = &b->window.at[b->window.first_of[rk_bridge_own_partition(b)]];
	int error = j->error;

	rk_window_drop(&b->window, j->partition, number);
	rk_saves_answered(b, error == 0, error ? strerror(-error) : NULL);
}

static void commit(struct rk_bridge *b, uint32_t partition)
{
	uint64_t number;
	int r;

	if (!rk_window_ready(&b->window, partition, &number))
		return;
	if (partition == rk_bridge_own_partition(b)) {
		take_own(b, number);
		return;
	}
	r = rk_worker_run_to(b->worker, partition, number);
	b->declared = RK_BRIDGE_UNKNOWN; /* running them has overwritten it */
	if (r == 0)
		rk_window_drop(&b->window, partition, number);
	else if (r == -EAGAIN) /* what the program has of it would answer for others */
		rk_bridge_fail(b, RK_BRIDGE_EXIT_FAILED, "a job wants another attempt, which begins with another process");
	else if (r == -EBUSY)
		b->dirty[partition / 64] |= 1ull << partition % 64; /* no room for its dead letter: again at the next look */
	else
		rk_bridge_end_loop(b, 0);
}

void rk_bridge_commit_all(struct rk_bridge *b)
{
	for (uint32_t i = 0; i < (b->window.n_partitions + 63) / 64; i++) {
		uint64_t bits = b->dirty[i];

		b->dirty[i] = 0;
		for (; bits && b->stage != RK_BRIDGE_OVER; bits &= bits - 1)
			commit(b, i * 64 + (uint32_t)__builtin_ctzll(bits));
	}
}

static void declare_job(struct rk_bridge *b, const struct rk_window_job *j)
{
	bool is_charged = !b->is_innocent && (b->in_order || b->window.n_waiting == 1);

	if (j->partition == rk_bridge_own_partition(b)) /* what we asked ourselves */
		rk_worker_declare_probe(b->worker, j->number | OWN, deadline_of(b, j));
	else
		rk_worker_declare(b->worker, &(struct rk_under_way){ j->partition, j->number, deadline_of(b, j) }, is_charged);
}

/* Who looks from outside sees the oldest job that waits, else the sign of life that is awaited. */
void rk_bridge_declare(struct rk_bridge *b)
{
	uint32_t place = b->window.oldest_waiting;
	const struct rk_window_job *j = place == RK_WINDOW_NONE ? NULL : &b->window.at[place];
	uint64_t which = j ? (uint64_t)j->partition << 48 | j->number : b->sign_deadline_ns ? b->sign_number | SIGN : NOTHING;

	note_oldest(b);
	if (which == b->declared)
		return;
	b->declared = which;
	if (j)
		declare_job(b, j);
	else if (b->sign_deadline_ns)
		rk_worker_declare_probe(b->worker, b->sign_number, b->sign_deadline_ns);
	else
		rk_worker_declare(b->worker, NULL, false);
}
