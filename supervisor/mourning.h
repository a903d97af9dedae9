/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mourning: the deaths of one slot that people have not been told of yet. The cause comes from
 * keeper, the outcome from the successor, in either order; the line is printed when both are
 * known. A process that dies before its predecessor's cause has come does not hide it: two are
 * kept, and each gets its line.
 *
 * Who       the slot; one struct per slot.
 * Blocking  never; a line that standard output has no room for is dropped (say.h).
 */
#ifndef RK_SUPERVISOR_MOURNING_H
#define RK_SUPERVISOR_MOURNING_H

#include "supervisor/obituary.h"
#include "supervisor/recorder.h"
#include "supervisor/say.h"

/* One death. */
struct rk_death {
	struct rk_obituary obituary;
	uint64_t tag;   /* rk_link_tag() of the dead process; 0 = nobody died */
	uint64_t group; /* of the records that tell of it; 0 = none yet */
	bool is_open;   /* its line is not printed yet */
};

struct rk_mourning {
	const char *fleet; /* borrowed, for the records */
	struct rk_say *say;
	struct rk_recorder *recorder;
	struct rk_death last;   /* what the view shows */
	struct rk_death before; /* open only while its cause is awaited */
	bool is_hushed;         /* lines are not printed: nothing of this fleet has ever worked */
};

/* A process died. What the obituary does not say yet comes later; o is copied. */
void rk_mourning_begin(struct rk_mourning *m, const struct rk_obituary *o, uint64_t tag, uint64_t group);

/* What ended the process of this tag. Returns whether it is one of the two. */
bool rk_mourning_cause(struct rk_mourning *m, uint64_t tag, int code, int status);

/* The command of the process that died last could not be executed. */
void rk_mourning_exec_error(struct rk_mourning *m, int error);

/* The same of an earlier step of its start; text says which and why. */
void rk_mourning_failed(struct rk_mourning *m, int error, const char *text);

/* What came of the last death; nothing if its line is printed. */
void rk_mourning_outcome(struct rk_mourning *m, enum rk_obituary_outcome outcome, int32_t successor, uint64_t job,
			 uint64_t took_ns);

/* Whether the last death's outcome is still awaited. */
static inline bool rk_mourning_is_open(const struct rk_mourning *m)
{
	return m->last.is_open && m->last.obituary.outcome == RK_OBITUARY_OPEN;
}

/* No line for the last death: it was asked for, or said often enough. */
void rk_mourning_drop(struct rk_mourning *m);

#endif
