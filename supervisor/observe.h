/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Observe: looks at every thread of every process of a worker's tree, through descriptors of
 * /proc/PID/stat and /proc/PID/task/TID/{stat,schedstat} that were opened while it lived: a pid
 * that is another's by now is not mistaken for it.
 *
 * The threads of a process are listed anew when their number has changed, the tree when the
 * caller asks. Threads and processes may vanish at any time; what cannot be read is counted.
 *
 * Who       the thread that observes; it owns the structs.
 * Blocking  never (procfs). Allocates in open alone.
 * Units     ns; a look costs some 2 to 10 µs per thread.
 */
#ifndef RK_SUPERVISOR_OBSERVE_H
#define RK_SUPERVISOR_OBSERVE_H

#include <sys/types.h>

#include "supervisor/look.h"
#include "supervisor/tree.h"

#define RK_OBSERVE_THREADS 256u /* of one tree */
#define RK_OBSERVE_PROCESSES 32u

/* What the observations of one supervisor share. */
struct rk_observatory {
	struct rk_tree tree;
	uint32_t n_fds;   /* open for threads and processes */
	uint32_t max_fds; /* more than these are not opened: the tree is cut instead */
	bool is_locked;   /* the caller's, behind init: memory of observations is locked once touched */
};

/* max_fds is half of RLIMIT_NOFILE: the supervisor needs the rest. */
void rk_observatory_init(struct rk_observatory *shared);

struct rk_observe;

/*
 * Begins to observe the process. pidfd, if not -1, is asked whether the process that was found
 * is still the one meant; it is borrowed until close. Returns 0; -ENOMEM; -ESRCH if it is gone.
 * That /proc hides it is no error here: every look says so.
 */
RK_MUST_USE int rk_observe_open(struct rk_observatory *shared, pid_t pid, int pidfd,
				struct rk_observe **ret);

/*
 * Looks. With want_list the tree is listed too, unless the last pass over /proc is younger than
 * 20 ms; the first look always lists. Never fails: ret->error, n_unread and is_cut say what is
 * missing.
 */
void rk_observe_look(struct rk_observe *o, bool want_list, uint64_t now_ns, struct rk_look *ret);

/* Forgets the look before and closes the threads' descriptors: for workers that need no looks. */
void rk_observe_rest(struct rk_observe *o);

/* A thread of the last look, for evidence. */
struct rk_observe_thread {
	pid_t pid, tid;
	int dir_fd; /* /proc/PID, O_PATH; borrowed until the next look */
	char state;
};

/* Writes at most max threads, of the worker's own process first. Returns how many. */
uint32_t rk_observe_threads(const struct rk_observe *o, struct rk_observe_thread *ret,
			    uint32_t max);

void rk_observe_close(struct rk_observe *o);

#endif
