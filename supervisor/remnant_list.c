/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/remnant_list.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "supervisor/collect.h"
#include "supervisor/proc.h"
#include "supervisor/tree.h"

#define ROOM_FIRST 512u
#define LOOKS_MAX 8u
#define PROCESSES_MAX (1u << 22) /* as many as the kernel has pids for */

/* ---- who is there ---- */

bool rk_remnant_read(pid_t pid, struct rk_remnant *ret)
{
	struct rk_remnant p = { .pid = pid, .slot = RK_REMNANT_NOBODY };
	char text[512];
	const char *at;

	(void)rk_process_read(pid, "stat", text, sizeof(text));
	at = strrchr(text, ')'); /* the name may hold anything */
	if (!at || sscanf(at, ") %c %d %*d %d", &p.state, &p.parent, &p.session) != 3 || rk_proc_parse_begun(text, &p.begun) < 0)
		return false;
	*ret = p;
	return true;
}

static int room_make(struct rk_remnant_list *l)
{
	uint32_t n = l->n_room ? 2 * l->n_room : ROOM_FIRST;
	struct rk_remnant *at;
	uint32_t *queue;

	if (l->n < l->n_room)
		return 0;
	if (n > PROCESSES_MAX)
		return -E2BIG;
	at = realloc(l->at, n * sizeof(*at));
	if (!at)
		return -ENOMEM;
	l->at = at;
	queue = realloc(l->queue, n * sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	l->queue = queue;
	l->n_room = n;
	return 0;
}

struct reading {
	struct rk_remnant_list *list;
	int error;
};

static bool add(void *arg, int32_t pid)
{
	struct reading *r = arg;

	r->error = room_make(r->list);
	if (r->error == 0)
		r->list->n += rk_remnant_read(pid, &r->list->at[r->list->n]);
	return r->error == 0;
}

static int pid_compare(const void *a, const void *b)
{
	const struct rk_remnant *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int processes_read(struct rk_remnant_list *l)
{
	rk_cleanup(rk_close_p) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct reading reading = { .list = l };
	int r;

	l->n = 0;
	if (proc < 0)
		return -errno;
	r = rk_tree_numbers(proc, add, &reading);
	if (l->n)
		qsort(l->at, l->n, sizeof(*l->at), pid_compare); /* as the kernel has them, though it does not say so */
	return r < 0 ? r : reading.error;
}

/* ---- whose they are ---- */

static bool is_in_our_unit(pid_t pid)
{
	char text[2 * PATH_MAX], ours[PATH_MAX], theirs[PATH_MAX];

	(void)rk_process_read(getpid(), "cgroup", text, sizeof(text));
	if (!*rk_collect_unit(text, ours, sizeof(ours)))
		return false;
	(void)rk_process_read(pid, "cgroup", text, sizeof(text));
	return strcmp(rk_collect_unit(text, theirs, sizeof(theirs)), ours) == 0;
}

static bool is_orphan(const struct rk_remnant *p, const struct rk_remnant_roots *roots)
{
	if (p->pid == getpid() || p->pid == roots->root)
		return false;
	return p->parent == roots->root || (roots->reaper && p->parent == roots->reaper && is_in_our_unit(p->pid));
}

static const struct rk_remnant *find(const struct rk_remnant_list *l, pid_t pid)
{
	const struct rk_remnant key = { .pid = pid };

	return bsearch(&key, l->at, l->n, sizeof(key), pid_compare);
}

static bool is_dead(const struct rk_remnant *p)
{
	return p->state == 'Z' || p->state == 'X';
}

/* A number is not given to another process as long as somebody is in the session of that number. */
static bool is_leaderless(const struct rk_remnant_list *l, pid_t session)
{
	const struct rk_remnant *leader = find(l, session);

	return !leader || is_dead(leader);
}

/* By its mark; else by the session that a dead process has led. */
static uint32_t look(const struct rk_remnant_list *l, const struct rk_remnant *p, const struct rk_remnant_roots *roots)
{
	uint32_t slot = roots->whose_mark(p->pid, roots->arg);

	if (slot == RK_REMNANT_NOBODY && is_leaderless(l, p->session))
		slot = roots->whose_session(p->session, roots->arg);
	return slot;
}

/* Adds the children of one to the queue. A list that is torn by reuse of pids cannot make it turn round: each once. */
static uint32_t children_queue(struct rk_remnant_list *l, pid_t parent, uint32_t n)
{
	for (uint32_t i = 0; i < l->n && n < l->n; i++)
		if (l->at[i].parent == parent && l->at[i].pid != parent)
			l->queue[n++] = i;
	return n;
}

/* The first mark from the top down says whose all of it is. What is below another's mark is not looked at. */
static uint32_t tree_whose(struct rk_remnant_list *l, uint32_t top, const struct rk_remnant_roots *roots)
{
	uint32_t n = 1;

	l->queue[0] = top;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = look(l, &l->at[l->queue[i]], roots);

		if (slot < RK_REMNANT_OTHER)
			return slot;
		if (slot == RK_REMNANT_NOBODY)
			n = children_queue(l, l->at[l->queue[i]].pid, n);
	}
	return RK_REMNANT_NOBODY;
}

static void tree_assign(struct rk_remnant_list *l, uint32_t top, uint32_t slot)
{
	uint32_t n = 1;

	l->queue[0] = top;
	for (uint32_t i = 0; i < n; i++) {
		l->at[l->queue[i]].slot = slot;
		n = children_queue(l, l->at[l->queue[i]].pid, n);
	}
}

void rk_remnant_list_assign(struct rk_remnant_list *l, const struct rk_remnant_roots *roots)
{
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t slot = is_orphan(&l->at[i], roots) ? tree_whose(l, i, roots) : RK_REMNANT_NOBODY;

		if (slot != RK_REMNANT_NOBODY)
			tree_assign(l, i, slot);
	}
}

