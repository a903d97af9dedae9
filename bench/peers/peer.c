/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peers/peer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/cost.h"
#include "bench/peers/roll.h"

#define CHILDREN_MAX 1024u

/* Nothing of the caller but the environment, and that says where the roll is called. */
static void become_child(const struct peer_place *place)
{
	char path[PATH_MAX], subject[16];
	int log;

	(void)snprintf(path, sizeof(path), "%s/log", place->dir);
	(void)snprintf(subject, sizeof(subject), "%u", place->subject);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0u, 0) < 0 || setenv(ROLL_PATH, place->roll, 1) < 0 ||
	    setenv(ROLL_SUBJECT, subject, 1) < 0 || setenv("HOME", place->dir, 1) < 0)
		_exit(1);
}

pid_t peer_start(const struct peer *peer, const struct peer_place *place)
{
	pid_t pid = bench_fork();

	if (pid != 0)
		return pid;
	become_child(place);
	peer->exec(place);
	_exit(1);
}

void peer_end_all(void)
{
	pid_t child[CHILDREN_MAX];

	do {
		uint32_t n = bench_children(getpid(), child, CHILDREN_MAX);

		for (uint32_t i = 0; i < n; i++)
			(void)kill(child[i], SIGKILL); /* ours, and not reaped: the pid is its own */
	} while (waitpid(-1, NULL, 0) > 0);
}

void peer_tree(pid_t pid, void (*visit)(pid_t pid, void *arg), void *arg)
{
	pid_t child[CHILDREN_MAX];
	uint32_t n = bench_children(pid, child, CHILDREN_MAX);

	visit(pid, arg);
	for (uint32_t i = 0; i < n; i++)
		peer_tree(child[i], visit, arg);
}
