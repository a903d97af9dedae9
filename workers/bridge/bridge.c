/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/bridge_private.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "workers/bridge/keeps.h"
#include "workers/bridge/notices.h"
#include "workers/bridge/saves.h"
#include "workers/bridge/signs.h"

#define SPIN_NS (50 * RK_NS_PER_US)     /* how long it polls after something happened */
#define NAP_S 0.001                     /* how long it waits for an answer alone */
#define READY_AFTER_S 0.1               /* a program that lives so long, or answers, has started */

/* ---- what is said ---- */

static void say(const struct rk_bridge *b, const char *text)
{
	(void)fprintf(stderr, "rekindle bridge %s %u: %s\n", b->o.fleet, b->slot, text);
}

void rk_bridge_say(const struct rk_bridge *b, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say(b, text);
}

void rk_bridge_end_loop(struct rk_bridge *b, int status)
{
	b->stage = RK_BRIDGE_OVER;
	b->status = status;
	b->has_happened = true;
}

void rk_bridge_happened(struct rk_bridge *b)
{
	b->has_happened = true;
}

void rk_bridge_fail(struct rk_bridge *b, int status, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (b->stage == RK_BRIDGE_OVER)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	rk_bridge_commit_all(b); /* what it has answered well need not be asked again */
	say(b, text);
	rk_worker_last_words(b->worker, text);
	rk_bridge_end_loop(b, status);
}

/* ---- its end ---- */

static void on_ending_due(struct ev_loop *loop, ev_timer *t, int events)
{
	struct rk_bridge *b = t->data;

	(void)loop;
	(void)events;
	if (b->program.pid)
		(void)kill(b->program.pid, b->o.kill_signal);
}

/* Nothing is under way any more: the program may end. */
static void begin_ending(struct rk_bridge *b)
{
	b->stage = RK_BRIDGE_ENDING;
	b->has_happened = true;
	b->ops->stop(b);
	/* Half of the time is the program's for ending by itself; the supervisor ends all behind the whole. */
	ev_timer_set(&b->ending, (double)b->o.stop_timeout_ns / 2e9, 0.);
	ev_timer_start(b->loop, &b->ending);
}

/*
 * The bridge ends because the program did, or had to: whoever looks at what is left finds the job that did it, as
 * if it had been the bridge's own handler.
 */
static void leave_blame(struct rk_bridge *b)
{
	b->is_innocent = b->ops->has_taken && !b->ops->has_taken(b, b->window.oldest_waiting);
	b->declared = RK_BRIDGE_UNKNOWN;
	rk_bridge_declare(b);
}

static void describe_end(const struct rk_bridge *b, char *text, size_t size)
{
	int s = b->wait_status;

	if (WIFSIGNALED(s))
		(void)snprintf(text, size, "%s was killed by SIG%s", b->argv[0], sigabbrev_np(WTERMSIG(s)));
	else
		(void)snprintf(text, size, "%s ended with exit status %d", b->argv[0], WEXITSTATUS(s));
}

static void child_watch(struct rk_bridge *b, pid_t pid)
{
	b->program.pid = pid;
	ev_child_stop(b->loop, &b->child);
	ev_child_set(&b->child, pid, 0);
	ev_child_start(b->loop, &b->child);
}

/* Its parent ends when it has started it: then it is our child, as we are the subreaper. */
void rk_bridge_follow(struct rk_bridge *b, pid_t pid)
{
	if (pid == b->program.pid || pid == b->main_pid)
		return;
	if (kill(pid, 0) < 0 || getsid(pid) < 0) {
		rk_bridge_say(b, "the program says that its main process is %d, which does not exist", (int)pid);
		return;
	}
	b->main_pid = pid;
}

/* Whether another process of the program's goes on as its main process. */
static bool goes_on(struct rk_bridge *b)
{
	pid_t pid = b->main_pid;

	b->main_pid = 0;
	if (pid <= 0 || rk_process_parent(pid) != getpid())
		return false;
	child_watch(b, pid);
	rk_bridge_say(b, "goes on with its main process %d", (int)pid);
	return true;
}

