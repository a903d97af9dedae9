/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wordlist: a line taken apart into words as systemd's ExecStart= does, and put together again.
 *
 * Blanks separate. '…' and "…" keep blanks, anywhere in a word. A backslash stands before what
 * is meant literally (\\ \" \' \space), or means \n, \t, \s (a blank) or \xHH, inside quotes too.
 * Nothing is expanded: there is no shell.
 *
 * Who       any process, any thread.
 * Blocking  never; allocates.
 */
#ifndef RK_BASE_WORDLIST_H
#define RK_BASE_WORDLIST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/macro.h"

/* Some words; whoever holds the struct owns them. Zero is the empty value. */
struct rk_wordlist {
	uint32_t n;
	char **at; /* n words and a NULL: an argv; NULL when n is 0 */
};

/* Appends a copy of the word. Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_wordlist_add(struct rk_wordlist *w, const char *word);

/*
 * Appends the words of text. Returns 0; -EINVAL for a quote without its partner or an unknown
 * escape, -E2BIG beyond n_max words, with a sentence; -ENOMEM. After an error nothing is added.
 */
RK_MUST_USE int rk_wordlist_split(struct rk_wordlist *w, const char *text, uint32_t n_max,
				  struct rk_err *err);

/* Prints the words so that rk_wordlist_split() gives them back. */
void rk_wordlist_print(const struct rk_wordlist *w, FILE *to);

/* Whether word is one of them. */
bool rk_wordlist_has(const struct rk_wordlist *w, const char *word);

/* Frees all; also a cleanup. */
void rk_wordlist_free_p(struct rk_wordlist *w);

#endif
