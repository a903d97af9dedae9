/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: what demo counts, as a dictionary and the order of its words. A word is a run of the
 * letters A-Z, a-z and the digits, as `tr -cs A-Za-z0-9 '\n'` finds them.
 *
 * Who       demo, once; private memory. Blocking: reads files.
 * Units     bytes; words count from 0.
 */
#ifndef RK_CLI_DEMO_TEXT_H
#define RK_CLI_DEMO_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RK_DEMO_WORD_MAX 55u /* longer ones are left out: the example wordcount keeps no more */

struct rk_demo_text {
	uint32_t *words; /* where each different word begins among the chars */
	char *chars;     /* the words, a NUL behind each */
	uint32_t *text;  /* the text, as indices of words */
	uint64_t chars_len, n_text;
	uint32_t n_words;
	uint64_t n_left_out; /* words that were too long */
	uint64_t room_words, room_chars, room_text;
	uint32_t *index; /* hash table: word + 1, 0 = free */
	uint64_t n_index;
};

/* Adds the words of some bytes. Returns 0 or -ENOMEM, -EFBIG. */
RK_MUST_USE int rk_demo_text_add(struct rk_demo_text *t, const char *bytes, size_t len);

/* Adds the words of a file. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_text_add_file(struct rk_demo_text *t, const char *path, struct rk_err *err);

/* Adds the regular files of the directory of licence texts that every Debian has; -ENOENT without. */
RK_MUST_USE int rk_demo_text_add_licences(struct rk_demo_text *t, struct rk_err *err);

/* Frees all and empties it; also a cleanup. */
void rk_demo_text_free_p(struct rk_demo_text *t);

#endif
