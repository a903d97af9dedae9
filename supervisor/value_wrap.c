/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value's types that wrapped programs need: texts, with and without escapes, and addresses. What their
 * specifiers stand for is checked where the whole fleet is known, in conf_wrap.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "shm/rundir.h"
#include "supervisor/value_types.h"

#define FIELD_MAX 4096u /* of a line */

/* ---- texts ---- */

static int text_put(const char *text, void *at, struct rk_err *err)
{
	char *copy = strdup(text);

	if (!copy)
		return rk_err_set(err, -ENOMEM, "no memory");
	free(*(char **)at);
	*(char **)at = copy;
	return 0;
}

int rk_value_text_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	return text_put(text, at, err);
}

int rk_value_name_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	int r = rk_name_check(text, err);

	(void)k;
	return r < 0 ? r : text_put(text, at, err);
}

/* "%d/redis.sock" is one: what %d stands for begins with a '/'. */
static bool is_pattern(const char *text)
{
	return *text == '/' || strncmp(text, "%d", 2) == 0 || strncmp(text, "%s", 2) == 0;
}

int rk_value_pattern_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	return is_pattern(text) ? text_put(text, at, err)
				: rk_err_set(err, -EINVAL, "'%.60s' is no absolute path: begin it with '/' or %%d", text);
}

/* It becomes part of a request's first line. */
int rk_value_url_path_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	if (*text != '/')
		return rk_err_set(err, -EINVAL, "'%.60s' is no path of a URL such as /health: begin it with '/'", text);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return rk_err_set(err, -EINVAL,
					  "'%.60s': a URL holds no blanks and plain ASCII alone: write %%20 for a blank", text);
	return text_put(text, at, err);
}

int rk_value_header_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	for (const char *c = text; *c; c++)
		if (!isascii(*c) || (!isalnum((unsigned char)*c) && !strchr("-_.!#$&'*+^`|~", *c)))
			return rk_err_set(err, -EINVAL, "'%.60s' cannot be a header's name: use letters, digits and '-'", text);
	return text_put(text, at, err);
}

int rk_value_field_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	bool is_path = *text == '.' && text[1] && !strpbrk(text, " \t");
	uint64_t number;

	(void)k;
	if (!is_path && rk_num_parse(text, 1, FIELD_MAX, &number, NULL) < 0)
		return rk_err_set(err, -EINVAL,
				  "'%.60s' is neither a field's number from 1 to %u nor a .json.path such as .id", text,
				  FIELD_MAX);
	return text_put(text, at, err);
}

/* ---- escapes ---- */

static const char escapes[] = "r\rn\nt\t\\\\"; /* letter, meaning */

/* Behind a backslash at *at; leaves it behind what was read. Returns the byte, -1 if it is none. */
static int unescape(const char **at)
{
	const char *c = *at;
	char hex[3] = "";

	for (size_t i = 0; *c && i < sizeof(escapes) - 1; i += 2) {
		if (*c != escapes[i])
			continue;
		*at = c + 1;
		return (unsigned char)escapes[i + 1];
	}
	if (*c != 'x' || !isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2]))
		return -1;
	memcpy(hex, c + 1, 2);
	*at = c + 3;
	return (int)strtoul(hex, NULL, 16);
}

int rk_value_escaped_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *plain = malloc(strlen(text) + 1);
	size_t len = 0;

	(void)k;
	if (!plain)
		return rk_err_set(err, -ENOMEM, "no memory");
	for (const char *c = text; *c;) {
		int byte = (unsigned char)*c++;

		if (byte == '\\')
			byte = unescape(&c);
		if (byte < 0)
			return rk_err_set(err, -EINVAL,
					  "'\\%.1s' is no escape: there are \\r, \\n, \\t, \\\\ and \\xHH", c);
		if (byte == 0)
			return rk_err_set(err, -EINVAL, "\\x00 cannot be sent or looked for");
		plain[len++] = (char)byte;
	}
	plain[len] = '\0';
	free(*(char **)at);
	*(char **)at = rk_take_ptr(&plain);
	return 0;
}

/* At the edge a file's reader takes a blank away, and a backslash at the end of a line has it go on. */
static void escaped_put(unsigned char c, bool is_edge, FILE *to)
{
	for (size_t i = 0; i < sizeof(escapes) - 1; i += 2) {
		if (c != (unsigned char)escapes[i + 1] || (c == '\\' && is_edge))
			continue;
		(void)fprintf(to, "\\%c", escapes[i]);
		return;
	}
	if (c < 0x20 || c == 0x7f || (is_edge && (c == ' ' || c == '\\')))
		(void)fprintf(to, "\\x%02x", c);
	else
		(void)fputc(c, to);
}

void rk_value_escaped_print(const struct rk_key *k, const void *at, FILE *to)
{
	const char *text = *(char *const *)at;

	(void)k;
	for (const char *c = text; c && *c; c++)
		escaped_put((unsigned char)*c, c == text || !c[1], to);
}

/* ---- addresses ---- */

/* A port, or specifiers that become one. */
static bool is_port(const char *text)
{
	uint64_t port;

	return strchr(text, '%') ? strpbrk(text, ":/") == NULL : rk_num_parse(text, 1, 65535, &port, NULL) == 0;
}

static bool is_address(const char *word)
{
	const char *colon = strrchr(word, ':'), *bracket = strrchr(word, ']');

	if (is_pattern(word))
		return true;
	if (!colon || colon == word || !is_port(colon + 1))
		return false;
	return *word == '[' ? bracket && bracket + 1 == colon && bracket > word + 1
			    : memchr(word, ':', (size_t)(colon - word)) == NULL;
}

int rk_value_addresses_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	struct rk_wordlist *to = at;
	int r = rk_wordlist_split(&w, text, RK_VALUE_WORDS_MAX, err);

	(void)k;
	for (uint32_t i = 0; r == 0 && i < w.n; i++)
		if (!is_address(w.at[i]))
			r = rk_err_set(err, -EINVAL,
				       "'%.60s' is no address: write HOST:PORT, [V6]:PORT or the path of a unix socket, such "
				       "as 127.0.0.1:%%p",
				       w.at[i]);
	if (r == 0 && to->n + w.n > RK_LISTEN_MAX)
		r = rk_err_set(err, -E2BIG, "there are more than %u addresses", RK_LISTEN_MAX);
	return r < 0 ? r : rk_wordlist_split(to, text, RK_VALUE_WORDS_MAX, err);
}
