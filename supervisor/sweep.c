/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shm/rundir.h"
#include "supervisor/conf_ask.h"

#define PREFIX "rekindle@"
#define SUFFIX ".service"
#define SLICE ".slice"
#define DEPTH 16u  /* of groups in groups */
#define BATCH 256u /* processes that are waited for together */
#define DEADLINE_NS (60 * RK_NS_PER_S) /* what has not died by then is in the kernel's hands */
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

/* ---- what is to be done ---- */

enum rk_sweep_verdict rk_sweep_judge(const struct rk_sweep_unit *u)
{
	if (strcmp(u->active, "inactive") != 0 && strcmp(u->active, "failed") != 0)
		return RK_SWEEP_RUNS;
	/* A restart is a "start" in its second half; "verify-active" and "nop" start nothing. */
	if (u->n_stored > 0 &&
	    (strcmp(u->job, "start") == 0 || strcmp(u->job, "restart") == 0 ||
	     strcmp(u->job, "try-restart") == 0 || strcmp(u->job, "reload-or-start") == 0))
		return RK_SWEEP_RETURNS;
	return RK_SWEEP_END;
}

int rk_sweep_name(const char *unit, char ret[static RK_NAME_MAX], struct rk_err *err)
{
	size_t len = strlen(unit), around = strlen(PREFIX) + strlen(SUFFIX);

	if (len > around && len - around < RK_NAME_MAX &&
	    strncmp(unit, PREFIX, strlen(PREFIX)) == 0 &&
	    strcmp(unit + len - strlen(SUFFIX), SUFFIX) == 0) {
		(void)snprintf(ret, RK_NAME_MAX, "%.*s", (int)(len - around),
			       unit + strlen(PREFIX));
		if (rk_name_check(ret, NULL) == 0)
			return 0;
	}
	return rk_err_set(err, -EINVAL, "'%.80s' is not swept: a unit rekindle@NAME.service is",
			  unit);
}

/* Appends "/WHAT" and the tail; false when there is no room. */
static bool append(char to[static PATH_MAX], const char *what, size_t len, const char *tail)
{
	size_t at = strlen(to);
	int n = snprintf(to + at, PATH_MAX - at, "/%.*s%s", (int)len, what, tail);

	return n >= 0 && (size_t)n < PATH_MAX - at;
}

int rk_sweep_group(const char *manager, const char *slice, const char *unit,
		   char ret[static PATH_MAX], struct rk_err *err)
{
	size_t len = strlen(slice), tail = strlen(SLICE);
	bool fits = strlen(manager) < PATH_MAX;

	if (len <= tail || strcmp(slice + len - tail, SLICE) != 0 || strchr(slice, '/') ||
	    strchr(unit, '/') || !*unit || unit[0] == '.')
		return rk_err_set(err, -EINVAL, "'%.80s' in '%.80s' has no control group", unit,
				  slice);
	len -= tail;
	(void)snprintf(ret, PATH_MAX, "%s", strcmp(manager, "/") == 0 ? "" : manager);
	for (size_t end = 1; end <= len && strcmp(slice, "-" SLICE) != 0; end++)
		if (end == len || slice[end] == '-')
			fits = fits && append(ret, slice, end, SLICE);
	if (fits && append(ret, unit, strlen(unit), ""))
		return 0;
	return rk_err_set(err, -ENAMETOOLONG, "the control group of '%.80s' has too long a path",
			  unit);
}

bool rk_sweep_is_inside(const char *text, const char *group)
{
	size_t len = strlen(group);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *path = strchr(line, ':');

		path = path ? strchr(path + 1, ':') : NULL;
		if (path && strncmp(path + 1, group, len) == 0 &&
		    (path[1 + len] == '/' || path[1 + len] == '\n' || !path[1 + len]))
			return true;
	}
	return false;
}

/* ---- killing ---- */

struct batch {
	uint32_t n;
	int pid[BATCH];
	struct pollfd fd[BATCH];
	bool is_listed[BATCH];
};

static void batch_close_p(struct batch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		rk_close_p(&b->fd[i].fd);
	b->n = 0;
}

