/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: whether a fleet lost or doubled anything, from two sources alone: what the clients
 * noted (demo_ledger.h) and what the fleet finally says of each word. It shares no code with
 * queue, calls or state.
 *
 * The count that an answer carries is the proof. The nth job of a word is answered with n. So
 * in a fleet that keeps its promises the answers to one word are all different and lie in
 * 1..final, and every number of 1..final that nobody was told was told to somebody who is dead:
 *
 *   1 2 3 4 5 6 7      final = 7
 *   A A . A A . A      two jobs without an answer: two killed anonymous clients had this word
 *                      in flight, or something was counted that nobody sent (doubled)
 *   A A A A A A A A    an answer beyond final, or a number twice: an acknowledged job is no
 *                      longer in the state (lost)
 *
 * A poison job is sent to fail: each must have been answered QUARANTINED, and be a dead letter of
 * the fleet; no word may be either.
 *
 * For a word without abandoned intents that leaves no slack: final equals the number of
 * acknowledged jobs, which is what `sort | uniq -c` says of the words sent.
 *
 * Who       anybody, when nobody writes the records any more; pure, but for its memory.
 * Units     words are indices of the dictionary.
 */
#ifndef RK_CLI_DEMO_CHECK_H
#define RK_CLI_DEMO_CHECK_H

#include "cli/demo_ledger.h"

struct rk_demo_check_in {
	const struct rk_demo_record *records;
	uint64_t n_records;
	const uint64_t *finals; /* what the fleet says of each word at the end */
	uint32_t n_words;
	const struct rk_demo_record *poisons;
	uint32_t n_poisons;
	uint64_t n_letters;          /* dead letters of the fleet that are poison */
	uint64_t n_innocent_letters; /* and that are not */
};

struct rk_demo_verdict {
	uint64_t sent;         /* intents noted */
	uint64_t acknowledged; /* of those, answered with a count */
	uint64_t applied;      /* sum of the final counts */
	uint64_t lost;         /* acknowledged, and not in the state */
	uint64_t doubled;      /* in the state without anybody having sent it */
	uint64_t unresolved;   /* abandoned intents: applied or not, nobody was left to be told */
	uint64_t unresolved_applied; /* of those, found applied */
	uint64_t unanswered;   /* of clients that live: must be 0 */
	uint64_t refused;      /* by the handler, with an error */
	uint64_t contradicted; /* answered twice, differently */
	uint64_t invalid;      /* records that no client can have written */
	uint64_t poison;       /* poison jobs sent */
	uint64_t quarantined;  /* of those, answered so */
	uint64_t dead_letters; /* of those, that the fleet keeps */
	uint64_t innocents;    /* words quarantined, by their answer or as a dead letter, whichever are more: must be 0 */
	uint64_t n_words;      /* different words sent */
	uint64_t n_words_exact; /* of those, without slack: final == acknowledged had to hold */
	bool has_worst;         /* the first word that is wrong, for the message */
	uint32_t worst_word;
	uint64_t worst_final, worst_acknowledged, worst_unresolved;
};

/* Computes the verdict. Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_demo_check(const struct rk_demo_check_in *in, struct rk_demo_verdict *ret);

/* Whether nothing was lost, doubled or contradicted and nobody waits for an answer. */
bool rk_demo_verdict_is_good(const struct rk_demo_verdict *v);

#endif
