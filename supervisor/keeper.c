/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/flight.h"
#include "shm/rundir.h"
#include "supervisor/cgroup.h"
#include "supervisor/children.h"
#include "supervisor/farewell.h"
#include "supervisor/keeper_private.h"
#include "supervisor/kit.h"
#include "supervisor/message.h"
#include "supervisor/program.h"
#include "supervisor/shown.h"

#define STOP_DEFAULT_NS (5 * RK_NS_PER_S) /* until the supervisor says its own */
#define STOP_MARGIN_NS RK_NS_PER_S        /* the supervisor's own timeout comes first */
#define SWEEP_PAUSE_MS 20
#define FOSTER_MS 2000 /* for those that were killed and are no children of ours */
#define LINK_FD 3          /* the supervisor's end, in the supervisor */
#define EXE_FD 4           /* its program, until it is executed */
#define LINK_ROOM 1048576  /* bytes in the socket: as much as we may, so that a hand-over fits */
#define QUICK_STARTS 3u    /* supervisors in a row that were never ready and are followed at once */
#define BACKOFF_DOUBLINGS 10u /* from 1 ms on: 1 s at most */
#define HOPELESS_STARTS 8u /* the same when there is nothing to be adopted: it will not come */


/* ---- what the supervisor says ---- */

static void keep(struct rk_keeper *k, const struct rk_link_msg *msg, struct rk_fds *fds)
{
	bool is_stored = rk_store_is_for(msg->kind) && fds->n == 1;
	int r;

	if (is_stored)
		rk_store_put(&k->store, msg, fds->fd[0]);
	r = fds->n == 1 ? rk_held_keep(&k->held, msg, fds->fd[0]) : -EBADMSG;
	if (r < 0 && is_stored)
		rk_store_take_back(&k->store, msg);
	if (r == 0)
		(void)rk_take_fd(&fds->fd[0]);
	else
		rk_log(RK_LOG_ERROR, "a descriptor of the fleet is not held n=%u: %s", k->held.n, strerror(-r));
}

static void stop_begin(struct rk_keeper *k)
{
	if (k->stopping)
		return;
	k->stopping = true;
	rk_notify_stopping(&k->store.notify, NULL);
	k->kill_at_ns = rk_clock_ns() + k->stop_timeout_ns + STOP_MARGIN_NS;
}

/* The supervisor owns the directory from here on; once is enough. */
static void board_open(struct rk_keeper *k)
{
	struct rk_err err = { 0 };

	if (k->board < 0)
		k->board = rk_board_socket_open(k->name, &err);
	if (k->board < 0)
		rk_log(RK_LOG_WARNING, "%s", err.text);
}

static void board_show(const struct rk_keeper *k)
{
	struct rk_board_message about = { .keeper_pid = getpid(),
					  .supervisor_pid = k->supervisor,
					  .n_deaths = k->n_deaths,
					  .since_ns = k->since_ns };

	memcpy(about.name, k->name, sizeof(about.name));
	rk_shown_serve(k->board, &about, &k->held);
}

static void up_tell(struct rk_keeper *k, const struct rk_link_msg *msg)
{
	char line[RK_NAME_MAX];

	memcpy(line, msg->name, sizeof(line));
	line[sizeof(line) - 1] = '\0';
	if (msg->code && !k->stopping)
		rk_notify_ready(&k->store.notify, line);
	else
		rk_notify_status(&k->store.notify, line);
}

