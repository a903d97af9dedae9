/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/process.h"

#define FIRST_FD 3
#define TREE_MAX 4096u

int rk_program_prepare(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- its streams ---- */

/* The descriptors of one stream: ours, and the program's. */
struct ends {
	int ours, theirs;
};

static int pipe_open(bool is_input, struct ends *ret)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	*ret = is_input ? (struct ends){ .ours = pair[1], .theirs = pair[0] }
			: (struct ends){ .ours = pair[0], .theirs = pair[1] };
	return 0;
}

/* A terminal that does nothing to what passes through it. */
static int terminal_open(struct ends *ret)
{
	rk_cleanup(rk_close_p) int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	rk_cleanup(rk_close_p) int theirs = -1;
	struct termios t;
	char path[64];

	if (ours < 0 || grantpt(ours) < 0 || unlockpt(ours) < 0 || ptsname_r(ours, path, sizeof(path)) != 0)
		return -errno;
	theirs = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (theirs < 0 || tcgetattr(theirs, &t) < 0)
		return -errno;
	cfmakeraw(&t);
	if (tcsetattr(theirs, TCSANOW, &t) < 0)
		return -errno;
	*ret = (struct ends){ .ours = rk_take_fd(&ours), .theirs = rk_take_fd(&theirs) };
	return 0;
}

static int stream_open(enum rk_program_stream kind, bool is_input, struct ends *ret)
{
	if (kind == RK_STREAM_PIPE)
		return pipe_open(is_input, ret);
	if (kind == RK_STREAM_TERMINAL)
		return terminal_open(ret);
	*ret = (struct ends){ .ours = -1, .theirs = -1 };
	return 0;
}

/* Both streams; one terminal serves for both. */
static int streams_open(const struct rk_program_plan *plan, struct ends *in, struct ends *out)
{
	int r = stream_open(plan->in, true, in);

	if (r < 0)
		return r;
	if (plan->in != RK_STREAM_TERMINAL || plan->out != RK_STREAM_TERMINAL)
		return stream_open(plan->out, false, out);
	out->ours = fcntl(in->ours, F_DUPFD_CLOEXEC, FIRST_FD);
	out->theirs = fcntl(in->theirs, F_DUPFD_CLOEXEC, FIRST_FD);
	return out->ours < 0 || out->theirs < 0 ? -errno : 0;
}

/* ---- in the child ---- */

static bool child_streams(const struct ends *in, const struct ends *out)
{
	return (in->theirs < 0 || dup2(in->theirs, STDIN_FILENO) >= 0) &&
	       (out->theirs < 0 || dup2(out->theirs, STDOUT_FILENO) >= 0);
}

/* Those of the plan lie above where they are to be (plan_lift()). */
static bool child_descriptors(const int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (dup2(fds[i], FIRST_FD + (int)i) < 0)
			return false;
	return true;
}

/* snprintf() is not for a child of a process with threads. */
static void write_number(char *to, unsigned int number)
{
	unsigned int n = 1;

	for (unsigned int rest = number; rest >= 10; rest /= 10)
		n++;
	for (to[n] = '\0'; n; number /= 10)
		to[--n] = (char)('0' + number % 10);
}

static _Noreturn void child_run(const struct rk_program_plan *plan, const int *fds, const struct ends *in,
				const struct ends *out, int report, pid_t parent)
{
	int error;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() != parent)
		_exit(127); /* the bridge died before */
	if (plan->pid_variable)
		write_number(strchr(plan->pid_variable, '=') + 1, (unsigned int)getpid());
	rk_process_reset_signals();
	if (child_streams(in, out) && child_descriptors(fds, plan->n_fds))
		(void)execvpe(plan->argv[0], plan->argv, plan->envp);
	error = errno;
	(void)!write(report, &error, sizeof(error));
	_exit(127);
}

/* ---- starting ---- */

/* Copies of the plan's descriptors, out of the way of the numbers that they get; and of the child's report. */
static int plan_lift(const struct rk_program_plan *plan, int lifted[static RK_PROGRAM_FDS_MAX], int *report)
{
	int floor = FIRST_FD + (int)plan->n_fds, higher = fcntl(*report, F_DUPFD_CLOEXEC, floor);

	if (higher < 0)
		return -errno;
	(void)close(*report);
	*report = higher;
	for (uint32_t i = 0; i < plan->n_fds; i++) {
		lifted[i] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, floor);
		if (lifted[i] < 0)
			return -errno;
	}
	return 0;
}

