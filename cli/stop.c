/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle stop: asks the supervisor to end the fleet and awaits keeper, which goes last.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/process.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/snapshot.h"
#include "shm/queue.h"
#include "shm/rundir.h"

#define TIMEOUT_DEFAULT_NS (30 * RK_NS_PER_S)
#define AGAIN_NS (50 * RK_NS_PER_MS)

static int keeper_in(struct json_object *answer, const char *fleet, struct rk_err *err)
{
	int64_t pid = rk_connect_int(answer, "keeper_pid");

	json_object_put(answer);
	if (pid <= 0 || pid > INT32_MAX)
		return rk_err_set(err, -EPROTO, "%s: the supervisor does not say who its keeper is", fleet);
	return (int)pid;
}

/* Who keeper is. */
static int keeper_of(struct rk_ask *ask, struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer;
	int r = rk_ask(ask, "{\"verb\":\"ping\"}", &answer, &fds, err);

	return r < 0 ? r : keeper_in(answer, ask->fleet, err);
}

/*
 * Asks for the end, over the connection on which this keeper's supervisor has just answered and no
 * other: another fleet of this name may begin. 0, also when it was cut: ask_again() sees to it.
 */
static int stop_ask(struct rk_ask *ask, struct rk_err *err)
{
	struct json_object *answer;
	int r = rk_ask_here(ask, "{\"verb\":\"stop\"}", &answer, err);

	if (r == 0)
		r = keeper_in(answer, ask->fleet, err);
	return r >= 0 || r == -ECONNRESET || r == -EPIPE ? 0 : r;
}

/* The supervisor is gone, and may not have told keeper of the stop: its successor is asked, if there is one. */
static void ask_again(struct rk_ask *ask, int keeper)
{
	rk_ask_close_p(ask);
	ask->deadline_ns = rk_clock_ns() + AGAIN_NS;
	if (keeper_of(ask, NULL) != keeper || stop_ask(ask, NULL) < 0)
		rk_ask_close_p(ask);
}

/* True when keeper has ended. */
static bool await_end(int pidfd, int keeper, struct rk_ask *ask, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = pidfd, .events = POLLIN },
				       { .fd = ask->sock, .events = POLLRDHUP } };
		uint64_t now_ns = rk_clock_ns(), left_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;

		if (ask->sock < 0)
			left_ns = rk_min_u64(left_ns, AGAIN_NS);
		(void)poll(p, 2, (int)rk_min_u64(left_ns / RK_NS_PER_MS + (left_ns > 0), INT32_MAX));
		if (p[0].revents)
			return true;
		if (rk_clock_ns() >= deadline_ns)
			return false;
		/*
		 * Keeper is to follow its supervisor first: who connects between the two ends would
		 * start the fleet again, where systemd listens for it.
		 */
		if (p[1].revents)
			rk_ask_close_p(ask);
		else if (ask->sock < 0)
			ask_again(ask, keeper);
	}
}

/* ---- what the stop did ---- */

/* What a look at the board, which outlives the fleet for us, tells of it. */
struct deeds {
	bool are_known;
	uint32_t n_workers;
	uint32_t n_killed; /* of those that had attached */
	uint64_t n_dropped;
};

/* Whose end will have to be told: a process of this incarnation, which had attached. */
struct witness {
	uint32_t slot;
	uint64_t incarnation;
};

struct watched {
	struct rk_look look;
	struct witness *witnesses;
	uint32_t n_witnesses, n_workers;
	bool is_open;
};

static void watch(struct watched *w, const struct rk_ask *ask)
{
	struct rk_look *l = &w->look;

	if (rk_look_open_until(l, ask->fleet, ask->deadline_ns, NULL) < 0)
		return; /* the stop is more important than its story */
	w->witnesses = calloc(l->m.g.n_workers, sizeof(*w->witnesses));
	w->is_open = w->witnesses != NULL;
	for (uint32_t slot = 0; w->is_open && slot < l->m.g.n_workers; slot++) {
		struct rk_snapshot_worker s = rk_snapshot_worker(l, slot);

		if (s.view.state == RK_SLOT_STANDBY)
			continue; /* it has no page to say how it ended */
		w->n_workers += s.view.pid > 0;
		if (s.view.pid > 0 && s.declared)
			w->witnesses[w->n_witnesses++] =
				(struct witness){ slot, s.view.incarnation };
	}
}

/* A worker that comes to its end says so last of all; whoever did not was killed, or fell. */
static bool ended_in_order(const struct rk_look *l, const struct witness *who)
{
	const struct rk_beat *beat = rk_shm_beat(&l->m, who->slot);

	return atomic_load_explicit(&beat->incarnation, memory_order_acquire) != who->incarnation ||
	       atomic_load_explicit(&beat->state, memory_order_acquire) == RK_BEAT_STOPPING;
}

/* After the end: nobody writes there any more. */
static struct deeds tell(const struct watched *w)
{
	struct deeds d = { .are_known = w->is_open, .n_workers = w->n_workers };

