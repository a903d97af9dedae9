/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_census.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"

#define HEADS_MAX 1024u
#define ENVIRONMENT "REKINDLE_WORKER="
#define ENVIRONMENT_MAX 65536u
#define EXITING 0x4u /* PF_EXITING of the kernel's flags, which stat shows */
#define PAUSE_MS 20

/* ---- pure ---- */

bool rk_demo_stat_parse(const char *text, struct rk_demo_stat *ret)
{
	const char *at = strrchr(text, ')'); /* behind the name, which may hold anything */
	unsigned int flags;
	char state;
	int parent;

	if (!at || sscanf(at + 1, " %c %d %*d %*d %*d %*d %u", &state, &parent, &flags) != 3)
		return false;
	*ret = (struct rk_demo_stat){ .parent = parent,
				      .is_living = state != 'Z' && state != 'X' && state != 'x' && !(flags & EXITING) };
	return true;
}

uint32_t rk_demo_slot_parse(const char *environment, size_t len)
{
	unsigned int slot;

	for (const char *at = environment, *end = environment + len; at < end; at += strnlen(at, (size_t)(end - at)) + 1)
		if (strncmp(at, ENVIRONMENT, strlen(ENVIRONMENT)) == 0)
			return sscanf(at + strlen(ENVIRONMENT), "abi=%*u worker=%u", &slot) == 1 ? slot :
												   RK_DEMO_NO_SLOT;
	return RK_DEMO_NO_SLOT;
}

uint64_t rk_demo_duplicates_of(const struct rk_demo_head *heads, uint32_t n)
{
	uint64_t n_more = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool is_first = true;

		for (uint32_t k = 0; k < i && is_first; k++)
			is_first = heads[k].slot != heads[i].slot;
		n_more += heads[i].slot != RK_DEMO_NO_SLOT && !is_first;
	}
	return n_more;
}

uint64_t rk_demo_orphans_of(const struct rk_demo_head *heads, uint32_t n)
{
	uint64_t n_orphans = 0;

	for (uint32_t i = 0; i < n; i++)
		n_orphans += !heads[i].is_listed;
	return n_orphans;
}

/* ---- what the kernel says ---- */

static bool stat_of(pid_t pid, struct rk_demo_stat *ret)
{
	char text[512];

	return rk_process_read(pid, "stat", text, sizeof(text)) > 0 && rk_demo_stat_parse(text, ret);
}

/* Whether two processes run the same program. */
static bool is_same_program(pid_t a, pid_t b)
{
	char path[2][32];
	struct stat st[2];

	(void)snprintf(path[0], sizeof(path[0]), "/proc/%d/exe", (int)a);
	(void)snprintf(path[1], sizeof(path[1]), "/proc/%d/exe", (int)b);
	return stat(path[0], &st[0]) == 0 && stat(path[1], &st[1]) == 0 && st[0].st_dev == st[1].st_dev &&
	       st[0].st_ino == st[1].st_ino;
}

bool rk_demo_census_is_supervisor(const struct rk_demo_fleet *f, pid_t pid)
{
	struct rk_demo_stat stat;

	return pid > 0 && stat_of(pid, &stat) && stat.is_living && stat.parent == f->keeper.pid &&
	       is_same_program(pid, f->keeper.pid);
}

static uint32_t slot_of(pid_t pid, char *room)
{
	size_t len = rk_process_read(pid, "environ", room, ENVIRONMENT_MAX);

	return rk_demo_slot_parse(room, len);
}

/* Whether it is one of the fleet's own: keeper's child, and neither a supervisor nor on its way to be a worker. */
static bool is_of_fleet(const struct rk_demo_fleet *f, pid_t pid)
{
	struct rk_demo_stat stat;

	return stat_of(pid, &stat) && stat.is_living && stat.parent == f->keeper.pid &&
	       !is_same_program(pid, f->keeper.pid);
}

/* Sets what the board says of it, which is asked behind the kernel. */
static void board_ask(struct rk_demo_head *head, const struct rk_demo_fleet *f)
{
	for (uint32_t i = 0; i < f->look.m.g.n_workers; i++) {
		const struct rk_view_slot *s = rk_look_slot(&f->look, i);

		if (s->pid != head->pid)
			continue;
		head->is_listed = true;
		if (s->state != RK_SLOT_STANDBY)
			head->slot = i;
		return;
	}
}

/* Every living process of the fleet. */
static uint32_t heads_take(struct rk_demo_fleet *f, struct rk_demo_head *heads)
{
	rk_cleanup(rk_free_p) char *room = malloc(ENVIRONMENT_MAX);
	rk_cleanup(rk_free_p) char *list = malloc(ENVIRONMENT_MAX);
	char file[48];
	uint32_t n = 0;

	if (!room || !list)
		return 0;
	(void)snprintf(file, sizeof(file), "task/%d/children", (int)f->keeper.pid);
	(void)rk_process_read(f->keeper.pid, file, list, ENVIRONMENT_MAX);
	for (char *at = list, *end; n < HEADS_MAX; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		if (is_of_fleet(f, pid))
			heads[n++] = (struct rk_demo_head){ .pid = pid, .slot = slot_of(pid, room) };
	}
	rk_look_view(&f->look);
	for (uint32_t i = 0; i < n; i++)
		board_ask(&heads[i], f);
	return n;
}

/* ---- the census ---- */

static uint64_t restarts_of(struct rk_demo_fleet *f)
{
	uint64_t n = 0;

	rk_look_view(&f->look);
	for (uint32_t w = 0; w < f->n_workers; w++)
		n += rk_look_slot(&f->look, w)->restarts;
	return n;
}

void rk_demo_census_begin(struct rk_demo_census *c, struct rk_demo_fleet *f)
{
	*c = (struct rk_demo_census){ .first_restarts = restarts_of(f) };
	for (uint32_t w = 0; w < f->n_workers; w++)
		c->first[w] = rk_look_slot(&f->look, w)->pid;
}

void rk_demo_census_take(struct rk_demo_census *c, struct rk_demo_fleet *f)
{
	struct rk_demo_head heads[HEADS_MAX];

	c->n_duplicates = rk_max_u64(c->n_duplicates, rk_demo_duplicates_of(heads, heads_take(f, heads)));
}

void rk_demo_census_end(struct rk_demo_census *c, struct rk_demo_fleet *f, uint64_t n_kills)
{
	uint64_t deadline_ns = rk_clock_ns() + RK_DEMO_CENSUS_MS * RK_NS_PER_MS, restarts;
	struct rk_demo_head heads[HEADS_MAX];

	/* The last one that was killed may have a successor on its way. */
	for (;; (void)poll(NULL, 0, PAUSE_MS)) {
		uint32_t n = heads_take(f, heads);

		c->n_duplicates = rk_max_u64(c->n_duplicates, rk_demo_duplicates_of(heads, n));
		c->n_orphans = rk_demo_orphans_of(heads, n);
		if ((c->n_orphans == 0 && n >= f->n_workers && rk_demo_fleet_is_ready(f)) || rk_clock_ns() > deadline_ns)
			break;
	}
	restarts = restarts_of(f) - c->first_restarts;
	c->n_changed = restarts > n_kills ? restarts - n_kills : 0;
	for (uint32_t w = 0; w < f->n_workers; w++)
		c->n_same += rk_look_slot(&f->look, w)->pid == c->first[w];
	if (n_kills == 0) /* nobody has a reason to be another one */
		c->n_changed = rk_max_u64(c->n_changed, f->n_workers - c->n_same);
}
