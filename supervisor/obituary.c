/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/obituary.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "shm/beat.h"

void rk_obituary_words(struct rk_obituary *o, const char *words, size_t size)
{
	size_t len = strnlen(words, rk_min_size(size, sizeof(o->last_words) - 1));

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)words[i];

		/* Plain ASCII stays: other bytes may be no UTF-8 at all, or drive a terminal. */
		o->last_words[i] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
	}
	o->last_words[len] = '\0';
}

void rk_obituary_cause(const struct rk_obituary *o, char *text, size_t size)
{
	const char *name = sigabbrev_np(o->status);

	if (o->failed[0])
		(void)snprintf(text, size, "did not start (%s)", o->failed);
	else if (o->exec_error)
		(void)snprintf(text, size, "could not be executed (%s)", strerror(o->exec_error));
	else if (!o->is_cause_known)
		(void)snprintf(text, size, "died");
	else if (o->code == CLD_EXITED)
		(void)snprintf(text, size, "exited %d", o->status);
	else if (name)
		(void)snprintf(text, size, "SIG%s%s", name,
			       o->code == CLD_DUMPED                 ? " (core)" :
			       o->is_oom && o->status == SIGKILL ? " (out of memory)" :
			       o->is_injected && o->status == SIGKILL ? " (fault injected)" :
								   "");
	else
		(void)snprintf(text, size, "signal %d", o->status);
}

/* 1.6 ms, 26 ms, 1.2 s: as many digits as say something. */
static void duration_format(uint64_t ns, char *text, size_t size)
{
	double ms = (double)ns / RK_NS_PER_MS;

	if (ms < 10)
		(void)snprintf(text, size, "%.1f ms", ms);
	else if (ms < 1000)
		(void)snprintf(text, size, "%.0f ms", ms);
	else
		(void)snprintf(text, size, "%.1f s", ms / 1000);
}

/* What the successor waits for, and how long. Who was ready did not live until HealthyAfter. */
static void waiting_format(const struct rk_obituary *o, char *text, size_t size)
{
	char took[32];
	const char *failed = o->was_ready ? "dead" : "not ready";
	const char *until = o->was_ready ? " before it was healthy" : "";

	duration_format(o->took_ns, took, sizeof(took));
	if (o->n_braked && o->n_failed)
		(void)snprintf(
			text, size,
			"%s %u times in a row%s, and restarts are braked (%u deaths in 1 s), next try in %s",
			failed, o->n_failed, until, o->n_braked, took);
	else if (o->n_braked)
		(void)snprintf(text, size, "restarts are braked: %u deaths in 1 s, next try in %s",
			       o->n_braked, took);
	else
		(void)snprintf(text, size, "%s %u times in a row%s, next try in %s", failed,
			       o->n_failed, until, took);
}

static void outcome_format(const struct rk_obituary *o, char *text, size_t size)
{
	char took[32], job[RK_NUM_TEXT];

	duration_format(o->took_ns, took, sizeof(took));
	switch (o->outcome) {
	case RK_OBITUARY_COMMITTED:
		(void)snprintf(text, size, "%d committed job %s after %s", o->successor,
			       rk_num_format(job, o->job), took);
		return;
	case RK_OBITUARY_READY:
		(void)snprintf(text, size, "%d ready after %s", o->successor, took);
		return;
	case RK_OBITUARY_LOST:
		(void)snprintf(text, size, "%d took over and died before it was ready",
			       o->successor);
		return;
	case RK_OBITUARY_WAITING:
		waiting_format(o, text, size);
		return;
	case RK_OBITUARY_BUSY:
		(void)snprintf(text, size, "%d started, its first job not done after %s", o->successor, took);
		return;
	case RK_OBITUARY_ENDED:
		(void)snprintf(text, size, "stays down");
		return;
	case RK_OBITUARY_STOPPED:
		(void)snprintf(text, size, "not replaced, the fleet stops");
		return;
	case RK_OBITUARY_OPEN:
		break;
	}
	(void)snprintf(text, size, "to be replaced");
}

const char *rk_obituary_job(const struct rk_obituary *o, char *text, size_t size)
{
	char number[RK_NUM_TEXT];

	text[0] = '\0';
	if (o->was_in_job && o->partition == RK_BEAT_SIGN)
		(void)snprintf(text, size, " awaiting a sign of life");
	else if (o->was_in_job)
		(void)snprintf(text, size, " in job %s of partition %u", rk_num_format(number, o->in_job),
			       o->partition);
	return text;
}

const char *rk_obituary_deed(enum rk_verdict verdict)
{
	switch (verdict) {
	case RK_VERDICT_STOPPED:
		return "was stopped";
	case RK_VERDICT_TRACED:
		return "was traced";
	case RK_VERDICT_FROZEN:
		return "was frozen";
	case RK_VERDICT_LOOP:
		return "looped";
	case RK_VERDICT_ASLEEP:
		return "hung";
	case RK_VERDICT_LIVELOCK:
		return "hung, waking and sleeping,";
	case RK_VERDICT_DISK:
		return "hung, uninterruptible,";
	case RK_VERDICT_START_TIMEOUT:
		return "did not start";
	case RK_VERDICT_STOP_TIMEOUT:
		return "did not stop";
	case RK_VERDICT_FINE:
	case RK_VERDICT_WAITING:
	case RK_VERDICT_STARVED:
	case RK_VERDICT_BLIND:
	case RK_VERDICT_GONE:
	case RK_VERDICT_SUSPECT:
	case RK_VERDICT_LATE:
	case RK_VERDICTS:
		break;
	}
	return "";
}

/* What led to its end and how it ended: "hung in job 17 of partition 3 for 10.0 s, killed" */
static void end_format(const struct rk_obituary *o, char *text, size_t size)
{
	const char *deed = rk_obituary_deed(o->verdict);
	char cause[160], job[64], judged[32];

	rk_obituary_cause(o, cause, sizeof(cause));
	(void)rk_obituary_job(o, job, sizeof(job));
	duration_format(o->judged_for_ns, judged, sizeof(judged));
	if (!deed[0])
		(void)snprintf(text, size, "%s%s", cause, job);
	else
		(void)snprintf(text, size, "%s%s for %s, %s", deed, job, judged,
			       strcmp(cause, "SIGKILL") == 0 ? "killed" : cause);
}

const char *rk_obituary_format(const struct rk_obituary *o, char text[static RK_OBITUARY_LINE])
{
	char end[288], outcome[192], pid[24] = "";

	end_format(o, end, sizeof(end));
	outcome_format(o, outcome, sizeof(outcome));
	if (o->pid)
		(void)snprintf(pid, sizeof(pid), "(pid %d) ", o->pid);
	(void)snprintf(text, RK_OBITUARY_LINE, "worker %u %s%s%s%.*s%s: %s", o->worker, pid, end,
		       o->last_words[0] ? " (\"" : "", 200, o->last_words, o->last_words[0] ? "\")" : "",
		       outcome);
	return text;
}
