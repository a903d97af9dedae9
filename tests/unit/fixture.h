/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small fleet in private memory, for the unit tests of shm/: every segment and every bank
 * in a mapping of its own that ends where an inaccessible page begins, so that a read or
 * write outside of it ends the test.
 */
#ifndef RK_TESTS_UNIT_FIXTURE_H
#define RK_TESTS_UNIT_FIXTURE_H

#include "shm/call.h"
#include "shm/layout.h"
#include "shm/owner.h"

#define FIXTURE_BANKS 8u
#define FIXTURE_MAPS (RK_SEGMENT_KINDS + FIXTURE_BANKS)

struct fixture_map {
	const char *name;
	char *at;
	uint64_t len;
};

struct fixture {
	struct rk_shm m;
	struct fixture_map maps[FIXTURE_MAPS]; /* by segment kind, then one per partition's bank 0 */
};

/* 4 partitions of 64 places, 4 workers, 3 clients of 2 slots and 4 cells; little room in tables. */
struct rk_geometry fixture_geometry(void);

/* A fleet of this geometry (NULL: the above). Cursors, tails and laps begin at `first`. */
struct fixture *fixture_new(const struct rk_geometry *g, uint64_t first);
void fixture_free(struct fixture *f);

char *fixture_bank(struct fixture *f, uint32_t partition);

/* ---- a worker ---- */

struct fixture_owner {
	struct rk_owner o;
	void *room;
};

/* Assigns the partition to the worker, publishes the route and opens it. */
void fixture_own(struct fixture *f, struct fixture_owner *w, uint32_t partition, uint32_t worker);
void fixture_disown(struct fixture_owner *w);

/*
 * The usual handler: adds the body's first byte to the u64 that begins the state and replies
 * with the sum. A body of 0xff fails with -EDOM after it has changed the state.
 */
int fixture_add(struct rk_owner_job *job, void *arg);

/* The sum in a partition's bank. */
uint64_t fixture_sum(struct fixture *f, uint32_t partition);

/* ---- a client ---- */

/* Gives the page to a client of this id on the board and makes its view. */
struct rk_caller fixture_caller(struct fixture *f, uint32_t page, uint64_t id);

/* Starts a call with a body of one byte. */
enum rk_call_start fixture_start(struct rk_caller *c, uint32_t slot, uint32_t partition, uint8_t body,
				 struct rk_call *ret);

/* Asserts that the call is DONE with this error and, if that is 0, this sum; releases it. */
void fixture_expect(struct rk_caller *c, struct rk_call *call, int error, uint64_t sum);

/* One call through start, one step and release; returns the sum. */
uint64_t fixture_call(struct rk_caller *c, struct fixture_owner *w, uint8_t body);

/* The reference in a ring's place, as it lies there. */
uint64_t fixture_place(const struct fixture *f, uint32_t partition, uint64_t position);

#endif
