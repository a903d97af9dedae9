/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on stderr: first what happened, then key=value.
 *
 *	rk_log(RK_LOG_WARNING, "worker died slot=%u pid=%d signal=%s", ...);
 *
 * Under the journal the line carries its priority ("<4>worker died …"); elsewhere the
 * program's name ("rekindled: worker died …"). Only a process that decides logs; library
 * code returns errors instead.
 *
 * Who       any thread after rk_log_init(); before it, only warnings and worse appear.
 * Crash     a line is one write: it appears complete or not at all.
 * Blocking  as stderr does; keeps errno.
 */
#ifndef RK_BASE_LOG_H
#define RK_BASE_LOG_H

#include <stdbool.h>

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

/* Whether a line of this level is printed: for callers whose line takes work. */
bool rk_log_is_wanted(enum rk_log_level level);

/*
 * Prints one line. Control characters in it become '?', since a line may quote input, and
 * what does not fit into 1,000 bytes is cut with "...".
 */
RK_PRINTF(2, 3) void rk_log(enum rk_log_level level, const char *fmt, ...);

#endif
