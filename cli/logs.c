/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle logs: what workers print, from where Output= sends it: their files, or the journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/percent.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/recall.h"
#include "shm/rundir.h"

#define LINES_DEFAULT 10u
#define BLOCK 65536u
#define AGAIN_MS 200 /* between two looks for a supervisor that does not answer */
#define IDENTIFIER_MAX (RK_NAME_MAX + 16u)
#define WATCHED (IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE)

/* A worker's file, which may not be there yet. */
struct file {
	char *path;
	int fd; /* -1 = none */
	ino_t inode;
	off_t at; /* printed up to here */
};

struct logs {
	struct rk_ask ask; /* stays open: it hangs up when the fleet ends */
	char fleet[RK_NAME_MAX];
	char to[16];
	char path[PATH_MAX]; /* as Output= has it */
	uint32_t n_slots;
	int keeper;
	uint32_t worker; /* RK_FLIGHT_NOBODY = all */
	uint64_t n_lines;
	bool follows;
	struct file *files;
	uint32_t n_files;
	const struct file *last; /* whose lines were printed last */
};

/* ---- where the output goes ---- */

static void text_take(struct json_object *answer, const char *member, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%s", rk_connect_text(answer, member));
}

static int output_ask(struct logs *l, const char *name, struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	const char *part = rk_fleet_part(name);
	struct json_object *answer;
	char request[64 + RK_NAME_MAX];
	int64_t n_slots;
	int r = rk_ask_open(&l->ask, name, err);

	(void)snprintf(request, sizeof(request), "{\"verb\":\"output\"%s%s%s}",
		       part ? ",\"fleet\":\"" : "", part ? part : "", part ? "\"" : "");
	if (r == 0)
		r = rk_ask(&l->ask, request, &answer, &fds, err);
	if (r < 0)
		return r;
	text_take(answer, "fleet", l->fleet, sizeof(l->fleet));
	text_take(answer, "output", l->to, sizeof(l->to));
	text_take(answer, "path", l->path, sizeof(l->path));
	l->keeper = (int)rk_connect_int(answer, "keeper_pid");
	n_slots = rk_connect_int(answer, "slots");
	json_object_put(answer);
	if (rk_name_check(l->fleet, err) < 0 || n_slots < 1 || n_slots > RK_WORKERS_MAX)
		return rk_err_set(err, -EPROTO, "%s: the supervisor's answer makes no sense",
				  l->ask.fleet);
	l->n_slots = (uint32_t)n_slots;
	if (l->worker != RK_FLIGHT_NOBODY && l->worker >= l->n_slots)
		return rk_err_set(err, -EINVAL, "%s has workers 0 to %u, and no worker %u",
				  l->fleet, l->n_slots - 1, l->worker);
	return 0;
}

/* ---- the journal ---- */

/* Becomes journalctl. */
static int journal_exec(const struct logs *l, struct rk_err *err)
{
	uint32_t first = l->worker == RK_FLIGHT_NOBODY ? 0 : l->worker;
	uint32_t end = l->worker == RK_FLIGHT_NOBODY ? l->n_slots : l->worker + 1;
	char(*names)[IDENTIFIER_MAX] = calloc(end - first, sizeof(*names));
	char **argv = calloc(2 * (size_t)(end - first) + 8, sizeof(*argv));
	char command[] = "journalctl", follow[] = "--follow", tag[] = "-t", lines[32];
	size_t n = 0;

	if (!names || !argv) {
		free(names);
		free(argv);
		return rk_err_set(err, -ENOMEM, "no memory for journalctl's arguments");
	}
	argv[n++] = command;
	(void)snprintf(lines, sizeof(lines), "--lines=%llu", (unsigned long long)l->n_lines);
	argv[n++] = lines;
	if (l->follows)
		argv[n++] = follow;
	for (uint32_t i = first; i < end; i++) {
		(void)snprintf(names[i - first], IDENTIFIER_MAX, "%s/%u", l->fleet, i);
		argv[n++] = tag;
		argv[n++] = names[i - first];
	}
	(void)execvp(argv[0], argv);
	(void)rk_err_set(err, -EPERM, "Output=journal: cannot run journalctl: %s", strerror(errno));
	free(names);
	free(argv);
	return err->code;
}

/* ---- files ---- */

static void files_free(struct logs *l)
{
	for (uint32_t i = 0; i < l->n_files; i++) {
		rk_close_p(&l->files[i].fd);
		free(l->files[i].path);
	}
	free(l->files);
}