static void on_child(struct ev_loop *loop, ev_child *c, int events)
{
	struct rk_bridge *b = c->data;
	char text[200];

	(void)loop;
	(void)events;
	b->program.pid = 0;
	b->wait_status = c->rstatus;
	if (b->stage == RK_BRIDGE_OVER || goes_on(b))
		return;
	if (b->ops->ended)
		b->ops->ended(b);
	rk_bridge_commit_all(b); /* what it has answered need not be asked again */
	if (b->stage == RK_BRIDGE_OVER)
		return;
	if (b->stage == RK_BRIDGE_ENDING) {
		rk_bridge_end_loop(b, 0);
		return;
	}
	describe_end(b, text, sizeof(text));
	if (b->signs)
		rk_signs_end(b); /* a probe's command is none of the program's */
	rk_saves_close(b);
	if (b->wait_status == 0 && rk_program_has_left_somebody()) {
		(void)snprintf(text, sizeof(text),
			       "%s put itself into the background: tell it to stay in the foreground, what it left there is ended",
			       b->argv[0]);
		if (!b->window.n_waiting)
			rk_bridge_say(b, "%s", text);
	}
	if (b->window.n_waiting)
		rk_bridge_say(b, "%s, without an answer to %u job%s", text, b->window.n_waiting,
			      b->window.n_waiting == 1 ? "" : "s");
	if (!rk_signs_is_failing(b))
		rk_worker_last_words(b->worker, text);
	rk_bridge_end_loop(b, RK_BRIDGE_AS_PROGRAM);
}

static void keeps_say(const char *text, void *arg)
{
	rk_bridge_say(arg, "%s", text);
}

void rk_bridge_keep(struct rk_bridge *b, struct rk_notice *n)
{
	if (!b->keeps && b->o.store_fd)
		b->keeps = rk_keeps_open(b->loop, b->o.store_fd, keeps_say, b);
	if (b->keeps)
		rk_keeps_take(b->keeps, n);
	else if (n->is_store)
		rk_bridge_say(b, "descriptor '%.60s' is not kept: FileDescriptorStoreMax says how many are", n->name);
}

/* What is held for the slot is the program's only by the numbers that it is told. */
static void descriptors_own(const struct rk_bridge_options *o)
{
	for (uint32_t i = 0; i < o->n_listen; i++)
		(void)!rk_fd_cloexec(o->listen_fd[i], 1);
	for (uint32_t i = 0; i < o->n_kept; i++)
		(void)!rk_fd_cloexec(o->kept[i].fd, 1);
	if (o->store_fd)
		(void)!rk_fd_cloexec(o->store_fd, 1);
}

/* Until nobody is left whom the program has started. */
static void empty_tree(void)
{
	pid_t pid;

	do {
		(void)rk_program_kill_tree(SIGKILL);
		pid = waitpid(-1, NULL, 0);
	} while (pid > 0 || (pid < 0 && errno == EINTR));
}

/* To whoever asks how this process ended the answer is how the program ended. */
static int end_as(int wait_status)
{
	const struct rlimit no_core = { 0 };
	sigset_t all;
	int sig = WTERMSIG(wait_status);

	if (!WIFSIGNALED(wait_status))
		return WEXITSTATUS(wait_status);
	(void)setrlimit(RLIMIT_CORE, &no_core); /* the program has left its own */
	(void)signal(sig, SIG_DFL);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_UNBLOCK, &all, NULL);
	(void)kill(getpid(), sig);
	return 128 + sig;
}

/* ---- its loop ---- */

static void on_wake(struct ev_loop *loop, ev_io *w, int events)
{
	struct rk_bridge *b = w->data;

	(void)loop;
	(void)events;
	rk_worker_heard(b->worker);
	b->has_happened = true;
}

static void on_settled(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	rk_bridge_ready(t->data);
}

