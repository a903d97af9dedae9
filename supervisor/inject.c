/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/beat.h"
#include "supervisor/journal.h"

#define STOP_MS 1000u /* unless the request says otherwise */
#define SLOW_MS 100u

/* A worker that stands still. Its descriptor is our own: its slot may have another process by then. */
struct rk_inject_stop {
	const struct rk_shm *m;
	struct rk_inject *inject;
	struct rk_inject_stop *next;
	sd_event_source *timer;
	int pidfd;
	struct rk_inject_hit who;
};

static const char *const names[] = {
	[RK_INJECT_KILL] = "kill", [RK_INJECT_STOP] = "stop", [RK_INJECT_HANG] = "hang",
	[RK_INJECT_LOOP] = "loop", [RK_INJECT_SLOW] = "slow",
};

_Static_assert(rk_countof(names) == RK_INJECT_FAULTS, "a name for every fault");

const char *rk_inject_name(enum rk_inject_fault fault)
{
	return (unsigned int)fault < RK_INJECT_FAULTS ? names[fault] : "?";
}

/* ---- what is asked for ---- */

static int fault_read(struct json_object *in, enum rk_inject_fault *ret, struct rk_err *err)
{
	struct json_object *what;
	const char *name = json_object_object_get_ex(in, "what", &what) ? json_object_get_string(what) : NULL;

	for (int i = 0; name && i < RK_INJECT_FAULTS; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		*ret = (enum rk_inject_fault)i;
		return 0;
	}
	return rk_err_set(err, -EINVAL, "\"what\" must be kill, stop, hang, loop or slow");
}

/* A number within bounds, both included; *number stays when it is not there. */
static int number_read(struct json_object *in, const char *member, const uint32_t bounds[2], uint32_t *number,
		       struct rk_err *err)
{
	struct json_object *value;
	int64_t n;

	if (!json_object_object_get_ex(in, member, &value))
		return 0;
	n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;
	if (n < bounds[0] || n > bounds[1])
		return rk_err_set(err, -EINVAL, "\"%s\" must be a number, %u to %u", member, bounds[0], bounds[1]);
	*number = (uint32_t)n;
	return 0;
}

int rk_inject_read(struct json_object *in, struct rk_inject_request *ret, struct rk_err *err)
{
	static const uint32_t workers[] = { 0, RK_WORKERS_MAX }, ms[] = { 1, RK_INJECT_MS_MAX },
			      jobs[] = { 1, RK_ORDER_JOBS_MAX };
	struct rk_inject_request q = { .worker = RK_INJECT_ANY, .n_jobs = 1 };
	int r = fault_read(in, &q.fault, err);

	q.ms = q.fault == RK_INJECT_STOP ? STOP_MS : SLOW_MS;
	if (r == 0)
		r = number_read(in, "worker", workers, &q.worker, err);
	if (r == 0)
		r = number_read(in, "ms", ms, &q.ms, err);
	if (r == 0)
		r = number_read(in, "jobs", jobs, &q.n_jobs, err);
	if (r == 0)
		*ret = q;
	return r;
}

/* ---- whom it hits ---- */

static struct rk_inject_stop *stop_find(const struct rk_inject *j, const struct rk_slot *s)
{
	struct rk_inject_stop *stop = j->stops;

	while (stop && (stop->who.worker != s->number || stop->who.incarnation != s->incarnation))
		stop = stop->next;
	return stop;
}

/* Its process does its work. */
static bool is_sound(const struct rk_inject *j, const struct rk_slot *s)
{
	return s->state == RK_FSM_READY && s->process.pid && !s->is_faulted && !stop_find(j, s);
}

/* Each that is sound as likely as the others, however many slots stand empty behind them. */
static int choose_any(struct rk_inject *j, struct rk_slot *slots, uint32_t n, struct rk_slot **ret,
		      struct rk_err *err)
{
	uint64_t n_sound = 0, left;

