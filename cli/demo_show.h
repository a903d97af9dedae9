/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Show: what demo prints: a table while it runs, and the verdict, for people and as JSON.
 *
 * Who       demo, one thread. Blocking: as standard output does.
 */
#ifndef RK_CLI_DEMO_SHOW_H
#define RK_CLI_DEMO_SHOW_H

#include "cli/demo_chaos.h"
#include "cli/demo_check.h"

/* What a run is, from its command line. */
struct rk_demo_plan {
	uint32_t n_workers, n_clients;
	uint32_t n_poisons, n_hogs;
	uint64_t seconds; /* 0 = the text once */
	uint64_t seed;
	bool json;
};

/* Figures of a moment. */
struct rk_demo_moment {
	uint64_t elapsed_ns;
	uint64_t n_acked, n_again, n_resumed;
	uint64_t n_quarantined; /* of the poison jobs */
	uint64_t per_s; /* acknowledged in the last interval that was not too short to tell */
	bool is_short;  /* this one was */
};

struct rk_demo_show {
	const struct rk_demo_plan *plan;
	bool is_terminal;
	uint32_t n_lines; /* of the table that stands on the terminal */
};

void rk_demo_show_init(struct rk_demo_show *s, const struct rk_demo_plan *plan);

/* How often rk_demo_show_moment() wants to be called. */
uint64_t rk_demo_show_every_ns(const struct rk_demo_show *s);

/* The table on a terminal, one line elsewhere unless the moment is a short one, nothing with JSON. */
void rk_demo_show_moment(struct rk_demo_show *s, const struct rk_demo_moment *m, const struct rk_demo_chaos *c);

/* Everything that the verdict says. */
struct rk_demo_result {
	struct rk_demo_verdict verdict;
	struct rk_demo_moment moment;
	const struct rk_demo_chaos *chaos;
	const char *worst_word;     /* with verdict.has_worst */
	uint32_t n_clients_failed;  /* ended by themselves without their answers */
	uint32_t n_readers_failed;  /* saw a view change, or could not look at all */
	uint64_t n_left_out;        /* words too long for wordcount */
};

/* Whether demo may exit 0. */
bool rk_demo_result_is_good(const struct rk_demo_result *r);

void rk_demo_show_result(struct rk_demo_show *s, const struct rk_demo_result *r);

/* The value below which `percent` of the sorted values lie (nearest rank); 0 of none. */
uint64_t rk_demo_percentile(const uint64_t *sorted, uint32_t n, uint32_t percent);

#endif
