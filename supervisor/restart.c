/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/restart.h"

#include <signal.h>

static uint64_t since(uint64_t then_ns, uint64_t now_ns)
{
	return then_ns && now_ns > then_ns ? now_ns - then_ns : 0;
}

static bool is_healthy(const struct rk_restart *r, const struct rk_restart_conf *c, uint64_t now_ns)
{
	return r->ready_ns && since(r->ready_ns, now_ns) >= c->healthy_after_ns;
}

/* ---- ways to end ---- */

/* The word and the bit of a way to end, or NULL. */
static uint64_t *exits_word(struct rk_restart_exits *set, int code, int status, uint64_t *ret_bit)
{
	if (code == CLD_EXITED && status >= 0 && status < 256) {
		*ret_bit = UINT64_C(1) << (status % 64);
		return &set->statuses[status / 64];
	}
	if ((code == CLD_KILLED || code == CLD_DUMPED) && status > 0 && status < 64) {
		*ret_bit = UINT64_C(1) << status;
		return &set->signals;
	}
	return NULL;
}

void rk_restart_exits_add(struct rk_restart_exits *set, int code, int status)
{
	uint64_t bit;
	uint64_t *word = exits_word(set, code, status, &bit);

	if (word)
		*word |= bit;
}

bool rk_restart_exits_have(const struct rk_restart_exits *set, int code, int status)
{
	struct rk_restart_exits copy = *set;
	uint64_t bit;
	const uint64_t *word = exits_word(&copy, code, status, &bit);

	return word && (*word & bit) != 0;
}

/* As systemd counts, so that nobody is surprised: 0 and the signals that ask for an end. */
static bool is_success(const struct rk_restart_conf *c, const struct rk_restart_death *d)
{
	if (d->code == CLD_EXITED && d->status == 0)
		return true;
	if (d->code == CLD_KILLED && (d->status == SIGHUP || d->status == SIGINT ||
				      d->status == SIGTERM || d->status == SIGPIPE))
		return true;
	return rk_restart_exits_have(&c->success, d->code, d->status);
}

bool rk_restart_needs_cause(const struct rk_restart_conf *c)
{
	uint64_t prevent = c->prevent.signals;

	for (size_t i = 0; i < rk_countof(c->prevent.statuses); i++)
		prevent |= c->prevent.statuses[i];
	if (c->when == RK_RESTART_NO)
		return false;
	return c->when == RK_RESTART_ON_FAILURE || prevent != 0;
}

/* ---- the account ---- */

void rk_restart_reset(struct rk_restart *r, const struct rk_restart_conf *c)
{
	*r = (struct rk_restart){ .credit_ns = c->window_ns };
}

void rk_restart_on_start(struct rk_restart *r, uint64_t now_ns)
{
	r->started_ns = now_ns;
	r->ready_ns = 0;
	r->next_ns = 0;
}

void rk_restart_on_ready(struct rk_restart *r, uint64_t now_ns)
{
	if (r->ready_ns == 0)
		r->ready_ns = now_ns;
}

uint32_t rk_restart_n_failed(const struct rk_restart *r, const struct rk_restart_conf *c,
			     uint64_t now_ns)
{
	return is_healthy(r, c, now_ns) ? 0 : r->n_failed;
}

/* The process is gone: what its life was worth. Returns whether that forgives all before. */
static bool settle_life(struct rk_restart *r, const struct rk_restart_conf *c, uint64_t now_ns)
{
	uint64_t credit_ns = r->credit_ns + rk_min_u64(since(r->started_ns, now_ns), c->window_ns);

	bool healthy = is_healthy(r, c, now_ns);

	r->credit_ns = rk_min_u64(credit_ns, c->window_ns);
	r->started_ns = 0;
	r->ready_ns = 0;
	if (healthy)
		rk_restart_reset(r, c);
	return healthy;
}

static bool take_token(struct rk_restart *r, const struct rk_restart_conf *c)
{
	uint64_t price_ns;

	if (c->burst == 0)
		return false;
	price_ns = c->window_ns / c->burst;
	if (r->credit_ns < price_ns)
		return false;
	r->credit_ns -= price_ns;
	return true;
}

/* ---- decisions ---- */

static struct rk_restart_step decide(struct rk_restart *r, enum rk_restart_kind kind,
				     enum rk_restart_reason reason, uint64_t now_ns)
{
	r->reason = reason;
	r->next_ns = kind == RK_RESTART_NEVER ? 0 : now_ns;
	return (struct rk_restart_step){ .kind = kind, .reason = reason, .is_news = true };
}

