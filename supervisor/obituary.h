/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Obituary: how a worker died and what came of it, as one line for people:
 *
 *	worker 2 (pid 812) SIGKILL: 845 committed job 10,233 after 1.6 ms
 *	worker 2 (pid 812) exited 3 ("no table"): 845 ready after 1.2 ms
 *	worker 2 (pid 812) hung in job 17 of partition 3 for 10.0 s, killed: 845 ready after 1.2 ms
 *	worker 2 (pid 812) SIGSEGV in job 10,233 of partition 7: 845 started, its first job not done after 1.0 s
 *	worker 2 (pid 812) SIGKILL: restarts are braked: 31 deaths in 1 s, next try in 46 ms
 *
 * The cause and the outcome are learned at different times, in either order.
 *
 * Who       the fleet; pure. Units ns.
 */
#ifndef RK_SUPERVISOR_OBITUARY_H
#define RK_SUPERVISOR_OBITUARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/detect.h"

#define RK_OBITUARY_WORDS 256u
#define RK_OBITUARY_LINE 704u
#define RK_OBITUARY_FAILED 112u

enum rk_obituary_outcome {
	RK_OBITUARY_OPEN,      /* not known yet */
	RK_OBITUARY_COMMITTED, /* the successor committed a job */
	RK_OBITUARY_READY,     /* the successor found no work */
	RK_OBITUARY_LOST,      /* the successor died before it was ready */
	RK_OBITUARY_BUSY,      /* the successor has not finished its first job after took_ns */
	RK_OBITUARY_WAITING,   /* no successor before a wait of took_ns */
	RK_OBITUARY_STOPPED,   /* no successor: the fleet stops */
	RK_OBITUARY_ENDED      /* no successor: the slot stays down */
};

struct rk_obituary {
	uint32_t worker;
	int32_t pid; /* 0: there was none yet */
	uint64_t noticed_ns;
	uint32_t n_failed;  /* processes in a row, this one included, that never were ready */
	uint32_t n_braked;  /* deaths in 1 s for which its successor waits, beside n_failed if that
			       is not 0 */
	bool was_ready;     /* the dead process had become ready */
	bool was_in_job;    /* as its beat page said */
	uint32_t partition; /* of that job */
	uint64_t in_job;    /* its number */
	enum rk_verdict verdict; /* for which we ended it; FINE: we did not */
	uint64_t judged_for_ns;  /* how long that had been so */
	bool is_cause_known;
	int code;       /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
	int status;     /* exit status or signal */
	bool is_oom;    /* the kernel killed in its cgroup for want of memory */
	bool is_injected; /* it was killed by a fault that was asked for */
	int exec_error; /* 0, or why the command could not be executed, or its start failed */
	char failed[RK_OBITUARY_FAILED]; /* what of its start failed and how; "": the exec */
	char last_words[RK_OBITUARY_WORDS];
	enum rk_obituary_outcome outcome;
	int32_t successor;
	uint64_t job;
	uint64_t took_ns;
};

/* Copies a worker's last words: bytes of size at most, made printable, NUL at the end. */
void rk_obituary_words(struct rk_obituary *o, const char *words, size_t size);

/* Writes the line; a cause that is not known yet reads "died". Returns text. */
const char *rk_obituary_format(const struct rk_obituary *o, char text[static RK_OBITUARY_LINE]);

/* " in job 10,233 of partition 7", or "". Returns text. */
const char *rk_obituary_job(const struct rk_obituary *o, char *text, size_t size);

/* "hung", "looped", "did not start"; "" for a verdict that ends nobody. */
const char *rk_obituary_deed(enum rk_verdict verdict);

/*
 * "SIGKILL", "exited 3", "could not be executed (No such file or directory)", "died",
 * "did not start (setuid to 'games': Operation not permitted)".
 */
void rk_obituary_cause(const struct rk_obituary *o, char *text, size_t size);

#endif
