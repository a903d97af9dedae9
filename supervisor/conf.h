/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf: what rekindled is to run: the supervisor's options and the fleets with theirs, read from
 * a command line or from configuration files. keys.h says what there is to say, conf_check.h
 * what must fit together, conf_show.h prints it, conf_diff.h compares two.
 *
 * Who       the supervisor at its start and at a reload; rekindled --check and --cat.
 * Blocking  file system calls; users and groups are looked up; allocates.
 */
#ifndef RK_SUPERVISOR_CONF_H
#define RK_SUPERVISOR_CONF_H

#include <stdbool.h>

#include "shm/layout.h"
#include "supervisor/complaints.h"
#include "supervisor/ini.h"
#include "supervisor/keys.h"
#include "supervisor/options.h"

#define RK_FLEETS_MAX 64u /* of one configuration */

/* What a reload has to do to a fleet beside giving it the new configuration. */
enum rk_conf_todo {
	RK_CONF_TO_SCALE = 1,
	RK_CONF_TO_RESTART = 2, /* its workers, one by one */
};

struct rk_conf_fleet {
	char name[RK_NAME_MAX];
	struct rk_fleet_options o;
	struct rk_geometry geometry; /* from the options; checked; hash_seed is still 0 */
	uint64_t reserved;           /* bytes of shared memory */
	uint32_t todo;               /* enum rk_conf_todo: not begun yet */
	bool has_hang_after;         /* HangAfter was written: it holds for jobs with a deadline too */
	uint64_t bad[RK_KEYS_MAX / 64]; /* bit i: key i of the table was refused, its value is not */
};

/* Zero is the empty value. */
struct rk_conf {
	char name[RK_NAME_MAX]; /* of the runtime directory; of the only fleet on a command line */
	struct rk_supervisor_options supervisor;
	struct rk_conf_fleet *fleets; /* in the order of their first mention */
	uint32_t n_fleets;
	bool quiet;        /* nothing on standard output */
	bool has_files;    /* there are files to read again */
	struct rk_ini ini; /* what was said, and where */
	uint64_t reload;   /* the records' group of the reload that made it, until all of it has begun; 0 = none */
};

/* What a command line asks for, beside running. */
enum rk_conf_ask {
	RK_CONF_RUN,
	RK_CONF_HELP,
	RK_CONF_VERSION,
	RK_CONF_CHECK,        /* read, complain, sum up */
	RK_CONF_CAT,          /* print what is in force, with origins */
	RK_CONF_CAT_DEFAULTS, /* print every key with its default */
	RK_CONF_MAN,          /* print rekindle.conf(5) */
	RK_CONF_ADOPTS,       /* print what can be adopted, whether the configuration on descriptor 3 can */
	RK_CONF_ASKS
};

/* A command line. Borrows from argv, except for ini. */
struct rk_conf_request {
	enum rk_conf_ask ask;
	const char *config; /* NAME or FILE; NULL: the command line says it all */
	const char *root;   /* where configuration is looked for; "/" */
	const char *name;   /* NULL when it was not given */
	const struct rk_conf *before; /* what is in force, for a reload; NULL */
	bool quiet;
	bool is_command_line; /* a command or an option of a fleet was given */
	struct rk_ini ini;    /* the options of the command line as settings */
};

/*
 * Reads argv[1..argc). Returns 0 and fills *ret; -EINVAL with a sentence that names the
 * argument. rk_conf_request_free_p() in any case. Asks are answered before mistakes behind them.
 */
RK_MUST_USE int rk_conf_request_read(struct rk_conf_request *ret, int argc, char *const *argv,
				     struct rk_err *err);
void rk_conf_request_free_p(struct rk_conf_request *q);

/* Whether argv asks for something that needs no keeper: anything but running. Pure. */
bool rk_conf_request_is_ask(int argc, char *const *argv);

/*
 * Makes the configuration that is asked for: files and options are read and applied, and what
 * must fit together is checked, but nothing of the machine: that is rk_conf_check(). Every
 * mistake becomes a complaint. Returns 0, and rk_conf_free_p() is the caller's whatever the
 * complaints are; -ENOENT, -errno with a sentence when nothing could be read at all.
 */
RK_MUST_USE int rk_conf_load(struct rk_conf *ret, const struct rk_conf_request *q,
			     struct rk_complaints *c, struct rk_err *err);

/* Makes options and fleets of conf->ini; mistakes become complaints. 0 or -ENOMEM. */
RK_MUST_USE int rk_conf_apply(struct rk_conf *conf, struct rk_complaints *c);

/*
 * A sentence on what is allowed and hardly meant, such as more workers than partitions: written
 * into text and returned, or NULL.
 */
const char *rk_conf_doubt(const struct rk_conf_fleet *f, char *text, size_t size);

/* The fleet of this name, or NULL. */
const struct rk_conf_fleet *rk_conf_fleet(const struct rk_conf *conf, const char *name);

/* Frees all; also a cleanup. */
void rk_conf_free_p(struct rk_conf *conf);

#endif