static int file_add(struct logs *l, uint32_t slot, struct rk_err *err)
{
	char number[12], path[PATH_MAX];
	const struct rk_percent with[] = { { 'f', l->fleet }, { 'i', number }, { 0, NULL } };
	int r;

	(void)snprintf(number, sizeof(number), "%u", slot);
	r = rk_percent_expand(l->path, with, path, sizeof(path), err);
	if (r < 0)
		return r;
	l->files[l->n_files] = (struct file){ .path = strdup(path), .fd = -1 };
	if (!l->files[l->n_files].path)
		return rk_err_set(err, -ENOMEM, "no memory for the names of files");
	l->n_files++;
	return 0;
}

/* One for each worker, or one for all. */
static int files_name(struct logs *l, struct rk_err *err)
{
	bool is_one = l->worker != RK_FLIGHT_NOBODY || !rk_percent_has(l->path, 'i');
	uint32_t first = l->worker == RK_FLIGHT_NOBODY ? 0 : l->worker;
	uint32_t end = is_one ? first + 1 : l->n_slots;
	int r = 0;

	l->files = calloc(end - first, sizeof(*l->files));
	if (!l->files)
		return rk_err_set(err, -ENOMEM, "no memory for the names of files");
	for (uint32_t slot = first; r == 0 && slot < end; slot++)
		r = file_add(l, slot, err);
	return r;
}

/* Which file these lines are of, when there are several. */
static void head_print(struct logs *l, const struct file *f)
{
	if (l->n_files > 1 && l->last != f)
		(void)printf("%s==> %s <==\n", l->last ? "\n" : "", f->path);
	l->last = f;
}

/* What has been added. Returns 0 or -errno. */
static int file_print(struct logs *l, struct file *f)
{
	char block[BLOCK];
	ssize_t n;

	while ((n = pread(f->fd, block, sizeof(block), f->at)) > 0) {
		head_print(l, f);
		if (fwrite(block, 1, (size_t)n, stdout) != (size_t)n)
			return -errno;
		f->at += n;
	}
	(void)fflush(stdout);
	return n < 0 ? -errno : 0;
}

/* Where the last n lines begin. */
static off_t tail_find(int fd, off_t size, uint64_t n)
{
	char block[BLOCK];
	off_t at = size;
	uint64_t found = 0;

	while (at > 0) {
		size_t want = at < (off_t)sizeof(block) ? (size_t)at : sizeof(block);
		ssize_t got = pread(fd, block, want, at - (off_t)want);

		if (got != (ssize_t)want)
			return at; /* it is being cut under our eyes */
		at -= (off_t)want;
		for (size_t i = want; i-- > 0;)
			/* The last byte ends the last line, it does not begin another. */
			if (block[i] == '\n' && at + (off_t)i + 1 != size && ++found == n)
				return at + (off_t)i + 1;
	}
	return 0;
}

/* Opens the file that has the name now, unless it is the one that we have. */
static void file_open(struct file *f)
{
	struct stat st;
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (f->fd >= 0 && st.st_ino == f->inode)) {
		rk_close_p(&fd);
		return;
	}
	rk_close_p(&f->fd);
	*f = (struct file){ .path = f->path, .fd = fd, .inode = st.st_ino };
}

/* The first look: the last lines. */
static int file_begin(struct logs *l, struct file *f, struct rk_err *err)
{
	struct stat st;
	int r;

	file_open(f);
	if (f->fd < 0 && errno == EACCES)
		return rk_err_set(err, -EACCES, "%s: %s", f->path, strerror(EACCES));
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return 0; /* none yet */
	f->at = l->n_lines == 0 ? st.st_size : tail_find(f->fd, st.st_size, l->n_lines);
	r = file_print(l, f);
	return r < 0 ? rk_err_set(err, r, "%s: %s", f->path, strerror(-r)) : 0;
}

/* The file grew, was cut, or another one has its name. */
static int file_look(struct logs *l, struct file *f)
{
	struct stat st;
	int r = 0;

	if (f->fd >= 0) {
		if (fstat(f->fd, &st) == 0 && st.st_size < f->at)
			f->at = 0;
		r = file_print(l, f);
	}
	file_open(f);
	return r == 0 && f->fd >= 0 ? file_print(l, f) : r;
}

/* ---- following ---- */

