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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/flight.h"
#include "shm/rundir.h"
#include "supervisor/cgroup.h"
#include "supervisor/link.h"

#define HELD_MAX (2 * RK_WORKERS_MAX + RK_SEGMENT_KINDS + 8u)
#define STOP_DEFAULT_NS (5 * RK_NS_PER_S) /* until the supervisor says its own */
#define STOP_MARGIN_NS RK_NS_PER_S        /* the supervisor's own timeout comes first */
#define SWEEP_PAUSE_MS 20
#define LINK_FD 3 /* the supervisor's end, in the supervisor */

/* One descriptor held for the fleet; a worker's has a pid. */
struct held {
	int fd;
	int32_t pid;
	uint64_t tag;
	int32_t code, status;
	bool exited;   /* reaped: the pid may be another process's by now */
	bool reported; /* the supervisor was told how it ended */
};

struct keeper {
	struct held *held;
	uint32_t n_held, n_room;
	uint32_t n_unreported;
	int link; /* non-blocking: a stopped supervisor must not stop keeper */
	int signals;
	pid_t supervisor; /* 0 = ended */
	pid_t ended;      /* its pid, behind its end */
	int code, status; /* how it ended */
	bool stopping;
	const char *killed; /* why keeper killed it; NULL = keeper did not */
	bool hup_reloads;   /* SIGHUP is the supervisor's business: it has files to read again */
	uint64_t stop_timeout_ns;
	uint64_t kill_at_ns;    /* while stopping */
	char name[RK_NAME_MAX]; /* "" until the supervisor owns the fleet's directory */
};

static int pidfd_kill(int pidfd)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* ---- what the supervisor says ---- */

static void keep(struct keeper *k, const struct rk_link_msg *msg, int fd)
{
	if (k->n_held == k->n_room) {
		uint32_t n = k->n_room ? k->n_room * 2 : 32;
		struct held *held = n <= HELD_MAX * 2 ? realloc(k->held, n * sizeof(*held)) : NULL;

		if (!held) {
			rk_log(RK_LOG_ERROR, "no room for another descriptor held=%u", k->n_held);
			rk_close_p(&fd);
			return;
		}
		k->held = held;
		k->n_room = n;
	}
	k->held[k->n_held++] = (struct held){ .fd = fd, .pid = msg->pid, .tag = msg->tag };
}

static void forget(struct keeper *k, uint64_t tag)
{
	for (uint32_t i = 0; i < k->n_held; i++) {
		struct held *h = &k->held[i];

		if (h->pid == 0 || h->tag != tag)
			continue;
		k->n_unreported -= h->exited && !h->reported;
		rk_close_p(&h->fd);
		*h = k->held[--k->n_held];
		return;
	}
}

/* The memory of a fleet that is no more; the last one to hold it frees it. */
static void drop(struct keeper *k, uint64_t tag)
{
	for (uint32_t i = 0; tag && i < k->n_held;) {
		struct held *h = &k->held[i];

		if (h->pid != 0 || h->tag != tag) {
			i++;
			continue;
		}
		rk_close_p(&h->fd);
		*h = k->held[--k->n_held];
	}
}

/*
 * A standby becomes a worker. One that has ended meanwhile is told of again, under its new tag:
 * whoever heard of it by the old one did not know yet.
 */
static void retag(struct keeper *k, const struct rk_link_msg *msg)
{
	for (uint32_t i = 0; i < k->n_held; i++) {
		struct held *h = &k->held[i];

		if (h->pid == 0 || h->tag != msg->value)
			continue;
		h->tag = msg->tag;
		k->n_unreported += h->reported;
		h->reported = false;
		return;
	}
}

static void stop_begin(struct keeper *k)
{
	if (k->stopping)
		return;
	k->stopping = true;
	k->kill_at_ns = rk_clock_ns() + k->stop_timeout_ns + STOP_MARGIN_NS;
}

static void on_message(struct keeper *k, const struct rk_link_msg *msg, struct rk_fds *fds)
{
	switch (msg->op) {
	case RK_LINK_FLEET:
		memcpy(k->name, msg->name, sizeof(k->name));
		k->name[sizeof(k->name) - 1] = '\0';
		k->stop_timeout_ns = msg->value;
		k->hup_reloads = msg->code != 0;
		break;
	case RK_LINK_KEEP:
		if (fds->n == 1)
			keep(k, msg, rk_take_fd(&fds->fd[0]));
		break;
	case RK_LINK_FORGET:
		forget(k, msg->tag);
		break;
	case RK_LINK_RETAG:
		retag(k, msg);
		break;
	case RK_LINK_STOPPING:
		stop_begin(k);
		break;
	case RK_LINK_DROP:
		drop(k, msg->tag);
		break;
	default:
		break; /* a newer supervisor's: not for us */
	}
}

/* Also after its death: what it had sent still counts. */
static void supervisor_drain(struct keeper *k)
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