/* Those of one group that live in a pid namespace of ours. */
static FILE *list_open(int dir)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "re");

	if (!f)
		rk_close_p(&fd);
	return f;
}

/*
 * A pid that is read may be another process's when it is used. So: read, open, read again. Who is
 * listed behind the opening and has not ended by then is the one that was opened.
 */
static void batch_open(struct batch *b, int dir)
{
	FILE *f = list_open(dir);
	int pid;

	while (f && b->n < BATCH && fscanf(f, "%d", &pid) == 1) {
		int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

		if (fd < 0)
			continue;
		b->pid[b->n] = pid;
		b->is_listed[b->n] = false;
		b->fd[b->n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	if (f)
		(void)fclose(f);
}

static void batch_confirm(struct batch *b, int dir)
{
	FILE *f = list_open(dir);
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		for (uint32_t i = 0; i < b->n; i++)
			b->is_listed[i] = b->is_listed[i] || b->pid[i] == pid;
	if (f)
		(void)fclose(f);
}

/* Kills those that are confirmed and waits for their ends. Returns how many, or -ETIME. */
static int batch_end(struct batch *b, uint64_t deadline_ns)
{
	uint32_t n = 0, n_left;
	uint64_t now;

	(void)poll(b->fd, b->n, 0);
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->is_listed[i] && !b->fd[i].revents &&
		    syscall(SYS_pidfd_send_signal, b->fd[i].fd, SIGKILL, NULL, 0) == 0)
			n++;
		else
			rk_close_p(&b->fd[i].fd);
	}
	for (n_left = n; n_left > 0;) {
		now = rk_clock_ns();
		if (now >= deadline_ns)
			return -ETIME;
		(void)poll(b->fd, b->n, (int)((deadline_ns - now) / RK_NS_PER_MS) + 1);
		for (uint32_t i = 0; i < b->n; i++) {
			if (b->fd[i].fd < 0 || !b->fd[i].revents)
				continue;
			rk_close_p(&b->fd[i].fd);
			n_left--;
		}
	}
	return (int)n;
}

/* One group, those below it first. Returns how many were killed, or -ETIME. */
static int group_kill(int dir, unsigned int depth, uint64_t deadline_ns)
{
	rk_cleanup(rk_close_p) int list = openat(dir, ".", DIR_FLAGS);
	DIR *below = list < 0 || depth == 0 ? NULL : fdopendir(list);
	int sum = 0, n = 0;
	struct dirent *e;

	if (below)
		(void)rk_take_fd(&list);
	while (n >= 0 && below && (e = readdir(below)) != NULL) {
		rk_cleanup(rk_close_p) int sub = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = openat(dir, e->d_name, DIR_FLAGS);
		n = sub < 0 ? 0 : group_kill(sub, depth - 1, deadline_ns);
		sum += n;
	}
	if (below)
		(void)closedir(below);
	while (n >= 0) {
		rk_cleanup(batch_close_p) struct batch b = { 0 };

		batch_open(&b, dir);
		batch_confirm(&b, dir);
		n = batch_end(&b, deadline_ns);
		sum += n;
		if (n == 0)
			return sum;
	}
	return n;
}

int rk_sweep_kill(int dir, uint64_t deadline_ns, uint32_t *n, struct rk_err *err)
{
	int killed;

	/*
	 * Until a look at all of them finds nobody: a child may be born where we have looked.
	 * cgroup.kill is not for groups that are used again (cgroup.h).
	 */
	while ((killed = group_kill(dir, DEPTH, deadline_ns)) > 0)
		*n += (uint32_t)killed;
	return killed < 0 ? rk_err_set(err, killed, "processes do not die of SIGKILL") : 0;
}

/* ---- a unit ---- */

