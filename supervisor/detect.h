/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detect: judges from what a worker declares and what looks at its process tree told whether it
 * waits, starves, is paused or hangs. doc/detection.md says what is blamed when.
 *
 * A worker is blamed only for time that was its own: on a CPU, or asleep while nothing in its
 * tree was runnable. Time in which it starved or was paused does not count, and hardly any of that
 * in which we looked too late, and nothing of that between two supervisors. Progress (another job, a commit, rk_beat()) sets everything back to
 *zero.
 *
 * Use, by one thread, for each worker at each tick (rk_detect_next_tick_ns() apart):
 *
 *	in = { beat words, now_ns, boot_ns, pending_since_ns, is_pressed }
 *	switch (rk_detect_need(&bounds, &d, &in)):  LOOK, LIST: rk_observe_look() fills in.look
 *	rk_detect_step(&bounds, &d, &in, &finding)  finding.verdict, and text by rk_detect_format()
 *
 * Who       pure; no clock, no system call.
 * Blocking  never; no allocation.
 * Units     ns of CLOCK_MONOTONIC.
 */
#ifndef RK_SUPERVISOR_DETECT_H
#define RK_SUPERVISOR_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "shm/abi.h"
#include "supervisor/look.h"

#define RK_DETECT_TICK_NS (40 * RK_NS_PER_MS)
#define RK_DETECT_FAST_NS (10 * RK_NS_PER_MS) /* between ticks while there is a suspect */
#define RK_DETECT_LATE_NS (20 * RK_NS_PER_MS) /* of a tick later than this 10 ms count */
#define RK_DETECT_PAUSE_NS (8 * RK_NS_PER_MS) /* between the two looks that prove a pause */
#define RK_DETECT_PENDING_NS                                                                       \
	(40 * RK_NS_PER_MS)                  /* work may lie this long before a pause matters      \
					      */
#define RK_DETECT_HANG_NS (10 * RK_NS_PER_S) /* where neither HangAfter nor the job says */
#define RK_DETECT_NONBLOCKING_NS (100 * RK_NS_PER_MS) /* Blocking=no: asleep in a handler */
#define RK_DETECT_GRACE_NS                                                                         \
	(100 * RK_NS_PER_MS) /* from a job's deadline to its blame; also the                       \
			      * least budget that a short deadline gives */

/* From the configuration. 0 = the default named. */
struct rk_detect_bounds {
	uint64_t hang_after_ns;    /* HangAfter; the job's deadline, else 10 s */
	uint64_t job_timeout_ns;   /* JobTimeout, for jobs without a deadline; none */
	uint64_t start_timeout_ns; /* none */
	uint64_t stop_timeout_ns;  /* none: for fleets whose stop another timer ends */
	bool is_nonblocking;       /* Blocking=no */
};

/* What a worker's beat page says: input, the worker may write anything there. */
struct rk_detect_beat {
	uint64_t incarnation;
	uint64_t job, deadline_ns, calling_until_ns;
	uint64_t beats, n_jobs;
	uint32_t state, partition;
};

struct rk_detect_input {
	struct rk_detect_beat beat;
	uint64_t now_ns;
	uint64_t lateness_ns;      /* how much later than planned this tick runs */
	uint64_t boot_ns;          /* rk_clock_boot_ns(): a suspended machine shows here */
	uint64_t pending_since_ns; /* since when work that it could take has waited; 0 = none */
	bool is_pressed; /* memory or io pressure (PSI full): Blocking=no is not insisted on */
	const struct rk_look *look; /* NULL where rk_detect_need() said NOTHING */
};

enum rk_verdict {
	RK_VERDICT_FINE,     /* gets on, or has nothing to do */
	RK_VERDICT_WAITING,  /* makes no progress, within its bounds */
	RK_VERDICT_STARVED,  /* runnable, but got no CPU */
	RK_VERDICT_BLIND,    /* cannot be seen: nothing is concluded */
	RK_VERDICT_GONE,     /* its process has ended; its lease or pidfd tells */
	RK_VERDICT_SUSPECT,  /* close to a bound, or seen paused once */
	RK_VERDICT_LATE,     /* its job's deadline has passed */
	RK_VERDICT_STOPPED,  /* paused: SIGSTOP and the like */
	RK_VERDICT_TRACED,   /* paused: by a debugger */
	RK_VERDICT_FROZEN,   /* paused: by a cgroup freezer */
	RK_VERDICT_LOOP,     /* hangs: burns CPU */
	RK_VERDICT_ASLEEP,   /* hangs: sleeps, deadlocks included */
	RK_VERDICT_LIVELOCK, /* hangs: wakes and sleeps and gets nowhere */
	RK_VERDICT_DISK,     /* hangs: uninterruptible, state D */
	RK_VERDICT_START_TIMEOUT,
	RK_VERDICT_STOP_TIMEOUT,
	RK_VERDICTS
};