static int say(struct keeper *k, const struct rk_link_msg *msg)
{
	return k->link < 0 ? -EPIPE : rk_fd_send(k->link, msg, sizeof(*msg), NULL);
}

/* Exit causes that found no room in the socket go out as soon as there is some. */
static void causes_report(struct keeper *k)
{
	for (uint32_t i = 0; i < k->n_held && k->n_unreported > 0; i++) {
		struct held *h = &k->held[i];
		struct rk_link_msg msg = { .op = RK_LINK_EXITED,
					   .pid = h->pid,
					   .code = h->code,
					   .status = h->status,
					   .tag = h->tag };

		if (!h->exited || h->reported)
			continue;
		if (say(k, &msg) < 0)
			return;
		h->reported = true;
		k->n_unreported--;
	}
}

/* ---- children ---- */

static void child_ended(struct keeper *k, const siginfo_t *si)
{
	if (si->si_pid == k->supervisor) {
		k->ended = k->supervisor;
		k->supervisor = 0;
		k->code = si->si_code;
		k->status = si->si_status;
		return;
	}
	for (uint32_t i = 0; i < k->n_held; i++) {
		struct held *h = &k->held[i];

		if (h->pid != si->si_pid || h->exited)
			continue;
		h->exited = true;
		h->code = si->si_code;
		h->status = si->si_status;
		k->n_unreported++;
	}
}

/* Our children, by birth or, since we are the subreaper, by inheritance. NULL: a kernel without the list. */
static FILE *children_open(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	return fopen(path, "re");
}

/*
 * What a dead worker has left: every worker leads a session of its own, so whoever is in a
 * session without a leader is nobody's any more. Their children come to us when they end.
 */
static void orphans_kill(pid_t session)
{
	FILE *list;
	int pid;

	if (session <= 0 || session == getsid(0) || kill(session, 0) == 0)
		return;
	list = children_open();
	while (list && fscanf(list, "%d", &pid) == 1)
		if (getsid(pid) == session)
			(void)kill(pid, SIGKILL); /* not reaped yet, so the pid is still this child's */
	if (list)
		(void)fclose(list);
}

/* Reaps all that have ended. Returns false when no child is left at all. */
static bool reap(struct keeper *k)
{
	for (;;) {
		siginfo_t si = { 0 };
		pid_t session;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
			return errno != ECHILD;
		if (si.si_pid == 0)
			return true;
		supervisor_drain(k); /* first learn whose pid this is */
		child_ended(k, &si);
		session = getsid(si.si_pid);
		(void)waitid(P_PID, (id_t)si.si_pid, &si, WEXITED);
		orphans_kill(session);
	}
}

/* Kills each process that is our child. */
static void children_kill(struct keeper *k)
{
	FILE *list;
	int pid;

	for (uint32_t i = 0; i < k->n_held; i++)
		if (k->held[i].pid && !k->held[i].exited)
			(void)pidfd_kill(k->held[i].fd);
	list = children_open();
	if (!list)
		return; /* the pidfds and PDEATHSIG have to do */
	while (fscanf(list, "%d", &pid) == 1)
		(void)kill(pid, SIGKILL); /* not reaped yet, so the pid is still this child's */
	(void)fclose(list);
}

static void children_sweep(struct keeper *k)
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
}

/* ---- the supervisor ---- */

/* In the new process: never returns. */
static void supervisor_become(char *const *argv, int link, pid_t keeper)
{
	sigset_t none;
	char fd[16];

	/* Set, then check: keeper may have died in between, and then nobody would end us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		_exit(1);
	(void)setsid(); /* the terminal's Ctrl-C is for keeper alone */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (link == LINK_FD ? rk_fd_cloexec(link, 0) < 0 : dup2(link, LINK_FD) < 0)
		_exit(1);
	(void)close_range(LINK_FD + 1, ~0u, 0);
	(void)snprintf(fd, sizeof(fd), "%d", LINK_FD);
	if (setenv(RK_LINK_ENVIRONMENT, fd, 1) == 0)
		(void)execv("/proc/self/exe", argv);
	rk_log(RK_LOG_ERROR, "cannot start the supervisor: %m; is /proc mounted?");
	_exit(1);
}

static int supervisor_start(struct keeper *k, char *const *argv)
{
	pid_t me = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	k->supervisor = fork();
	if (k->supervisor == 0)
		supervisor_become(argv, pair[1], me);
	rk_close_p(&pair[1]);
	k->link = pair[0];
	if (k->supervisor < 0) {
		k->supervisor = 0;
		return -errno;
	}
	return rk_fd_nonblock(k->link, 1);
}

static void supervisor_kill(struct keeper *k, const char *why)
{
	k->killed = why;
	rk_log(RK_LOG_WARNING, "%s: killing every process of the fleet", why);
	if (k->supervisor)
		(void)kill(k->supervisor, SIGKILL);
}

