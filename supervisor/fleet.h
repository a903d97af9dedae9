/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleet: the workers of one command and everything that is theirs: shared memory, clients, the
 * board, the watch threads, and the crew.
 *
 * Who       the supervisor's loop, which may have several.
 * Crash     the journal and keeper's descriptors are what a successor of the supervisor needs.
 * Blocking  never, but for making the memory.
 */
#ifndef RK_SUPERVISOR_FLEET_H
#define RK_SUPERVISOR_FLEET_H

#include <systemd/sd-event.h>

#include "supervisor/clients.h"
#include "supervisor/conf.h"
#include "supervisor/crew.h"
#include "supervisor/guard.h"
#include "supervisor/inherit.h"
#include "supervisor/link.h"
#include "supervisor/publish.h"
#include "supervisor/recorder.h"
#include "supervisor/say.h"
#include "supervisor/segments.h"
#include "supervisor/spawn.h"
#include "supervisor/watch.h"

#define RK_FLEET_NEWS "news" /* what keeper calls the pipe by which workers tell something */

struct rk_fleet;

/* What all fleets share; the loop's. */
struct rk_fleet_env {
	sd_event *event;
	struct rk_say *say;
	struct rk_recorder *recorder;
	struct rk_guard *guard;
	struct rk_storm *storm;
	int link; /* to keeper */
	const char *name; /* of the runtime directory */
	uint64_t started_ns;
	bool outlives_keeper; /* its memory is kept by systemd as well: workers do not die with keeper */
	void (*on_ready)(struct rk_fleet *f, void *arg); /* all its workers, after they were not */
	void (*on_step)(struct rk_fleet *f, void *arg);  /* its workers are not what they were */
	/* crew.h */
	bool (*takes_over)(struct rk_fleet *f, uint32_t slot, uint64_t due_ns, void *arg);
	void (*on_end)(struct rk_fleet *f, void *arg);   /* after rk_fleet_stop(): no worker is left */
	void *arg;
};

struct rk_fleet {
	const struct rk_conf_fleet *conf;
	const struct rk_fleet_env *env;
	uint32_t number; /* for keeper: stays its own */
	bool is_adopted; /* it was there before this supervisor */
	uint64_t started_ns;
	uint32_t index;  /* among the fleets that run, rk_fleets */
	bool has_started, has_ended;
	bool is_ready;    /* all its workers were, since it was last started */
	bool is_leaving;  /* its configuration is gone, or says Disabled: it ends for good */
	bool was_told;    /* that it cannot start */
	bool is_proposed; /* by a reload that keeper has not confirmed yet: nobody is let in */
	struct rk_strategy_range tied; /* slots that go down and come up together now; first == end: none */
	uint64_t join_group, leave_group; /* of a reload that waits for it to be ready, or gone; 0 = none */
	int news; /* both ends of a pipe: whoever has something to tell writes to it */
	struct rk_segments segments;
	struct rk_spawn spawn;
	struct rk_cgroup cgroup;
	struct rk_watch *watch;
	struct rk_ward *ward; /* what the guard watches */
	struct rk_clients *clients;
	struct rk_publish publish;
	struct rk_crew *crew;
	sd_event_source *news_source, *leases_source, *findings_source;
	sd_event_source *pages; /* runs only while dead clients' pages wait */
	uint32_t n_pages_tries;
};

/* The fleets that run, in the order of the configuration they were added by. */
struct rk_fleets {
	struct rk_fleet *at[RK_FLEETS_MAX]; /* owned by the loop */
	uint32_t n;
};

/*
 * Makes its memory and all that is needed to start; or takes up the memory of this number that a
 * dead supervisor left (in; NULL = none did). On failure *f is empty. 0 or -errno.
 */
RK_MUST_USE int rk_fleet_open(struct rk_fleet *f, const struct rk_conf_fleet *conf, uint32_t number,
			      const struct rk_fleet_env *env, struct rk_inherit *in, struct rk_err *err);

/* Of one that was taken up: goes on. Returns how many workers live. */
uint32_t rk_fleet_go_on(struct rk_fleet *f, struct rk_inherit *in);

/* What keeper holds of a fleet, by what its journal says. */
struct rk_fleet_left {
	uint32_t number;
	uint64_t id[2]; /* of its memory, as every segment has it */
	bool is_leaving;
	char name[RK_NAME_MAX];
};

/* The fleets that were left, one for each journal; *at begins with 0. False: there are no more. */
bool rk_fleet_next_left(const struct rk_inherit *in, uint32_t *at, struct rk_fleet_left *ret);
void rk_fleet_close(struct rk_fleet *f);

/* Starts every worker. */
void rk_fleet_start(struct rk_fleet *f);

/* Asks every worker to end, kills what is left after the stop timeout; then env->on_end. */
void rk_fleet_stop(struct rk_fleet *f, const char *why);

/* Whether any worker is left, of a fleet that was halted. */
bool rk_fleet_has_workers(const struct rk_fleet *f);

/* Ends every worker until rk_fleet_start() is called again. */
void rk_fleet_halt(struct rk_fleet *f, const char *why);

/*
 * The configuration of this fleet is another one from now on, which has the same sizes; the old
 * one is borrowed no more. Returns 0; -errno: nothing has changed.
 */
RK_MUST_USE int rk_fleet_configure(struct rk_fleet *f, const struct rk_conf_fleet *conf, bool has_new_command,
				   struct rk_err *err);

/* Clients look different: some came, some left. */
void rk_fleet_on_clients(struct rk_fleet *f);

/* "51 MiB of shared memory: 36 state, …" */
void rk_fleet_describe(const struct rk_fleet *f, char *text, size_t size);

#endif