	for (uint32_t i = 0; i < n; i++)
		n_sound += is_sound(j, &slots[i]);
	left = n_sound ? rk_rand_below(&j->random, n_sound) : 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!is_sound(j, &slots[i]) || left-- > 0)
			continue;
		*ret = &slots[i];
		return 0;
	}
	return rk_err_set(err, -EAGAIN, "no worker of fleet '%s' is ready: nothing was done, try again", j->fleet);
}

int rk_inject_choose(struct rk_inject *j, struct rk_slot *slots, uint32_t n, const struct rk_inject_request *q,
		     struct rk_slot **ret, struct rk_err *err)
{
	if (q->worker == RK_INJECT_ANY)
		return choose_any(j, slots, n, ret, err);
	if (q->worker >= n || (!slots[q->worker].is_wanted && rk_slot_is_empty(&slots[q->worker])))
		return rk_err_set(err, -ENOENT, "there is no worker %u: 'rekindle status' shows those there are",
				  q->worker);
	*ret = &slots[q->worker];
	return 0;
}

/* ---- what is done ---- */

static struct rk_note note_of(const struct rk_inject *j, const struct rk_inject_hit *who)
{
	return (struct rk_note){ .kind = RK_FLIGHT_FAULT,
				 .level = RK_LOG_WARNING,
				 .fleet = j->fleet,
				 .slot = who->worker,
				 .pid = who->pid,
				 .incarnation = who->incarnation };
}

static int signal_send(int pidfd, int number, uint32_t worker, struct rk_err *err)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0)
		return 0;
	if (errno == ESRCH)
		return rk_err_set(err, -EAGAIN, "worker %u has just died: nothing was done, try again", worker);
	return rk_err_set(err, -errno, "cannot send worker %u a signal: %s", worker, strerror(errno));
}

static void stop_free(struct rk_inject_stop *stop)
{
	struct rk_inject_stop **at = &stop->inject->stops;

	while (*at && *at != stop)
		at = &(*at)->next;
	if (*at)
		*at = stop->next;
	(void)sd_event_source_disable_unref(stop->timer);
	rk_close_p(&stop->pidfd);
	free(stop);
}

static void stop_end(struct rk_inject_stop *stop)
{
	const struct rk_note note = note_of(stop->inject, &stop->who);

	rk_journal_stopped(stop->m, stop->who.worker, false);
	if (syscall(SYS_pidfd_send_signal, stop->pidfd, SIGCONT, NULL, 0) == 0)
		(void)rk_recorder_note(stop->inject->recorder, &note, "injected stop is over, the worker goes on");
	stop_free(stop);
}

static int on_stop_end(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	stop_end(arg);
	return 0;
}

static int stop_begin(struct rk_inject *j, struct rk_slot *s, const struct rk_inject_request *q,
		      const struct rk_inject_hit *who, struct rk_err *err)
{
	struct rk_inject_stop *stop = calloc(1, sizeof(*stop));
	int r;

	if (!stop)
		return rk_err_set(err, -ENOMEM, "no memory for a stop");
	*stop = (struct rk_inject_stop){ .inject = j, .m = s->host->c->m, .who = *who };
	stop->pidfd = fcntl(s->process.pidfd, F_DUPFD_CLOEXEC, 0);
	r = stop->pidfd < 0 ? -errno :
			      sd_event_add_time_relative(j->event, &stop->timer, CLOCK_MONOTONIC,
							 q->ms * UINT64_C(1000), 0, on_stop_end, stop);
	if (r < 0)
		(void)rk_err_set(err, r, "cannot end a stop, so there is none: %s", strerror(-r));
	else {
		rk_journal_stopped(stop->m, s->number, true); /* before: who adopts it lets it go on */
		r = signal_send(stop->pidfd, SIGSTOP, s->number, err);
	}
	if (r < 0) {
		stop_free(stop);
		return r;
	}
	stop->next = j->stops;
	j->stops = stop;
	return 0;
}

