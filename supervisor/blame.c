/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/blame.h"

#include <signal.h>

#include "base/macro.h"
#include "shm/owner.h"
#include "shm/words.h"

/* ---- the words ---- */

bool rk_blame_is_partition(const struct rk_blame_words *words, uint32_t n_partitions)
{
	return words->partition < n_partitions;
}

/* The job is one of the batch that begins at the cursor. */
static bool is_in_batch(const struct rk_blame_case *c)
{
	uint32_t batch = c->batch ? rk_min_u32(c->batch, RK_BATCH_MAX) : RK_BATCH_MAX;

	return c->words.job <= RK_MASK48 && ((c->words.job - c->cursor) & RK_MASK48) < batch;
}

/* Inside the handler; a crash behind it is not the job's. */
static bool is_running(uint32_t state)
{
	return state == RK_BEAT_RUNNING || state == RK_BEAT_CALLING;
}

/* Why the words name no job, or RK_BLAME_REASONS if they do. */
static enum rk_blame_reason check_words(const struct rk_blame_case *c)
{
	if (c->words.incarnation != c->incarnation)
		return RK_BLAME_WORDS_FOREIGN;
	if (!is_running(c->words.state))
		return RK_BLAME_IDLE;
	if (!rk_blame_is_partition(&c->words, c->n_partitions))
		return RK_BLAME_WORDS_PARTITION;
	if (!c->is_owner)
		return RK_BLAME_WORDS_OWNER;
	if (!is_in_batch(c))
		return RK_BLAME_WORDS_JOB;
	return RK_BLAME_REASONS;
}

/* ---- the cause ---- */

static bool is_signal(const struct rk_blame_case *c, int signal)
{
	return (c->code == CLD_KILLED || c->code == CLD_DUMPED) && c->status == signal;
}

/* Signals that nobody raises by a mistake in a handler. */
static bool is_sent(const struct rk_blame_case *c)
{
	return is_signal(c, SIGTERM) || is_signal(c, SIGINT) || is_signal(c, SIGHUP) ||
	       is_signal(c, SIGQUIT);
}

/*
 * SIGKILL says nothing of who sent it: a person, a script, or the kernel for want of memory, which
 * counts whom it kills. Where it counted nobody, somebody outside did it.
 */
static enum rk_blame_reason judge_kill(const struct rk_blame_case *c, uint32_t n_others)
{
	if (c->memory == RK_BLAME_SHORT)
		return RK_BLAME_MACHINE;
	if (n_others > 0)
		return RK_BLAME_STORM;
	return c->memory == RK_BLAME_OOM ? RK_BLAME_KILLED : RK_BLAME_OUTSIDE;
}

/*
 * A crash or exit is the process's own doing. Several at once may have one cause outside, a
 * file or a server that is gone; but then nobody else commits either. Without that second look
 * several poison jobs at once would be spared for ever.
 */
static enum rk_blame_reason judge_cause(const struct rk_blame_case *c, uint32_t n_others,
					uint64_t n_since)
{
	if (c->memory == RK_BLAME_LIMIT)
		return RK_BLAME_OVER_LIMIT;
	if (c->code < 0)
		return RK_BLAME_CAUSE;
	if (is_sent(c))
		return RK_BLAME_SENT;
	if (is_signal(c, SIGKILL))
		return judge_kill(c, n_others);
	return n_others > 0 && n_since == 0 ? RK_BLAME_STORM : RK_BLAME_CRASHED;
}

static enum rk_blame_reason judge(const struct rk_blame_case *c, uint32_t n_others,
				  uint64_t n_since)
{
	switch (c->ours) {
	case RK_BLAME_NOT_OURS:
		return judge_cause(c, n_others, n_since);
	case RK_BLAME_VERDICT:
		return RK_BLAME_JUDGED;
	case RK_BLAME_PLANNED:
	case RK_BLAME_START:
	case RK_BLAME_FAULT:
	case RK_BLAME_PRESSURE:
	case RK_BLAME_PAUSED:
	case RK_BLAME_ELSE:
	case RK_BLAME_OURS:
		break;
	}
	return RK_BLAME_WE_DID;
}

static const struct {
	enum rk_blame_verdict verdict;
	const char *text;
} reasons[] = {
	[RK_BLAME_WORDS_FOREIGN] = { RK_BLAME_SPARED, "it died before it had a beat page" },
	[RK_BLAME_WORDS_PARTITION] = { RK_BLAME_SPARED, "it named a partition that is none" },
	[RK_BLAME_WORDS_OWNER] = { RK_BLAME_SPARED, "it named a partition of another worker" },
	[RK_BLAME_WORDS_JOB] = { RK_BLAME_SPARED, "it named a job that it cannot have run" },
	[RK_BLAME_IDLE] = { RK_BLAME_SPARED, "no job was running" },
	[RK_BLAME_JUDGED] = { RK_BLAME_CHARGED, "the job hung, looped or passed its deadline" },
	[RK_BLAME_WE_DID] = { RK_BLAME_SPARED, "we ended the worker, not for its job" },
	[RK_BLAME_OVER_LIMIT] = { RK_BLAME_CHARGED, "the job used up the worker's memory" },
	[RK_BLAME_SENT] = { RK_BLAME_SPARED, "somebody sent the worker a signal" },
	[RK_BLAME_MACHINE] = { RK_BLAME_SPARED, "the machine was short of memory" },
	[RK_BLAME_STORM] = { RK_BLAME_SPARED, "it was one of several deaths" },
	[RK_BLAME_CRASHED] = { RK_BLAME_CHARGED, "the worker crashed or exited inside the job" },
	[RK_BLAME_KILLED] = { RK_BLAME_CHARGED, "the kernel killed the worker alone, for want of memory" },
	[RK_BLAME_OUTSIDE] = { RK_BLAME_SPARED, "somebody killed the worker" },
	[RK_BLAME_CAUSE] = { RK_BLAME_LATER, "the cause of the death is not known yet" },
};

