/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on stderr: first what happened, then key=value.
 *
 *	rk_log(RK_LOG_WARNING, "worker died slot=%u pid=%d signal=%s", ...);
 *
 * Under the journal the line carries its priority ("<4>worker died …"); elsewhere the
 * program's name ("rekindled: worker died …"), and once it is known whose it is the time as well, since such lines
 * are kept: "2026-11-24 16:20:11.123 carts rekindled[812]: worker died …". A program that can do better there diverts its
 * lines (rk_log_divert()), and only what that refuses goes to stderr. Only a process that decides
 * logs; library code returns errors instead.
 *
 * Who       any thread after rk_log_init(); before it, only warnings and worse appear.
 * Crash     a line is one write: it appears complete or not at all.
 * Blocking  under the journal never: what finds no room is lost, and their number is a line of its
 *           own as soon as there is some. Elsewhere as stderr does. Keeps errno.
 */
#ifndef RK_BASE_LOG_H
#define RK_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

/* The values are syslog's priorities. */
enum rk_log_level {
	RK_LOG_ERROR = 3,
	RK_LOG_WARNING = 4,
	RK_LOG_NOTICE = 5,
	RK_LOG_INFO = 6,
	RK_LOG_DEBUG = 7,
	RK_LOG_LEVELS
};

struct rk_log_conf {
	const char *name;       /* of the program; must outlive it */
	enum rk_log_level most; /* the most talkative level that is printed */
};

/* Once, by main() before it starts threads: conf and whether stderr is the journal. */
void rk_log_init(const struct rk_log_conf *conf);

/* What a line is about, for whoever can keep it apart from the text. */
struct rk_log_field {
	const char *name;  /* as the journal wants them: capitals, digits and '_' */
	const char *value; /* NULL: this line has none */
};

/* A line on its way: without head, newline and control characters. */
struct rk_log_line {
	enum rk_log_level level;
	const char *text;
	size_t len;
	const char *whose; /* "" = nobody has said */
	const struct rk_log_field *fields;
	size_t n_fields;
};

/*
 * Once, by main() before it starts threads: while stderr is the journal each line goes to take(),
 * from whatever thread, which returns 0, or anything else if it cannot have it now. It must not
 * block and must not log.
 */
void rk_log_divert(int (*take)(void *arg, const struct rk_log_line *line), void *arg);

/* Whose lines all of this process's are, from now on: copied, 63 bytes at most. Without threads. */
void rk_log_whose(const char *name);

/* Whether lines are diverted, and so their fields are kept. */
bool rk_log_keeps_fields(void);

/* Whether this descriptor is the same stream to the journal as stderr. */
bool rk_log_is_journal(int fd);

/* Whether a line of this level is printed: for callers whose line takes work. */
bool rk_log_is_wanted(enum rk_log_level level);

/*
 * Prints one line. Control characters in it become '?', since a line may quote input, and
 * what does not fit into 1,000 bytes is cut with "...".
 */
RK_PRINTF(2, 3) void rk_log(enum rk_log_level level, const char *fmt, ...);

/* The same, with fields; stderr gets the text alone. */
RK_PRINTF(4, 5)
void rk_log_with(enum rk_log_level level, const struct rk_log_field *fields, size_t n_fields,
		 const char *fmt, ...);

#endif
