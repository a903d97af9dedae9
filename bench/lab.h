/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lab: real processes that behave or misbehave, watched by the detector as the supervisor would,
 * beside rules that know only the age of the last heartbeat. What is seen can be kept on a tape
 * and judged again.
 *
 * Subjects stand for workers: they run jobs of about 10 ms and declare them on a beat page, until
 * their turn comes to do what they are here for.
 *
 * Who       bench/bench_detect.c and tests/system/test_detection.c; one thread.
 * Crash     subjects and hogs die with their parent.
 */
#ifndef RK_BENCH_LAB_H
#define RK_BENCH_LAB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bench/lab_deed.h"
#include "supervisor/detect.h"
#include "supervisor/observe.h"
#include "supervisor/respond.h"

#define LAB_SUBJECTS 16u
#define LAB_RULES 3u /* fixed 50, 200, 1000 ms */

extern const uint32_t lab_rule_ms[LAB_RULES];

struct lab_subject {
	enum lab_deed deed;
	struct rk_detect_bounds bounds;
	bool is_missing; /* this machine cannot do it */
	/* the rest is the lab's */
	pid_t pid;
	struct rk_beat *beat;
	struct rk_observe *observe;
	struct rk_detect detect;
	struct rk_detect_beat heard;
	uint64_t progress_ns, sick_ns, pending_ns;
	enum rk_verdict verdict; /* the first that would have killed it, FINE if none */
	uint64_t found_ns;       /* from sick to that */
	uint32_t n_kills;        /* stalls for which the evidence rule would have killed it */
	uint32_t n_rule_kills[LAB_RULES]; /* and each fixed rule */
	uint32_t n_looks;
	bool is_killed, is_rule_killed[LAB_RULES]; /* in this stall */
	char line[RK_DETECT_LINE];                 /* of the first kill */
};

struct lab {
	uint32_t n;
	struct lab_subject subject[LAB_SUBJECTS];
	struct rk_observatory shared;
	FILE *tape;               /* NULL = none */
	void (*enter)(void *arg); /* what each subject does first; NULL = nothing */
	void *enter_arg;
	bool is_realtime;       /* watch with SCHED_FIFO, where that is allowed */
	uint64_t sick_after_ns; /* when those who misbehave begin to */
	uint64_t worst_lag_ns;
	uint64_t cpu_ns;     /* what watching took */
	uint64_t watched_ns; /* worker time */
};

void lab_add(struct lab *l, enum lab_deed deed, struct rk_detect_bounds bounds);

/* Starts the subjects, watches them for so long, or until all who misbehave are found; ends them.
 */
void lab_run(struct lab *l, uint64_t ns);

/*
 * Judges a tape again, into subjects of the same number and bounds. Returns 0, or -EPROTO at a
 * line that is none.
 */
int lab_replay(struct lab *l, FILE *tape);

/* One JSON line per subject and one for the whole. */
void lab_print(const struct lab *l, const char *scene);

#endif
