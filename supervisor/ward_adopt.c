/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ward, adopted: where supervisors live shorter than a worker may take, none of them would ever judge it;
 * so each goes on where the one before had come to. That is the time that was seen to pass, and the
 * verdict, if there was one. What the kernel said of each thread is not kept: the next one's first
 * look is a first look.
 */
#include "supervisor/ward_private.h"

#include "supervisor/journal.h"

void rk_ward_note(const struct rk_shm *m, uint32_t slot, const struct rk_ward_past *past)
{
	const struct rk_detect *d = &past->detect;
	const struct rk_journal_watch watch = {
		.incarnation = past->incarnation,
		.job = d->last.job,
		.beats = d->last.beats,
		.jobs = d->last.n_jobs,
		.calling_until_ns = d->last.calling_until_ns,
		.partition = d->last.partition,
		.state = d->last.state,
		.phase = d->phase,
		.blame = d->blame,
		.blamed_ns = d->blamed_ns,
		.begun_ns = past->begun_ns,
		.pending_ns = past->pending_since_ns,
		.since_ns = d->since_ns,
		.look_ns = d->look_ns,
		.away_ns = d->away_ns,
		.deadline_ns = d->deadline_ns,
		.budget_ns = d->budget_ns,
		.burnt_ns = d->spent.burnt_ns,
		.asleep_ns = d->spent.asleep_ns,
		.disk_ns = d->spent.disk_ns,
		.starved_ns = d->spent.starved_ns,
		.paused_ns = d->spent.paused_ns,
		.void_ns = d->spent.void_ns,
		.still_ns = d->spent.still_ns,
		.listed_asleep_ns = d->listed_asleep_ns,
		.listed_disk_ns = d->listed_disk_ns,
	};

	rk_journal_watch(m, slot, &watch);
}

static struct rk_detect detect_of(const struct rk_journal_watch *w)
{
	return (struct rk_detect){ .last = { .incarnation = w->incarnation,
					     .job = w->job,
					     .calling_until_ns = w->calling_until_ns,
					     .beats = w->beats,
					     .n_jobs = w->jobs,
					     .state = w->state,
					     .partition = w->partition },
				   .phase = (enum rk_phase)w->phase,
				   .is_begun = true,
				   .since_ns = w->since_ns,
				   .budget_ns = w->budget_ns,
				   .deadline_ns = w->deadline_ns,
				   .look_ns = w->look_ns,
				   .away_ns = w->away_ns,
				   .blamed_ns = w->blamed_ns,
				   .blame = (enum rk_verdict)w->blame,
				   .listed_asleep_ns = w->listed_asleep_ns,
				   .listed_disk_ns = w->listed_disk_ns,
				   .spent = { .burnt_ns = w->burnt_ns,
					      .asleep_ns = w->asleep_ns,
					      .disk_ns = w->disk_ns,
					      .starved_ns = w->starved_ns,
					      .paused_ns = w->paused_ns,
					      .void_ns = w->void_ns,
					      .still_ns = w->still_ns } };
}

bool rk_ward_recall(const struct rk_shm *m, uint32_t slot, uint64_t incarnation, uint64_t now_ns,
		    struct rk_ward_past *ret)
{
	const struct rk_journal_watch *w = rk_journal_watched(m, slot);

	if (w->incarnation != incarnation || w->phase >= RK_PHASES || w->blame >= RK_VERDICTS ||
	    rk_max_u64(w->since_ns, w->begun_ns) > now_ns)
		return false;
	*ret = (struct rk_ward_past){ .incarnation = incarnation,
				      .begun_ns = w->begun_ns,
				      .pending_since_ns = w->pending_ns,
				      .detect = detect_of(w) };
	rk_detect_take_up(&ret->detect, now_ns);
	return true;
}
