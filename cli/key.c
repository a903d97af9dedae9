/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle key: which worker owns a key, and where that one is reached.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/ready.h"
#include "cli/snapshot.h"
#include "shm/board.h"
#include "shm/route.h"
#include "shm/words.h"

#define KEY_SHOWN 128u /* bytes of a key in the table */
#define WAIT_DEFAULT_NS (30 * RK_NS_PER_S)
#define KEY_LATE 1

struct owner {
	uint32_t partition;
	uint32_t worker;
	bool is_there; /* somebody owns it: */
	struct rk_snapshot_worker slot;
	const char *endpoint; /* NULL = the fleet has no addresses */
	enum rk_address_state state; /* whether to connect to it, or to wait */
};

static enum rk_address_state state_of(const struct owner *o, uint64_t route)
{
	if (!o->is_there)
		return RK_ADDRESS_NONE;
	if (o->slot.is_suspended || !(rk_route_flags(route) & RK_ROUTE_UP))
		return RK_ADDRESS_WAIT;
	return rk_endpoint_state(o->slot.view.state);
}

static struct owner find(const struct rk_look *l, const char *key)
{
	struct owner o = { .partition = rk_route_partition(&l->m.g, key, strlen(key)) };
	/* Acquire, as everybody who looks at a route. It may be newer than our copy of the view. */
	uint64_t route =
		atomic_load_explicit(&rk_shm_routes(&l->m)[o.partition], memory_order_acquire);

	o.worker = rk_route_worker(route);
	o.is_there = rk_look_slot(l, o.worker) != NULL;
	if (o.is_there)
		o.slot = rk_snapshot_worker(l, o.worker);
	o.endpoint = rk_endpoints_of(&l->endpoints, o.worker);
	o.state = state_of(&o, route);
	return o;
}

/* ---- printing ---- */

static int width_of(const struct rk_args *a)
{
	char shown[KEY_SHOWN];
	int width = 3;

	for (int i = 0; i < a->n_rest; i++) {
		int len = (int)strlen(
			rk_out_clean(shown, sizeof(shown), a->rest[i], strlen(a->rest[i])));

		width = len > width ? len : width;
	}
	return width;
}

/* "-" for none: kill(1) would take a 0 for everybody. */
static const char *pid_text(char *text, size_t size, int pid)
{
	if (pid <= 0)
		return "-";
	(void)snprintf(text, size, "%d", pid);
	return text;
}

static void print_text(const struct rk_look *l, const struct rk_args *a)
{
	char shown[KEY_SHOWN], state[RK_SNAPSHOT_STATE], pid[12];
	int width = width_of(a);
	bool has_endpoints = l->endpoints.n > 0;

	rk_out_color(RK_OUT_BOLD, -width, "KEY");
	rk_out_color(RK_OUT_BOLD, 0, has_endpoints ? "  PARTITION  WORKER      PID  STATE               ENDPOINT"
						   : "  PARTITION  WORKER      PID  STATE");
	(void)putchar('\n');
	for (int i = 0; i < a->n_rest; i++) {
		struct owner o = find(l, a->rest[i]);

		(void)printf("%-*s  %9u  ", width,
			     rk_out_clean(shown, sizeof(shown), a->rest[i], strlen(a->rest[i])),
			     o.partition);
		if (o.is_there)
			(void)printf("%6u  %7s  %-*s", o.worker, pid_text(pid, sizeof(pid), o.slot.view.pid),
				     has_endpoints ? 18 : 0, rk_snapshot_state(state, &o.slot));
		else
			(void)printf("%6s  %7s  %-*s", "-", "-", has_endpoints ? 18 : 0, "nobody");
		if (has_endpoints)
			(void)printf("  %s", o.endpoint ? o.endpoint : "-");
		(void)putchar('\n');
	}
}

static void print_json(const struct rk_look *l, const struct rk_args *a)
{
	struct json_object *all = json_object_new_object(), *keys = json_object_new_array();

	for (int i = 0; i < a->n_rest; i++) {
		struct owner o = find(l, a->rest[i]);
		struct json_object *k = json_object_new_object();

		rk_out_json_bytes(k, "key", a->rest[i], strlen(a->rest[i]));
		rk_out_json_int(k, "partition", o.partition);
		rk_out_json_int_or_null(k, "worker", o.is_there, o.worker);
		rk_out_json_int_or_null(k, "pid", o.slot.view.pid > 0, o.slot.view.pid);
		rk_out_json_text(k, "state", o.is_there ? o.slot.state : NULL);
		rk_out_json_text(k, "declared", o.slot.declared);
		json_object_object_add(k, "suspended",
				       json_object_new_boolean(o.slot.is_suspended));
		rk_out_json_text(k, "endpoint", o.endpoint);
		rk_out_json_text(k, "endpoint_state", rk_endpoint_state_name(o.state));
		json_object_array_add(keys, k);
	}
	rk_out_json_text(all, "name", l->ask.fleet);
	rk_out_json_text(all, "fleet", l->part[0] ? l->part : NULL);
	json_object_object_add(all, "keys", keys);
	rk_out_json(all);
}