static struct rk_restart_step wait(struct rk_restart *r, const struct rk_restart_conf *c,
				   enum rk_restart_reason reason, uint64_t now_ns, uint64_t random)
{
	uint64_t full_ns = c->backoff_ns;
	struct rk_restart_step step;
	uint32_t i;

	for (i = 0; i < r->n_waits && full_ns < c->backoff_max_ns; i++)
		full_ns = full_ns > c->backoff_max_ns / 2 ? c->backoff_max_ns : 2 * full_ns;
	step = decide(r, full_ns < c->backoff_max_ns ? RK_RESTART_LATER : RK_RESTART_SLOW, reason,
		      now_ns);
	step.is_news = i == r->n_waits; /* the doubling still went on */
	step.wait_ns = full_ns - random % (full_ns / 2 + 1);
	r->next_ns = now_ns + step.wait_ns;
	if (r->n_waits < UINT32_MAX)
		r->n_waits++;
	return step;
}

static void count_failure(struct rk_restart *r)
{
	if (r->n_failed < UINT32_MAX)
		r->n_failed++;
}

struct rk_restart_step rk_restart_on_death(struct rk_restart *r, const struct rk_restart_conf *c,
					   const struct rk_restart_death *death, uint64_t now_ns,
					   uint64_t random)
{
	bool healthy = settle_life(r, c, now_ns);

	if (death->is_ours)
		return decide(r, RK_RESTART_NOW, RK_RESTART_PLANNED, now_ns);
	if (c->when == RK_RESTART_NO)
		return decide(r, RK_RESTART_NEVER, RK_RESTART_FORBIDDEN, now_ns);
	if (rk_restart_exits_have(&c->prevent, death->code, death->status))
		return decide(r, RK_RESTART_NEVER, RK_RESTART_PREVENTED, now_ns);
	if (c->when == RK_RESTART_ON_FAILURE && is_success(c, death))
		return decide(r, RK_RESTART_NEVER, RK_RESTART_FINISHED, now_ns);
	if (!healthy)
		count_failure(r);
	if (r->n_failed <= 1)
		return decide(r, RK_RESTART_NOW, RK_RESTART_FIRST, now_ns);
	if (take_token(r, c))
		return decide(r, RK_RESTART_NOW, RK_RESTART_BURST, now_ns);
	return wait(r, c, RK_RESTART_BACKOFF, now_ns, random);
}

struct rk_restart_step rk_restart_on_unmade(struct rk_restart *r, const struct rk_restart_conf *c,
					    uint64_t now_ns, uint64_t random)
{
	r->started_ns = 0;
	r->ready_ns = 0;
	count_failure(r);
	return wait(r, c, RK_RESTART_UNMADE, now_ns, random);
}

void rk_restart_stretch(struct rk_restart *r, struct rk_restart_step *step, uint64_t extra_ns,
			uint64_t now_ns)
{
	if (extra_ns == 0 || step->kind == RK_RESTART_NEVER)
		return;
	if (step->kind == RK_RESTART_NOW) {
		step->kind = RK_RESTART_LATER;
		step->reason = RK_RESTART_BRAKE;
		r->reason = RK_RESTART_BRAKE;
	}
	step->is_braked = true;
	step->wait_ns += extra_ns;
	r->next_ns = now_ns + step->wait_ns;
}

const char *rk_restart_reason_text(enum rk_restart_reason reason)
{
	static const char *const texts[] = {
		[RK_RESTART_NONE] = "nothing has died yet",
		[RK_RESTART_PLANNED] = "its end was planned",
		[RK_RESTART_FIRST] = "its first death after healthy time",
		[RK_RESTART_BURST] = "within RestartBurst",
		[RK_RESTART_BACKOFF] = "RestartBurst is used up",
		[RK_RESTART_BRAKE] = "many restarts at once, or a machine short of something",
		[RK_RESTART_UNMADE] = "no process could be made",
		[RK_RESTART_FORBIDDEN] = "Restart=no",
		[RK_RESTART_PREVENTED] = "its exit is in RestartPreventExitStatus",
		[RK_RESTART_FINISHED] = "it ended as it should, Restart=on-failure",
	};

	_Static_assert(rk_countof(texts) == RK_RESTART_REASONS, "a text for every reason");
	return (unsigned int)reason < RK_RESTART_REASONS ? texts[reason] : "?";
}
