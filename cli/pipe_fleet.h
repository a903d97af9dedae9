/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe fleet: the fleet that a pipeline starts for itself, as its child, and a client's place in it.
 *
 * Its warnings and what its workers print go to our standard error; our standard input and output are
 * not theirs.
 *
 * Who       rekindle run, one thread.
 * Crash     when the pipeline is killed, keeper gets SIGTERM from the kernel and ends the fleet.
 * Blocking  start until a worker is ready; end until keeper is gone.
 */
#ifndef RK_CLI_PIPE_FLEET_H
#define RK_CLI_PIPE_FLEET_H

#include "cli/demo_child.h"
#include "cli/look.h"
#include "workers/lib/rekindle.h"

struct rk_pipe_fleet {
	const char *name;
	uint64_t stop_timeout_ns;
	uint64_t start_ns; /* how long it may take to be ready; 0 = as long as StartTimeout= says, nearly */
	int output; /* where it says what it has to say; 0 = our standard error */
	struct rk_demo_child keeper;
	struct rk_look look;
	bool is_open; /* look is there */
	bool was_confused; /* a program printed lines that nobody asked for, or none of its kind: answers may be others' */
	struct rk_client *client;
};

#define RK_PIPE_FLEET_NONE { .keeper = { .pidfd = -1 }, .look = RK_LOOK_NONE }

/*
 * Starts rekindled with these arguments and waits until a worker is ready. f->name and
 * f->stop_timeout_ns are set. signals: a descriptor that becomes readable when it is to be given up.
 * Returns 0; -EINTR; -ECHILD rekindled has ended, and said why: f->keeper.status; -errno with a sentence.
 */
RK_MUST_USE int rk_pipe_fleet_start(struct rk_pipe_fleet *f, char *const *argv, int signals, struct rk_err *err);

/* How often workers were started anew. */
uint64_t rk_pipe_fleet_deaths(struct rk_pipe_fleet *f);

/* How a worker ended last, for people: "exit status 2 just now (pid 815): jq: …"; "" if none did. */
const char *rk_pipe_fleet_last_death(struct rk_pipe_fleet *f, char *text, size_t size);

/* Ends it. is_urgent: without waiting for what workers are in. Accepts an empty one. */
void rk_pipe_fleet_end(struct rk_pipe_fleet *f, bool is_urgent);

#endif