static void print_addresses(const struct rk_look *l, const struct rk_args *a)
{
	for (int i = 0; i < a->n_rest; i++) {
		struct owner o = find(l, a->rest[i]);

		(void)puts(o.endpoint ? o.endpoint : "-");
	}
}

/* ---- waiting ---- */

/* The first key that is not there to be asked, or NULL. */
static const char *missing(const struct rk_look *l, const struct rk_args *a)
{
	for (int i = 0; i < a->n_rest; i++)
		if (find(l, a->rest[i]).state != RK_ADDRESS_READY)
			return a->rest[i];
	return NULL;
}

/* Whether supervisor or keeper has ended, which may mean the fleet has: neither says anything on its own. */
static bool has_ended(const struct rk_look *l)
{
	struct pollfd p = { .fd = rk_look_end_fd(l), .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Asleep on the board; what no view tells is looked at every RK_READY_LOOK_MS. */
static int await(struct rk_look *l, const struct rk_args *a, uint64_t deadline_ns, struct rk_err *err)
{
	for (;;) {
		uint32_t seen = rk_board_mark(&l->m);
		uint64_t now_ns = rk_clock_ns();
		int r = 0;

		rk_look_view(l);
		if (!missing(l, a))
			return 0;
		if (now_ns >= deadline_ns)
			return KEY_LATE;
		if (has_ended(l))
			r = rk_look_go_on(l, deadline_ns, err);
		if (r < 0)
			return r == -ENOENT ? rk_err_set(err, r, "fleet '%s' has ended", l->ask.fleet) : r;
		rk_board_await(&l->m, seen, rk_min_u64(deadline_ns, now_ns + RK_READY_LOOK_MS * RK_NS_PER_MS));
	}
}

static int late(const struct rk_look *l, const struct rk_args *a)
{
	const char *key = missing(l, a);
	struct owner o = find(l, key ? key : a->rest[0]);
	char state[RK_SNAPSHOT_STATE];

	if (!o.is_there)
		return rk_cli_complain(RK_CLI_TIMEOUT, "the time was up: nobody owns the key '%.60s'", key ? key : a->rest[0]);
	return rk_cli_complain(RK_CLI_TIMEOUT, "the time was up: worker %u, which owns the key '%.60s', is not ready: %s",
			       o.worker, key ? key : a->rest[0], rk_snapshot_state(state, &o.slot));
}

/* ---- all of it ---- */

/* Opens the look; with --wait all are there to be asked then, or KEY_LATE. */
static int look(struct rk_look *l, const struct rk_args *a, struct rk_err *err)
{
	uint64_t wait_ns = rk_args_number(a, "wait", 0);
	uint64_t deadline_ns = rk_clock_ns() + (wait_ns ? wait_ns : WAIT_DEFAULT_NS);
	const char *name = rk_args_text(a, "name");
	/* Only the supervisor knows the addresses. */
	int r = rk_args_flag(a, "address") ? rk_look_open_line(l, name, 0, err) : rk_look_open(l, name, err);

	if (r < 0)
		return r;
	if (rk_args_flag(a, "address") && l->endpoints.n == 0)
		return rk_endpoints_missing(name ? name : l->ask.fleet, err);
	rk_look_warn(l);
	return rk_args_flag(a, "wait") ? await(l, a, deadline_ns, err) : 0;
}

int rk_cli_key(int argc, char **argv)
{
	rk_cleanup(rk_look_close_p) struct rk_look l = RK_LOOK_BOARD;
	struct rk_err err = { 0 };
	struct rk_args a;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	r = look(&l, &a, &err);
	if (r < 0)
		return rk_cli_fail(&err);
	if (r == KEY_LATE)
		return late(&l, &a);
	if (rk_args_json(&a))
		print_json(&l, &a);
	else if (rk_args_flag(&a, "address"))
		print_addresses(&l, &a);
	else
		print_text(&l, &a);
	return RK_CLI_OK;
}
