/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remains: what a fleet that did not end in order has left in the runtime directory: its keeper was killed, or gave
 * up. The flight recorder tells how far it came; nothing of it runs, and the next start of its name replaces it.
 *
 * Who       rekindle, one thread.
 * Blocking  never; reads files.
 */
#ifndef RK_CLI_REMAINS_H
#define RK_CLI_REMAINS_H

#include <json-c/json.h>
#include <stdint.h>

#include "shm/rundir.h"

struct rk_remains {
	char name[RK_NAME_MAX];
	char directory[RK_PATH_MAX];
	int32_t keeper_pid;    /* that it had; 0 = not known any more */
	uint64_t last_wall_ns; /* its last event; 0 = there is no record */
};

/* Of a fleet that rk_rundir_list_left() names. */
void rk_remains_look(struct rk_remains *ret, const char *name);

/* A line that says since when, and what to do; and an object. */
void rk_remains_print(const struct rk_remains *r);
struct json_object *rk_remains_json(const struct rk_remains *r);

#endif
