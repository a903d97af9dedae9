/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger of lines: what `rekindle demo --kind=lines` sent, what came back, and what its filters (demo_filter.h)
 * were given, so that somebody who trusts nobody can tell what became of each line.
 *
 *   {"id":"rk-INDEX-CHECK","key":"kKEY","n":N}      the Nth line of its key
 *
 * An answer belongs to its line if it holds the line's id, and no other one before it; where the program is
 * known to change nothing, if it is the line.
 *
 * Who       demo, one thread. Pure but for its memory, and for the notes that it reads.
 * Units     ns.
 */
#ifndef RK_CLI_DEMO_LINES_LEDGER_H
#define RK_CLI_DEMO_LINES_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_DEMO_LINE_MAX 128u

struct rk_demo_line {
	uint64_t sent_ns, answered_ns; /* answered_ns: 0 = not yet */
	uint64_t turn;                 /* of sending, of all lines */
	uint64_t job;                  /* number within its partition */
	uint32_t key;
	uint32_t n;       /* of its key */
	uint32_t n_given; /* how often a filter was given it */
	uint16_t n_sent;  /* again, since certainly not applied */
	bool is_refused, is_wrong;
};

struct rk_demo_lines_ledger {
	struct rk_demo_line *at;
	uint64_t n, n_max;
	uint64_t seed, n_turns;
	uint32_t n_keys;
	uint32_t *n_of_key;
	bool is_exact; /* answers are the lines themselves */
	uint64_t n_open, n_answered, n_doubled;
};

struct rk_demo_lines_verdict {
	uint64_t sent, answered;
	uint64_t lost;         /* no answer */
	uint64_t refused;      /* an error instead of an answer */
	uint64_t doubled;      /* answered more than once */
	uint64_t wrong;        /* another line's answer, or none of any line */
	uint64_t out_of_order; /* of one key: taken before one that was sent before */
	uint64_t unread;       /* answered, and no filter was ever given it */
	uint64_t strange;      /* lines that filters were given and nobody has sent */
	uint64_t given;        /* to filters, all in all */
	uint64_t redelivered;  /* lines that were given more than once: at least once says that they may be */
	uint64_t most_given;   /* one line */
	uint64_t p50_ns, p99_ns, max_ns; /* from sending to the answer */
};

/* 0 or -ENOMEM; close in any case. */
RK_MUST_USE int rk_demo_lines_open(struct rk_demo_lines_ledger *l, uint32_t n_keys, uint64_t seed, bool is_exact);
void rk_demo_lines_close(struct rk_demo_lines_ledger *l);

/* A new line of a key: its index, which is the call's tag; UINT64_MAX: no memory. */
uint64_t rk_demo_lines_note(struct rk_demo_lines_ledger *l, uint32_t key);

/* It is being sent, once more if it was not applied. Returns its length. */
size_t rk_demo_lines_send(struct rk_demo_lines_ledger *l, uint64_t i, uint64_t now_ns, char text[static RK_DEMO_LINE_MAX]);

/* Its answer; text NULL: an error. */
void rk_demo_lines_answer(struct rk_demo_lines_ledger *l, uint64_t i, uint64_t job, uint64_t now_ns, const char *text,
			  size_t len);

/* Reads the notes of every filter, and judges. Returns 0 or -errno with a sentence. */
RK_MUST_USE int rk_demo_lines_judge(struct rk_demo_lines_ledger *l, const char *notes, struct rk_demo_lines_verdict *ret,
				    struct rk_err *err);

bool rk_demo_lines_is_good(const struct rk_demo_lines_verdict *v);

#endif
