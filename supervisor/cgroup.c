/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "shm/abi.h"

#define CPU_WEIGHT_NORMAL 100u /* the kernel's */
#define MAIN "main"
#define OWN_MAX (RK_NAME_MAX + 24u) /* bytes of "rekindle-NAME-KEEPER" */
#define NUMBER_MAX 24
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

/* ---- files of a group ---- */

static int file_write(int dir, const char *file, const char *text)
{
	rk_cleanup(rk_close_p) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : rk_write_all(fd, text, strlen(text));
}

static int number_write(int dir, const char *file, uint64_t value)
{
	char text[24] = "max";

	if (value != RK_INFINITE)
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return file_write(dir, file, text);
}

/* The number behind "key " in a file of such lines; 0 if there is none. */
static uint64_t number_read(int fd, const char *key)
{
	char text[1024];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	size_t len = strlen(key);

	text[n > 0 ? n : 0] = '\0';
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	return 0;
}

static int sub_open(int dir, const char *name)
{
	int fd;

	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, DIR_FLAGS);
	return fd < 0 ? -errno : fd;
}

/* ---- where we are ---- */

bool rk_cgroup_mount(char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[PATH_MAX + 256], at[PATH_MAX], type[32];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %4095s %31s", at, type) == 2 &&
			strcmp(type, "cgroup2") == 0;
	if (f)
		(void)fclose(f);
	return found && snprintf(ret, size, "%s", at) < (int)size;
}

/* Our group's path below that, "" for the root. */
static bool path_find(char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 16] = "";
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strncmp(line, "0::/", 4) == 0;
	if (f)
		(void)fclose(f);
	line[strcspn(line, "\n")] = '\0';
	/* Outside our namespace's root it begins with "/..". */
	return found && strncmp(line + 3, "/..", 3) != 0 &&
	       snprintf(ret, size, "%s", line[4] ? line + 3 : "") < (int)size;
}

static const char *own_name(const char *name, pid_t keeper, char text[static OWN_MAX])
{
	(void)snprintf(text, OWN_MAX, "rekindle-%s-%d", name, (int)keeper);
	return text;
}

/* Opens the group that rekindled was started in; *ret_is_root: it is the root that we see. */
static int ours_open(const char *name, pid_t keeper, bool *ret_is_root)
{
	char path[2 * PATH_MAX], below[PATH_MAX], own[OWN_MAX], end_of[OWN_MAX + 8],
		mount[PATH_MAX];
	size_t len, end;
	int fd;

	if (!rk_cgroup_mount(mount, sizeof(mount)) || !path_find(below, sizeof(below)))
		return -ENOENT;
	(void)snprintf(end_of, sizeof(end_of), "/%s/" MAIN, own_name(name, keeper, own));
	len = strlen(below);
	end = strlen(end_of);
	if (len >= end && strcmp(below + len - end, end_of) == 0)
		below[len - end] = '\0'; /* moved there by ourselves */
	*ret_is_root = below[0] == '\0';
	(void)snprintf(path, sizeof(path), "%s%s", mount, below);
	fd = open(path, DIR_FLAGS);
	return fd < 0 ? -errno : fd;
}

static bool is_marked(int dir, const char *attribute)
{
	char value = 0;

	return fgetxattr(dir, attribute, &value, 1) == 1 && value == '1';
}

static bool is_delegated(int dir, bool is_root)
{
	struct stat st;

	if (faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
	    faccessat(dir, ".", W_OK, AT_EACCESS) < 0 || fstat(dir, &st) < 0)
		return false;
	return is_root || is_marked(dir, "user.delegate") || is_marked(dir, "trusted.delegate") ||
	       (geteuid() != 0 && st.st_uid == geteuid());
}

/* ---- limits ---- */

uint32_t rk_cgroup_wanted(const struct rk_fleet_options *o)
{
	return (o->memory_high != RK_INFINITE) + (o->memory_max != RK_INFINITE) +
	       (o->cpu_weight != 0) + (o->n_tasks_max != 0);
}

