/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/process.h"
#include "shm/beat.h"
#include "shm/region.h"
#include "shm/words.h"
#include "supervisor/fleet.h"
#include "supervisor/fsm.h"
#include "supervisor/journal.h"
#include "supervisor/spawn.h"

#define WORKERS_MAX 8192u
#define TEXT_MAX 65536u /* bytes of an environment that are looked at */
#define END_MS 2000

/* In the order of spawn.h; what is to be written is opened for writing. */
static const enum rk_segment_kind kinds[RK_SPAWN_FDS] = {
	RK_SEGMENT_BOARD, RK_SEGMENT_BEATS, RK_SEGMENT_CALLS, RK_SEGMENT_QUEUES, RK_SEGMENT_PARTS,
	RK_SEGMENT_STATE, RK_SEGMENT_DEAD,  RK_SEGMENT_KINDS, /* news */ RK_SEGMENT_READERS
};

struct worker {
	pid_t pid;
	int pidfd;
	int number[RK_SPAWN_FDS]; /* of its descriptors */
	uint64_t fleet[2];
	dev_t device[RK_SPAWN_FDS]; /* of what its descriptors are */
	ino_t inode[RK_SPAWN_FDS];
	bool holds;   /* a slot's lease */
	bool is_done; /* its fleet has been looked at */
};

struct workers {
	struct worker *at;
	uint32_t n;
	uint64_t fleet[2]; /* that is being looked at */
};

/* ---- who they are ---- */

const char *rk_collect_unit(const char *cgroup_text, char *ret, size_t size)
{
	const char *line = strstr(cgroup_text, "0::/"), *old = strstr(cgroup_text, ":name=systemd:/"), *end, *at = NULL;

	if (old && (!line || !strstr(line, ".service")))
		line = old + strlen(":name=systemd") - 2;
	ret[0] = '\0';
	if (!line)
		return ret;
	line += 3;
	end = line + strcspn(line, "\n");
	/* The last one: services may have services below them, as user@1000.service has. */
	for (const char *next = line; (next = strstr(next, ".service")) != NULL && next < end; next++)
		if (next[8] == '/' || next[8] == '\n' || next[8] == '\0')
			at = next;
	if (!at || (size_t)(at + 8 - line) >= size)
		return ret;
	memcpy(ret, line, (size_t)(at + 8 - line));
	ret[at + 8 - line] = '\0';
	return ret;
}

static const char *unit_of(pid_t pid, char *ret, size_t size)
{
	char text[2 * PATH_MAX];

	(void)rk_process_read(pid, "cgroup", text, sizeof(text));
	return rk_collect_unit(text, ret, size);
}

/* "fds=3:4:…" of what it was started with. */
static bool numbers_read(const char *environment, size_t len, int number[RK_SPAWN_FDS])
{
	static const char name[] = "REKINDLE_WORKER=";
	const char *end = environment + len, *text = environment;

	while (text < end && strncmp(text, name, sizeof(name) - 1) != 0)
		text += strlen(text) + 1;
	text = text < end ? strstr(text, " fds=") : NULL;
	if (!text)
		return false;
	text += 5;
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++) {
		char *after;
		long v = strtol(text, &after, 10);

		if (after == text || v < 0 || v > 1 << 20 || (i + 1 < RK_SPAWN_FDS && *after != ':'))
			return false;
		number[i] = (int)v;
		text = after + 1;
	}
	return true;
}

/* What it has, opened again to be read and written, though it may only read. The caller's; -errno. */
static int descriptor_take(const struct worker *w, uint32_t which)
{
	bool is_memory = kinds[which] != RK_SEGMENT_KINDS;
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w->pid, w->number[which]);
	fd = open(path, O_RDWR | O_CLOEXEC | (is_memory ? 0 : O_NONBLOCK));
	return fd < 0 ? -errno : fd;
}

static void identity_read(struct worker *w)
{
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++) {
		char path[64];
		struct stat st;

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w->pid, w->number[i]);
		if (stat(path, &st) < 0)
			continue;
		w->device[i] = st.st_dev;
		w->inode[i] = st.st_ino;
	}
}

/* Whether they have the same memory. */
static bool is_same(const struct worker *a, const struct worker *b)
{
	return memcmp(a->fleet, b->fleet, sizeof(a->fleet)) == 0 && memcmp(a->device, b->device, sizeof(a->device)) == 0 &&
	       memcmp(a->inode, b->inode, sizeof(a->inode)) == 0;
}

