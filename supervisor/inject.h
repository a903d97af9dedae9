/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inject: faults that an admin asks for (`rekindle fault`), so that people see their own fleet
 * recover. Only where the fleet's AllowFaults says so, and each one is an event.
 *
 *   kill              SIGKILL to the process; the job it was in is not charged
 *   stop              SIGSTOP, and SIGCONT when its time is over or the fleet stops
 *   hang, loop, slow  an order in the worker's beat page, which its library obeys at the
 *                     beginning of its next job (shm/beat.h); what comes of it is judged like a
 *                     real one
 *
 * Who       the crew, in the supervisor's loop.
 * Crash     a stop is not ended by a dead supervisor, whose fleet keeper ends.
 * Blocking  never. A stop allocates.
 * Units     ms.
 */
#ifndef RK_SUPERVISOR_INJECT_H
#define RK_SUPERVISOR_INJECT_H

#include <json-c/json.h>
#include <systemd/sd-event.h>

#include "base/rand.h"
#include "supervisor/recorder.h"
#include "supervisor/slot.h"

#define RK_INJECT_ANY UINT32_MAX
#define RK_INJECT_MS_MAX (24u * 3600 * 1000)

enum rk_inject_fault {
	RK_INJECT_KILL,
	RK_INJECT_STOP,
	RK_INJECT_HANG,
	RK_INJECT_LOOP,
	RK_INJECT_SLOW,
	RK_INJECT_FAULTS
};

/* What is asked for. */
struct rk_inject_request {
	enum rk_inject_fault fault;
	uint32_t worker;    /* RK_INJECT_ANY: one that is ready and does not stand still */
	uint32_t ms;        /* a stop's length; how much longer a slow job takes */
	uint32_t n_jobs;    /* that hang, loop or are slow */
	int32_t pid;        /* of who asks, for the record */
};

/* What was hit. */
struct rk_inject_hit {
	uint32_t worker;
	int32_t pid;
	uint64_t incarnation;
};

struct rk_inject_stop;

/* One per crew. */
struct rk_inject {
	sd_event *event;
	struct rk_recorder *recorder;
	const char *fleet;
	struct rk_inject_stop *stops; /* workers that stand still */
	struct rk_rand random;
};

/* Reads "what", "worker" (none: any), "ms" and "jobs" of a request of the control socket. 0; -EINVAL. */
RK_MUST_USE int rk_inject_read(struct json_object *in, struct rk_inject_request *ret, struct rk_err *err);

/* The worker to hit, out of n slots: the one that is asked for, or any. 0; -ENOENT; -EAGAIN: not now. */
RK_MUST_USE int rk_inject_choose(struct rk_inject *j, struct rk_slot *slots, uint32_t n,
				 const struct rk_inject_request *q, struct rk_slot **ret, struct rk_err *err);

/*
 * Does it to this slot's process. 0; -EPERM where AllowFaults is off; -EAGAIN: not now;
 * -errno of the kernel.
 */
RK_MUST_USE int rk_inject(struct rk_inject *j, struct rk_slot *s, const struct rk_inject_request *q,
			  struct rk_inject_hit *ret, struct rk_err *err);

/* Whoever stands still goes on. */
void rk_inject_end(struct rk_inject *j);

/* "kill" and so on; "?" outside. */
const char *rk_inject_name(enum rk_inject_fault fault);

#endif
