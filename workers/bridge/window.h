/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Window: the jobs that are under way in the program, in the order in which they were shown, and
 * what became of each. A job commits when it and all that were shown before it in its partition have
 * their answers.
 *
 * Who       pure: no system call, no clock. The bridge's one thread owns it.
 * Blocking  never; allocates as answers grow, up to their longest once for each place.
 */
#ifndef RK_BRIDGE_WINDOW_H
#define RK_BRIDGE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

#define RK_WINDOW_NONE UINT32_MAX

enum rk_window_state {
	RK_WINDOW_FREE,
	RK_WINDOW_WAITING,  /* the program has it, or will */
	RK_WINDOW_ANSWERED, /* by the program, or by us with an error */
	RK_WINDOW_VOID,     /* there is nothing to answer */
};

struct rk_window_job {
	enum rk_window_state state;
	uint32_t partition;
	uint64_t number;
	uint64_t deadline_ns; /* 0 = none */
	uint64_t shown_ns;
	int error; /* of the answer: 0 or a negative errno */
	char *answer; /* len bytes, in `room` allocated ones that are kept for the place's next job */
	size_t len, room;
	char *id; /* by which its answer is known: id_len bytes, 0 = by its turn. The place's, as above */
	size_t id_len, id_room;
	uint32_t next, previous;       /* in the order of showing; RK_WINDOW_NONE */
	uint32_t next_of_partition;
};

struct rk_window {
	struct rk_window_job *at;
	uint32_t n_max, n; /* places; jobs in them */
	uint32_t n_waiting;
	uint32_t first, last;     /* in the order of showing */
	uint32_t free;            /* list by `next` */
	uint32_t oldest_waiting;  /* a place, or RK_WINDOW_NONE */
	uint32_t *first_of, *last_of; /* of each partition */
	uint32_t n_partitions;
	size_t answer_max;
};

/* Room for n_max jobs of n_partitions. Returns 0 or -ENOMEM; rk_window_close() in any case. */
RK_MUST_USE int rk_window_open(struct rk_window *w, uint32_t n_max, uint32_t n_partitions, size_t answer_max);
void rk_window_close(struct rk_window *w);

/* One more, behind all others. Returns its place, RK_WINDOW_NONE when there is none or its partition does not exist. */
uint32_t rk_window_add(struct rk_window *w, uint32_t partition, uint64_t number, enum rk_window_state state,
		       uint64_t now_ns, uint64_t deadline_ns);

/* Gives the job the id by which its answer will be known, of at least one byte. 0 or -ENOMEM. */
RK_MUST_USE int rk_window_name(struct rk_window *w, uint32_t place, const char *id, size_t len);

/* The waiting job of this id, the oldest if there are several; RK_WINDOW_NONE. */
uint32_t rk_window_find_id(const struct rk_window *w, const char *id, size_t len);

/* The job of this partition and number; RK_WINDOW_NONE. */
uint32_t rk_window_find(const struct rk_window *w, uint32_t partition, uint64_t number);

/*
 * Answers a waiting job: error is 0 or a negative errno. An answer longer than answer_max becomes
 * -EMSGSIZE. Out of memory becomes -ENOMEM, as the answer.
 */
void rk_window_answer(struct rk_window *w, uint32_t place, int error, const char *answer, size_t len);

/* Whether the first job of a partition can commit; if so up to which number those behind it can as well. */
bool rk_window_ready(const struct rk_window *w, uint32_t partition, uint64_t *ret_number);

/* Takes the partition's jobs up to number away. */
void rk_window_drop(struct rk_window *w, uint32_t partition, uint64_t number);

#endif
