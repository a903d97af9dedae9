/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recycle: which worker is replaced because it has grown too large (MaxRSS) or served long
 * enough (MaxJobs), and when.
 *
 * A worker that is recycled ends between two jobs (RK_FSM_EV_RECYCLE), so nothing is lost and
 * no job is charged; its restart costs nothing. Not all go at once: one goes only while fewer
 * than max_unavailable slots are away for whatever reason, one behind the other by gap_ns, the
 * one furthest over its bound first; and each process has a MaxJobs of its own, up to an eighth
 * less than the configured one, so that workers that started together do not end together.
 *
 * Who       the supervisor's loop, whenever it has fresh figures; pure.
 * Blocking  never; no allocation. Asks for no timer: figures come with the detector's tick,
 *           which sleeps when the workers do (P11).
 * Units     bytes, jobs, ns.
 */
#ifndef RK_SUPERVISOR_RECYCLE_H
#define RK_SUPERVISOR_RECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#define RK_RECYCLE_NOBODY UINT32_MAX

struct rk_recycle_conf {
	uint64_t max_rss;         /* 0 = no bound */
	uint64_t max_jobs;        /* 0 = no bound */
	uint32_t max_unavailable; /* 0 counts as 1 */
	uint64_t gap_ns;          /* between two of one fleet */
};

struct rk_recycle_slot {
	bool is_ready;   /* RK_FSM_READY; others are away, or are dealt with otherwise */
	bool is_wanted;  /* false: no process is wanted, so it is not away either */
	uint64_t rss;    /* of its process tree; 0 = not known */
	uint64_t n_jobs; /* of this incarnation; its own word, which harms only itself */
	uint64_t incarnation;
};

enum rk_recycle_reason { RK_RECYCLE_NONE, RK_RECYCLE_RSS, RK_RECYCLE_JOBS, RK_RECYCLE_REASONS };

struct rk_recycle {
	uint32_t slot; /* RK_RECYCLE_NOBODY: nobody now */
	enum rk_recycle_reason reason;
	uint32_t n_due; /* shown: slots over a bound, this one included */
};

/* Who is recycled now. last_ns: when the fleet's last one was, 0 = never. */
struct rk_recycle rk_recycle_decide(const struct rk_recycle_conf *c,
				    const struct rk_recycle_slot *slots, uint32_t n_slots,
				    uint64_t last_ns, uint64_t now_ns);

/* MaxJobs of one incarnation of a slot: more than 7/8 of max_jobs, at most max_jobs, never 0. */
uint64_t rk_recycle_max_jobs(uint64_t max_jobs, uint32_t slot, uint64_t incarnation);

/* "MaxRSS", "MaxJobs", "none"; "?" outside. */
const char *rk_recycle_reason_name(enum rk_recycle_reason reason);

#endif
