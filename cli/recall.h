/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recall: what a fleet's flight recorder (shm/flight.h) tells, chosen and printed. It needs no
 * living process, only the file.
 *
 * Who       rekindle, one thread. The file is input: what it says is cleaned before it is shown.
 * Blocking  never; allocates.
 */
#ifndef RK_CLI_RECALL_H
#define RK_CLI_RECALL_H

#include <json-c/json.h>

#include "cli/args.h"
#include "shm/flight_reader.h"
#include "shm/rundir.h"

#define RK_RECALL_FLEETS 64u /* of one configuration, that are told apart */

/* The fleets that a recorder tells of. */
struct rk_recall_fleets {
	uint32_t n;
	char name[RK_RECALL_FLEETS][RK_NAME_MAX];
	int width; /* of the longest */
};

struct rk_recall {
	char fleet[RK_NAME_MAX];
	char part[RK_NAME_MAX]; /* of several, the one that was asked for; "" = all */
	char path[RK_PATH_MAX];
	struct rk_flight_reader reader; /* fd -1 = not open */
	struct rk_recall_fleets known; /* of what was read so far */
};

/* One event that was chosen. */
struct rk_recalled {
	struct rk_flight_record record;
	bool is_cut;
	char text[];
};

/* Which ones; the zero of each member but worker means all. */
struct rk_recall_filter {
	uint32_t worker;        /* RK_FLIGHT_NOBODY = all */
	uint64_t kinds;         /* bits 1 << enum rk_flight_kind */
	uint64_t since_wall_ns; /* not before */
	uint64_t group;         /* only of this group */
	bool is_quiet;          /* without what is for debugging: transitions, starts, clients */
};

struct rk_recall_list {
	size_t n, room;
	struct rk_recalled **event; /* in their order */
};

/*
 * Chooses the fleet (rk_rundir_choose_left()), of NAME/FLEET the part, and opens its recorder. Returns 0; -ENOENT there is
 * none; else as rk_flight_reader_open(). rk_recall_close_p() in any case.
 */
RK_MUST_USE int rk_recall_open(struct rk_recall *c, const char *name, struct rk_err *err);
void rk_recall_close_p(struct rk_recall *c);

/* Opens the file again, which a new fleet of this name has replaced. */
RK_MUST_USE int rk_recall_reopen(struct rk_recall *c, struct rk_err *err);

/* Whether an entry is chosen. Pure. */
bool rk_recall_fits(const struct rk_recall_filter *filter, const struct rk_flight_entry *e);

/* Appends everything that fits and has not been read, but what is of another fleet than the part. 0; -ENOMEM. */
RK_MUST_USE int rk_recall_load(struct rk_recall *c, const struct rk_recall_filter *filter,
			       bool is_following, struct rk_recall_list *to);

/* What was loaded is of several fleets, since none was asked for: -E2BIG with their names; else 0. */
RK_MUST_USE int rk_recall_one_fleet(const struct rk_recall *c, const struct rk_recall_list *const lists[], size_t n,
				    struct rk_err *err);

/* Keeps only the last n. */
void rk_recall_list_tail(struct rk_recall_list *l, size_t n);
void rk_recall_list_free_p(struct rk_recall_list *l);

/*
 * Prints one as a line, with its fleet where the recorder tells of several and none was asked for (c NULL: without);
 * or one object, of which the caller may print a line.
 */
void rk_recall_print(const struct rk_recall *c, const struct rk_recalled *e);
struct json_object *rk_recall_json(const struct rk_recalled *e);

/* Their objects, as an array. */
struct json_object *rk_recall_json_list(const struct rk_recall_list *l);

#define RK_RECALL_TIME 40

/* "2026-01-31 12:00:00.123456" of here, or "2026-01-31T11:00:00.123456Z" for programs. Returns text. */
const char *rk_recall_when(uint64_t wall_ns, bool is_utc, char text[static RK_RECALL_TIME]);

/* With --utc, times are printed in UTC from here on: sets TZ for this process. */
void rk_recall_time(const struct rk_args *a);

/* A slot's number. 0; -EINVAL with a sentence. */
RK_MUST_USE int rk_recall_worker(const char *text, uint32_t *ret, struct rk_err *err);

#endif
