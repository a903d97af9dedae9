/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/field_json.h"

#include <string.h>

/* Where the reading is. Nothing is read at or behind end. */
struct text {
	const char *at, *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct text *t)
{
	while (t->at < t->end && is_blank(*t->at))
		t->at++;
}

/* Whether the next character is this one, which is passed then. */
static bool take(struct text *t, char c)
{
	skip_blanks(t);
	if (t->at >= t->end || *t->at != c)
		return false;
	t->at++;
	return true;
}

/* Passes a string with its quotes. False if it has no end. */
static bool skip_string(struct text *t)
{
	for (t->at++; t->at < t->end; t->at++) {
		if (*t->at == '"') {
			t->at++;
			return true;
		}
		if (*t->at == '\\' && t->at + 1 < t->end)
			t->at++;
	}
	return false;
}

/* Passes an object or an array by its brackets alone, however deep. */
static bool skip_nested(struct text *t)
{
	size_t depth = 0;

	while (t->at < t->end) {
		char c = *t->at;

		if (c == '"') {
			if (!skip_string(t))
				return false;
			continue;
		}
		t->at++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return true;
	}
	return false;
}

/* Passes any value; a number or a word ends where a separator stands. */
static bool skip_value(struct text *t)
{
	const char *start;

	skip_blanks(t);
	start = t->at;
	if (t->at >= t->end)
		return false;
	if (*t->at == '"')
		return skip_string(t);
	if (*t->at == '{' || *t->at == '[')
		return skip_nested(t);
	while (t->at < t->end && !is_blank(*t->at) && !memchr(",]}:\"", *t->at, 5))
		t->at++;
	return t->at > start;
}

/* Whether a name as it is written, without quotes, is this one. One with escapes is compared as it would be without them. */
static bool is_name(const char *at, size_t len, const struct rk_field_step *s)
{
	size_t i = 0, k = 0;

	if (!memchr(at, '\\', len))
		return len == s->len && memcmp(at, s->name, len) == 0;
	for (; i < len && k < s->len; i++, k++) {
		if (at[i] == '\\' && (++i >= len || !memchr("\"\\/", at[i], 3)))
			return false; /* a name with any other escape is not looked for */
		if (at[i] != s->name[k])
			return false;
	}
	return i == len && k == s->len;
}

/* From behind a '{' to the value of the last member of this name. */
static bool enter_member(struct text *t, const struct rk_field_step *s)
{
	struct text found = { 0 };

	for (bool goes_on = true; goes_on; goes_on = take(t, ',')) {
		const char *name;
		size_t len;

		skip_blanks(t);
		name = t->at + 1;
		if (t->at >= t->end || *t->at != '"' || !skip_string(t))
			break;
		len = (size_t)(t->at - name) - 1;
		if (!take(t, ':'))
			break;
		skip_blanks(t);
		if (is_name(name, len, s))
			found = *t;
		if (!skip_value(t))
			break;
	}
	*t = found;
	return found.at != NULL;
}

/* From behind a '[' to its element. */
static bool enter_element(struct text *t, uint32_t index)
{
	while (index-- > 0)
		if (!skip_value(t) || !take(t, ','))
			return false;
	skip_blanks(t);
	return true;
}

bool rk_field_json_find(const char *text, size_t len, const struct rk_field_step *steps, uint32_t n_steps,
		       struct rk_field_json *ret)
{
	struct text t = { text, text + len };
	const char *start;

	for (uint32_t i = 0; i < n_steps; i++)
		if (!take(&t, steps[i].name ? '{' : '[') ||
		    !(steps[i].name ? enter_member(&t, &steps[i]) : enter_element(&t, steps[i].index)))
			return false;
	skip_blanks(&t);
	start = t.at;
	if (!skip_value(&t))
		return false;
	*ret = (struct rk_field_json){ start, (size_t)(t.at - start) };
	return true;
}
