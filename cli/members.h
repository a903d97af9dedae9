/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members: what the JSON objects of -o json have, command by command. Help and man page are made from it, and tests hold
 * what is printed against it.
 *
 * Who       rekindle, one thread; constant.
 */
#ifndef RK_CLI_MEMBERS_H
#define RK_CLI_MEMBERS_H

#include <stddef.h>

/* A member of an object; its path as jq writes it, without the dot. */
struct rk_member {
	const char *path;
	const char *meaning;
};

struct rk_members {
	const struct rk_member *at;
	size_t n;
};

/* Of the commands of these names; events are what every operation prints, too. */
extern const struct rk_members rk_members_events, rk_members_why, rk_members_get,
	rk_members_status, rk_members_key, rk_members_call, rk_members_dead, rk_members_put,
	rk_members_stop, rk_members_fault, rk_members_reload, rk_members_list, rk_members_version,
	rk_members_demo;

#endif
