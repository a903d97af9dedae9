/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: what is kept of a worker that is about to be killed, or that is reported: the
 * finding, and of each thread what the kernel shows. What may not be read is said, with the reason.
 *
 * Who       gather: the thread that observes. format: anyone.
 * Blocking  not by itself; while the worker is inside execve(), the kernel may let us wait.
 *           No allocation. Some 50 µs per thread.
 * Crash     of the worker while we gather: what was not yet read says so.
 */
#ifndef RK_SUPERVISOR_EVIDENCE_H
#define RK_SUPERVISOR_EVIDENCE_H

#include "supervisor/detect.h"
#include "supervisor/observe.h"
#include "supervisor/respond.h"

#define RK_EVIDENCE_THREADS 16u

struct rk_evidence_thread {
	int32_t pid, tid;
	char state;
	char name[16];
	/* All three say "not permitted (…)" and the like where they cannot be read. */
	char wchan[40];    /* where in the kernel it waits */
	char syscall[160]; /* number, arguments, stack pointer, program counter; or "running" */
	char stack[240];   /* of the kernel, innermost first, " < " between frames */
};

/* Fixed size, no pointers. A recorder that others read keeps the text below instead. */
struct rk_evidence {
	uint64_t wall_ns;
	uint32_t worker;
	int32_t pid;
	uint64_t incarnation, key_hash;
	struct rk_finding finding;
	enum rk_response response;
	uint32_t n_threads; /* below */
	uint32_t n_more;    /* that were seen but have no room */
	struct rk_evidence_thread thread[RK_EVIDENCE_THREADS];
};

/* What the caller knows about whom it is. key_hash 0 = not known. */
struct rk_evidence_case {
	uint32_t worker;
	pid_t pid;
	uint64_t incarnation, key_hash, wall_ns;
	enum rk_response response;
};

/* Fills ret; never fails. o may be NULL: then the threads are missing. */
void rk_evidence_gather(const struct rk_evidence_case *c, const struct rk_finding *f,
			const struct rk_observe *o, struct rk_evidence *ret);

#define RK_EVIDENCE_TEXT 12288u

/* Lines for people, each ended by a newline; control characters are '?'. Returns the length. */
size_t rk_evidence_format(const struct rk_evidence *e, char text[static RK_EVIDENCE_TEXT]);

#endif