/* Controllers of the options, as cgroup.subtree_control wants them. */
static void controllers_of(const struct rk_fleet_options *o, char *text, size_t size)
{
	bool has_memory = o->memory_high != RK_INFINITE || o->memory_max != RK_INFINITE;

	(void)snprintf(text, size, "%s%s%s", has_memory ? "+memory " : "",
		       o->cpu_weight ? "+cpu " : "", o->n_tasks_max ? "+pids" : "");
}

/* Passes the controllers on from ours to the fleet's, where no process may live then. */
static int controllers_enable(int ours, int all, int fleet, const struct rk_fleet_options *o,
			      struct rk_err *err)
{
	rk_cleanup(rk_close_p) int home = sub_open(all, MAIN);
	char text[64];
	int r = home < 0 ? home : number_write(home, "cgroup.procs", (uint64_t)getppid());

	if (r == 0)
		r = number_write(home, "cgroup.procs", (uint64_t)getpid());
	if (r < 0)
		return rk_err_set(err, r, "cannot leave our control group: %s", strerror(-r));
	controllers_of(o, text, sizeof(text));
	r = file_write(ours, "cgroup.subtree_control", text);
	if (r == 0)
		r = file_write(all, "cgroup.subtree_control", text);
	if (r == 0)
		(void)file_write(fleet, "cgroup.subtree_control",
				 text); /* for memory.events alone */
	if (r < 0)
		return rk_err_set(err, r, "the controllers '%s' cannot be used here: %s", text,
				  r == -EBUSY ? "other processes live in our control group"
					      : strerror(-r));
	return 0;
}

static int limit_set(int dir, const char *key, const char *file, uint64_t value, struct rk_err *err)
{
	int r = number_write(dir, file, value);

	if (r == -ENOENT && value == RK_INFINITE)
		return 0; /* no controller, no limit */
	return r < 0 ? rk_err_set(err, r, "%s: %s: %s", key, file, strerror(-r)) : 0;
}

int rk_cgroup_limit(const struct rk_cgroup *c, const struct rk_fleet_options *o, struct rk_err *err)
{
	int r;

	if (c->dir < 0)
		return 0;
	r = limit_set(c->dir, "MemoryHigh", "memory.high", o->memory_high, err);
	if (r == 0)
		r = limit_set(c->dir, "MemoryMax", "memory.max", o->memory_max, err);
	if (r == 0 && o->cpu_weight)
		r = limit_set(c->dir, "CPUWeight", "cpu.weight", o->cpu_weight, err);
	else if (r == 0) /* it may have been set before: no controller, nothing to undo */
		(void)number_write(c->dir, "cpu.weight", CPU_WEIGHT_NORMAL);
	if (r == 0)
		r = limit_set(c->dir, "TasksMax", "pids.max",
			      o->n_tasks_max ? o->n_tasks_max : RK_INFINITE, err);
	return r;
}

/* ---- groups that are left ---- */

/* Removes the groups below a directory, not deeper than the fleets' slots. */
static void below_remove(int dir, int depth)
{
	int copy = openat(dir, ".", DIR_FLAGS);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!list) {
		rk_close_p(&copy);
		return;
	}
	while ((e = readdir(list)) != NULL) {
		rk_cleanup(rk_close_p) int sub = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = depth > 0 ? openat(dir, e->d_name, DIR_FLAGS) : -1;
		if (sub >= 0)
			below_remove(sub, depth - 1);
		(void)unlinkat(dir, e->d_name, AT_REMOVEDIR);
	}
	(void)closedir(list);
}

/* Whether a directory is that of a keeper of this name which is dead. */
static bool is_stale(const char *directory, const char *name)
{
	size_t len = strlen(name);
	char *end;
	long pid;

	if (strncmp(directory, "rekindle-", 9) != 0 || strncmp(directory + 9, name, len) != 0 ||
	    directory[9 + len] != '-')
		return false;
	pid = strtol(directory + 10 + len, &end, 10);
	return *end == '\0' && pid > 0 && pid <= INT32_MAX && kill((pid_t)pid, 0) < 0 &&
	       errno == ESRCH;
}

