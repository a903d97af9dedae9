/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/rundir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOCK_ATTEMPTS 50
#define LOCK_PAUSE_NS 1000000

int rk_name_check(const char *name, struct rk_err *err)
{
	size_t len = strlen(name);

	if (len >= 1 && len < RK_NAME_MAX && name[0] != '.') {
		size_t i = 0;

		while (i < len && (isalnum((unsigned char)name[i]) || strchr("._-@", name[i])))
			i++;
		if (i == len)
			return 0;
	}
	return rk_err_set(err, -EINVAL,
			  "name '%.70s': use 1 to %u letters, digits, '.', '_', '-' or '@', not beginning with '.'", name,
			  RK_NAME_MAX - 1);
}

int rk_fleet_name_check(const char *name, struct rk_err *err)
{
	const char *slash = strchr(name, '/');
	char dir[RK_NAME_MAX];
	size_t len;

	if (!slash)
		return rk_name_check(name, err);
	len = (size_t)(slash - name);
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)len, name);
	return len >= RK_NAME_MAX ? rk_name_check(name, err) : /* refuses the slash too */
	       rk_name_check(dir, err) < 0 ? -EINVAL : rk_name_check(slash + 1, err);
}

const char *rk_fleet_part(const char *name)
{
	const char *slash;

	if (!name || !*name)
		name = getenv("REKINDLE_NAME");
	slash = name ? strchr(name, '/') : NULL;
	return slash ? slash + 1 : NULL;
}

static int too_long(struct rk_err *err)
{
	return rk_err_set(err, -ENAMETOOLONG,
			  "the runtime directory's path is too long for a socket: set REKINDLE_RUNTIME_DIR to a shorter one");
}