	for (uint32_t i = 0; i < w->n_witnesses; i++)
		d.n_killed += !ended_in_order(&w->look, &w->witnesses[i]);
	for (uint32_t p = 0; w->is_open && p < w->look.m.g.n_partitions; p++)
		d.n_dropped += rk_queue_depth(&w->look.m, p);
	return d;
}

static void watched_free_p(struct watched *w)
{
	rk_free_p(&w->witnesses);
	rk_look_close_p(&w->look);
}

/* Asks for the end. Returns keeper's pid, and in *ret_pidfd what its end can be awaited with. */
static int stop(struct rk_ask *ask, struct watched *w, int *ret_pidfd, struct rk_err *err)
{
	int keeper = keeper_of(ask, err), r;

	if (keeper < 0)
		return keeper;
	/* Before the request: as long as the fleet runs the pid is keeper's, then maybe another's. */
	rk_cleanup(rk_close_p) int pidfd = pidfd_open(keeper, 0);
	if (pidfd < 0)
		return rk_err_set(err, -errno, "%s: keeper (pid %d): %s", ask->fleet, keeper,
				  strerror(errno));
	watch(w, ask);
	r = stop_ask(ask, err);
	if (r < 0)
		return r;
	*ret_pidfd = rk_take_fd(&pidfd);
	return keeper;
}

static void print_json(const char *fleet, int keeper, bool has_ended, const struct deeds *d)
{
	struct json_object *o = json_object_new_object();
	bool is_told = has_ended && d->are_known;

	rk_out_json_text(o, "name", fleet);
	rk_out_json_int(o, "keeper_pid", keeper);
	json_object_object_add(o, "stopped", json_object_new_boolean(has_ended));
	rk_out_json_int_or_null(o, "workers", d->are_known, d->n_workers);
	rk_out_json_int_or_null(o, "killed", is_told, d->n_killed);
	rk_out_json_int_or_null(o, "dropped_jobs", is_told, (int64_t)d->n_dropped);
	rk_out_json(o);
}

static void print_text(const char *fleet, const struct deeds *d)
{
	char n[RK_NUM_TEXT];

	(void)printf("stopped %s", fleet);
	if (d->are_known)
		(void)printf(": %u worker%s", d->n_workers, d->n_workers == 1 ? "" : "s");
	if (d->n_killed)
		(void)printf(", %u killed that did not end in time", d->n_killed);
	if (d->n_dropped)
		(void)printf(", %s queued job%s dropped", rk_num_format(n, d->n_dropped),
			     d->n_dropped == 1 ? "" : "s");
	(void)putchar('\n');
}

/* NAME/FLEET: who names one of several fleets shall not end the others. */
static int refuse_part(const char *name, struct rk_err *err)
{
	const char *part = rk_fleet_part(name);

	if (!part)
		return 0;
	return rk_err_set(err, -EINVAL,
			  "stop ends all fleets of one configuration, not '%s' alone: leave '/%s' away, or write Disabled=yes "
			  "for it and 'rekindle reload'",
			  part, part);
}

int rk_cli_stop(int argc, char **argv)
{
	rk_cleanup(rk_ask_close_p) struct rk_ask ask = { .sock = -1 };
	rk_cleanup(watched_free_p) struct watched w = { .look = RK_LOOK_NONE };
	rk_cleanup(rk_close_p) int pidfd = -1;
	uint64_t deadline_ns;
	struct rk_err err = { 0 };
	struct deeds deeds;
	struct rk_args a;
	const char *name;
	int status, keeper = -1;
	bool has_ended;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (a.n_rest > 0 && rk_cli_is_worker(a.rest[a.n_rest - 1]))
		return rk_cli_stop_worker(&a);
	deadline_ns = rk_clock_ns() + rk_args_number(&a, "timeout", TIMEOUT_DEFAULT_NS);
	if (rk_cli_fleet(&a, &name, &err) == 0 && refuse_part(name, &err) == 0 &&
	    rk_ask_open_until(&ask, name, rk_args_text(&a, "timeout") ? deadline_ns : 0, &err) == 0)
		keeper = stop(&ask, &w, &pidfd, &err);
	if (keeper < 0)
		return rk_cli_fail(&err);
	has_ended = await_end(pidfd, keeper, &ask, deadline_ns);
	deeds = tell(&w);
	if (rk_args_json(&a))
		print_json(ask.fleet, keeper, has_ended, &deeds);
	else if (has_ended)
		print_text(ask.fleet, &deeds);
	if (has_ended)
		return RK_CLI_OK;
	if (rk_process_is_stopped(keeper)) /* it goes last: nothing ends before it goes on */
		return rk_cli_complain(RK_CLI_TIMEOUT,
				       "fleet '%s' was asked to end and has not yet: keeper (pid %d) is stopped: 'kill -CONT %d' lets it go on",
				       ask.fleet, keeper, keeper);
	return rk_cli_complain(RK_CLI_TIMEOUT,
			       "fleet '%s' was asked to end and has not yet: keeper is pid %d",
			       ask.fleet, keeper);
}
