/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleet: the fleet that demo starts for itself, and what demo sees of it: the board, the
 * workers' beats, and the clients' cells, all mapped read-only.
 *
 * Who       demo, one thread.
 * Crash     when demo is killed, keeper gets SIGTERM from the kernel and ends the fleet.
 * Blocking  start until the workers are ready; end until keeper is gone.
 */
#ifndef RK_CLI_DEMO_FLEET_H
#define RK_CLI_DEMO_FLEET_H

#include <limits.h>

#include "cli/demo_child.h"
#include "cli/look.h"

#define RK_DEMO_WORKERS_MAX 64u

struct rk_demo_fleet_conf {
	const char *rekindled; /* paths of the two programs */
	const char *worker;
	uint32_t n_workers;
	uint32_t n_standbys;
	uint32_t n_partitions;
	uint32_t n_clients;
	uint32_t n_slots; /* outstanding calls per client */
	uint32_t batch; /* jobs per commit; 0 = the worker's own choice */
	uint32_t n_poisons; /* jobs that will be quarantined: wordcount is told, and there is room for them */
};

/* One worker as the board has it. */
struct rk_demo_worker {
	pid_t pid; /* 0 = down */
	uint64_t incarnation;
	bool ready;
};

struct rk_demo_fleet {
	char name[RK_NAME_MAX];
	struct rk_demo_child keeper;
	uint32_t n_workers;
	int log;             /* what the fleet said on its standard output and error */
	bool is_open;        /* the rest is there */
	struct rk_look look; /* board, beats, parts and queues */
	struct rk_ask ask;   /* a client's place, which nobody calls from */
	struct rk_shm calls; /* the clients' cells */
};

/* An empty one, for rk_demo_fleet_end(). */
#define RK_DEMO_FLEET_NONE \
	{ .keeper = { .pidfd = -1 }, .log = -1, .look = RK_LOOK_NONE, .ask.sock = -1 }

/* Starts rekindled with n workers and waits until they are ready. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_fleet_start(struct rk_demo_fleet *f, const struct rk_demo_fleet_conf *conf,
				    struct rk_err *err);

/* Whether all its workers are ready now. */
bool rk_demo_fleet_is_ready(struct rk_demo_fleet *f);

/* Ends it: SIGTERM to keeper, SIGKILL after a while. Accepts an empty one. */
void rk_demo_fleet_end(struct rk_demo_fleet *f);

/* A worker as it is on the board now; empty if there is no such slot. */
struct rk_demo_worker rk_demo_fleet_worker(struct rk_demo_fleet *f, uint32_t worker);

/* The supervisor, as it published itself last. */
pid_t rk_demo_fleet_supervisor(struct rk_demo_fleet *f);

/* A standby that is parked now, or 0. */
pid_t rk_demo_fleet_standby(struct rk_demo_fleet *f);

/* Whether a job waits in a partition of this worker. */
bool rk_demo_fleet_has_work(struct rk_demo_fleet *f, uint32_t worker);

/*
 * Whether this worker is inside a reply now: it has said WRITING in a client's cell. *ret_page
 * is that client's page. To be asked of a stopped worker.
 */
bool rk_demo_fleet_is_writing(struct rk_demo_fleet *f, uint32_t worker, uint32_t *ret_page);

/* Whether this worker has declared a cell that it will write, or has written. */
bool rk_demo_fleet_is_replying(struct rk_demo_fleet *f, uint32_t worker);

/* Address of this worker's beat page in the worker's own memory; 0 = not found. */
uint64_t rk_demo_fleet_find_beat(struct rk_demo_fleet *f, uint32_t worker, pid_t pid);

/* Whether this worker is inside the handler of a job. To be asked of a stopped worker. */
bool rk_demo_fleet_is_running(struct rk_demo_fleet *f, uint32_t worker);

/* Counts the fleet's dead letters: those whose body `is_poison` says yes to, and the others. */
struct rk_demo_letters {
	uint64_t n_poison, n_others;
};
RK_MUST_USE int rk_demo_fleet_letters(struct rk_demo_fleet *f, bool (*is_poison)(const char *body, uint32_t len),
				      struct rk_demo_letters *ret);

/* Process that holds a client page, or 0. */
pid_t rk_demo_fleet_client(struct rk_demo_fleet *f, uint32_t page);

/* Prints the last lines that the fleet said, each behind "  | ". */
void rk_demo_fleet_print_log(const struct rk_demo_fleet *f);

/* Finds rekindled and the example wordcount: beside this program, else where they are installed. */
struct rk_demo_programs {
	char self[PATH_MAX], rekindled[PATH_MAX], worker[PATH_MAX];
};
RK_MUST_USE int rk_demo_fleet_programs(struct rk_demo_programs *ret, struct rk_err *err);

#endif
