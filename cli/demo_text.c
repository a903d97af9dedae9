/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_text.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define LICENCES "/usr/share/common-licenses"
#define FILE_MAX (256u << 20) /* bytes; the ledger's offsets have 32 bits */

/* Makes room for n more elements. */
static int grow(void *array, uint64_t *room, uint64_t used, uint64_t n, size_t size)
{
	uint64_t want = *room ? *room : 1024;
	void *old, *new;

	while (want < used + n)
		want *= 2;
	if (want > UINT32_MAX)
		return -EFBIG;
	if (want == *room)
		return 0;
	memcpy(&old, array, sizeof(old)); /* the pointer's own type is unknown here */
	new = realloc(old, want * size);
	if (!new)
		return -ENOMEM;
	memcpy(array, &new, sizeof(new));
	*room = want;
	return 0;
}

static uint64_t hash(const char *word, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a (Fowler, Noll, Vo) */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)word[i]) * 0x100000001b3ull;
	return h;
}

/* The place of a word in the index: its own, or the free one where it belongs. */
static uint32_t *place(const struct rk_demo_text *t, const char *word, size_t len)
{
	for (uint64_t at = hash(word, len);; at++) {
		uint32_t *p = &t->index[at & (t->n_index - 1)];
		const char *known = *p ? t->chars + t->words[*p - 1] : NULL;

		if (!known || (strncmp(known, word, len) == 0 && known[len] == '\0'))
			return p;
	}
}

/* At most half full, so that a search ends. */
static int index_grow(struct rk_demo_text *t)
{
	uint64_t n = t->n_index ? t->n_index * 2 : 4096;
	uint32_t *old = t->index;

	if (t->n_index >= 2ull * (t->n_words + 1))
		return 0;
	t->index = calloc(n, sizeof(*t->index));
	if (!t->index) {
		t->index = old;
		return -ENOMEM;
	}
	t->n_index = n;
	for (uint32_t w = 0; w < t->n_words; w++) {
		const char *word = t->chars + t->words[w];

		*place(t, word, strlen(word)) = w + 1;
	}
	free(old);
	return 0;
}

static int add_word(struct rk_demo_text *t, const char *word, size_t len)
{
	uint32_t *p;
	int r = index_grow(t);

	if (len > RK_DEMO_WORD_MAX) {
		t->n_left_out++;
		return 0;
	}
	if (r == 0)
		r = grow(&t->text, &t->room_text, t->n_text, 1, sizeof(*t->text));
	if (r == 0)
		r = grow(&t->words, &t->room_words, t->n_words, 1, sizeof(*t->words));
	if (r == 0)
		r = grow(&t->chars, &t->room_chars, t->chars_len, len + 1, 1);
	if (r < 0)
		return r;
	p = place(t, word, len);
	if (!*p) {
		t->words[t->n_words++] = (uint32_t)t->chars_len;
		memcpy(t->chars + t->chars_len, word, len);
		t->chars[t->chars_len + len] = '\0';
		t->chars_len += len + 1;
		*p = t->n_words;
	}
	t->text[t->n_text++] = *p - 1;
	return 0;
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int rk_demo_text_add(struct rk_demo_text *t, const char *bytes, size_t len)
{
	for (size_t i = 0, from; i < len; i++) {
		from = i;
		while (i < len && is_letter(bytes[i]))
			i++;
		int r = i > from ? add_word(t, bytes + from, i - from) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static void close_file_p(FILE **f)
{
	int saved = errno;

	if (*f)
		(void)fclose(*f);
	errno = saved;
}

int rk_demo_text_add_file(struct rk_demo_text *t, const char *path, struct rk_err *err)
{
	rk_cleanup(close_file_p) FILE *f = fopen(path, "re");
	rk_cleanup(rk_free_p) char *bytes = NULL;
	uint64_t room = 0, len = 0;
	int r;

	if (!f)
		return rk_err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	for (;;) {
		r = grow(&bytes, &room, len, 65536, 1);
		if (r < 0 || len > FILE_MAX)
			return rk_err_set(err, r < 0 ? r : -EFBIG, "%s is too large", path);
		size_t n = fread(bytes + len, 1, room - len, f);

		len += n;
		if (n == 0)
			break;
	}
	if (ferror(f))
		return rk_err_set(err, -EIO, "cannot read %s", path);
	r = rk_demo_text_add(t, bytes, len);
	return r < 0 ? rk_err_set(err, r, "%s: %s", path, strerror(-r)) : 0;
}

int rk_demo_text_add_licences(struct rk_demo_text *t, struct rk_err *err)
{
	struct dirent **names;
	int n = scandir(LICENCES, &names, NULL, alphasort), r = 0;

	if (n < 0)
		return rk_err_set(err, -errno, "there are no licence texts in " LICENCES
				  ": give demo other texts with --text PATH");
	for (int i = 0; i < n; i++) {
		char path[300];
		struct stat st;

		(void)snprintf(path, sizeof(path), LICENCES "/%s", names[i]->d_name);
		/* lstat: a link names a text that is here already. */
		if (r == 0 && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			r = rk_demo_text_add_file(t, path, err);
		free(names[i]);
	}
	free(names);
	return r;
}

void rk_demo_text_free_p(struct rk_demo_text *t)
{
	free(t->words);
	free(t->chars);
	free(t->text);
	free(t->index);
	*t = (struct rk_demo_text){ 0 };
}
