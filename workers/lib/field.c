/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/field.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/num.h"
#include "workers/lib/field_json.h"

#define FIELD_MAX 100000u
#define INDEX_MAX 1000000000u

/* ---- what is wanted ---- */

static int bad_path(const char *spec, const char *why, struct rk_err *err)
{
	return rk_err_set(err, -EINVAL, "'%.80s' is no path into JSON: %s", spec, why);
}

static int step_add(struct rk_field *k, struct rk_field_step step, struct rk_err *err)
{
	if (k->n_steps == RK_FIELD_STEPS_MAX)
		return bad_path(k->text, "it has too many steps", err);
	k->steps[k->n_steps++] = step;
	return 0;
}

/* Behind a '[': a number, or a name in quotes, and the ']'. Moves *at behind it. */
static int bracket_read(struct rk_field *k, char **at, struct rk_err *err)
{
	struct rk_field_step step = { 0 };
	char *end = *at;

	if (*end == '"') {
		step.name = end + 1;
		end = strchr(end + 1, '"');
		if (!end)
			return bad_path(k->text, "a quote has no partner", err);
		step.len = (size_t)(end - step.name);
		end++;
	} else {
		uint64_t n = 0;

		for (; isdigit((unsigned char)*end) && n <= INDEX_MAX; end++)
			n = 10 * n + (uint64_t)(*end - '0');
		if (end == *at || n > INDEX_MAX)
			return bad_path(k->text, "in brackets stands the number of an element, or a name in quotes", err);
		step.index = (uint32_t)n;
	}
	if (*end != ']')
		return bad_path(k->text, "a bracket is not closed", err);
	*at = end + 1;
	return step_add(k, step, err);
}

/* Behind a '.': a name, a name in quotes, or nothing before a bracket. */
static int name_read(struct rk_field *k, char **at, struct rk_err *err)
{
	struct rk_field_step step = { .name = *at, .len = strcspn(*at, ".[\"") };

	if (**at == '[')
		return 0;
	if (step.len == 0)
		return bad_path(k->text, "a member has no name", err);
	*at += step.len;
	return step_add(k, step, err);
}

static int path_read(struct rk_field *k, struct rk_err *err)
{
	char *at = k->text;
	int r = 0;

	k->kind = RK_FIELD_PATH;
	while (r == 0 && *at) {
		char c = *at++;

		if (c == '.')
			r = name_read(k, &at, err);
		else if (c == '[')
			r = bracket_read(k, &at, err);
		else
			r = bad_path(k->text, "before a name stands a '.'", err);
	}
	return r;
}

int rk_field_parse(struct rk_field *k, const char *spec, struct rk_err *err)
{
	uint64_t field;

	*k = (struct rk_field){ .kind = RK_FIELD_WHOLE };
	if (strlen(spec) >= sizeof(k->text))
		return rk_err_set(err, -EINVAL, "it is longer than %u bytes", RK_FIELD_SPEC_MAX - 1);
	(void)snprintf(k->text, sizeof(k->text), "%s", spec);
	if (!*spec)
		return rk_err_set(err, -EINVAL, "it is empty: say a FIELD, a .json.path, the number of a field, or 'whole'");
	if (strcmp(spec, "whole") == 0)
		return 0;
	if (*spec == '.')
		return path_read(k, err);
	if (strspn(spec, "0123456789") == strlen(spec)) {
		if (rk_num_parse(spec, 1, FIELD_MAX, &field, err) < 0)
			return rk_err_prefix(err, -EINVAL, "the number of a field");
		k->kind = RK_FIELD_FIELD;
		k->field = (uint32_t)field;
		return 0;
	}
	if (strpbrk(spec, " \t=\""))
		return rk_err_set(err, -EINVAL, "'%.80s' is no FIELD: for a member of JSON write .[\"%.80s\"]", spec, spec);
	k->kind = RK_FIELD_NAME;
	return step_add(k, (struct rk_field_step){ .name = k->text, .len = strlen(k->text) }, err);
}

/* ---- a line's ---- */

struct slice {
	const char *at;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One with escapes, without them; NULL if it cannot be read. The caller's. */
static struct json_object *string_read(const struct rk_field_json *v)
{
	struct json_tokener *t = v->len <= INT32_MAX ? json_tokener_new() : NULL;
	struct json_object *o = t ? json_tokener_parse_ex(t, v->at, (int)v->len) : NULL;

	if (t)
		json_tokener_free(t);
	return o;
}

static void set(struct rk_field_text *ret, const char *at, size_t len, size_t max)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t hash;