static void look(struct rk_bridge *b)
{
	rk_bridge_feed(b);
	if (b->stage == RK_BRIDGE_OVER)
		return;
	rk_bridge_commit_all(b);
	rk_bridge_declare(b);
	if (b->stage == RK_BRIDGE_DRAINING && !b->window.n_waiting)
		b->stage = rk_saves_finish(b) ? RK_BRIDGE_SAVING : RK_BRIDGE_DRAINING;
	if ((b->stage == RK_BRIDGE_DRAINING && !b->window.n_waiting) || (b->stage == RK_BRIDGE_SAVING && b->is_saved))
		begin_ending(b);
}

/* Sleeps until something happens; the helper thread listens for the bell meanwhile. */
static void sleep_armed(struct rk_bridge *b)
{
	bool listens = b->stage == RK_BRIDGE_SERVING;

	if (listens && !rk_worker_arm(b->worker, rk_bridge_room(b) > 0)) {
		b->has_happened = true;
		return;
	}
	ev_run(b->loop, EVRUN_ONCE);
	if (listens)
		rk_worker_disarm(b->worker);
}

static void on_nap_over(struct ev_loop *loop, ev_timer *t, int events)
{
	struct rk_bridge *b = t->data;

	(void)loop;
	(void)events;
	b->has_napped = true;
}

/*
 * A program that takes one job after another has nothing to do with a new one before it has answered: for a
 * while nobody needs to listen for the bell, and this CPU may be the one that the program wants.
 */
static void nap(struct rk_bridge *b)
{
	b->has_napped = false;
	ev_timer_set(&b->nap, NAP_S, 0.);
	ev_timer_start(b->loop, &b->nap);
	ev_run(b->loop, EVRUN_ONCE);
	ev_timer_stop(b->loop, &b->nap);
}

/* Nothing has happened for quiet_ns. */
static void rest(struct rk_bridge *b, uint64_t quiet_ns)
{
	if (b->window.n_waiting && b->in_order && !b->has_napped)
		nap(b);
	else if (quiet_ns >= SPIN_NS || b->window.n_waiting)
		sleep_armed(b);
}

static void serve(struct rk_bridge *b)
{
	uint64_t quiet_since_ns = rk_clock_ns();

	while (b->stage != RK_BRIDGE_OVER) {
		b->has_happened = false;
		look(b);
		ev_run(b->loop, EVRUN_NOWAIT);
		if (b->has_happened) {
			quiet_since_ns = rk_clock_ns();
			b->has_napped = false;
		} else {
			rest(b, rk_clock_ns() - quiet_since_ns);
		}
	}
}

/* ---- its beginning ---- */

static const struct rk_bridge_kind_ops *ops_of(enum rk_bridge_kind kind)
{
	switch (kind) {
	case RK_BRIDGE_LINES:
		return &rk_bridge_lines;
	case RK_BRIDGE_TCP:
	case RK_BRIDGE_NOTIFY:
	case RK_BRIDGE_EXEC:
		return &rk_bridge_address;
	case RK_BRIDGE_HTTP:
		return &rk_bridge_http;
	case RK_BRIDGE_KINDS:
		break;
	}
	return NULL;
}

static int set_up(struct rk_bridge *b, struct rk_err *err)
{
	uint32_t n = rk_worker_partitions(b->worker) + 1; /* and our own */
	int fd = rk_worker_fd(b->worker);

	if (fd < 0)
		return rk_err_set(err, fd, "no descriptor for the worker's bell: %s", strerror(-fd));
	b->loop = ev_default_loop(EVFLAG_AUTO);
	b->dirty = calloc((n + 63) / 64, sizeof(*b->dirty));
	if (!b->loop || !b->dirty || rk_window_open(&b->window, b->o.window, n, rk_worker_reply_max(b->worker)) < 0)
		return rk_err_set(err, -ENOMEM, "no memory for the bridge");
	ev_io_init(&b->wake, on_wake, fd, EV_READ);
	b->wake.data = b;
	ev_io_start(b->loop, &b->wake);
	ev_timer_init(&b->settle, on_settled, READY_AFTER_S, 0.);
	b->settle.data = b;
	ev_timer_init(&b->nap, on_nap_over, 0., 0.);
	b->nap.data = b;
	ev_timer_init(&b->ending, on_ending_due, 0., 0.);
	b->ending.data = b;
	return rk_program_prepare();
}