/* The groups below one. */
static void groups_remove(int dir, unsigned int depth)
{
	rk_cleanup(rk_close_p) int list = openat(dir, ".", DIR_FLAGS);
	DIR *below = list < 0 || depth == 0 ? NULL : fdopendir(list);
	struct dirent *e;

	if (!below)
		return;
	(void)rk_take_fd(&list);
	while ((e = readdir(below)) != NULL) {
		rk_cleanup(rk_close_p) int sub = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = openat(dir, e->d_name, DIR_FLAGS);
		if (sub >= 0)
			groups_remove(sub, depth - 1);
		(void)unlinkat(dir, e->d_name, AT_REMOVEDIR);
	}
	(void)closedir(below);
}

static int group_end(const char *mount, const struct rk_sweep_unit *u, uint32_t *n,
		     struct rk_err *err)
{
	char path[2 * PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s%s", mount, u->group);
	rk_cleanup(rk_close_p) int dir = open(path, DIR_FLAGS);
	if (dir < 0)
		return errno == ENOENT ? 0 : rk_err_set(err, -errno, "%s: %s", path, strerror(errno));
	r = rk_sweep_kill(dir, rk_clock_ns() + DEADLINE_NS, n, err);
	if (u->is_held)
		return r; /* a start would count on its being there */
	groups_remove(dir, DEPTH);
	(void)rmdir(path);
	return r;
}

/* In each hierarchy that systemd sorts processes into: version 2, or 1 by the name of systemd. */
static int groups_end(const struct rk_sweep_unit *u, uint32_t *n, struct rk_err *err)
{
	char line[2 * PATH_MAX], at[PATH_MAX], type[32], options[1024];
	FILE *f = fopen("/proc/self/mounts", "re");
	int r = f ? 0 : rk_err_set(err, -errno, "/proc/self/mounts: %s", strerror(errno));

	while (r == 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %4095s %31s %1023s", at, type, options) != 3)
			continue;
		if (strcmp(type, "cgroup2") == 0 ||
		    (strcmp(type, "cgroup") == 0 && strstr(options, "name=systemd")))
			r = group_end(at, u, n, err);
	}
	if (f)
		(void)fclose(f);
	return r;
}

static bool are_we_inside(const char *group)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char text[8192];
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		(void)fclose(f);
	text[n] = '\0';
	return rk_sweep_is_inside(text, group);
}

/* Unless it is somebody else's by now: a fleet of this name that was started by hand. */
static void rundir_end(const struct rk_sweep_unit *u, const char *name)
{
	if (u->is_listening || rk_rundir_look(name) == RK_RUNDIR_HELD)
		return;
	if (strcmp(u->active, "failed") == 0)
		rk_rundir_close(name); /* the flight recorder tells what has failed */
	else
		rk_rundir_remove(name);
}

static int end(const struct rk_sweep_unit *u, const char *name, struct rk_err *err)
{
	uint32_t n = 0;
	int r;

	if (are_we_inside(u->group))
		return rk_err_set(err, -EDEADLK, "%s is our own control group", u->group);
	r = groups_end(u, &n, err);
	if (r < 0)
		return r;
	if (n > 0)
		rk_log(RK_LOG_NOTICE, "processes that the stop had left were killed name=%s n=%u",
		       name, n);
	rundir_end(u, name);
	return 0;
}

int rk_sweep_run(const char *unit)
{
	struct rk_sweep_unit u = { 0 };
	struct rk_err err = { 0 };
	char name[RK_NAME_MAX];
	int r = rk_sweep_name(unit, name, &err);

	if (r < 0) {
		rk_log(RK_LOG_ERROR, "%s", err.text);
		return RK_EXIT_USAGE;
	}
	r = rk_sweep_ask(unit, name, &u, &err);
	if (r == 0 && rk_sweep_judge(&u) == RK_SWEEP_END)
		r = end(&u, name, &err);
	else if (r == 0)
		rk_log(RK_LOG_INFO, "not swept, the unit %s unit=%s active=%s job=%s stored=%u",
		       rk_sweep_judge(&u) == RK_SWEEP_RUNS ? "runs" : "is about to go on", unit,
		       u.active, *u.job ? u.job : "none", u.n_stored);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "%s is not swept: %s", unit, err.text);
	return r < 0 ? RK_EXIT_FAILED : RK_EXIT_OK;
}