static void on_message(struct rk_keeper *k, const struct rk_link_msg *msg, struct rk_fds *fds)
{
	switch (msg->op) {
	case RK_LINK_FLEET:
		memcpy(k->name, msg->name, sizeof(k->name));
		k->name[sizeof(k->name) - 1] = '\0';
		rk_log_whose(k->name);
		k->stop_timeout_ns = msg->value;
		k->hup_reloads = msg->code != 0;
		board_open(k);
		break;
	case RK_LINK_KEEP:
		keep(k, msg, fds);
		break;
	case RK_LINK_FORGET:
		if (msg->kind == RK_LINK_DESCRIPTOR)
			rk_store_take_back(&k->store, msg);
		rk_held_forget(&k->held, msg->kind, msg->tag);
		break;
	case RK_LINK_RETAG:
		rk_held_retag(&k->held, msg->value, msg->tag);
		break;
	case RK_LINK_STOPPING:
		k->is_told = true;
		stop_begin(k);
		break;
	case RK_LINK_DROP:
		rk_store_drop(&k->store, &k->held, msg->tag, msg->value);
		rk_held_drop(&k->held, msg->tag, msg->value);
		break;
	case RK_LINK_READY:
		k->was_ready = true;
		k->n_failed = 0;
		rk_keeper_watch_ready(k, rk_clock_ns());
		rk_keeper_upgrade_on_ready(k, msg->value);
		break;
	case RK_LINK_UPGRADE:
		if (fds->n == 1)
			rk_keeper_upgrade_ask(k, msg, &fds->fd[0]);
		break;
	case RK_LINK_NOTED:
		rk_keeper_upgrade_noted(k, msg);
		break;
	case RK_LINK_UP:
		up_tell(k, msg);
		break;
	case RK_LINK_SYNC:
		k->sync_is_due = rk_store_ask(&k->store);
		break;
	case RK_LINK_PROGRESS:
		rk_keeper_watch_progress(k, rk_clock_ns());
		break;
	default:
		break; /* a newer supervisor's: not for us */
	}
}

/* Also after its death: what it had sent still counts. */
static void supervisor_drain(struct rk_keeper *k)
{
	while (k->link >= 0) {
		rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
		struct rk_link_msg msg;
		size_t len;
		int r = rk_fd_recv(k->link, &msg, sizeof(msg), &len, &fds);

		if (r == -EMSGSIZE)
			continue;
		if (r < 0 || len == 0)
			break;
		if (len == sizeof(msg))
			on_message(k, &msg, &fds);
	}
}

/* ---- what keeper says ---- */

int rk_keeper_say(struct rk_keeper *k, const struct rk_link_msg *msg, int fd)
{
	struct rk_fds fds = { .n = fd >= 0, .fd = { fd } };

	return k->link < 0 ? -EPIPE : rk_fd_send(k->link, msg, sizeof(*msg), &fds);
}

/* 1: some were handed over; 0: there are no more; -errno. */
static int hand_over_some(struct rk_keeper *k)
{
	struct rk_link_msg msg[RK_LINK_BATCH];
	struct rk_fds fds = { 0 };
	int r;

	while (fds.n < RK_LINK_BATCH && rk_held_next(&k->held, fds.n, &msg[fds.n], &fds.fd[fds.n]))
		fds.n++;
	if (fds.n == 0)
		return 0;
	r = k->link < 0 ? -EPIPE : rk_fd_send(k->link, msg, fds.n * sizeof(*msg), &fds);
	for (uint32_t i = 0; r == 0 && i < fds.n; i++)
		rk_held_handed(&k->held);
	return r < 0 ? r : 1;
}

/* Gives a new supervisor what there is, as far as the socket has room. False: not all yet. */
static bool hand_over(struct rk_keeper *k)
{
	struct rk_link_msg msg;
	int r;

	if (!k->has_begun) {
		msg = rk_held_begin(&k->held);
		msg.pid = k->end.pid;
		msg.code = k->end.code;
		msg.status = k->end.status;
		msg.count = k->n_deaths;
		memcpy(msg.name, k->end.name, sizeof(msg.name));
		msg.kind = (k->store.is_on ? RK_LINK_OUTLIVED : 0) |
			   (rk_notify_is_open(&k->store.notify) ? RK_LINK_TELLS : 0) |
			   (k->upgrade.stage != RK_KEEPER_STEADY ? RK_LINK_UPGRADES : 0) |
			   (k->was_ready ? RK_LINK_SERVED : 0) | (k->ended_unready ? RK_LINK_UNREADY : 0);
		k->end.name[0] = '\0'; /* of this death alone */
		k->had_memory = rk_held_has_memory(&k->held);
		msg.tag = rk_keeper_watch_period_ns(k);
		if (rk_keeper_say(k, &msg, -1) < 0)
			return false;
		k->has_begun = true;
	}
	while ((r = hand_over_some(k)) > 0)
		;
	return r == 0;
}

/* Exit causes that found no room in the socket go out as soon as there is some. */
static bool ends_report(struct rk_keeper *k)
{
	struct rk_link_msg msg;
	uint32_t at;

	while (rk_held_next_end(&k->held, &msg, &at)) {
		if (rk_keeper_say(k, &msg, -1) < 0)
			return false;
		rk_held_reported(&k->held, at);
	}
	return true;
}