/* What a keeper left that was killed. */
static void stale_remove(int ours, const char *name)
{
	int copy = openat(ours, ".", DIR_FLAGS);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!list) {
		rk_close_p(&copy);
		return;
	}
	while ((e = readdir(list)) != NULL) {
		rk_cleanup(rk_close_p) int sub =
			is_stale(e->d_name, name) ? openat(ours, e->d_name, DIR_FLAGS) : -1;

		if (sub < 0)
			continue;
		below_remove(sub, 1);
		(void)unlinkat(ours, e->d_name, AT_REMOVEDIR);
	}
	(void)closedir(list);
}

static void controllers_disable(int dir)
{
	static const char *const controllers[] = { "-memory", "-cpu", "-pids" };

	for (size_t i = 0; i < rk_countof(controllers); i++)
		(void)file_write(dir, "cgroup.subtree_control", controllers[i]);
}

void rk_cgroup_remove(const char *name, pid_t keeper)
{
	char own[OWN_MAX];
	bool is_root;
	rk_cleanup(rk_close_p) int ours = ours_open(name, keeper, &is_root);
	rk_cleanup(rk_close_p) int all = -1;
	rk_cleanup(rk_close_p) int home = -1;

	all = ours < 0 ? -1 : openat(ours, own_name(name, keeper, own), DIR_FLAGS);
	if (all < 0)
		return;
	below_remove(all, 1);
	home = openat(all, MAIN, DIR_FLAGS);
	if (home >= 0) { /* we live there: back to where we came from */
		controllers_disable(all);
		if (number_write(ours, "cgroup.procs", (uint64_t)keeper) < 0) {
			/* Only a root may do both; there others may use the controllers too. */
			controllers_disable(ours);
			(void)number_write(ours, "cgroup.procs", (uint64_t)keeper);
		}
		(void)unlinkat(all, MAIN, AT_REMOVEDIR);
	}
	(void)unlinkat(ours, own, AT_REMOVEDIR);
}

/* ---- a fleet's ---- */

int rk_cgroup_open(struct rk_cgroup *c, const struct rk_cgroup_name *name,
		   const struct rk_fleet_options *o, struct rk_err *err)
{
	char own[OWN_MAX];
	bool is_root = false;
	rk_cleanup(rk_close_p) int ours = ours_open(name->name, name->keeper, &is_root);
	rk_cleanup(rk_close_p) int all = -1;
	int r = 0;

	*c = (struct rk_cgroup){ .dir = -1, .last = name->last };
	if (ours < 0 || !is_delegated(ours, is_root)) {
		(void)rk_err_set(err, -ENOENT,
				 "no control group (version 2) is delegated to rekindled");
		return RK_CGROUP_NONE;
	}
	stale_remove(ours, name->name);
	all = sub_open(ours, own_name(name->name, name->keeper, own));
	c->dir = all < 0 ? all : sub_open(all, name->fleet);
	if (c->dir < 0) {
		(void)rk_err_set(err, c->dir, "cannot make a control group: %s", strerror(-c->dir));
		c->dir = -1;
		return RK_CGROUP_NONE;
	}
	if (rk_cgroup_wanted(o) > 0)
		r = controllers_enable(ours, all, c->dir, o, err);
	return r == 0 ? rk_cgroup_limit(c, o, err) : r;
}

/* By its own name, which its directory knows: from inside it would begin with the dots. */
void rk_cgroup_close(struct rk_cgroup *c)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (c->dir < 0)
		return;
	below_remove(c->dir, 0);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", c->dir);
	n = readlink(link, path, sizeof(path) - 1);
	rk_close_p(&c->dir);
	if (n <= 0)
		return;
	path[n] = '\0';
	(void)rmdir(path);
}

/* ---- a slot's ---- */

static const char *number_name(uint64_t n, char text[static NUMBER_MAX])
{
	(void)snprintf(text, NUMBER_MAX, "%" PRIu64, n);
	return text;
}

static void slot_take(struct rk_cgroup_slot *s, int dir, uint64_t n)
{
	s->dir = dir;
	s->n = n;
	s->events = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	s->has_memory = faccessat(dir, "memory.events", F_OK, 0) == 0;
}

