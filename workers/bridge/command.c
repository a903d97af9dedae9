/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/process.h"
#include "workers/bridge/timer.h"

#define READS_MAX 16 /* of stderr per wake-up: who floods it does not keep the loop */

struct rk_command {
	struct ev_loop *loop;
	rk_on_command on_end;
	void *arg;
	ev_child child;
	ev_io io;
	ev_timer timer;
	int fd; /* its stderr */
	bool is_running;
	bool has_line;
	pid_t pid; /* and process group */
	uint64_t began_ns, timeout_ns;
	size_t len;
	char line[RK_COMMAND_LINE];
};

/* ---- the child ---- */

/* What it does until exec: nothing but system calls, for this process may have other threads. */
static void child_run(char *const *argv, pid_t parent, int null, int err)
{
	const char *why;

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126); /* it died before it could be followed */
	rk_process_reset_signals();
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		_exit(126);
	(void)close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	(void)execvp(argv[0], argv);
	why = strerrordesc_np(errno);
	(void)!write(STDERR_FILENO, argv[0], strlen(argv[0]));
	(void)!write(STDERR_FILENO, ": ", 2);
	(void)!write(STDERR_FILENO, why, strlen(why));
	_exit(127);
}

/* Returns its number or -errno. */
static pid_t child_start(char *const *argv, int err)
{
	rk_cleanup(rk_close_p) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t parent = getpid(), pid;
	sigset_t all, old;
	int error;

	if (null < 0)
		return -errno;
	/* Until it has its own dispositions no handler of ours may run in it. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	error = errno;
	if (pid == 0)
		child_run(argv, parent, null, err);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return -error;
	(void)setpgid(pid, pid); /* whichever of the two comes first */
	return pid;
}

/* ---- its first line ---- */

static void line_take(struct rk_command *c, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && !c->has_line; i++) {
		if (bytes[i] == '\n' && c->len == 0)
			continue;
		c->has_line = bytes[i] == '\n' || c->len == sizeof(c->line) - 1;
		if (!c->has_line)
			c->line[c->len++] = bytes[i];
	}
}

/* Reads what is there, for what is not read would hold the command up. */
static void stderr_read(struct rk_command *c)
{
	char bytes[1024];
	ssize_t n = 1;

	for (int i = 0; i < READS_MAX && n > 0; i++) {
		n = read(c->fd, bytes, sizeof(bytes));
		if (n > 0)
			line_take(c, bytes, (size_t)n);
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		ev_io_stop(c->loop, &c->io);
}

/* ---- its end ---- */

static void stop(struct rk_command *c)
{
	ev_child_stop(c->loop, &c->child);
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->timer);
	rk_close_p(&c->fd);
	/* The leader's number is not given away while the group has members. */
	(void)kill(-c->pid, SIGKILL);
	c->is_running = false;
}

static void tell(struct rk_command *c, bool is_late, int status)
{
	struct rk_command_end end = {
		.is_late = is_late,
		.status = status,
		.took_ns = is_late ? c->timeout_ns : rk_clock_ns() - c->began_ns,
	};

	stderr_read(c);
	stop(c);
	(void)rk_text_clean(end.line, sizeof(end.line), c->line, c->len);
	c->on_end(&end, c->arg); /* c may be gone behind it */
}

static void on_child(struct ev_loop *loop, ev_child *w, int events)
{
	(void)loop;
	(void)events;
	tell(w->data, false, w->rstatus);
}

static void on_stderr(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	stderr_read(w->data);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	tell(w->data, true, 0);
}

/* ---- the public face ---- */

struct rk_command *rk_command_new(struct ev_loop *loop, rk_on_command on_end, void *arg)
{
	struct rk_command *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = loop;
	c->on_end = on_end;
	c->arg = arg;
	c->fd = -1;
	ev_init(&c->child, on_child);
	ev_init(&c->io, on_stderr);
	ev_init(&c->timer, on_late);
	c->child.data = c->io.data = c->timer.data = c;
	return c;
}

int rk_command_start(struct rk_command *c, char *const *argv, uint64_t timeout_ns)
{
	int end[2];
	pid_t pid;

	if (c->is_running)
		return -EALREADY;
	if (pipe2(end, O_CLOEXEC) < 0)
		return -errno;
	rk_cleanup(rk_close_p) int ours = end[0];
	rk_cleanup(rk_close_p) int its = end[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0) /* of our end alone: the command's writes may wait */
		return -errno;
	pid = child_start(argv, its);
	if (pid < 0)
		return pid;
	c->pid = pid;
	c->fd = rk_take_fd(&ours);
	c->is_running = true;
	c->has_line = false;
	c->len = 0;
	c->began_ns = rk_clock_ns();
	c->timeout_ns = timeout_ns;
	ev_child_set(&c->child, pid, 0);
	ev_child_start(c->loop, &c->child);
	ev_io_set(&c->io, c->fd, EV_READ);
	ev_io_start(c->loop, &c->io);
	rk_timer_begin(c->loop, &c->timer, timeout_ns);
	return 0;
}

void rk_command_cancel(struct rk_command *c)
{
	if (c->is_running)
		stop(c);
}

void rk_command_free(struct rk_command *c)
{
	if (!c)
		return;
	rk_command_cancel(c);
	free(c);
}

bool rk_command_is_good(const struct rk_command_end *end)
{
	return !end->is_late && WIFEXITED(end->status) && WEXITSTATUS(end->status) == 0;
}

static const char *signal_name(char name[static 16], int number)
{
	const char *known = sigabbrev_np(number);

	if (known)
		(void)snprintf(name, 16, "SIG%s", known);
	else
		(void)snprintf(name, 16, "signal %d", number);
	return name;
}

const char *rk_command_text(char text[static RK_COMMAND_TEXT], const struct rk_command_end *end)
{
	const char *colon = end->line[0] ? ": " : "";
	char took[RK_TIMER_TEXT], name[16];

	if (end->is_late)
		(void)snprintf(text, RK_COMMAND_TEXT, "did not end within %s%s%s",
			       rk_timer_text(took, end->took_ns), colon, end->line);
	else if (WIFSIGNALED(end->status))
		(void)snprintf(text, RK_COMMAND_TEXT, "was killed by %s%s%s", signal_name(name, WTERMSIG(end->status)),
			       colon, end->line);
	else
		(void)snprintf(text, RK_COMMAND_TEXT, "exited with %d%s%s", WEXITSTATUS(end->status), colon,
			       end->line);
	return text;
}