/* What a worker is doing, as far as bounds are concerned. */
enum rk_phase {
	RK_PHASE_IDLE, /* nothing is expected of it */
	RK_PHASE_STARTING,
	RK_PHASE_WORKING, /* in a handler */
	RK_PHASE_PENDING, /* outside of one, while work waits for it */
	RK_PHASE_STOPPING,
	RK_PHASES
};

/* How the time since the last progress was spent. What is in none of them was void. */
struct rk_detect_spent {
	uint64_t burnt_ns;   /* on CPUs; of several threads not more than passed */
	uint64_t asleep_ns;  /* nothing in the tree runnable */
	uint64_t disk_ns;    /* the same, with a thread in state D */
	uint64_t starved_ns; /* runnable without a CPU */
	uint64_t paused_ns;
	uint64_t void_ns;  /* we were late, or could not see */
	uint64_t still_ns; /* the end of asleep and disk in which no thread has run at all */
};

/* One worker's, owned by the thread that ticks; zero it to begin. */
struct rk_detect {
	struct rk_detect_beat last;
	enum rk_phase phase;
	bool is_begun;
	uint64_t since_ns;  /* no progress since */
	uint64_t budget_ns; /* the job's: deadline - since; 0 = it has none */
	uint64_t deadline_ns;
	bool is_doubtful; /* somebody starved or was paused in it: what follows is not sleep yet */
	uint64_t look_ns; /* the last look, if the last step had one; else 0 */
	uint64_t away_ns; /* boot - now: grows while the machine is suspended */
	uint64_t pause_seen_ns; /* the first look of the pause; 0 = not paused */
	enum rk_verdict pause;
	uint64_t blamed_ns;    /* since when the blame below stands */
	enum rk_verdict blame; /* FINE = none */
	bool is_suspect;
	uint64_t listed_asleep_ns, listed_disk_ns; /* of spent, when the tree was listed last */
	struct rk_detect_spent spent;
};

/* What a step found: the verdict and its evidence in numbers. */
struct rk_finding {
	enum rk_verdict verdict;
	bool is_suspect;        /* about to be judged: wants the fast tick, and no new work */
	uint64_t blamed_for_ns; /* how long a verdict from LATE on has stood */
	enum rk_phase phase;
	uint64_t since_ns;      /* the last progress */
	uint64_t stalled_ns; /* since then, by the clock */
	uint64_t bound_ns;   /* what a hang's time was held against */
	struct rk_detect_spent spent;
	uint32_t state, partition; /* as declared */
	uint64_t job;
	struct rk_look look; /* the last one; all zero if there was none */
};

/*
 * Loads the words of the beat page of the slot's process, each once. A page that is not that
 * incarnation's is its predecessor's: the process counts as STARTING.
 */
void rk_detect_hear(const struct rk_beat *beat, uint64_t incarnation, struct rk_detect_beat *ret);

enum rk_detect_need {
	RK_DETECT_NOTHING, /* it got on or is idle: no look, step with look = NULL */
	RK_DETECT_LOOK,
	RK_DETECT_LIST /* look and list the tree: it may be blamed, so nobody may be missing */
};

enum rk_detect_need rk_detect_need(const struct rk_detect_bounds *b, const struct rk_detect *d,
				   const struct rk_detect_input *in);

void rk_detect_step(const struct rk_detect_bounds *b, struct rk_detect *d,
		    const struct rk_detect_input *in, struct rk_finding *ret);

/*
 * Goes on with what another process has found, and found last at d->look_ns. What has passed since then
 * nobody has seen: it is void, and so is a pause that was seen only once.
 */
void rk_detect_take_up(struct rk_detect *d, uint64_t now_ns);

/* Nothing is expected of the worker and no step needed until its beat changes or work comes. */
bool rk_detect_is_idle(const struct rk_detect_beat *beat, uint64_t pending_since_ns);

/* ns to the next tick: 0 = none, all are idle; else 10 ms with a suspect, 40 ms without. */
uint64_t rk_detect_next_tick_ns(bool is_any_suspect, bool is_all_idle);

#define RK_DETECT_LINE 320u

/* One line: what is found, for how long, against which bound, how the time was spent. Returns text.
 */
const char *rk_detect_format(const struct rk_finding *f, char text[static RK_DETECT_LINE]);

/* Names for logs; "?" outside. */
const char *rk_verdict_name(enum rk_verdict verdict);
const char *rk_phase_name(enum rk_phase phase);

#endif