	*ret = (struct rk_field_text){ .at = len ? at : "", .len = len };
	if (len <= max && len <= RK_FIELD_MAX)
		return;
	hash = XXH3_64bits(at, len);
	for (uint32_t i = RK_FIELD_HASH; i-- > 0; hash >>= 4)
		ret->room[i] = digits[hash & 15];
	ret->at = ret->room;
	ret->len = RK_FIELD_HASH;
}

/* A key whose bytes do not stay. */
static void set_copy(struct rk_field_text *ret, const char *at, size_t len, size_t max)
{
	set(ret, at, len, max);
	if (ret->at != at)
		return;
	memcpy(ret->room, at, len);
	ret->at = ret->room;
}

static bool of_json(const struct rk_field *k, struct slice line, size_t max, struct rk_field_text *ret)
{
	struct json_object *o;
	struct rk_field_json v;
	bool is_string;

	if (!rk_field_json_find(line.at, line.len, k->steps, k->n_steps, &v) || (v.len == 4 && memcmp(v.at, "null", 4) == 0))
		return false;
	if (*v.at != '"') {
		set(ret, v.at, v.len, max);
		return true;
	}
	if (!memchr(v.at, '\\', v.len)) {
		set(ret, v.at + 1, v.len - 2, max);
		return true;
	}
	o = string_read(&v);
	is_string = json_object_is_type(o, json_type_string);
	if (is_string)
		set_copy(ret, json_object_get_string(o), (size_t)json_object_get_string_len(o), max);
	json_object_put(o);
	return is_string;
}

static bool find_field(uint32_t n, struct slice line, struct slice *ret)
{
	const char *at = line.at, *end = line.at + line.len;

	for (;;) {
		const char *start;

		while (at < end && is_blank(*at))
			at++;
		if (at == end)
			return false;
		for (start = at; at < end && !is_blank(*at); at++)
			;
		if (--n == 0) {
			/* The end of a line that came from elsewhere is no part of its last field. */
			*ret = (struct slice){ start, (size_t)(at - start) - (at == end && at[-1] == '\r') };
			return ret->len > 0;
		}
	}
}

/* A value of logfmt from at on: in quotes, or up to a blank. Returns what is behind it. */
static const char *value_pass(const char *at, const char *end, struct slice *ret)
{
	const char *start = at;

	if (at < end && *at == '"') {
		for (start = ++at; at < end && *at != '"'; at++)
			at += *at == '\\' && at + 1 < end;
		*ret = (struct slice){ start, (size_t)(at - start) };
		return at < end ? at + 1 : end;
	}
	while (at < end && !is_blank(*at))
		at++;
	*ret = (struct slice){ start, (size_t)(at - start) - (at == end && at > start && at[-1] == '\r') };
	return at;
}

static bool find_word(const struct rk_field_step *name, struct slice line, struct slice *ret)
{
	const char *at = line.at, *end = line.at + line.len;

	while (at < end) {
		const char *start;
		size_t len;

		while (at < end && is_blank(*at))
			at++;
		for (start = at; at < end && !is_blank(*at) && *at != '='; at++)
			;
		len = (size_t)(at - start);
		if (at == end || *at != '=')
			continue;
		at = value_pass(at + 1, end, ret);
		if (len == name->len && memcmp(start, name->name, len) == 0)
			return true;
	}
	return false;
}

static bool begins_object(struct slice line)
{
	size_t i = 0;

	while (i < line.len && is_blank(line.at[i]))
		i++;
	return i < line.len && line.at[i] == '{';
}

static bool of_text(const struct rk_field *k, struct slice line, size_t max, struct rk_field_text *ret)
{
	struct slice found;
	bool is_there = k->kind == RK_FIELD_FIELD ? find_field(k->field, line, &found)
						     : find_word(&k->steps[0], line, &found);

	if (is_there)
		set(ret, found.at, found.len, max);
	return is_there;
}

bool rk_field_of(const struct rk_field *k, const char *line, size_t len, size_t max, struct rk_field_text *ret)
{
	struct slice all = { line, len };
	bool is_there = true;

	if (k->kind == RK_FIELD_WHOLE)
		set(ret, line, len, max);
	else if (k->kind == RK_FIELD_PATH || (k->kind == RK_FIELD_NAME && begins_object(all)))
		is_there = of_json(k, all, max, ret);
	else
		is_there = of_text(k, all, max, ret);
	if (!is_there)
		set(ret, line, len, max);
	return is_there;
}
