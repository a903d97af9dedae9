/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/system/fleet.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "workers/lib/connect.h"

void fleet_path(char ret[static 4096], const char *program)
{
	const char *build = getenv("RK_TEST_BUILD");
	char self[3072];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (build && realpath(build, ret)) {
		snprintf(self, sizeof(self), "%.3000s", ret);
		snprintf(ret, 4096, "%s/%s", self, program);
		return;
	}
	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	for (int up = 0; up < 3; up++) /* BUILD/tests/system/test_x */
		*strrchr(self, '/') = '\0';
	snprintf(ret, 4096, "%s/%s", self, program);
}

/* One line, without its newline; 0 at the end of file. */
static int read_line(struct fleet *f)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = f->out, .events = POLLIN };
		char c;

		ck_assert_msg(rk_clock_ns() < end_ns, "no line from rekindled in time");
		if (poll(&p, 1, 1000) <= 0)
			continue;
		if (read(f->out, &c, 1) <= 0)
			return 0;
		if (c == '\n') {
			f->line[len] = '\0';
			return 1;
		}
		if (len < sizeof(f->line) - 1)
			f->line[len++] = c;
	}
}

void fleet_await_line(struct fleet *f, const char *text)
{
	do
		ck_assert_msg(read_line(f), "rekindled ended before it said '%s'", text);
	while (!strstr(f->line, text));
}

static void read_pids(struct fleet *f)
{
	const char *at = strstr(f->line, "workers:");

	at = at ? at : strstr(f->line, "worker:");
	ck_assert_ptr_nonnull(at);
	at = strchr(at, ':') + 1;
	for (f->n_workers = 0; f->n_workers < FLEET_WORKERS_MAX;) {
		char *end;
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		f->worker[f->n_workers++] = (pid_t)pid;
		at = end;
	}
}

/* argv ends with NULL. */
static void execute(struct fleet *f, const char *const *argv)
{
	pid_t parent = getpid();
	int out[2];

	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", f->directory, 1), 0);
	ck_assert_int_eq(setenv("REKINDLE_NAME", "test", 1), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	f->keeper = fork();
	ck_assert_int_ge(f->keeper, 0);
	if (f->keeper == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		(void)dup2(out[1], 1);
		execv(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	(void)close(out[1]);
	f->out = out[0];
}

static void launch(struct fleet *f, int n_workers, const char *const *options, const char *worker)
{
	char rekindled[4096], program[4096], number[16];
	const char *argv[64] = { rekindled, "--name", "test", "-n", number };
	int n = 5;

	fleet_path(rekindled, "rekindled");
	if (worker && worker[0] == '/')
		snprintf(program, sizeof(program), "%.4000s", worker);
	else
		fleet_path(program, worker ? worker : "tests/system/test_worker");
	snprintf(number, sizeof(number), "%d", n_workers);
	while (options && *options)
		argv[n++] = *options++;
	argv[n++] = "--";
	argv[n++] = program;
	argv[n] = NULL;
	execute(f, argv);
}

static void await_ready(struct fleet *f, int n_workers)
{
	fleet_await_line(f, "fleet test");
	read_pids(f);
	ck_assert_int_eq(f->n_workers, n_workers);
}

static void directory_make(struct fleet *f)
{
	memset(f, 0, sizeof(*f));
	strcpy(f->directory, "/tmp/rk-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->directory));
}

void fleet_launch(struct fleet *f, int n_workers, const char *const *options, const char *worker)
{
	directory_make(f);
	launch(f, n_workers, options, worker);
	fleet_await_line(f, "reserved");
}

void fleet_start(struct fleet *f, int n_workers, const char *const *options, const char *worker)
{
	fleet_launch(f, n_workers, options, worker);
	await_ready(f, n_workers);
}

static void file_name(const struct fleet *f, char path[static 128])
{
	snprintf(path, 128, "%s/test.conf", f->directory);
}

void fleet_write_file(const struct fleet *f, const char *text)
{
	char path[128];
	FILE *file;

	file_name(f, path);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

void fleet_start_file(struct fleet *f, int n_workers, const char *text)
{
	char rekindled[4096], path[128];
	const char *const argv[] = { rekindled, "--config", path, NULL };

	directory_make(f);
	fleet_path(rekindled, "rekindled");
	file_name(f, path);
	fleet_write_file(f, text);
	execute(f, argv);
	await_ready(f, n_workers);
}

void fleet_start_again(struct fleet *f)
{
	int n_workers = f->n_workers;

	launch(f, n_workers, NULL, NULL);
	await_ready(f, n_workers);
}

static void remove_directory(const char *path)
{
	char inner[512];
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%.200s", path, e->d_name);
		if (unlink(inner) < 0)
			remove_directory(inner);
	}
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

int fleet_await_end(struct fleet *f)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	int status;

	while (read_line(f)) /* until every holder of the pipe is gone */
		ck_assert(rk_clock_ns() < end_ns);
	ck_assert_int_eq(waitpid(f->keeper, &status, 0), f->keeper);
	(void)close(f->out);
	return status;
}

void fleet_remove(struct fleet *f)
{
	remove_directory(f->directory);
}

int fleet_reap(struct fleet *f)
{
	int status = fleet_await_end(f);

	fleet_remove(f);
	return status;
}

void fleet_stop(struct fleet *f)
{
	char name[128];
	int status;

	ck_assert_int_eq(kill(f->keeper, SIGTERM), 0);
	snprintf(name, sizeof(name), "%s/test", f->directory);
	while (read_line(f))
		;
	ck_assert_int_eq(access(name, F_OK), -1); /* the fleet removed its own directory */
	status = fleet_reap(f);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "rekindled ended with status %#x",
		      (unsigned int)status);
}

struct rk_client *fleet_client(const char *name)
{
	struct rk_client *c;
	int r = rk_client_open(&c, NULL, name);

	ck_assert_msg(r == 0, "rk_client_open: %s", rk_client_error());
	return c;
}

struct json_object *fleet_status(void)
{
	char rekindle[4096], command[4200], text[65536];
	struct json_object *o;
	FILE *out;
	size_t n;

	fleet_path(rekindle, "rekindle");
	snprintf(command, sizeof(command), "exec '%s' status --internals -o json", rekindle);
	out = popen(command, "re");
	ck_assert_ptr_nonnull(out);
	n = fread(text, 1, sizeof(text) - 1, out);
	ck_assert_int_eq(pclose(out), 0);
	text[n] = '\0';
	o = json_tokener_parse(text);
	ck_assert_msg(o != NULL, "not JSON: %s", text);
	return o;
}

struct json_object *fleet_member(struct json_object *o, ...)
{
	const char *name;
	va_list names;

	va_start(names, o);
	while ((name = va_arg(names, const char *)) != NULL)
		ck_assert_msg(json_object_object_get_ex(o, name, &o), "there is no member '%s'", name);
	va_end(names);
	return o;
}

int fleet_kill_owner(struct rk_client *c, const char *key)
{
	uint32_t partition, worker;
	int pid, again, fd, r;

	ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid), 0);
	fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (fd < 0)
		return 0;
	/* Still its after that: the descriptor is the worker's. */
	ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &again), 0);
	r = again == pid && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
	(void)close(fd);
	return r;
}

