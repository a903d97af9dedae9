/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters: a fleet's dead letters (shm/dead.h) as a reader of it sees them, and what the
 * supervisor is asked to do with one.
 *
 * A letter is known by its job: PARTITION.JOB, as in 3.17, which no other job of the fleet ever
 * is. What is asked goes by the word that was read, which names that letter in that state.
 *
 * Who       rekindle, one thread. What workers wrote may be anything: shm/dead.c bounds it.
 * Blocking  reading never; asking until the supervisor has answered. Allocates.
 */
#ifndef RK_CLI_LETTERS_H
#define RK_CLI_LETTERS_H

#include "cli/look.h"
#include "shm/dead.h"

struct rk_letter {
	uint32_t place;
	struct rk_dead_letter is; /* its bytes lie in the list's room */
};

struct rk_letters {
	uint32_t n;
	struct rk_letter *at; /* the oldest first */
	char *room;
};

/* Reads all there are. Returns 0; -ENOMEM. rk_letters_free_p() in any case. */
RK_MUST_USE int rk_letters_read(struct rk_letters *ret, const struct rk_look *l,
				struct rk_err *err);
void rk_letters_free_p(struct rk_letters *l);

/* NULL if it is not among them. */
struct rk_letter *rk_letters_find(const struct rk_letters *l, uint32_t partition, uint64_t job);

#define RK_LETTER_NAME 24u

/* Writes "3.17". Returns text. Pure. */
const char *rk_letter_name(char text[static RK_LETTER_NAME], uint32_t partition, uint64_t job);

/* The other way round. 0; -EINVAL with a sentence. Pure. */
RK_MUST_USE int rk_letter_parse(const char *text, uint32_t *ret_partition, uint64_t *ret_job,
				struct rk_err *err);

/* What was judged of the last attempt, in a word; "unknown" outside. Pure. */
const char *rk_letter_verdict(enum rk_dead_verdict verdict);

#define RK_LETTER_END 40u

/* How the last attempt's process ended: "SIGSEGV", "exit 9"; "-" if it did not, or is unknown. Pure. */
const char *rk_letter_end(char text[static RK_LETTER_END], const struct rk_dead_cause *cause);

/*
 * Asks the supervisor: drop, retry (marks it as being sent again) or back (takes the mark back).
 * Goes on with the letter's new word. Returns 0; -ENOENT it is not there as it was read;
 * -EALREADY it is so already; else as rk_ask_open() and rk_ask_once().
 */
RK_MUST_USE int rk_letter_ask(const struct rk_look *l, const char *name, struct rk_letter *letter,
			      const char *deed, struct rk_err *err);

#endif