/* ---- the loop ---- */

static void on_stop_signal(struct keeper *k, uint32_t number, bool is_second)
{
	struct rk_link_msg msg = { .op = RK_LINK_STOP, .value = number };

	if (is_second) {
		supervisor_kill(k, "asked to stop twice");
		return;
	}
	stop_begin(k);
	if (say(k, &msg) < 0)
		supervisor_kill(k, "the supervisor cannot be asked to stop");
}

static void reload_ask(struct keeper *k)
{
	struct rk_link_msg msg = { .op = RK_LINK_RELOAD };

	if (say(k, &msg) < 0)
		rk_log(RK_LOG_ERROR, "the supervisor cannot be asked to reload, nothing has changed");
}

static void signals_read(struct keeper *k, bool *asked)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue; /* reap() looks for itself */
		if (info.ssi_signo == SIGHUP && k->hup_reloads) {
			reload_ask(k);
			continue;
		}
		on_stop_signal(k, info.ssi_signo, *asked);
		*asked = true;
	}
}

/* Milliseconds until the supervisor's time is up; -1 = for ever. */
static int wait_ms(const struct keeper *k)
{
	uint64_t now = rk_clock_ns();

	if (!k->stopping || k->killed)
		return -1;
	return now >= k->kill_at_ns ? 0 : (int)((k->kill_at_ns - now) / RK_NS_PER_MS + 1);
}

static void run(struct keeper *k)
{
	bool asked = false;

	while (k->supervisor) {
		struct pollfd p[2] = { { .fd = k->signals, .events = POLLIN },
				       { .fd = k->link, .events = POLLIN } };

		if (k->n_unreported > 0)
			p[1].events |= POLLOUT;
		(void)poll(p, 2, wait_ms(k));
		supervisor_drain(k);
		signals_read(k, &asked);
		(void)reap(k);
		causes_report(k);
		if (k->stopping && !k->killed && rk_clock_ns() >= k->kill_at_ns)
			supervisor_kill(k, "the supervisor did not stop in time");
		/* It is ending: SIGCHLD comes, the socket says no more. */
		if (p[1].revents & POLLHUP)
			rk_close_p(&k->link);
	}
}

static int signals_open(void)
{
	static const int wanted[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < rk_countof(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Every worker has a pidfd here; the soft limit is meant for programs that use select(). */
static void descriptors_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * The supervisor cannot record its own death. Everybody is gone by now, so nobody else writes; a
 * file that is damaged, or another fleet's, stays as it is.
 */
static void death_record(const struct keeper *k)
{
	const char *signal = sigabbrev_np(k->status);
	const struct rk_flight_event event = { .kind = RK_FLIGHT_DEATH,
					       .severity = RK_LOG_ERROR,
					       .fleet = k->name,
					       .slot = RK_FLIGHT_NOBODY,
					       .pid = k->ended,
					       .now_ns = rk_clock_ns(),
					       .wall_ns = rk_clock_wall_ns() };
	rk_cleanup(rk_flight_close_p) struct rk_flight f = { .fd = -1 };
	char path[RK_PATH_MAX];

	if (k->code == CLD_EXITED || rk_rundir_path(k->name, RK_RUNDIR_FLIGHT, path, NULL) < 0 ||
	    rk_flight_open(&f, path, k->name, NULL) < 0)
		return;
	(void)rk_flight_note(
		&f, &event,
		"supervisor died, every worker was ended with it cause=\"SIG%s\" by=\"%s\"",
		signal ? signal : "?", k->killed ? k->killed : "");
}

static int verdict(const struct keeper *k)
{
	if (k->code == CLD_EXITED)
		return k->status;
	if (!k->killed)
		rk_log(RK_LOG_ERROR,
		       "the supervisor died: every worker was ended with it signal=SIG%s",
		       sigabbrev_np(k->status) ? sigabbrev_np(k->status) : "?");
	return 1;
}

int rk_keeper_run(char *const *argv)
{
	struct keeper k = { .link = -1, .stop_timeout_ns = STOP_DEFAULT_NS };
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	k.signals = signals_open();
	if (k.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		rk_log(RK_LOG_ERROR, "cannot become the fleet's root process: %m");
		return 1;
	}
	r = supervisor_start(&k, argv);
	if (r < 0) {
		rk_log(RK_LOG_ERROR, "cannot start the supervisor: %s", strerror(-r));
		return 1;
	}
	descriptors_allow(); /* behind the start: the workers get the limit we were given */
	run(&k);
	children_sweep(&k);
	/* The lock is still ours, among what we hold: no other fleet of this name is there yet. */
	if (k.name[0]) {
		death_record(&k);
		rk_cgroup_remove(k.name, getpid());
		rk_rundir_close(k.name);
	}
	free(k.held); /* its descriptors end with us */
	return verdict(&k);
}