/* Whether it is a worker whose board can be had; *w is it. */
static bool worker_look(pid_t pid, char *text, struct worker *w)
{
	size_t len = rk_process_read(pid, "environ", text, TEXT_MAX);
	rk_cleanup(rk_close_p) int board = -1;
	struct rk_segment head;

	*w = (struct worker){ .pid = pid, .pidfd = -1 };
	if (!len || !numbers_read(text, len, w->number))
		return false;
	w->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (w->pidfd < 0)
		return false;
	board = descriptor_take(w, 0);
	if (board < 0 || rk_region_check(board, RK_SEGMENT_BOARD, NULL, sizeof(struct rk_board), &head, NULL) < 0) {
		rk_close_p(&w->pidfd);
		return false;
	}
	memcpy(w->fleet, head.fleet, sizeof(w->fleet));
	identity_read(w);
	return true;
}

static int workers_find(struct workers *ret)
{
	rk_cleanup(rk_free_p) char *text = malloc(TEXT_MAX);
	char ours[PATH_MAX], theirs[PATH_MAX];
	DIR *proc = text ? opendir("/proc") : NULL;
	struct dirent *e;

	ret->at = calloc(WORKERS_MAX, sizeof(*ret->at));
	if (!proc || !ret->at || !*unit_of(getpid(), ours, sizeof(ours))) {
		if (proc)
			(void)closedir(proc);
		return proc && ret->at ? 0 : -ENOMEM;
	}
	while ((e = readdir(proc)) != NULL && ret->n < WORKERS_MAX) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid <= 0 || pid == getpid() || pid == getppid() ||
		    strcmp(unit_of(pid, theirs, sizeof(theirs)), ours) != 0)
			continue;
		ret->n += worker_look(pid, text, &ret->at[ret->n]);
	}
	(void)closedir(proc);
	return 0;
}

static void workers_free_p(struct workers *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		rk_close_p(&w->at[i].pidfd);
	free(w->at);
}

static bool is_of(const struct workers *all, const struct worker *w)
{
	return memcmp(all->fleet, w->fleet, sizeof(w->fleet)) == 0;
}

static pid_t whose_thread(uint32_t tid, void *arg)
{
	struct workers *all = arg;

	for (uint32_t i = 0; i < all->n; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/%d/task/%u", (int)all->at[i].pid, tid);
		if (!is_of(all, &all->at[i]) || access(path, F_OK) < 0)
			continue;
		all->at[i].holds = true;
		return all->at[i].pid;
	}
	return 0;
}

/* What a worker has started has its descriptors and its environment, and is its own affair. */
static bool is_a_helper(const struct workers *all, const struct worker *w)
{
	pid_t session = getsid(w->pid), parent = rk_process_parent(w->pid);

	for (uint32_t i = 0; i < all->n; i++)
		if (all->at[i].holds && &all->at[i] != w && (all->at[i].pid == session || all->at[i].pid == parent))
			return true;
	return false;
}

static bool is_rest(const struct workers *all, const struct worker *w)
{
	return is_of(all, w) && !w->holds && !is_a_helper(all, w);
}

/* Who has not attached yet, or is parked: it owns nothing, and nobody would know of it. */
static void rest_kill(struct workers *all)
{
	uint64_t until_ns = rk_clock_ns() + END_MS * RK_NS_PER_MS;

	for (uint32_t i = 0; i < all->n; i++)
		if (is_rest(all, &all->at[i]))
			(void)syscall(SYS_pidfd_send_signal, all->at[i].pidfd, SIGKILL, NULL, 0);
	for (uint32_t i = 0; i < all->n; i++) {
		struct pollfd end = { .fd = all->at[i].pidfd, .events = POLLIN };
		uint64_t now_ns = rk_clock_ns();

		if (is_rest(all, &all->at[i]) && now_ns < until_ns)
			(void)poll(&end, 1, (int)((until_ns - now_ns) / RK_NS_PER_MS));
	}
}

/* ---- the segments ---- */

/* All that one of them has of its fleet. */
static int fleet_take(const struct worker *w, int fd[RK_SEGMENT_KINDS], int *ret_news)
{
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++) {
		int one = descriptor_take(w, i);

		if (one < 0)
			return one;
		if (kinds[i] == RK_SEGMENT_KINDS)
			*ret_news = one;
		else
			fd[kinds[i]] = one;
	}
	return 0;
}

static void on_made(void *arg)
{
	rest_kill(arg);
}