pid_t fleet_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

pid_t fleet_supervisor(void)
{
	struct rk_fds fds = { 0 };
	struct json_object *answer;
	struct rk_err err;
	int sock = rk_connect("test", &err), pid;

	ck_assert_msg(sock >= 0, "%s", err.text);
	ck_assert_msg(rk_connect_ask(sock, "{\"verb\":\"ping\"}", FLEET_WAIT_MS, &answer, &fds, &err) == 0, "%s",
		      err.text);
	pid = (int)rk_connect_int(answer, "supervisor_pid");
	json_object_put(answer);
	(void)close(sock);
	return pid;
}

pid_t fleet_kill_supervisor(void)
{
	pid_t pid = fleet_supervisor();
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fleet_supervisor(), pid); /* still its after that: the descriptor is the supervisor's */
	ck_assert_int_eq((int)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), 0);
	ck_assert_int_eq(poll(&p, 1, (int)FLEET_WAIT_MS), 1);
	(void)close(fd);
	return pid;
}

pid_t fleet_await_supervisor(pid_t dead)
{
	pid_t pid = fleet_supervisor();

	ck_assert_int_ne(pid, dead);
	return pid;
}

pid_t fleet_orphan(const struct fleet *f)
{
	ck_assert_int_eq(kill(f->keeper, SIGSTOP), 0);
	fleet_await_state(f->keeper, 'T');
	return fleet_kill_supervisor();
}

pid_t fleet_adopt(const struct fleet *f, pid_t dead)
{
	ck_assert_int_eq(kill(f->keeper, SIGCONT), 0);
	return fleet_await_supervisor(dead);
}

static char state_of(pid_t pid)
{
	char path[64], text[512];
	const char *at;
	FILE *stat;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	if (!stat)
		return 'Z';
	n = fread(text, 1, sizeof(text) - 1, stat);
	(void)fclose(stat);
	text[n] = '\0';
	at = strrchr(text, ')');
	return at ? at[2] : 'Z';
}

void fleet_await_state(pid_t pid, char state)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	while (state_of(pid) != state) {
		ck_assert_msg(rk_clock_ns() < end_ns, "process %d is in state %c, not %c", (int)pid, state_of(pid), state);
		(void)poll(NULL, 0, 1);
	}
}

int fleet_lives(pid_t pid)
{
	return state_of(pid) != 'Z';
}