/* Their directories, so that a file that is made anew is seen. */
static int watch_open(const struct logs *l, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return rk_err_set(err, -errno, "inotify: %s", strerror(errno));
	for (uint32_t i = 0; i < l->n_files; i++) {
		char directory[PATH_MAX];
		char *slash;

		(void)snprintf(directory, sizeof(directory), "%s", l->files[i].path);
		slash = strrchr(directory, '/');
		slash[slash == directory] = '\0'; /* the path is absolute */
		if (inotify_add_watch(fd, directory, WATCHED) < 0)
			return rk_err_set(err, -errno, "cannot watch %s: %s", directory,
					  strerror(errno));
	}
	return rk_take_fd(&fd);
}

static int files_look(struct logs *l)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < l->n_files; i++)
		r = file_look(l, &l->files[i]);
	return r;
}

/* There is no connection: whether the fleet goes on, under another supervisor or keeper, or will. */
static bool goes_on(struct logs *l)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer;
	int r;

	rk_ask_close_p(&l->ask);
	l->ask.deadline_ns = rk_clock_ns() + AGAIN_MS * RK_NS_PER_MS;
	r = rk_ask(&l->ask, "{\"verb\":\"ping\"}", &answer, &fds, NULL);
	if (r == 0)
		json_object_put(answer);
	else
		rk_ask_close_p(&l->ask);
	return r != -ENOENT;
}

/* Until the fleet ends, which closes the control socket behind its workers. */
static int files_follow(struct logs *l, int watch, struct rk_err *err)
{
	char events[4096];
	struct pollfd p[2] = { { .fd = watch, .events = POLLIN }, { .revents = 0 } };
	int r;

	while ((r = files_look(l)) == 0) {
		if ((l->ask.sock < 0 || (p[1].revents & (POLLHUP | POLLERR))) && !goes_on(l))
			break;
		p[1].fd = l->ask.sock;
		if (poll(p, 2, l->ask.sock < 0 ? AGAIN_MS : -1) < 0 && errno != EINTR)
			return rk_err_set(err, -errno, "poll: %s", strerror(errno));
		while (read(watch, events, sizeof(events)) > 0)
			;
	}
	return r < 0 ? rk_err_set(err, r, "cannot go on: %s", strerror(-r)) : 0;
}

static int files_show(struct logs *l, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int watch = -1;
	int r = files_name(l, err);

	if (r == 0 && l->follows) { /* before the first look: what comes behind it is not missed */
		watch = watch_open(l, err);
		r = watch < 0 ? watch : 0;
	}
	for (uint32_t i = 0; r == 0 && i < l->n_files; i++)
		r = file_begin(l, &l->files[i], err);
	return r == 0 && l->follows ? files_follow(l, watch, err) : r;
}

/* ---- the others ---- */

static void inherited_tell(const struct logs *l)
{
	char link[48], to[PATH_MAX];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/%d/fd/1", l->keeper);
	n = readlink(link, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	(void)printf(
		"The output of %s's workers goes where that of rekindled (pid %d) goes%s%s: see Output= in "
		"rekindle.conf(5).\n",
		l->fleet, l->keeper, n > 0 ? ", " : "", to);
}

static int show(struct logs *l, struct rk_err *err)
{
	if (strcmp(l->to, "file") == 0)
		return files_show(l, err);
	if (strcmp(l->to, "journal") == 0)
		return journal_exec(l, err);
	if (strcmp(l->to, "null") == 0)
		(void)printf(
			"The output of %s's workers is thrown away: see Output= in rekindle.conf(5).\n",
			l->fleet);
	else
		inherited_tell(l);
	return 0;
}

int rk_cli_logs(int argc, char **argv)
{
	struct logs l = { .ask.sock = -1, .worker = RK_FLIGHT_NOBODY };
	struct rk_err err = { 0 };
	const char *worker, *name = NULL;
	struct rk_args a;
	int status, r = 0;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	worker = rk_args_text(&a, "worker");
	l.follows = rk_args_flag(&a, "follow");
	l.n_lines = rk_args_number(&a, "lines", LINES_DEFAULT);
	if (worker)
		r = rk_recall_worker(worker, &l.worker, &err);
	if (r == 0)
		r = rk_cli_fleet(&a, &name, &err);
	if (r == 0)
		r = output_ask(&l, name, &err);
	if (r == 0)
		r = show(&l, &err);
	files_free(&l);
	rk_ask_close_p(&l.ask);
	return r < 0 ? rk_cli_fail(&err) : RK_CLI_OK;
}