static bool stop_tell(struct rk_keeper *k)
{
	struct rk_link_msg msg = { .op = RK_LINK_STOP, .value = k->signal };

	if (!k->stopping || k->is_told)
		return true;
	k->is_told = rk_keeper_say(k, &msg, -1) == 0;
	return k->is_told;
}

static bool synced_tell(struct rk_keeper *k)
{
	const struct rk_link_msg msg = { .op = RK_LINK_SYNCED };

	k->sync_is_due = k->sync_is_due || rk_store_is_confirmed(&k->store);
	if (k->sync_is_due)
		k->sync_is_due = rk_keeper_say(k, &msg, -1) < 0;
	return !k->sync_is_due;
}

/* Whatever it has not been told yet, in this order. False: the socket has no room. */
static bool tell(struct rk_keeper *k)
{
	return k->link < 0 || (hand_over(k) && ends_report(k) && stop_tell(k) && synced_tell(k) &&
			       rk_keeper_upgrade_tell(k));
}

/* ---- children ---- */

/* "signal=SIGKILL", "status=3" */
static const char *end_text(const struct rk_keeper *k, char *text, size_t size)
{
	const char *signal = sigabbrev_np(k->end.status);

	if (k->end.code == CLD_EXITED)
		(void)snprintf(text, size, "status=%d", k->end.status);
	else
		(void)snprintf(text, size, "signal=SIG%s", signal ? signal : "?");
	return text;
}

/* The next one is started at once, unless they die again and again before they are ready. */
static void supervisor_ended(struct rk_keeper *k, const siginfo_t *si)
{
	uint64_t wait_ns = 0;
	char how[32];

	k->end.pid = k->supervisor;
	k->end.code = si->si_code;
	k->end.status = si->si_status;
	k->sync_is_due = false;
	rk_store_ask_no_more(&k->store); /* else its successor would take that for the answer to a question of its own */
	k->supervisor = 0;
	k->ended_unready = !k->is_ready;
	k->is_ready = false;
	rk_close_p(&k->link);
	k->since_ns = k->retry_ns = rk_clock_ns();
	if (rk_keeper_upgrade_on_end(k, end_text(k, how, sizeof(how))))
		return;
	k->n_failed++;
	k->n_deaths++;
	if (k->n_failed > QUICK_STARTS)
		wait_ns = RK_NS_PER_MS << rk_min_u32(k->n_failed - QUICK_STARTS, BACKOFF_DOUBLINGS);
	k->retry_ns = rk_clock_ns() + wait_ns;
}

static bool is_held(pid_t pid, const void *arg)
{
	const struct rk_keeper *k = arg;

	return rk_held_has_process(&k->held, pid);
}

/* What the dead one had begun and told nobody of: behind the next one's start, which it would only hold up. */
static void orphans_kill(struct rk_keeper *k)
{
	if (k->orphaned)
		rk_children_kill_orphans(k->orphaned, is_held, k);
	k->orphaned = 0;
}

/* Reaps all that have ended. Returns false when no child is left at all. */
static bool reap(struct rk_keeper *k)
{
	for (;;) {
		siginfo_t si = { 0 };
		pid_t session;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
			return errno != ECHILD;
		if (si.si_pid == 0)
			return true;
		supervisor_drain(k); /* first learn whose pid this is */
		session = getsid(si.si_pid);
		if (si.si_pid == k->supervisor) {
			supervisor_ended(k, &si);
			k->orphaned = session;
			session = 0;
		} else {
			(void)rk_held_ended(&k->held, si.si_pid, si.si_code, si.si_status);
		}
		(void)waitid(P_PID, (id_t)si.si_pid, &si, WEXITED);
		rk_children_kill_orphans(session, is_held, k);
	}
}

static void children_kill(struct rk_keeper *k)
{
	rk_held_kill(&k->held);
	rk_children_kill();
}

static void children_sweep(struct rk_keeper *k)
{
	children_kill(k);
	while (reap(k)) {
		struct pollfd p = { .fd = k->signals, .events = POLLIN };
		struct signalfd_siginfo info;

		(void)poll(&p, 1, SWEEP_PAUSE_MS);
		while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
			;
		children_kill(k); /* the killed ones' children are ours now */
	}
	rk_held_await_ends(&k->held, FOSTER_MS);
}

