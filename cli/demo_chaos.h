/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chaos: what demo does to its own fleet and clients, and how fast they come back.
 *
 * Random kills alone seldom hit the instructions that matter, so some of them are aimed: the
 * worker is stepped, one instruction at a time, to where it hurts (demo_step.h). Where that is
 * not allowed they strike anywhere.
 *
 *   kill a worker   anywhere | inside a job | inside the writing of a reply
 *   stop a worker   anywhere | inside the writing of a reply, for longer than its client waits, so
 *                   that the client asks again in another cell | the same, and then its client is
 *                   killed, the worker takes a few steps, and the client's successor goes on
 *   kill a client   anywhere
 *   stop a client   anywhere
 *   kill or stop a reader of the board, anywhere
 *   kill the supervisor, anywhere: its start and its adoption of the fleet included
 *
 * When a deed is due, its kind and its victim are drawn from the seed; what it meets is not.
 *
 * Who       demo, one thread.
 * Blocking  aiming at an instruction takes up to RK_DEMO_AIM_MS.
 * Units     rates per second; ns.
 */
#ifndef RK_CLI_DEMO_CHAOS_H
#define RK_CLI_DEMO_CHAOS_H

#include "base/rand.h"
#include "cli/demo_census.h"
#include "cli/demo_child.h"
#include "cli/demo_fleet.h"
#include "cli/demo_reign.h"

#define RK_DEMO_AIM_MS 250u
#define RK_DEMO_CLIENTS_MAX 64u
#define RK_DEMO_RECOVERIES_MAX 65536u

enum rk_demo_deed {
	RK_DEMO_KILL_WORKER,
	RK_DEMO_KILL_CLIENT,
	RK_DEMO_STOP_WORKER,
	RK_DEMO_STOP_CLIENT,
	RK_DEMO_KILL_READER,
	RK_DEMO_STOP_READER,
	RK_DEMO_KILL_STANDBY,
	RK_DEMO_KILL_SUPERVISOR,
	RK_DEMO_DEEDS
};

struct rk_demo_chaos_conf {
	uint32_t per_s[RK_DEMO_DEEDS];
	uint64_t seed;
	uint32_t timeout_ms; /* of the clients' calls */
	bool all_named;      /* the clients */
};

/* Somebody who stands still, and until when. */
struct rk_demo_stop {
	uint64_t until_ns; /* 0 = nobody */
	pid_t pid;
	int pidfd;
	bool kill_client; /* then: whose reply is half written */
	uint32_t client;
};

/* Processes of one kind that are not workers: the caller's, who starts killed ones again. */
struct rk_demo_troop {
	struct rk_demo_child *child;
	uint32_t n;
	struct rk_demo_stop stopped[RK_DEMO_CLIENTS_MAX];
};

/* A killed worker whose successor has not committed yet. */
struct rk_demo_loss {
	uint64_t killed_ns; /* 0 = none; stamped before the kill */
	uint64_t incarnation;
	bool had_work; /* a job waited: the successor's first commit counts, else that it is ready */
};

struct rk_demo_chaos {
	struct rk_demo_chaos_conf conf;
	struct rk_demo_fleet *fleet;
	struct rk_demo_troop clients, readers;
	struct rk_rand random;
	uint64_t next_ns[RK_DEMO_DEEDS];
	struct rk_demo_stop workers_stopped[RK_DEMO_WORKERS_MAX];
	struct rk_demo_loss losses[RK_DEMO_WORKERS_MAX];
	uint64_t n_done[RK_DEMO_DEEDS];
	uint64_t n_in_job, n_in_reply; /* of the kills and stops of workers */
	uint64_t *recoveries_ns;
	uint32_t n_recoveries;
	uint64_t last_recovery_ns;
	struct rk_demo_reign reign;
	struct rk_demo_census census; /* of a fleet whose supervisor is killed */
	uint64_t census_ns;           /* when the next one is due */
	uint64_t n_unmeasured; /* kills whose successor died, or fell idle, before it could be seen */
};

/* Takes up its work from now_ns on. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_chaos_begin(struct rk_demo_chaos *c, uint64_t now_ns, struct rk_err *err);

/* Does what is due. Returns when there is something to do next. */
uint64_t rk_demo_chaos_step(struct rk_demo_chaos *c, uint64_t now_ns);

/* Behind the last deed, and when the clients have their answers: takes the last census, if any is taken. */
void rk_demo_chaos_conclude(struct rk_demo_chaos *c);

/* Whether the supervisor was killed, so that a census says something. */
bool rk_demo_chaos_has_census(const struct rk_demo_chaos *c);

/* Whoever stands still goes on; no deed follows. Recoveries under way are still looked at by rk_demo_chaos_look(). */
void rk_demo_chaos_end(struct rk_demo_chaos *c);

/* Looks for first commits of successors. Returns how many are still awaited. */
uint32_t rk_demo_chaos_look(struct rk_demo_chaos *c, uint64_t now_ns);

void rk_demo_chaos_free(struct rk_demo_chaos *c);

#endif