static int start(struct rk_bridge *b, struct rk_err *err)
{
	int r = b->ops->start(b, err);

	if (r < 0)
		return r;
	/*
	 * Whoever was under way when a predecessor died is first in its partition: given one at a time, those that are
	 * looked at first show who it was, and another time it is others.
	 */
	b->n_alone = b->ops->send && !b->in_order ? b->window.n_max : 0;
	rk_worker_look_from(b->worker, (uint32_t)rk_worker_incarnation(b->worker) * 2654435761u >> 8);
	ev_child_init(&b->child, on_child, b->program.pid, 0);
	b->child.data = b;
	ev_child_start(b->loop, &b->child);
	if (!b->signs || !rk_signs_tell_ready(b))
		ev_timer_start(b->loop, &b->settle);
	return 0;
}

static void close_all(struct rk_bridge *b)
{
	rk_saves_close(b);
	rk_keeps_close(b->keeps);
	if (b->ops->close)
		b->ops->close(b);
	rk_program_close(&b->program);
	rk_window_close(&b->window);
	rk_wordlist_free_p(&b->words);
	free(b->dirty);
}

/* With a worker: until its end. Returns main()'s exit status, or does not return. */
static int live(struct rk_bridge *b)
{
	struct rk_err err = { 0 };
	char *const *argv = b->argv;
	int r, status = 0;
	bool is_to_blame;

	b->slot = rk_worker_slot(b->worker);
	r = set_up(b, &err);
	if (r == 0)
		r = rk_bridge_expand(b, argv, &err);
	if (r == 0)
		r = rk_saves_open(b, &err);
	if (r == 0)
		r = start(b, &err);
	if (r < 0)
		rk_bridge_fail(b, r == -ENOENT || r == -EACCES ? 127 : RK_BRIDGE_EXIT_FAILED, "%s",
			       *err.text ? err.text : strerror(-r));
	serve(b);
	is_to_blame = b->status && b->window.n_waiting;
	if (is_to_blame)
		leave_blame(b);
	empty_tree();
	close_all(b);
	if (!is_to_blame) /* closing would say that no job was under way */
		status = rk_worker_close(b->worker); /* the lease is held until this process is gone */
	if (b->status == RK_BRIDGE_AS_PROGRAM)
		return end_as(b->wait_status);
	return b->status ? b->status : status;
}

int rk_bridge_run(int argc, char **argv)
{
	struct rk_bridge b = { .argv = argv + 1, .program = RK_PROGRAM_NONE, .declared = RK_BRIDGE_UNKNOWN };
	const char *text = getenv("REKINDLE_BRIDGE");
	struct rk_err err = { 0 };
	int r;

	if (!text || argc < 2) {
		(void)fputs("rekindle-bridge is started by rekindled: 'rekindle run --kind=lines -- COMMAND'\n", stderr);
		return RK_BRIDGE_EXIT_USAGE;
	}
	r = rk_bridge_options_read(&b.o, text, &err);
	b.ops = r == 0 ? ops_of(b.o.kind) : NULL;
	if (r == 0 && !b.ops)
		r = rk_err_set(&err, -EOPNOTSUPP, "this release knows no such kind");
	if (r == 0)
		rk_bridge_clean_environment(); /* but for REKINDLE_WORKER, which the library reads and takes out */
	if (r < 0) {
		(void)fprintf(stderr, "rekindle-bridge: %s\n", err.text);
		return RK_BRIDGE_EXIT_USAGE;
	}
	descriptors_own(&b.o);
	r = rk_worker_open_ahead(&b.worker, &(struct rk_worker_def){ .state_size = 8,
							       .on_job = rk_bridge_on_job,
							       .arg = &b,
							       .batch_max = b.o.window });
	if (r == 0)
		r = live(&b);
	rk_bridge_options_free(&b.o);
	return r;
}