/* ---- the supervisor ---- */

/* Keeper's arguments, behind a name of its own: ps and pgrep -f tell the two apart. In the new process. */
static char *const *supervisor_argv(char *const *argv)
{
	static char title[] = "rekindled-supervisor";
	size_t n = 0;
	char **own;

	while (argv[n])
		n++;
	own = calloc(n + 1, sizeof(*own));
	if (!own || n == 0)
		return argv;
	memcpy(own, argv, n * sizeof(*own));
	own[0] = title;
	return own;
}

/* In the new process: never returns. */
static void supervisor_become(const struct rk_keeper *k, int link, pid_t keeper)
{
	/* Out of the way of the link's number, which may be its own. */
	int exe = fcntl(rk_keeper_upgrade_exe(k), F_DUPFD_CLOEXEC, EXE_FD);
	sigset_t none;
	char fd[16];

	/* Set, then check: keeper may have died in between, and then nobody would end us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		_exit(1);
	(void)setsid(); /* the terminal's Ctrl-C is for keeper alone */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setrlimit(RLIMIT_NOFILE, &k->n_files);
	if (link == LINK_FD ? rk_fd_cloexec(link, 0) < 0 : dup2(link, LINK_FD) < 0)
		_exit(1);
	if (exe == EXE_FD ? rk_fd_cloexec(exe, 1) < 0 : dup3(exe, EXE_FD, O_CLOEXEC) < 0)
		_exit(1);
	if (rk_keeper_upgrade_exe(k) != k->exe)
		rk_program_note_other(EXE_FD);
	(void)close_range(EXE_FD + 1, ~0u, 0);
	(void)snprintf(fd, sizeof(fd), "%d", LINK_FD);
	if (setenv(RK_LINK_ENVIRONMENT, fd, 1) == 0)
		(void)execveat(EXE_FD, "", supervisor_argv(k->argv), environ, AT_EMPTY_PATH);
	rk_log(RK_LOG_ERROR, "cannot start the supervisor: %m");
	_exit(1);
}

static int supervisor_start(struct rk_keeper *k)
{
	pid_t me = getpid();
	int pair[2], room = LINK_ROOM;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	k->has_begun = false;
	k->is_told = false;
	k->since_ns = rk_clock_ns();
	rk_keeper_watch_begin(k, k->since_ns);
	k->supervisor = fork();
	if (k->supervisor == 0)
		supervisor_become(k, pair[1], me);
	rk_close_p(&pair[1]);
	k->link = pair[0];
	if (k->supervisor < 0) {
		k->supervisor = 0;
		rk_close_p(&k->link);
		return -errno;
	}
	return rk_fd_nonblock(k->link, 1);
}

static void supervisor_kill(struct rk_keeper *k, const char *why)
{
	k->killed = why;
	rk_message_log(RK_MESSAGE_FLEET_KILLED, RK_LOG_WARNING, "%s: killing every process of the fleet", why);
	if (k->supervisor)
		(void)kill(k->supervisor, SIGKILL);
}

/* Whether the one that ended was the last. */
static bool is_over(const struct rk_keeper *k)
{
	if (k->killed)
		return true;
	if (!rk_keeper_upgrade_is_idle(k))
		return false;
	if (k->end.code == CLD_EXITED && (k->end.status == 0 || (!k->was_ready && !k->had_memory)))
		return true; /* it was stopped, or it cannot be started at all and has said why */
	return !k->had_memory && !k->was_ready && k->n_failed >= HOPELESS_STARTS;
}

static void supervisor_replace(struct rk_keeper *k)
{
	char how[32];
	int r;

	if (rk_clock_ns() < k->retry_ns)
		return;
	if (rk_keeper_upgrade_is_idle(k) && k->n_failed <= QUICK_STARTS)
		rk_message_log(RK_MESSAGE_SUPERVISOR_DIED, RK_LOG_WARNING,
			       "the supervisor died, workers go on, the next one is started pid=%d %s", k->end.pid,
			       end_text(k, how, sizeof(how)));
	r = supervisor_start(k);
	if (r == 0)
		return;
	rk_log(RK_LOG_ERROR, "cannot start the supervisor, trying again: %s", strerror(-r));
	k->retry_ns = rk_clock_ns() + RK_NS_PER_S;
}