static void close_lifted(int lifted[RK_PROGRAM_FDS_MAX])
{
	for (uint32_t i = 0; i < RK_PROGRAM_FDS_MAX; i++)
		rk_close_p(&lifted[i]);
}

/* What the child says of its exec: nothing, and end of file, when it has succeeded. */
static int exec_outcome(int report)
{
	int error = 0;
	ssize_t n;

	do
		n = read(report, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(error) ? -error : 0;
}

static int launch(const struct rk_program_plan *plan, const struct ends *in, const struct ends *out, pid_t *ret_pid)
{
	int lifted[RK_PROGRAM_FDS_MAX], report[2], r;
	pid_t parent = getpid(), pid;

	memset(lifted, 0xff, sizeof(lifted));
	if (plan->n_fds > RK_PROGRAM_FDS_MAX)
		return -E2BIG;
	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	r = plan_lift(plan, lifted, &report[1]);
	pid = r == 0 ? fork() : -1;
	if (pid == 0)
		child_run(plan, lifted, in, out, report[1], parent);
	if (r == 0 && pid < 0)
		r = -errno;
	(void)close(report[1]);
	close_lifted(lifted);
	if (r == 0)
		r = exec_outcome(report[0]);
	(void)close(report[0]);
	*ret_pid = pid;
	return r;
}

int rk_program_start(const struct rk_program_plan *plan, struct rk_program *ret, struct rk_err *err)
{
	struct ends in = { -1, -1 }, out = { -1, -1 };
	pid_t pid = 0;
	int r = streams_open(plan, &in, &out);

	if (r == 0)
		r = launch(plan, &in, &out, &pid);
	rk_close_p(&in.theirs);
	rk_close_p(&out.theirs);
	if (r == 0 && in.ours >= 0)
		r = rk_fd_nonblock(in.ours, 1);
	if (r == 0 && out.ours >= 0)
		r = rk_fd_nonblock(out.ours, 1);
	*ret = (struct rk_program){ .pid = pid, .in = in.ours, .out = out.ours };
	if (r < 0) {
		rk_program_close(ret);
		return rk_err_set(err, r, "cannot execute '%s': %s", plan->argv[0], strerror(-r));
	}
	return 0;
}

void rk_program_close(struct rk_program *p)
{
	rk_close_p(&p->in);
	rk_close_p(&p->out);
}

/* ---- its tree ---- */

struct tree {
	pid_t pid[TREE_MAX], parent[TREE_MAX];
	uint32_t n;
};

/* Appends the children of every thread of pid. */
static void children_add(struct tree *t, pid_t pid)
{
	char path[64];
	DIR *tasks;
	const struct dirent *task;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && (task = readdir(tasks)) != NULL) {
		char file[sizeof(path) + sizeof(task->d_name) + 16];
		FILE *children;
		int child;

		if (task->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s/children", path, task->d_name);
		children = fopen(file, "re");
		while (children && t->n < TREE_MAX && fscanf(children, "%d", &child) == 1) {
			t->parent[t->n] = pid;
			t->pid[t->n++] = child;
		}
		if (children)
			(void)fclose(children);
	}
	if (tasks)
		(void)closedir(tasks);
}

/* Not dead and only not reaped yet. */
static bool is_living(pid_t pid)
{
	char state = rk_process_state(pid);

	return state != 'Z' && state != 'X';
}

/* By a descriptor, taken before the look at whose child it is: the pid may be another's by now. */
static void signal_child(pid_t pid, pid_t parent, int sig)
{
	rk_cleanup(rk_close_p) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd >= 0 && rk_process_parent(pid) == parent)
		(void)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

bool rk_program_has_left_somebody(void)
{
	siginfo_t info = { 0 };

	/* The kernel's list of children may miss one that has just become ours; this does not. */
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return false;
	return info.si_pid == 0 || rk_program_kill_tree(0) > 0;
}

uint32_t rk_program_kill_tree(int sig)
{
	struct tree *t = malloc(sizeof(*t));
	uint32_t n;

	if (!t)
		return 0;
	t->n = 0;
	children_add(t, getpid());
	for (uint32_t i = 0; i < t->n; i++)
		children_add(t, t->pid[i]);
	n = 0;
	for (uint32_t i = 0; i < t->n; i++)
		n += is_living(t->pid[i]);
	for (uint32_t i = t->n; i-- > 0;) /* the farthest first: who loses its parent becomes ours, and looks like another's */
		signal_child(t->pid[i], t->parent[i], sig);
	free(t);
	return n;
}
