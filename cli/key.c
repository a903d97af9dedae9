/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle key: which worker owns a key.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/snapshot.h"
#include "shm/route.h"
#include "shm/words.h"

#define KEY_SHOWN 128u /* bytes of a key in the table */

struct owner {
	uint32_t partition;
	uint32_t worker;
	bool is_there; /* somebody owns it: */
	struct rk_snapshot_worker slot;
};

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
	return o;
}

static void print_text(const struct rk_look *l, const struct rk_args *a)
{
	char shown[KEY_SHOWN], state[RK_SNAPSHOT_STATE];
	int width = 3;

	for (int i = 0; i < a->n_rest; i++) {
		int len = (int)strlen(
			rk_out_clean(shown, sizeof(shown), a->rest[i], strlen(a->rest[i])));

		width = len > width ? len : width;
	}
	rk_out_color(RK_OUT_BOLD, -width, "KEY");
	rk_out_color(RK_OUT_BOLD, 0, "  PARTITION  WORKER      PID  STATE");
	(void)putchar('\n');
	for (int i = 0; i < a->n_rest; i++) {
		struct owner o = find(l, a->rest[i]);

		(void)printf("%-*s  %9u  ", width,
			     rk_out_clean(shown, sizeof(shown), a->rest[i], strlen(a->rest[i])),
			     o.partition);
		if (o.is_there)
			(void)printf("%6u  %7d  %s\n", o.worker, o.slot.view.pid,
				     rk_snapshot_state(state, &o.slot));
		else
			(void)printf("%6s  %7s  nobody\n", "-", "-");
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
		json_object_array_add(keys, k);
	}
	rk_out_json_text(all, "name", l->ask.fleet);
	rk_out_json_text(all, "fleet", l->part[0] ? l->part : NULL);
	json_object_object_add(all, "keys", keys);
	rk_out_json(all);
}

int rk_cli_key(int argc, char **argv)
{
	rk_cleanup(rk_look_close_p) struct rk_look look = RK_LOOK_NONE;
	struct rk_err err = { 0 };
	struct rk_args a;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (rk_look_open(&look, rk_args_text(&a, "name"), &err) < 0)
		return rk_cli_fail(&err);
	rk_look_warn(&look);
	if (rk_args_json(&a))
		print_json(&look, &a);
	else
		print_text(&look, &a);
	return RK_CLI_OK;
}