/* ---- what happened meanwhile ---- */

/*
 * Whether one that was not listed may be what is looked for. New children come all the time: another slot's process,
 * a command, below the reaper whatever the machine starts.
 */
static bool may_be_wanted(const struct rk_remnant_roots *roots, pid_t parent, pid_t pid)
{
	uint32_t slot = roots->whose_mark(pid, roots->arg);

	return slot < RK_REMNANT_OTHER || (slot == RK_REMNANT_NOBODY && parent == roots->root);
}

/*
 * Whether each child that a process has now, and that may be wanted, was listed as one; *ret_sum is of all of
 * them. False also without the list.
 */
static bool children_look(const struct rk_remnant_list *l, const struct rk_remnant_roots *roots, pid_t parent, uint64_t *ret_sum,
			  bool *ret_known)
{
	char path[64];
	FILE *list;
	int pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	list = fopen(path, "re");
	*ret_sum = 0;
	*ret_known = true;
	if (!list)
		return false;
	while (fscanf(list, "%d", &pid) == 1) {
		const struct rk_remnant *p = find(l, pid);

		*ret_sum = (*ret_sum + (uint64_t)pid) * UINT64_C(0x9e3779b97f4a7c15);
		if (!p || p->parent != parent)
			*ret_known = *ret_known && !may_be_wanted(roots, parent, pid);
	}
	(void)fclose(list);
	return true;
}

/*
 * Who forks and ends before it is read leaves a child that may not be listed; that is its reaper's by now. The
 * kernel's list of children may leave some out while others of them are reaped, but not twice in the same way.
 */
static bool has_unlisted(const struct rk_remnant_list *l, const struct rk_remnant_roots *roots, pid_t parent)
{
	uint64_t sum, before = 0;
	bool is_known;

	for (uint32_t i = 0; i < LOOKS_MAX; i++) {
		if (!children_look(l, roots, parent, &sum, &is_known))
			return false; /* a kernel without it */
		if (!is_known)
			return true;
		if (i > 0 && sum == before)
			return false;
		before = sum;
	}
	return true;
}

int rk_remnant_list_read(struct rk_remnant_list *l, const struct rk_remnant_roots *roots)
{
	int r = processes_read(l);

	if (r == 0)
		rk_remnant_list_assign(l, roots);
	l->is_torn = has_unlisted(l, roots, roots->root) || (roots->reaper && has_unlisted(l, roots, roots->reaper));
	return r;
}

void rk_remnant_list_free(struct rk_remnant_list *l)
{
	free(l->at);
	free(l->queue);
	*l = (struct rk_remnant_list){ 0 };
}