_Static_assert(rk_countof(reasons) == RK_BLAME_REASONS, "a verdict for every reason");

struct rk_blame rk_blame_decide(const struct rk_blame_case *c, uint32_t n_others, uint64_t n_since)
{
	struct rk_blame blame = { .partition = RK_BLAME_NOBODY, .reason = check_words(c) };

	if (blame.reason == RK_BLAME_REASONS) {
		blame.partition = c->words.partition;
		blame.job = c->words.job;
		blame.reason = judge(c, n_others, n_since);
	}
	blame.verdict = reasons[blame.reason].verdict;
	return blame;
}

const char *rk_blame_reason_text(enum rk_blame_reason reason)
{
	return (unsigned int)reason < RK_BLAME_REASONS ? reasons[reason].text : "?";
}

/* ---- the last deaths ---- */

static bool is_same_death(const struct rk_blame_death *a, const struct rk_blame_death *b)
{
	return a->ns == b->ns && a->slot == b->slot;
}

static bool is_same_job(const struct rk_blame_death *a, const struct rk_blame_death *b)
{
	return a->partition != RK_BLAME_NOBODY && a->partition == b->partition && a->job == b->job;
}

/* Another death, by another job or none, around the same time. */
static bool is_other(const struct rk_blame_death *d, const struct rk_blame_death *death)
{
	uint64_t apart_ns = d->ns < death->ns ? death->ns - d->ns : d->ns - death->ns;

	return d->ns != 0 && apart_ns < RK_BLAME_WINDOW_NS && !is_same_death(d, death) &&
	       !is_same_job(d, death);
}

static uint32_t count_others(const struct rk_blame_recent *r, const struct rk_blame_death *death)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < RK_BLAME_RECENT; i++)
		n += is_other(&r->deaths[i], death);
	return n;
}

/* What was committed since the last other death, and since the last by the same job. */
static uint64_t count_since(const struct rk_blame_recent *r, const struct rk_blame_death *death)
{
	uint64_t n = death->n_committed;

	for (uint32_t i = 0; i < RK_BLAME_RECENT; i++) {
		const struct rk_blame_death *d = &r->deaths[i];

		if (d->ns == 0 || is_same_death(d, death) || d->n_committed > death->n_committed)
			continue;
		if (is_other(d, death) || is_same_job(d, death))
			n = rk_min_u64(n, death->n_committed - d->n_committed);
	}
	return n;
}

/* The place of a death that is told again, else the oldest. */
static struct rk_blame_death *find_place(struct rk_blame_recent *r,
					 const struct rk_blame_death *death)
{
	struct rk_blame_death *oldest = &r->deaths[r->next % RK_BLAME_RECENT];

	for (uint32_t i = 0; i < RK_BLAME_RECENT; i++)
		if (r->deaths[i].ns != 0 && is_same_death(&r->deaths[i], death))
			return &r->deaths[i];
	r->next = (r->next + 1) % RK_BLAME_RECENT;
	return oldest;
}

static struct rk_blame_death describe(const struct rk_blame_case *c)
{
	bool fits = check_words(c) == RK_BLAME_REASONS;

	return (struct rk_blame_death){ .ns = c->ns,
					.n_committed = c->n_committed,
					.slot = c->slot,
					.partition = fits ? c->words.partition : RK_BLAME_NOBODY,
					.job = fits ? c->words.job : 0 };
}

struct rk_blame rk_blame_on_death(struct rk_blame_recent *r, const struct rk_blame_case *c)
{
	struct rk_blame_death death = describe(c);
	struct rk_blame blame = rk_blame_decide(c, count_others(r, &death), count_since(r, &death));

	death.may_be_taken_back = blame.reason == RK_BLAME_KILLED;
	if (c->ours == RK_BLAME_NOT_OURS)
		*find_place(r, &death) = death;
	return blame;
}

bool rk_blame_take_back(struct rk_blame_recent *r, const struct rk_blame_case *c,
			uint32_t *ret_partition, uint64_t *ret_job)
{
	struct rk_blame_death death = describe(c);

	if (c->ours != RK_BLAME_NOT_OURS)
		return false;
	for (uint32_t i = 0; i < RK_BLAME_RECENT; i++) {
		struct rk_blame_death *d = &r->deaths[i];

		if (!d->may_be_taken_back || !is_other(d, &death))
			continue;
		d->may_be_taken_back = false;
		*ret_partition = d->partition;
		*ret_job = d->job;
		return true;
	}
	return false;
}