/* ---- the loop ---- */

static void on_stop_signal(struct rk_keeper *k, uint32_t number, bool is_second)
{
	if (is_second) {
		supervisor_kill(k, "asked to stop twice");
		return;
	}
	k->signal = number;
	k->is_told = false;
	stop_begin(k);
}

static void reload_ask(struct rk_keeper *k)
{
	struct rk_link_msg msg = { .op = RK_LINK_RELOAD };

	if (rk_keeper_say(k, &msg, -1) < 0)
		rk_log(RK_LOG_ERROR, "the supervisor cannot be asked to reload, nothing has changed");
}

/* The next keeper is on its way: systemd has our memory, and workers go on until it comes. */
static void way_make(struct rk_keeper *k)
{
	int r;

	if (!k->store.is_on || k->stopping) {
		rk_log(RK_LOG_WARNING, "SIGUSR1 is ignored: %s", k->stopping ? "the fleet stops"
			: "nobody holds the fleet's memory but us, it would end with us");
		return;
	}
	supervisor_drain(k); /* what it has given us is to be stored as well */
	r = rk_store_settle(&k->store);
	if (r < 0)
		rk_message_log(RK_MESSAGE_STORE_FAILS, RK_LOG_ERROR,
			       "systemd does not confirm what it holds of the fleet: %s", strerror(-r));
	k->makes_way = true;
}

static void signals_read(struct rk_keeper *k, bool *asked)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue; /* reap() looks for itself */
		if (info.ssi_signo == SIGHUP && k->hup_reloads) {
			reload_ask(k);
			continue;
		}
		if (info.ssi_signo == SIGUSR1) {
			way_make(k);
			continue;
		}
		on_stop_signal(k, info.ssi_signo, *asked);
		*asked = true;
	}
}

static int ms_until(uint64_t at_ns)
{
	uint64_t now_ns = rk_clock_ns();

	return now_ns >= at_ns ? 0 : (int)((at_ns - now_ns) / RK_NS_PER_MS + 1);
}

/* Milliseconds until something is due; -1 = for ever. */
static int wait_ms(const struct rk_keeper *k)
{
	uint64_t due_ns = rk_min_u64(rk_keeper_watch_due_ns(k), k->supervisor ? RK_INFINITE : k->retry_ns);

	due_ns = rk_min_u64(due_ns, rk_keeper_upgrade_due_ns(k));
	if (k->stopping && !k->killed)
		due_ns = rk_min_u64(due_ns, k->kill_at_ns);
	return due_ns == RK_INFINITE ? -1 : ms_until(due_ns);
}

/* What only time tells. */
static void overdue_look(struct rk_keeper *k)
{
	uint64_t now_ns = rk_clock_ns();

	if (k->stopping && !k->killed && now_ns >= k->kill_at_ns)
		supervisor_kill(k, "the supervisor did not stop in time");
	if (now_ns >= rk_keeper_upgrade_due_ns(k))
		rk_keeper_upgrade_expire(k);
	rk_keeper_watch_look(k, now_ns);
}

static void run(struct rk_keeper *k)
{
	bool asked = k->signal != 0; /* before this process became another binary, too */

	while ((k->supervisor || !is_over(k)) && !k->makes_way) {
		struct pollfd p[5] = { { .fd = k->signals, .events = POLLIN },
				       { .fd = k->link, .events = POLLIN },
				       { .fd = k->store.barrier },
				       { .fd = k->store.notify.fd },
				       { .fd = k->board, .events = POLLIN } };

		if (!k->supervisor)
			supervisor_replace(k);
		p[1].fd = k->link;
		if (!tell(k))
			p[1].events |= POLLOUT;
		orphans_kill(k);
		p[2].fd = k->store.barrier;
		p[3].events = rk_notify_events(&k->store.notify);
		if (!p[3].events)
			p[3].fd = -1;
		(void)poll(p, 5, wait_ms(k));
		supervisor_drain(k);
		if (k->store.is_on)
			rk_leases_follow(&k->leases, &k->held);
		if (p[4].revents & POLLIN)
			board_show(k);
		signals_read(k, &asked);
		(void)reap(k);
		(void)rk_notify_flush(&k->store.notify);
		rk_keeper_upgrade_go_on(k);
		overdue_look(k);
		/* It is ending: SIGCHLD comes, the socket says no more. */
		if (p[1].revents & POLLHUP)
			rk_close_p(&k->link);
	}
}

