/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/killer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"

#define YOUNG_NS (5 * RK_NS_PER_MS) /* of a first listing, so that many at once share one */

/* Whether the process is reaped: then its pid may be another's. */
static bool is_reaped(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0 && errno == ESRCH;
}

/*
 * The pid may be another's by now: the descriptor first, then whether it still has its parent, then
 * whether the root has its own pid, without which what is listed below that is somebody else's.
 */
static bool kill_child(pid_t pid, pid_t parent, int root)
{
	rk_cleanup(rk_close_p) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	return pidfd >= 0 && rk_process_parent(pid) == parent && !is_reaped(root) &&
	       syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
}

static pid_t listed_parent(const struct rk_tree *t, pid_t pid)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->pid[i] == pid)
			return t->parent[i];
	return 0;
}

static bool is_among(const int32_t *pids, uint32_t n, int32_t pid)
{
	for (uint32_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* One listing. Returns how many are new; they follow those that had their signal before. */
static uint32_t pass(struct rk_tree *t, pid_t root, int pidfd,
		     int32_t killed[static RK_OBSERVE_PROCESSES], uint32_t n_killed)
{
	int32_t below[RK_OBSERVE_PROCESSES];
	bool is_cut;
	uint32_t n = rk_tree_below(t, root, below, RK_OBSERVE_PROCESSES, &is_cut), n_new = 0;

	/* The farthest first: whoever loses its parent looks like another's. */
	while (n-- > 0 && n_killed + n_new < RK_OBSERVE_PROCESSES)
		if (!is_among(killed, n_killed, below[n]) &&
		    kill_child(below[n], listed_parent(t, below[n]), pidfd))
			killed[n_killed + n_new++] = below[n];
	return n_new;
}

uint32_t rk_killer_kill(struct rk_killer *k, pid_t pid, int pidfd)
{
	int32_t killed[RK_OBSERVE_PROCESSES];
	uint32_t n_killed = 0, n_new = 1;

	for (uint32_t i = 0; n_new && i < RK_KILLER_PASSES; i++) {
		if (rk_tree_refresh(&k->observatory.tree, rk_clock_ns(), i ? 0 : YOUNG_NS) < 0)
			break;
		n_new = pass(&k->observatory.tree, pid, pidfd, killed, n_killed);
		n_killed += n_new;
	}
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	return n_killed;
}
