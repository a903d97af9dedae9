/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wordlist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* A line being taken apart. */
struct cutter {
	const char *at;
	char *word; /* room for the longest word: the whole line */
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind \x: two digits, not 00. */
static int hex_cut(struct cutter *c, struct rk_err *err)
{
	int high = hex_digit(c->at[0]), low = high < 0 ? -1 : hex_digit(c->at[1]);

	if (low < 0 || high + low == 0)
		return rk_err_set(err, -EINVAL, "\\x needs two hexadecimal digits that are not 00");
	c->word[c->len++] = (char)(high * 16 + low);
	c->at += 2;
	return 0;
}

/* What a backslash makes of the characters behind it. */
static int escape_cut(struct cutter *c, struct rk_err *err)
{
	char e = *c->at++;

	switch (e) {
	case 'n':
		e = '\n';
		break;
	case 't':
		e = '\t';
		break;
	case 's':
		e = ' ';
		break;
	case 'x':
		return hex_cut(c, err);
	case '\\':
	case '"':
	case '\'':
	case ' ':
		break;
	case '\0':
		return rk_err_set(err, -EINVAL, "nothing follows the backslash at the end");
	default:
		return rk_err_set(err, -EINVAL,
				  "'\\%c' is no escape: write '\\\\%c' for a backslash", e, e);
	}
	c->word[c->len++] = e;
	return 0;
}

/* Cuts the next word off, which begins at c->at. */
static int word_cut(struct cutter *c, struct rk_err *err)
{
	char quote = 0;

	c->len = 0;
	while (*c->at && (quote || !is_blank(*c->at))) {
		char now = *c->at++;
		int r = 0;

		if (now == '\\')
			r = escape_cut(c, err);
		else if (quote ? now == quote : now == '"' || now == '\'')
			quote = quote ? 0 : now;
		else
			c->word[c->len++] = now;
		if (r < 0)
			return r;
	}
	c->word[c->len] = '\0';
	return quote ? rk_err_set(err, -EINVAL, "a %c has no partner", quote) : 0;
}

int rk_wordlist_add(struct rk_wordlist *w, const char *word)
{
	char **at = realloc(w->at, ((size_t)w->n + 2) * sizeof(*at));

	if (!at)
		return -ENOMEM;
	w->at = at;
	at[w->n] = strdup(word);
	if (at[w->n])
		at[++w->n] = NULL;
	else
		return -ENOMEM;
	return 0;
}

static void shorten(struct rk_wordlist *w, uint32_t n)
{
	while (w->n > n)
		free(w->at[--w->n]);
	if (w->at)
		w->at[n] = NULL;
}

int rk_wordlist_split(struct rk_wordlist *w, const char *text, uint32_t n_max, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *word = malloc(strlen(text) + 1);
	struct cutter c = { .at = text, .word = word };
	uint32_t n_before = w->n;
	int r = word ? 0 : -ENOMEM;

	while (r == 0) {
		while (is_blank(*c.at))
			c.at++;
		if (!*c.at)
			return 0;
		r = word_cut(&c, err);
		if (r == 0 && w->n == n_max)
			r = rk_err_set(err, -E2BIG, "has more than %u words", n_max);
		if (r == 0)
			r = rk_wordlist_add(w, word);
	}
	shorten(w, n_before);
	return r == -ENOMEM ? rk_err_set(err, r, "no memory") : r;
}

static void word_print(const char *word, FILE *to)
{
	bool is_plain = *word && strcspn(word, " \t\n\"'\\") == strlen(word);

	if (!is_plain)
		(void)fputc('"', to);
	for (const unsigned char *c = (const unsigned char *)word; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			(void)fprintf(to, "\\x%02x", *c);
		else
			(void)fprintf(to, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	}
	if (!is_plain)
		(void)fputc('"', to);
}

void rk_wordlist_print(const struct rk_wordlist *w, FILE *to)
{
	for (uint32_t i = 0; i < w->n; i++) {
		if (i > 0)
			(void)fputc(' ', to);
		word_print(w->at[i], to);
	}
}

bool rk_wordlist_has(const struct rk_wordlist *w, const char *word)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (strcmp(w->at[i], word) == 0)
			return true;
	return false;
}

void rk_wordlist_free_p(struct rk_wordlist *w)
{
	int saved = errno;

	shorten(w, 0);
	free(w->at);
	*w = (struct rk_wordlist){ 0 };
	errno = saved;
}
