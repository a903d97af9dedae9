/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf_check: what must fit together in a configuration, and whether this machine can run it.
 *
 * Who       rk_conf_load() for the shape; rekindled and a reload for the machine.
 * Blocking  rk_conf_world() reads /proc and looks for files; the rest is pure, but for find().
 */
#ifndef RK_SUPERVISOR_CONF_CHECK_H
#define RK_SUPERVISOR_CONF_CHECK_H

#include "base/err.h"
#include "supervisor/conf.h"
#include "supervisor/keys.h"

/* Fills reserved of each fleet. Complaints point at the key to change. */
void rk_conf_check_shape(struct rk_conf *conf, struct rk_complaints *c);

/* This machine, as far as a configuration depends on it. */
struct rk_conf_world {
	uint32_t euid, egid;
	uint64_t memory;                                      /* bytes available */
	cpu_set_t cpus;                                       /* that there are */
	int (*find)(const char *program, struct rk_err *err); /* 0 if it can be executed */
	int (*find_bridge)(struct rk_err *err);               /* 0 if wrapped programs have their bridge */
	int (*is_dir)(const char *path);                      /* 0 or -errno */
	int (*is_file)(const char *path);                     /* 0 if it can be read, or -errno */
};

/* The one we are on. */
void rk_conf_world(struct rk_conf_world *ret);

void rk_conf_check_world(const struct rk_conf *conf, const struct rk_conf_world *w,
			 struct rk_complaints *c);

/* Complains where the fleet's key was set, else where the fleet begins. */
RK_PRINTF(5, 6)
void rk_conf_complain(const struct rk_conf *conf, const struct rk_conf_fleet *f, struct rk_complaints *c, const char *key,
		      const char *fmt, ...);

/* Whether a value of this key was refused: then nothing is concluded from it. */
bool rk_conf_is_bad(const struct rk_conf_fleet *f, const struct rk_key *k);

#endif
