/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf: what rekindled was told on its command line.
 *
 * Who       the supervisor at its start; pure: reads its arguments and nothing else.
 * Blocking  never; no allocation. The result borrows from argv.
 * Units     sizes in bytes, times in ns.
 */
#ifndef RK_SUPERVISOR_CONF_H
#define RK_SUPERVISOR_CONF_H

#include <stdbool.h>

#include "shm/layout.h"

struct rk_conf {
	char name[RK_NAME_MAX];
	uint32_t n_workers;          /* workers to run; geometry.n_workers leaves room beyond */
	uint32_t batch;              /* jobs per commit; 0 = the worker's own choice */
	uint64_t stop_timeout_ns;    /* from SIGTERM to SIGKILL */
	struct rk_geometry geometry; /* checked; hash_seed is still 0 */
	bool quiet;                  /* nothing on standard output */
	bool debug;                  /* transitions and clients in the log */
	char *const *command;        /* argv of a worker, NULL at its end; borrowed */
};

enum rk_conf_ask {
	RK_CONF_HELP = 1, /* --help was given: nothing else was looked at */
	RK_CONF_VERSION
};

/*
 * Reads argv[1..argc). Returns 0; RK_CONF_HELP or RK_CONF_VERSION; -EINVAL for a mistake on
 * the command line; -ERANGE for sizes that no fleet can have. err names the option.
 */
RK_MUST_USE int rk_conf_parse(struct rk_conf *ret, int argc, char *const *argv, struct rk_err *err);

/*
 * A sentence on what is allowed and hardly meant, such as more workers than partitions: written
 * into text and returned, or NULL.
 */
const char *rk_conf_doubt(const struct rk_conf *c, char *text, size_t size);

/* One option per line, for --help. */
const char *rk_conf_usage(void);

#endif
