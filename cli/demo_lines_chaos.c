/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_lines_chaos.h"

#include <signal.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"
#include "cli/demo_child.h"

/* The first child of a process's main thread; 0 = none. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		(void)fclose(f);
	return child;
}

/* By a descriptor, taken before the look at whose child it is: the pid may be another's by now. */
static bool kill_child(pid_t pid, pid_t parent)
{
	rk_cleanup(rk_close_p) int pidfd = rk_demo_pidfd_open(pid);

	return pidfd >= 0 && rk_process_parent(pid) == parent && rk_demo_pidfd_signal(pidfd, SIGKILL);
}

static bool strike(struct rk_demo_lines_chaos *c, enum rk_demo_lines_role role, uint32_t worker)
{
	const struct rk_view_slot *slot;
	pid_t parent, pid;

	rk_look_view(c->look);
	slot = rk_look_slot(c->look, worker);
	parent = c->look->view->keeper_pid;
	pid = slot ? slot->pid : 0;
	for (int i = 0; i < (int)role && pid > 0; i++) {
		parent = pid;
		pid = child_of(pid);
	}
	return pid > 0 && kill_child(pid, parent);
}

void rk_demo_lines_chaos_step(struct rk_demo_lines_chaos *c, uint64_t now_ns)
{
	enum rk_demo_lines_role role = (enum rk_demo_lines_role)rk_rand_below(&c->random, RK_DEMO_ROLES);
	uint32_t worker = (uint32_t)rk_rand_below(&c->random, c->n_workers);

	if (!c->per_s || now_ns < c->next_ns)
		return;
	if (c->next_ns && strike(c, role, worker))
		c->n_killed[role]++;
	/* Between nothing and twice the mean. */
	c->next_ns = now_ns + 1 + rk_rand_below(&c->random, 2 * RK_NS_PER_S / c->per_s);
}