static int signals_open(void)
{
	static const int wanted[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < rk_countof(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Every worker has a pidfd here; the soft limit is meant for programs that use select(). */
static void descriptors_allow(struct rk_keeper *k)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &k->n_files) < 0)
		return;
	limit = k->n_files;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * Nobody is left to record the death of the last supervisor. Everybody is gone by now, so nobody
 * else writes; a file that is damaged, or another fleet's, stays as it is.
 */
static void death_record(const struct rk_keeper *k)
{
	const char *signal = sigabbrev_np(k->end.status);
	const struct rk_flight_event event = { .kind = RK_FLIGHT_DEATH,
					       .severity = RK_LOG_ERROR,
					       .fleet = k->name,
					       .slot = RK_FLIGHT_NOBODY,
					       .pid = k->end.pid,
					       .now_ns = rk_clock_ns(),
					       .wall_ns = rk_clock_wall_ns() };
	rk_cleanup(rk_flight_close_p) struct rk_flight f = { .fd = -1 };
	char path[RK_PATH_MAX];

	if (k->end.code == CLD_EXITED || rk_rundir_path(k->name, RK_RUNDIR_FLIGHT, path, NULL) < 0 ||
	    rk_flight_open(&f, path, k->name, NULL) < 0)
		return;
	(void)rk_flight_note(&f, &event, "supervisor died, every worker was ended with it cause=\"SIG%s\" by=\"%s\"",
			     signal ? signal : "?", k->killed ? k->killed : "");
}

static int verdict(const struct rk_keeper *k)
{
	if (k->end.code == CLD_EXITED)
		return k->end.status;
	if (!k->killed)
		rk_message_log(RK_MESSAGE_SUPERVISOR_GIVEN_UP, RK_LOG_ERROR,
			       "the supervisor died %u times before it was ready: giving up", k->n_failed);
	return 1;
}

/* What a fresh keeper begins with. 0 or -errno. */
static int begin(struct rk_keeper *k)
{
	descriptors_allow(k);
	k->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (k->exe < 0)
		return -errno;
	rk_store_open(&k->store, &k->held);
	return supervisor_start(k);
}

static void thing_end(struct rk_keeper *k, const struct rk_held_one *one)
{
	struct rk_link_msg about = { .kind = one->kind, .tag = one->tag };

	memcpy(about.name, one->name, sizeof(about.name));
	if (rk_store_is_for(one->kind))
		rk_store_take_back(&k->store, &about);
	if (one->kind == RK_LINK_DESCRIPTOR)
		rk_kit_farewell(one->name, one->fd);
}

static void end(struct rk_keeper *k)
{
	children_sweep(k);
	rk_farewell(&k->held);
	/* The lock is still ours, among what we hold: no other fleet of this name is there yet. */
	if (k->name[0]) {
		death_record(k);
		rk_cgroup_remove(k->name, getpid());
		if (k->store.is_activated)
			rk_rundir_leave(k->name);
		else
			rk_rundir_close(k->name);
	}
	for (uint32_t i = 0; i < k->held.n; i++) /* a next start shall find nothing of this one */
		thing_end(k, &k->held.at[i]);
	rk_store_close(&k->store);
	rk_held_close(&k->held);
}

int rk_keeper_run(char *const *argv)
{
	struct rk_keeper k = { .argv = argv,
			       .link = -1,
			       .board = -1,
			       .exe = -1,
			       .store = { .notify.fd = -1, .barrier = -1 },
			       .upgrade.exe = -1,
			       .stop_timeout_ns = STOP_DEFAULT_NS };
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	rk_program_note();
	k.signals = signals_open();
	if (k.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		rk_log(RK_LOG_ERROR, "cannot become the fleet's root process: %m");
		return 1;
	}
	r = rk_keeper_upgrade_restore(&k);
	if (r == -ENOENT)
		r = begin(&k);
	if (r < 0) {
		rk_log(RK_LOG_ERROR, "cannot start the supervisor: %s", strerror(-r));
		return 1;
	}
	run(&k);
	if (k.makes_way)
		return RK_KEEPER_WAY;
	end(&k);
	return verdict(&k);
}