/* The death that follows is ours: the job it hits is not to blame. */
static int kill_process(struct rk_slot *s, struct rk_err *err)
{
	int r;

	(void)rk_slot_charge_see(s); /* before the signal: what it ended of is its own */
	if (s->exit_code)
		return rk_err_set(err, -EAGAIN, "worker %u has just died: nothing was done, try again", s->number);
	s->is_faulted = true;
	rk_slot_journal(s);
	r = signal_send(s->process.pidfd, SIGKILL, s->number, err);
	s->is_faulted = r == 0;
	return r;
}

static int order(struct rk_slot *s, enum rk_order what, const struct rk_inject_request *q)
{
	rk_beat_order(rk_shm_beat(s->host->c->m, s->number), what, q->n_jobs, q->ms);
	return 0;
}

static int strike(struct rk_inject *j, struct rk_slot *s, const struct rk_inject_request *q,
		  const struct rk_inject_hit *who, struct rk_err *err)
{
	switch (q->fault) {
	case RK_INJECT_KILL:
		return kill_process(s, err);
	case RK_INJECT_STOP:
		return stop_begin(j, s, q, who, err);
	case RK_INJECT_HANG:
		return order(s, RK_ORDER_HANG, q);
	case RK_INJECT_LOOP:
		return order(s, RK_ORDER_LOOP, q);
	case RK_INJECT_SLOW:
		return order(s, RK_ORDER_SLOW, q);
	case RK_INJECT_FAULTS:
		break;
	}
	return rk_err_set(err, -EINVAL, "there is no such fault");
}

/* "fault injected what=stop for_ms=1000": before the loop hears of what follows. */
static uint64_t tell(struct rk_inject *j, const struct rk_inject_request *q, const struct rk_inject_hit *who)
{
	const struct rk_note note = note_of(j, who);
	const char *what = rk_inject_name(q->fault);

	if (q->fault == RK_INJECT_STOP)
		return rk_recorder_note(j->recorder, &note, "fault injected what=%s for_ms=%u asked_by=%d", what,
					q->ms, q->pid);
	if (q->fault == RK_INJECT_SLOW)
		return rk_recorder_note(j->recorder, &note, "fault injected what=%s by_ms=%u jobs=%u asked_by=%d",
					what, q->ms, q->n_jobs, q->pid);
	return rk_recorder_note(j->recorder, &note, "fault injected what=%s asked_by=%d", what, q->pid);
}

static int check(const struct rk_inject *j, const struct rk_slot *s, const struct rk_inject_request *q,
		 struct rk_err *err)
{
	if (!s->process.pid)
		return rk_err_set(err, -EAGAIN, "worker %u has no process now: nothing was done, try again", s->number);
	if (q->fault == RK_INJECT_KILL ? s->is_faulted : !is_sound(j, s))
		return rk_err_set(err, -EAGAIN, "worker %u is %s now: nothing was done, try again", s->number,
				  stop_find(j, s) ? "stopped by an earlier fault" : "not ready");
	return 0;
}

int rk_inject(struct rk_inject *j, struct rk_slot *s, const struct rk_inject_request *q, struct rk_inject_hit *ret,
	      struct rk_err *err)
{
	const struct rk_inject_hit who = { s->number, s->process.pid, s->incarnation };
	uint64_t group;
	int r;

	if (!s->host->c->conf->o.allow_faults)
		return rk_err_set(err, -EPERM,
				  "fleet '%s' allows no faults: set AllowFaults=yes in its section of the "
				  "configuration, or start it with --set AllowFaults=yes",
				  j->fleet);
	r = check(j, s, q, err);
	if (r == 0)
		r = strike(j, s, q, &who, err);
	if (r < 0)
		return r;
	group = tell(j, q, &who);
	if (q->fault == RK_INJECT_KILL && !s->group)
		s->group = group;
	*ret = who;
	return 0;
}

void rk_inject_end(struct rk_inject *j)
{
	while (j->stops)
		stop_end(j->stops);
}
