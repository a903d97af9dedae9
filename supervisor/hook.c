/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/hook.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/words.h"
#include "supervisor/obituary.h"
#include "supervisor/proc.h"

#define VARIABLE_MAX 256u
#define KIND_BITS 8 /* of what keeper is told with a process; which command it is, above them */

const char *rk_hook_name(enum rk_hook_kind kind)
{
	static const char *const names[] = { "ExecStartPre", "ExecStartPost", "OnFailure" };

	_Static_assert(rk_countof(names) == RK_HOOKS, "a name for every kind");
	return (unsigned int)kind < RK_HOOKS ? names[kind] : "?";
}

static const struct rk_commands *commands_of(const struct rk_hook *h)
{
	const struct rk_fleet_options *o = h->host->o;

	return h->kind == RK_HOOK_PRE    ? &o->exec_start_pre
	       : h->kind == RK_HOOK_POST ? &o->exec_start_post
					 : &o->on_failure;
}

void rk_hook_init(struct rk_hook *h, struct rk_hook_host *host, enum rk_hook_kind kind,
		  uint32_t slot)
{
	*h = (struct rk_hook){ .host = host, .kind = kind, .slot = slot, .process = RK_NO_PROCESS };
}

/* ---- one command ---- */

/* Its words, without the '-' that may stand before the first: 0 or -ENOMEM. */
static int argv_make(const struct rk_wordlist *words, char ***ret)
{
	char **argv = calloc((size_t)words->n + 1, sizeof(*argv));

	if (!argv)
		return -ENOMEM;
	memcpy(argv, words->at, words->n * sizeof(*argv));
	argv[0] += *argv[0] == '-';
	*ret = argv;
	return 0;
}

static bool may_fail(const struct rk_hook *h)
{
	const struct rk_commands *c = commands_of(h);

	/* A reload may have left fewer. */
	return h->at < c->n && *c->at[h->at].at[0] == '-';
}

static int environment_make(struct rk_hook *h, struct rk_environment *ret, struct rk_err *err)
{
	struct rk_hook_host *host = h->host;
	char text[VARIABLE_MAX];
	int r = rk_environment_read(ret, &host->spawn->environment, host->o, err);

	if (r == 0) {
		(void)snprintf(text, sizeof(text), "REKINDLE_FLEET=%s", host->name);
		r = rk_environment_set(ret, text, err);
	}
	if (r == 0) {
		if (h->slot == RK_WORKER_NONE)
			(void)snprintf(text, sizeof(text), "REKINDLE_WORKER_SLOT=standby");
		else
			(void)snprintf(text, sizeof(text), "REKINDLE_WORKER_SLOT=%u", h->slot);
		r = rk_environment_set(ret, text, err);
	}
	if (r == 0 && h->kind == RK_HOOK_FAILURE) {
		(void)snprintf(text, sizeof(text), "REKINDLE_CAUSE=%s", h->cause);
		r = rk_environment_set(ret, text, err);
	}
	return r;
}

/* Nobody would take up what comes behind an ExecStartPre whose keeper has died. */
static struct rk_setup setup_of(const struct rk_hook *h)
{
	struct rk_setup setup = h->host->spawn->setup;

	setup.outlives_keeper = setup.outlives_keeper && h->kind != RK_HOOK_PRE;
	return setup;
}

static int process_hold(struct rk_hook *h, char *const *argv, struct rk_err *err)
{
	rk_cleanup(rk_environment_free_p) struct rk_environment environment = { 0 };
	rk_cleanup(rk_close_p) int out = -1;
	const struct rk_setup setup = setup_of(h);
	char path[PATH_MAX];
	int r = rk_spawn_find(argv[0], path, err);

	if (r == 0)
		r = environment_make(h, &environment, err);
	if (r == 0)
		r = rk_spawn_output(h->host->spawn, h->slot, &out, err);
	if (r < 0)
		return r;
	const struct rk_child_plan plan = { .path = path,
					    .argv = argv,
					    .envp = environment.at,
					    .in = h->host->spawn->null,
					    .out = out,
					    .cgroup = -1,
					    .setup = &setup };
	r = rk_child_hold(&plan, &h->process);
	return r < 0 ? rk_err_set(err, r, "cannot make a process: %s", strerror(-r)) : 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	rk_hook_expire(arg);
	return 0;
}