void rk_cgroup_slot_adopt(const struct rk_cgroup *c, struct rk_cgroup_slot *s, uint64_t n)
{
	if (c->dir >= 0)
		s->n = n;
}

/* Opens the one that was adopted. Whether there is one. */
static bool slot_have(const struct rk_cgroup *c, struct rk_cgroup_slot *s)
{
	char name[NUMBER_MAX];
	int dir;

	if (s->dir >= 0 || !s->n)
		return s->dir >= 0;
	dir = openat(c->dir, number_name(s->n, name), DIR_FLAGS);
	if (dir >= 0)
		slot_take(s, dir, s->n);
	else
		s->n = 0; /* it is gone */
	return dir >= 0;
}

int rk_cgroup_slot_open(const struct rk_cgroup *c, struct rk_cgroup_slot *s)
{
	char name[NUMBER_MAX];
	uint64_t n;
	int dir;

	if (c->dir < 0 || slot_have(c, s))
		return s->dir;
	/* Relaxed: one writer; spent before it is used. */
	n = atomic_fetch_add_explicit(c->last, 1, memory_order_relaxed) + 1;
	dir = sub_open(c->dir, number_name(n, name));
	if (dir < 0)
		return -1;
	slot_take(s, dir, n);
	return dir;
}

void rk_cgroup_slot_close(const struct rk_cgroup *c, struct rk_cgroup_slot *s)
{
	char name[NUMBER_MAX];

	if (!slot_have(c, s))
		return;
	rk_close_p(&s->dir);
	rk_close_p(&s->events);
	(void)unlinkat(c->dir, number_name(s->n, name), AT_REMOVEDIR);
	s->n = 0;
}

int rk_cgroup_slot_watch(const struct rk_cgroup *c, struct rk_cgroup_slot *s)
{
	/* Opened anew: who polls has a position of his own. */
	return slot_have(c, s) && rk_cgroup_is_populated(s->events) ? openat(s->dir, "cgroup.events", O_RDONLY | O_CLOEXEC) : -1;
}

bool rk_cgroup_is_populated(int events)
{
	return number_read(events, "populated") != 0;
}

bool rk_cgroup_slot_kill(const struct rk_cgroup *c, struct rk_cgroup_slot *s)
{
	uint64_t n = s->n;
	char name[NUMBER_MAX];

	if (!slot_have(c, s) || number_read(s->events, "populated") == 0)
		return false;
	(void)file_write(s->dir, "cgroup.kill", "1");
	rk_cgroup_slot_close(c, s); /* rarely removes it: they are still dying */
	if (s->killed) /* those of the time before are gone by now */
		(void)unlinkat(c->dir, number_name(s->killed, name), AT_REMOVEDIR);
	s->killed = n;
	return true;
}

static int number_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void group_end(int dir, const char *name)
{
	rk_cleanup(rk_close_p) int sub = openat(dir, name, DIR_FLAGS);

	/* It may be empty: then it is removed at once, else it goes with the fleet's. */
	if (sub >= 0)
		(void)file_write(sub, "cgroup.kill", "1");
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

void rk_cgroup_sweep(const struct rk_cgroup *c, uint64_t *used, uint32_t n)
{
	int copy = c->dir < 0 ? -1 : openat(c->dir, ".", DIR_FLAGS);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!list) {
		rk_close_p(&copy);
		return;
	}
	qsort(used, n, sizeof(*used), number_compare);
	while ((e = readdir(list)) != NULL) {
		uint64_t number = strtoull(e->d_name, NULL, 10);

		if (e->d_type == DT_DIR && number != 0 && !bsearch(&number, used, n, sizeof(*used), number_compare))
			group_end(c->dir, e->d_name);
	}
	(void)closedir(list);
}

uint64_t rk_cgroup_slot_oom_kills(const struct rk_cgroup *c, struct rk_cgroup_slot *s)
{
	rk_cleanup(rk_close_p) int fd = -1;

	if (!slot_have(c, s) || !s->has_memory)
		return 0;
	fd = openat(s->dir, "memory.events", O_RDONLY | O_CLOEXEC);
	return number_read(fd, "oom_kill");
}