/* From one worker that has the memory that most of its fleet have. */
static int fleet_take_from(struct workers *all, const struct worker *w, uint32_t number, struct rk_inherit *in, int link,
			   struct rk_err *err)
{
	struct rk_collected c = { .number = number, .news = -1, .whose = whose_thread, .on_made = on_made, .arg = all };
	int r;

	memset(c.fd, 0xff, sizeof(c.fd));
	memcpy(c.id, all->fleet, sizeof(c.id));
	r = fleet_take(w, c.fd, &c.news);
	if (r < 0)
		(void)rk_err_set(err, r, "the memory of worker process %d cannot be had: %s", (int)w->pid, strerror(-r));
	else
		r = rk_collect_memory(&c, in, link, err);
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		rk_close_p(&c.fd[k]);
	rk_close_p(&c.news);
	return r;
}

static uint32_t n_same(const struct workers *all, const struct worker *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < all->n; i++)
		n += is_same(&all->at[i], w);
	return n;
}

/* The fleet's memory is what most of its workers have; one that has other memory holds no lease there. */
static int fleet_collect(struct workers *all, uint32_t number, struct rk_inherit *in, int link, struct rk_err *err)
{
	uint32_t n_most = 0, n_had = in->n;
	int r = -ENOENT;

	for (uint32_t i = 0; i < all->n; i++)
		if (is_of(all, &all->at[i]))
			n_most = rk_max_u32(n_most, n_same(all, &all->at[i]));
	/* One may just be ending. What keeper was given in part the next supervisor collects anew. */
	for (uint32_t i = 0; r < 0 && r != -EEXIST && in->n == n_had && i < all->n; i++) {
		if (is_of(all, &all->at[i]) && n_same(all, &all->at[i]) == n_most)
			r = fleet_take_from(all, &all->at[i], number, in, link, err);
	}
	return r;
}

/* Of a fleet whose memory keeper has, or that has been collected. */
static bool is_known(const struct rk_inherit *in, const struct worker *w)
{
	struct rk_fleet_left one;
	uint32_t at = 0;

	while (rk_fleet_next_left(in, &at, &one))
		if (memcmp(one.id, w->fleet, sizeof(w->fleet)) == 0)
			return true;
	return false;
}

/* Their fleet goes on with other memory: what they have is nobody's. */
static void all_kill(struct workers *all)
{
	for (uint32_t i = 0; i < all->n; i++)
		all->at[i].holds = false;
	rk_log(RK_LOG_ERROR, "there is memory of a fleet twice: the workers that have the other one are killed");
	rest_kill(all);
}

static uint32_t number_free(const struct rk_inherit *in)
{
	uint32_t number = 0;

	while (rk_inherit_is_whole(in, rk_link_memory_tag(number)))
		number++;
	return number;
}

/* The fleet with most workers among those that nobody has looked at; all->fleet is it. False: there is none. */
static bool fleet_next(struct workers *all, const struct rk_inherit *in)
{
	uint32_t n_most = 0;

	for (uint32_t i = 0; i < all->n; i++) {
		uint32_t n = 0;

		for (uint32_t k = 0; !all->at[i].is_done && k < all->n; k++)
			n += memcmp(all->at[k].fleet, all->at[i].fleet, sizeof(all->at[i].fleet)) == 0;
		if (n <= n_most || is_known(in, &all->at[i]))
			continue;
		n_most = n;
		memcpy(all->fleet, all->at[i].fleet, sizeof(all->fleet));
	}
	for (uint32_t i = 0; n_most && i < all->n; i++)
		all->at[i].is_done = all->at[i].is_done || is_of(all, &all->at[i]);
	return n_most > 0;
}

int rk_collect(struct rk_inherit *in, int link, struct rk_err *err)
{
	rk_cleanup(workers_free_p) struct workers all = { 0 };
	int n = 0, r = workers_find(&all);

	if (r < 0)
		return rk_err_set(err, r, "cannot look for workers: %s", strerror(-r));
	if (rk_inherit_drop_partial(in, link) > 0)
		rk_log(RK_LOG_WARNING, "systemd has kept only a part of a fleet's memory, it is given up workers=%u", all.n);
	while (fleet_next(&all, in)) {
		r = fleet_collect(&all, number_free(in), in, link, err);
		if (r == -EEXIST)
			all_kill(&all);
		else if (r < 0)
			return r;
		else
			n++;
	}
	return n;
}
