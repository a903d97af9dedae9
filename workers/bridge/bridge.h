/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge: the life of a worker whose hands are somebody else's program.
 *
 *   SERVING --asked to end--> DRAINING --nothing under way--> SAVING --saved, or nothing to save-->
 *      |                      ENDING --program gone--> its tree emptied, exit 0
 *      \----program gone-----------------------------------------------------> the same end as the program's
 *
 * What differs from kind to kind is a struct rk_bridge_kind_ops: lines.c, address.c.
 *
 * Who       one thread; the library's helper thread touches nothing of it.
 * Crash     killed anywhere: what is under way is shown to the successor again (workers/lib/ahead.h).
 * Blocking  only in its loop; at its end until the tree is empty.
 */
#ifndef RK_BRIDGE_BRIDGE_H
#define RK_BRIDGE_BRIDGE_H

#include <ev.h>

#include "base/specifier.h"
#include "workers/bridge/options.h"
#include "workers/bridge/program.h"
#include "workers/bridge/window.h"
#include "workers/lib/ahead.h"

/* Exit statuses of its own; the others are the program's, or the library's. */
#define RK_BRIDGE_EXIT_USAGE 64    /* not started by rekindled */
#define RK_BRIDGE_EXIT_FAILED 70   /* something of the system's */

enum rk_bridge_stage { RK_BRIDGE_SERVING, RK_BRIDGE_DRAINING, RK_BRIDGE_SAVING, RK_BRIDGE_ENDING, RK_BRIDGE_OVER };

struct rk_bridge;
struct rk_keeps;

struct rk_bridge_kind_ops {
	bool waits_until_ready; /* no job is given to it before */
	/* Starts the program and whatever goes with it. 0 or -errno with a sentence. */
	int (*start)(struct rk_bridge *b, struct rk_err *err);
	/* Gives a job to the program; NULL: this kind takes none. It is answered by rk_bridge_answer(), at once or later. */
	void (*send)(struct rk_bridge *b, uint32_t place, const struct rk_ahead *job);
	/* Behind a round of send(). NULL: nothing to do. */
	void (*flush)(struct rk_bridge *b);
	/* Whether the program can have begun with a waiting job. NULL: it can with each. */
	bool (*has_taken)(struct rk_bridge *b, uint32_t place);
	/* Asks the program to save its state, which rk_saves_answered() ends. 0 or -errno. NULL: this kind has no way. */
	int (*save)(struct rk_bridge *b);
	/* Asks the program to end. */
	void (*stop)(struct rk_bridge *b);
	/* The program has ended: takes what it still said. NULL: nothing to do. */
	void (*ended)(struct rk_bridge *b);
	/* Frees what start() made. NULL: nothing. */
	void (*close)(struct rk_bridge *b);
};

struct rk_bridge {
	const struct rk_bridge_kind_ops *ops;
	struct rk_bridge_options o;
	char *const *argv; /* of the program, specifiers expanded */
	struct rk_wordlist words; /* them */
	struct rk_worker *worker;
	uint32_t slot;
	uint16_t port;    /* of this slot; 0 = none */
	char socket[RK_SPECIFIER_MAX], directory[RK_SPECIFIER_MAX]; /* "" = none */
	struct rk_window window;
	struct rk_program program;
	void *kind; /* of its ops */
	struct rk_signs *signs;
	struct rk_saves *saves; /* NULL: there is nothing to save */
	struct rk_keeps *keeps; /* NULL: the program has sent no descriptor yet */
	bool is_saved;          /* for the last time */
	uint64_t n_questions;   /* of our own to the program, as jobs of a partition behind the fleet's */
	uint64_t sign_deadline_ns; /* until when a sign of life is awaited, 0 = none is; and which one it is */
	uint64_t sign_number;

	struct ev_loop *loop;
	ev_io wake;       /* jobs, or a wish of the supervisor's */
	ev_child child;   /* the program */
	ev_timer settle;  /* from the start until it counts as ready */
	ev_timer nap;     /* while it listens for answers alone */
	ev_timer ending;  /* from the wish that it ends until KillSignal */

	enum rk_bridge_stage stage;
	pid_t main_pid; /* that the program has named as the one that will go on; 0 = none */
	bool is_ready;
	bool has_napped;   /* since something happened */
	bool has_happened; /* something, since the loop looked last */
	bool in_order;     /* answers come in the order of the jobs: of several under way the oldest is to blame */
	bool is_innocent;  /* the oldest job: it has not been read */
	uint32_t n_alone;  /* so many more jobs are given to it one at a time */
	uint64_t *dirty;   /* partitions that may have something to commit, a bit each */
	uint64_t oldest;   /* partition and number of the job that waits longest; since when it is the oldest */
	uint64_t oldest_since_ns;
	uint64_t declared; /* partition and number of the job that is declared, or what else is (bridge_jobs.c) */
	int wait_status;   /* of the program, once program.pid is 0 */
	int status;        /* exit status, once it is over; RK_BRIDGE_AS_PROGRAM */
};

#define RK_BRIDGE_AS_PROGRAM (-1)

/* The whole of it. Returns main()'s exit status, or does not return: it ends as the program did. */
int rk_bridge_run(int argc, char **argv);

/* ---- for the kinds ---- */

/* The answer to a waiting job: error is 0 or a negative errno, which its client gets. */
void rk_bridge_answer(struct rk_bridge *b, uint32_t place, int error, const char *answer, size_t len);

/* The partition of what we ask the program ourselves, behind those of the fleet. */
uint32_t rk_bridge_own_partition(const struct rk_bridge *b);

/* The worker is fit for work. Once; later calls do nothing. */
void rk_bridge_ready(struct rk_bridge *b);

/* Something happened that the loop does not see by itself: it looks once more before it sleeps. */
void rk_bridge_happened(struct rk_bridge *b);

/* Ends the bridge and what it started: one sentence for people. The first one counts. */
RK_PRINTF(3, 4) void rk_bridge_fail(struct rk_bridge *b, int status, const char *fmt, ...);

/* One line on stderr, which names the slot. */
RK_PRINTF(2, 3) void rk_bridge_say(const struct rk_bridge *b, const char *fmt, ...);

/* Our environment and `more`, which is borrowed like the rest. NULL: no memory. free() it. */
char **rk_bridge_environment(char *const *more, uint32_t n_more);

/* Expands the specifiers of a command for this slot. Returns 0 or -errno with a sentence. */
RK_MUST_USE int rk_bridge_words(const struct rk_bridge *b, const struct rk_wordlist *words, struct rk_wordlist *ret,
				struct rk_err *err);

/* The program has another main process from here on: one of its tree. */
void rk_bridge_follow(struct rk_bridge *b, pid_t pid);

/* Keeps, or gives up, descriptors that the program sent. */
struct rk_notice;
void rk_bridge_keep(struct rk_bridge *b, struct rk_notice *n);

/* ---- the kinds ---- */

extern const struct rk_bridge_kind_ops rk_bridge_lines, rk_bridge_http, rk_bridge_address;

/*
 * What those have in common whose program is reached by an address: start() with its probes, sockets and
 * variables; stop() by KillSignal; close().
 */
RK_MUST_USE int rk_bridge_launch(struct rk_bridge *b, struct rk_err *err);
void rk_bridge_ask_to_end(struct rk_bridge *b);
void rk_bridge_land(struct rk_bridge *b);

#endif