void rk_hook_expire(struct rk_hook *h)
{
	h->is_late = true;
	rk_child_kill(&h->process);
}

/* Of its time so much has passed. */
static int timer_start(struct rk_hook *h, uint64_t used_ns)
{
	uint64_t timeout_ns = h->host->o->start_timeout_ns;

	if (timeout_ns == RK_INFINITE)
		return 0;
	return sd_event_add_time_relative(h->host->event, &h->timer, CLOCK_MONOTONIC,
					  (timeout_ns - rk_min_u64(timeout_ns, used_ns)) / RK_NS_PER_US, 0, on_late, h);
}

/* How old a process is: its start is the kernel's to know, whoever started it. 0: it is gone, or not to be seen. */
static uint64_t age_ns(pid_t pid)
{
	rk_cleanup(rk_close_p) int fd = rk_proc_open(pid);
	uint64_t ticks, now_ns = rk_clock_boot_ns(), begun_ns;

	if (fd < 0 || rk_proc_begun(fd, &ticks) < 0)
		return 0;
	begun_ns = ticks * (RK_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
	return now_ns - rk_min_u64(now_ns, begun_ns);
}

static void process_leave(struct rk_hook *h)
{
	h->timer = sd_event_source_disable_unref(h->timer);
	rk_close_p(&h->process.pidfd);
	rk_close_p(&h->process.gate);
	h->process = RK_NO_PROCESS;
}

static int command_start(struct rk_hook *h, struct rk_err *err)
{
	struct rk_hook_host *host = h->host;
	struct rk_link_msg keep = { .op = RK_LINK_KEEP, .kind = RK_LINK_PROCESS, .value = (uint64_t)h->kind | (uint64_t)h->at << KIND_BITS };
	rk_cleanup(rk_free_p) char **argv = NULL;
	int r = argv_make(&commands_of(h)->at[h->at], &argv);

	if (r < 0)
		return rk_err_set(err, r, "no memory for a command");
	r = process_hold(h, argv, err);
	if (r < 0)
		return r;
	h->is_late = h->is_adopted = false;
	h->last_pid = h->process.pid;
	h->tag = keep.tag = rk_link_tag_hook(host->fleet, h->slot, ++host->n_started);
	keep.pid = h->process.pid;
	r = rk_link_send(host->link, &keep, h->process.pidfd);
	if (r == 0)
		r = timer_start(h, 0);
	if (r < 0) { /* closes its gate: it ends there */
		process_leave(h);
		return rk_err_set(err, r, "nobody would notice its end: %s", strerror(-r));
	}
	(void)!rk_child_go(&h->process); /* dead already: its end is on the way */
	return 0;
}

/* ---- one behind the other ---- */

/* A command failed, or would not start: tells, and counts. */
static void failure_note(struct rk_hook *h, const struct rk_err *err)
{
	struct rk_hook_host *host = h->host;
	struct rk_note note = { .kind = RK_FLIGHT_NOTE,
				.message = RK_MESSAGE_HOOK_FAILED,
				.level = may_fail(h) ? RK_LOG_DEBUG : RK_LOG_WARNING,
				.fleet = host->name,
				.slot = h->slot,
				.pid = h->last_pid };

	host->n_failed[h->kind]++;
	(void)rk_recorder_note(host->recorder, &note, "%s ignored=%s n=%llu", err->text,
			       may_fail(h) ? "yes" : "no",
			       (unsigned long long)host->n_failed[h->kind]);
}

/* "ExecStartPre 'mkdir': …" */
static void failure_name(const struct rk_hook *h, struct rk_err *err)
{
	const struct rk_commands *c = commands_of(h);
	char name[96];

	(void)snprintf(name, sizeof(name), "%s '%.60s'", rk_hook_name(h->kind),
		       h->at < c->n ? c->at[h->at].at[0] : "?");
	(void)rk_err_prefix(err, err->code, name);
}

/* Starts the command at h->at, or the next that can be. 0, RK_HOOK_THROUGH, or -errno. */
static int advance(struct rk_hook *h, struct rk_err *err)
{
	for (; h->at < commands_of(h)->n; h->at++) {
		int r = command_start(h, err);

		if (r == 0)
			return 0;
		failure_name(h, err);
		failure_note(h, err);
		if (!may_fail(h))
			return r;
	}
	return RK_HOOK_THROUGH;
}

int rk_hook_run(struct rk_hook *h, const char *cause, struct rk_err *err)
{
	rk_hook_cancel(h);
	h->at = 0;
	h->last_pid = 0;
	(void)snprintf(h->cause, sizeof(h->cause), "%s", cause ? cause : "");
	return advance(h, err);
}

enum rk_hook_kind rk_hook_kind_of(const struct rk_link_msg *about)
{
	uint64_t kind = about->value & ((1u << KIND_BITS) - 1);

	return kind < RK_HOOKS ? (enum rk_hook_kind)kind : RK_HOOKS;
}

void rk_hook_adopt(struct rk_hook *h, const struct rk_link_msg *about, int *pidfd, const char *cause)
{
	rk_hook_cancel(h);
	h->process = (struct rk_spawned){ .pid = about->pid, .pidfd = rk_take_fd(pidfd), .gate = -1 };
	h->tag = about->tag;
	h->at = (uint32_t)(about->value >> KIND_BITS);
	h->last_pid = about->pid;
	h->is_late = false;
	h->is_adopted = true;
	(void)snprintf(h->cause, sizeof(h->cause), "%s", cause);
	if (timer_start(h, age_ns(about->pid)) < 0)
		rk_log(RK_LOG_WARNING, "a command goes on without its time limit pid=%d", about->pid);
}

/* Its supervisor died before it let it go. */
static bool is_unbegun(const struct rk_hook *h, const struct rk_link_msg *msg)
{
	return h->is_adopted && msg->code == CLD_EXITED && msg->status == RK_CHILD_UNBEGUN;
}

/* What keeper's words mean: 0, or -errno with a sentence. */
static int end_judge(const struct rk_hook *h, const struct rk_link_msg *msg, struct rk_err *err)
{
	const struct rk_obituary o = { .is_cause_known = true,
				       .code = msg->code,
				       .status = msg->status };
	struct rk_setup_failure f = rk_child_failure(h->process.gate);
	char text[200];

	if (f.error)
		return rk_err_set(err, -f.error, "%s",
				  rk_setup_explain(&h->host->spawn->setup, &f, text, sizeof(text)));
	if (h->is_late)
		return rk_err_set(err, -ETIMEDOUT, "killed, it took longer than StartTimeout");
	if (msg->code == CLD_EXITED && msg->status == 0)
		return 0;
	rk_obituary_cause(&o, text, sizeof(text));
	return rk_err_set(err, -ECHILD, "%s", text);
}

bool rk_hook_on_exited(struct rk_hook *h, const struct rk_link_msg *msg)
{
	bool begins_anew = is_unbegun(h, msg);
	struct rk_err err = { 0 };
	int r;

	if (!rk_hook_is_running(h) || h->tag != msg->tag)
		return false;
	r = begins_anew ? 0 : end_judge(h, msg, &err);
	process_leave(h);
	if (r < 0) {
		failure_name(h, &err);
		failure_note(h, &err);
	}
	if (r == 0 || may_fail(h)) {
		h->at += !begins_anew;
		r = advance(h, &err);
	}
	if (r != 0 && h->on_end)
		h->on_end(h, r < 0 ? &err : NULL, h->arg);
	return true;
}

void rk_hook_cancel(struct rk_hook *h)
{
	if (rk_hook_is_running(h))
		rk_child_kill(&h->process);
	process_leave(h);
}
