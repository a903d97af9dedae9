/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle map: where each key lives, for clients in any language, once or kept up to date in a file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/look.h"
#include "cli/map_file.h"
#include "cli/map_text.h"
#include "cli/waker.h"
#include "shm/board.h"
#include "shm/words.h"

#define NAME_SIZE (2 * RK_NAME_MAX)

struct map {
	struct rk_look look;
	const char *path;  /* NULL: standard output */
	bool has_ended;    /* the fleet: what it had is gone */
	uint32_t *owner;   /* by partition */
	const char **state; /* by slot */
};

/* ---- one map ---- */

static int room_make(struct map *p, struct rk_err *err)
{
	p->owner = calloc(p->look.m.g.n_partitions, sizeof(*p->owner));
	p->state = calloc(p->look.m.g.n_workers, sizeof(*p->state));
	return p->owner && p->state ? 0 : rk_err_set(err, -ENOMEM, "no memory for a map");
}

/* The view alone says how a slot is: a route's flag may be a moment ahead of it, and then a view follows. */
static void states_take(struct map *p)
{
	for (uint32_t i = 0; i < p->look.m.g.n_workers; i++)
		p->state[i] = p->has_ended ? "gone"
					   : rk_endpoint_state_name(rk_endpoint_state(rk_look_slot(&p->look, i)->state));
}

static void owners_take(struct map *p)
{
	/* Acquire, as everybody who looks at a route. */
	for (uint32_t i = 0; i < p->look.m.g.n_partitions; i++)
		p->owner[i] = rk_route_worker(
			atomic_load_explicit(&rk_shm_routes(&p->look.m)[i], memory_order_acquire));
}

/* Who had what last is left in the routes of a fleet that has ended. */
static char *text_make(struct map *p, size_t *ret_len)
{
	const struct rk_look *l = &p->look;
	char name[NAME_SIZE];
	struct rk_map map = { .fleet = name,
			      .seed = l->m.g.hash_seed,
			      .n_partitions = l->m.g.n_partitions,
			      .owner = p->owner,
			      .n_slots = l->m.g.n_workers,
			      .endpoint = (const char *const *)l->endpoints.at,
			      .state = p->state };

	(void)snprintf(name, sizeof(name), "%s%s%s", l->ask.fleet, l->part[0] ? "/" : "", l->part);
	states_take(p);
	owners_take(p);
	return rk_map_text(&map, ret_len);
}

static int map_put(struct map *p, struct rk_err *err)
{
	size_t len = 0;
	rk_cleanup(rk_free_p) char *text = text_make(p, &len);
	int r;

	if (!text)
		return rk_err_set(err, -ENOMEM, "no memory for a map");
	if (!p->path) {
		(void)fwrite(text, 1, len, stdout); /* rk_cli_end() sees what goes wrong */
		return 0;
	}
	r = rk_map_file_put(p->path, text, len, err);
	return r < 0 ? r : 0;
}

/* ---- following ---- */

static bool look_word(void *arg, uint32_t *ret_word)
{
	const struct map *p = arg;

	*ret_word = rk_board_mark(&p->look.m);
	return true;
}

/* Until the fleet ends: while its supervisor, or keeper, is replaced it is waited for. */
static int follow(struct map *p, struct rk_err *err)
{
	rk_cleanup(rk_waker_close_p) struct rk_waker waker = {
		.futex = rk_board_futex(&p->look.m), .look = look_word, .arg = p, .is_silent = true, .fd = -1
	};
	int r = rk_waker_open(&waker, err);

	while (r == 0) {
		enum rk_wake why = rk_waker_wait(&waker, rk_look_end_fd(&p->look));

		if (why == RK_WAKE_ENDED)
			r = rk_look_go_on(&p->look, 0, err);
		p->has_ended = r == -ENOENT;
		if (r < 0 && !p->has_ended)
			break;
		rk_look_view(&p->look); /* the memory stays when everybody is gone */
		r = map_put(p, err);
		if (p->has_ended)
			break;
	}
	return r;
}

static int map(struct map *p, const char *name, bool is_following, struct rk_err *err)
{
	/* Only the supervisor knows the addresses. */
	int r = rk_look_open_line(&p->look, name, 0, err);

	if (r < 0)
		return r;
	if (p->look.endpoints.n == 0)
		return rk_endpoints_missing(name ? name : p->look.ask.fleet, err);
	rk_look_warn(&p->look);
	r = room_make(p, err);
	if (r == 0)
		r = map_put(p, err);
	return r == 0 && is_following ? follow(p, err) : r;
}

int rk_cli_map(int argc, char **argv)
{
	struct map p = { .look = RK_LOOK_BOARD };
	struct rk_err err = { 0 };
	const char *name = NULL;
	struct rk_args a;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	p.path = rk_args_text(&a, "file");
	if (rk_args_flag(&a, "follow") && !p.path)
		return rk_cli_complain(RK_CLI_USAGE, "-f keeps a file up to date: name it with --file");
	r = rk_cli_fleet(&a, &name, &err);
	if (r == 0)
		r = map(&p, name, rk_args_flag(&a, "follow"), &err);
	rk_free_p(&p.owner);
	rk_free_p(&p.state);
	rk_look_close_p(&p.look);
	return r < 0 ? rk_cli_fail(&err) : RK_CLI_OK;
}