int rk_rundir_base(char ret[static RK_PATH_MAX], struct rk_err *err)
{
	const char *own = getenv("REKINDLE_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (own && *own)
		n = snprintf(ret, RK_PATH_MAX, "%s", own);
	else if (geteuid() == 0)
		n = snprintf(ret, RK_PATH_MAX, "/run/rekindle");
	else if (xdg && *xdg)
		n = snprintf(ret, RK_PATH_MAX, "%s/rekindle", xdg);
	else
		n = snprintf(ret, RK_PATH_MAX, "/tmp/rekindle-%u", (unsigned int)geteuid());
	return n < (int)RK_PATH_MAX ? 0 : too_long(err);
}

int rk_rundir_path(const char *name, const char *file, char ret[static RK_PATH_MAX], struct rk_err *err)
{
	char base[RK_PATH_MAX];
	int r = rk_rundir_base(base, err), n;

	if (r < 0)
		return r;
	n = snprintf(ret, RK_PATH_MAX, "%s/%s%s%s", base, name, file ? "/" : "", file ? file : "");
	return n < (int)RK_PATH_MAX ? 0 : too_long(err);
}

static enum rk_rundir_life look(int dir, const char *name)
{
	rk_cleanup(rk_close_p) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == EACCES ? RK_RUNDIR_HIDDEN : RK_RUNDIR_NOBODY;
	return flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK ? RK_RUNDIR_HELD : RK_RUNDIR_NOBODY;
}

enum rk_rundir_life rk_rundir_look(const char *name)
{
	char path[RK_PATH_MAX];

	return rk_rundir_path(name, NULL, path, NULL) < 0 ? RK_RUNDIR_NOBODY : look(AT_FDCWD, path);
}

/* Whether somebody holds the lock on this directory: a fleet runs there. */
static bool is_locked(int dir, const char *name)
{
	return look(dir, name) == RK_RUNDIR_HELD;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool has_file(int dir, const char *name, const char *file)
{
	char path[2 * RK_NAME_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", name, file);
	return faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether a fleet that does not run any more has left its flight recorder. */
static bool has_left(int dir, const char *name)
{
	return has_file(dir, name, RK_RUNDIR_FLIGHT);
}

/* A control socket alone may be systemd's, which waits for who wants the fleet. */
static bool is_left(int dir, const char *name)
{
	return (has_left(dir, name) || has_file(dir, name, RK_RUNDIR_BOARD)) && !is_locked(dir, name);
}

static int list(char names[][RK_NAME_MAX], size_t n_max, bool (*is_wanted)(int dir, const char *name),
		struct rk_err *err)
{
	char base[RK_PATH_MAX];
	int r = rk_rundir_base(base, err), n = 0;
	struct dirent *e;
	DIR *dir;

	if (r < 0)
		return r;
	dir = opendir(base);
	if (!dir)
		return errno == ENOENT ? 0 : rk_err_set(err, -errno, "%s: %s", base, strerror(errno));
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || strlen(e->d_name) >= RK_NAME_MAX ||
		    !is_wanted(dirfd(dir), e->d_name))
			continue;
		if ((size_t)n < n_max)
			strcpy(names[n], e->d_name); /* length checked above */
		n++;
	}
	(void)closedir(dir);
	qsort(names, n < (int)n_max ? (size_t)n : n_max, RK_NAME_MAX, by_name);
	return n;
}

int rk_rundir_list(char names[][RK_NAME_MAX], size_t n_max, struct rk_err *err)
{
	return list(names, n_max, is_locked, err);
}

int rk_rundir_list_left(char names[][RK_NAME_MAX], size_t n_max, struct rk_err *err)
{
	return list(names, n_max, is_left, err);
}

bool rk_rundir_has_left(const char *name)
{
	char path[RK_PATH_MAX];

	return rk_rundir_path(name, NULL, path, NULL) == 0 && has_left(AT_FDCWD, path);
}

/* Nobody runs: one that has left something may be meant. */
static int none_runs(bool left, struct rk_err *err)
{
	char names[1][RK_NAME_MAX];
	int n = left ? 0 : list(names, 1, has_left, NULL);

	if (n > 0)
		return rk_err_set(err, -ENOENT,
				  "no fleet is running: start one with 'rekindle run -n 4 -- COMMAND'; '%s'%s ended without a stop, "
				  "see 'rekindle list'", names[0], n > 1 ? " and others have" : " has");
	return rk_err_set(err, -ENOENT, "no fleet is running%s: start one with 'rekindle run -n 4 -- COMMAND'",
			  left ? ", and none has left a flight recorder" : "");
}

/* A fleet that runs, or one that has left something. */
static int choose(const char *name, bool left, char ret[static RK_NAME_MAX], struct rk_err *err)
{
	char names[16][RK_NAME_MAX];
	char all[200] = "";
	int n;

	if (!name || !*name)
		name = getenv("REKINDLE_NAME");
	if (name && *name) {
		int r = rk_fleet_name_check(name, err);

		if (r == 0) /* NAME, which the check bounds, without the FLEET */
			(void)snprintf(ret, RK_NAME_MAX, "%.*s", (int)strcspn(name, "/"), name);
		return r;
	}
	n = list(names, rk_countof(names), left ? has_left : is_locked, err);
	if (n < 0)
		return n;
	if (n == 0)
		return none_runs(left, err);
	if (n == 1) {
		strcpy(ret, names[0]);
		return 0;
	}
	for (int i = 0; i < n && i < (int)rk_countof(names); i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), " %.63s", names[i]);
	return rk_err_set(err, -E2BIG, "%d fleets %s: choose one with --name:%s", n,
			  left ? "have left a flight recorder" : "are running", all);
}

int rk_rundir_choose(const char *name, char ret[static RK_NAME_MAX], struct rk_err *err)
{
	return choose(name, false, ret, err);
}

int rk_rundir_choose_left(const char *name, char ret[static RK_NAME_MAX], struct rk_err *err)
{
	int r = choose(name, false, ret, err);

	return r == -ENOENT ? choose(name, true, ret, err) : r;
}

/*
 * Makes one directory and opens it. It has to be ours; that of all fleets may be root's, who could
 * do what he wants anyhow: systemd makes it for services of other users.
 */
static int own_directory(const char *path, bool is_base, struct rk_err *err)
{
	mode_t mode = is_base && geteuid() == 0 ? 0711 : 0700; /* services of others are below it */
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return rk_err_set(err, -errno, "cannot make the runtime directory %s: %s", path, strerror(errno));
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return rk_err_set(err, -errno, "cannot open the runtime directory %s: %s", path, strerror(errno));
	if (st.st_uid != geteuid() && !(is_base && st.st_uid == 0))
		return rk_err_set(err, -EPERM,
				  "the runtime directory %s belongs to uid %u, not to us: remove it or set REKINDLE_RUNTIME_DIR",
				  path, (unsigned int)st.st_uid);
	/* Somebody else could put a directory of his own in the place of a fleet's. */
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return rk_err_set(err, -EPERM,
				  "the runtime directory %s can be written by others (mode %04o): chmod go-w it, or set REKINDLE_RUNTIME_DIR",
				  path, (unsigned int)st.st_mode & 07777);
	return rk_take_fd(&fd);
}

/* Tries for a while: somebody who lists the fleets holds a shared lock for a moment. */
static bool take_lock(int fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };

	for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

int rk_rundir_lock(const char *name, struct rk_err *err)
{
	char path[RK_PATH_MAX];
	int r = rk_rundir_base(path, err);

	if (r < 0)
		return r;
	rk_cleanup(rk_close_p) int base = own_directory(path, true, err);
	if (base < 0)
		return base;
	r = rk_rundir_path(name, NULL, path, err);
	if (r < 0)
		return r;
	for (int attempt = 0; attempt < 100; attempt++) {
		rk_cleanup(rk_close_p) int fd = own_directory(path, false, err);
		struct stat held, named;

		if (fd < 0)
			return fd;
		if (!take_lock(fd))
			return rk_err_set(err, -EBUSY,
					  "a fleet named '%s' is running already: choose another --name, or 'rekindle stop --name %s'",
					  name, name);
		/* A fleet that was just ending may have removed the directory between open and lock. */
		if (fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino) {
			if (fchmod(fd, 0700) < 0) /* whoever made it: the socket in it is ours alone */
				return rk_err_set(err, -errno, "%s: %s", path, strerror(errno));
			return rk_take_fd(&fd);
		}
	}
	return rk_err_set(err, -EAGAIN, "the runtime directory %s keeps disappearing", path);
}

int rk_rundir_admit(const char *name, gid_t gid, bool is_for_all, struct rk_err *err)
{
	mode_t mode = 0700 | (gid != (gid_t)-1 ? 0010 : 0) | (is_for_all ? 0011 : 0);
	char base[RK_PATH_MAX], path[RK_PATH_MAX];
	struct stat st;
	int r = rk_rundir_base(base, err);

	if (r == 0)
		r = rk_rundir_path(name, NULL, path, err);
	if (r < 0 || mode == 0700)
		return r;
	/* Other fleets' directories below keep them out by their own mode. */
	if (stat(base, &st) < 0 ||
	    ((st.st_mode & 0011) != 0011 && chmod(base, (st.st_mode & 07777) | 0011) < 0))
		return rk_err_set(err, -errno, "%s: %s", base, strerror(errno));
	if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, mode) < 0)
		return rk_err_set(err, -errno, "cannot let clients into %s: %s", path, strerror(errno));
	return 0;
}

static void file_remove(const char *name, const char *file)
{
	char path[RK_PATH_MAX];

	if (rk_rundir_path(name, file, path, NULL) == 0)
		(void)unlink(path);
}

void rk_rundir_close(const char *name)
{
	char path[RK_PATH_MAX];

	file_remove(name, "control");
	file_remove(name, RK_RUNDIR_BOARD);
	if (rk_rundir_path(name, NULL, path, NULL) == 0)
		(void)rmdir(path);
}

void rk_rundir_leave(const char *name)
{
	file_remove(name, RK_RUNDIR_BOARD);
}

void rk_rundir_remove(const char *name)
{
	file_remove(name, RK_RUNDIR_FLIGHT);
	file_remove(name, RK_RUNDIR_FLIGHT ".new");
	rk_rundir_close(name);
}
