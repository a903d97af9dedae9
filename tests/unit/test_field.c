/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a line's key is found as --key= says, in whatever a line may be; a line without it has
 *         itself as key; a key that is too long is its hash; a wrong --key= is told.
 * Method  tables.
 */
#include "workers/lib/field.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

#define MAX 1000u

static const struct {
	const char *spec, *line, *key; /* NULL: none */
} found[] = {
	{ "whole", "a b", "a b" },
	{ "whole", "", "" },
	{ "1", "a b", "a" },
	{ "2", "  a \t b  c", "b" },
	{ "2", "a b\r", "b" },
	{ "3", "a b", NULL },
	{ "2", "a \r", NULL },
	{ "1", "", NULL },
	{ "user", "level=info user=ann n=1", "ann" },
	{ "user", "user=ann", "ann" },
	{ "user", "user=ann\r", "ann" },
	{ "user", "user=", "" },
	{ "user", "superuser=bob user=ann", "ann" },
	{ "user", "msg=\"to user=bob\" user=ann", "ann" },
	{ "user", "msg=\"a \\\" user=bob\" user=\"ann lee\"", "ann lee" },
	{ "user", "user ann", NULL },
	{ "user", "msg=\"never closed user=ann", NULL },
	{ "user", "{\"user\":\"ann\"}", "ann" },
	{ "user", "  {\"n\":{\"user\":\"bob\"},\"user\" : \"ann\"}", "ann" },
	{ "user", "{\"n\":1}", NULL },
	{ "user", "{\"user\":null}", NULL },
	{ "user", "{\"user\":nullify}", "nullify" },
	{ ".user", "{\"user\":\"ann\"}", "ann" },
	{ ".user", "{\"user\":\"\"}", "" },
	{ ".user", "{\"user\":7,\"n\":1}", "7" },
	{ ".user", "{\"user\":-1.50e3}", "-1.50e3" },
	{ ".user", "{\"user\":true}", "true" },
	{ ".user", "{\"user\":[1,\"]\"],\"n\":1}", "[1,\"]\"]" },
	{ ".user", "{\"user\":{\"a\":\"}\"} ,\"n\":1}", "{\"a\":\"}\"}" },
	{ ".user", "{\"user\":\"bob\",\"user\":\"ann\"}", "ann" },
	{ ".user", "{\"a\":\"\\\"user\\\":1\",\"user\":\"ann\"}", "ann" },
	{ ".user", "{\"user\":\"a\\u0041\\n\"}", "aA\n" },
	{ ".user", "{\"user\":\"a\\\"b\"}", "a\"b" },
	{ ".user", "{\"user\":\"open", NULL },
	{ ".user", "{\"user\"", NULL },
	{ ".user", "{\"user\":", NULL },
	{ ".user", "{\"user", NULL },
	{ ".user", "{\"user\\", NULL },
	{ ".user", "{", NULL },
	{ ".user", "", NULL },
	{ ".user", "[\"user\"]", NULL },
	{ ".user", "not json", NULL },
	{ ".a.b", "{\"a\":{\"b\":1}}", "1" },
	{ ".a.b", "{\"a\":{\"c\":1},\"b\":2}", NULL },
	{ ".a.b", "{\"a\":[1]}", NULL },
	{ ".a[1].c", "{\"a\":[ 0 , {\"c\":\"x\"} ]}", "x" },
	{ ".a[2]", "{\"a\":[0,1]}", NULL },
	{ ".a[0]", "{\"a\":[]}", NULL },
	{ ".[0]", "[\"x\"]", "x" },
	{ ".[\"a b\"]", "{\"a b\":\"x\"}", "x" },
	{ ".a[\"b.c\"]", "{\"a\":{\"b.c\":\"x\"}}", "x" },
	{ ".a/b", "{\"a\\/b\":\"x\"}", "x" },
};

START_TEST(a_key_is_found)
{
	struct rk_field k;
	struct rk_field_text key;
	struct rk_err err = { 0 };
	size_t len = strlen(found[_i].line);
	/* Exactly so long, so that whoever reads behind it is caught where that is looked for. */
	char *line = malloc(len + 1);
	const char *want = found[_i].key ? found[_i].key : found[_i].line;
	bool is_there;

	memcpy(line, found[_i].line, len);
	ck_assert_msg(rk_field_parse(&k, found[_i].spec, &err) == 0, "%s", err.text);
	is_there = rk_field_of(&k, line, len, MAX, &key);
	ck_assert_msg(is_there == (found[_i].key != NULL), "%s of %s", found[_i].spec, found[_i].line);
	ck_assert_uint_eq(key.len, strlen(want));
	ck_assert_int_eq(memcmp(key.at, want, key.len), 0);
	free(line);
}
END_TEST

START_TEST(any_beginning_of_a_line_is_read_to_its_end_alone)
{
	static const char line[] = "{\"a\":[1,{\"user\":\"x\\u0041\\\\\"},[[]]],\"user\":{\"b\":[\"c\\\"\"]},\"\\\"\":1.5e3}";
	static const char *const specs[] = { ".user.b[0]", ".a[1].user", ".[\"nobody\"]", "user", "2" };

	for (size_t len = 0; len < sizeof(line); len++) {
		struct rk_field k;
		struct rk_field_text key;
		struct rk_err err;
		char *part = malloc(len ? len : 1);

		memcpy(part, line, len);
		ck_assert_int_eq(rk_field_parse(&k, specs[_i], &err), 0);
		(void)rk_field_of(&k, part, len, MAX, &key);
		ck_assert(key.len <= RK_FIELD_MAX);
		free(part);
	}
}
END_TEST

static const struct {
	size_t len, max;
	bool is_hashed;
} lengths[] = {
	{ RK_FIELD_MAX, MAX, false },
	{ RK_FIELD_MAX + 1, MAX, true },
	{ 20, 20, false },
	{ 20, 19, true },
};

START_TEST(a_key_that_does_not_fit_is_its_hash)
{
	struct rk_field k;
	struct rk_field_text key, other;
	struct rk_err err;
	char line[RK_FIELD_MAX + 2];

	memset(line, 'x', sizeof(line));
	ck_assert_int_eq(rk_field_parse(&k, "whole", &err), 0);
	ck_assert(rk_field_of(&k, line, lengths[_i].len, lengths[_i].max, &key));
	ck_assert_uint_eq(key.len, lengths[_i].is_hashed ? RK_FIELD_HASH : lengths[_i].len);
	line[0] = 'y';
	ck_assert(rk_field_of(&k, line, lengths[_i].len, lengths[_i].max, &other));
	ck_assert_int_ne(memcmp(key.at, other.at, key.len) == 0 && lengths[_i].is_hashed, 1);
}
END_TEST

START_TEST(two_ways_to_write_a_string_are_one_key)
{
	static const char one[] = "{\"u\":\"\\u0061\\u0062\"}", two[] = "{\"u\":\"ab\"}";
	struct rk_field k;
	struct rk_field_text a, b;
	struct rk_err err;

	ck_assert_int_eq(rk_field_parse(&k, ".u", &err), 0);
	ck_assert(rk_field_of(&k, one, sizeof(one) - 1, MAX, &a));
	ck_assert(rk_field_of(&k, two, sizeof(two) - 1, MAX, &b));
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_int_eq(memcmp(a.at, b.at, a.len), 0);
}
END_TEST

static const struct {
	const char *spec, *told;
} wrong[] = {
	{ "", "is empty" },
	{ "0", "number of a field" },
	{ "99999999999999999999", "number of a field" },
	{ ".", "no name" },
	{ ".a.", "no name" },
	{ ".a..b", "no name" },
	{ ".a[", "in brackets" },
	{ ".a[1", "not closed" },
	{ ".a[x]", "in brackets" },
	{ ".a[99999999999]", "in brackets" },
	{ ".a[\"b]", "no partner" },
	{ ".a[\"b\"", "not closed" },
	{ ".a[0]b", "before a name" },
	{ "a b", "write .[\"a b\"]" },
	{ ".a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", "too many steps" },
};

START_TEST(a_wrong_key_is_told)
{
	struct rk_field k;
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_field_parse(&k, wrong[_i].spec, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, wrong[_i].told) != NULL, "%s: %s", wrong[_i].spec, err.text);
}
END_TEST

START_TEST(a_key_that_is_longer_than_any_is_told)
{
	struct rk_field k;
	struct rk_err err = { 0 };
	char spec[RK_FIELD_SPEC_MAX + 1];

	memset(spec, 'x', sizeof(spec));
	spec[RK_FIELD_SPEC_MAX] = '\0';
	ck_assert_int_eq(rk_field_parse(&k, spec, &err), -EINVAL);
	spec[RK_FIELD_SPEC_MAX - 1] = '\0';
	ck_assert_int_eq(rk_field_parse(&k, spec, &err), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("field");

	tcase_add_loop_test(c, a_key_is_found, 0, (int)rk_countof(found));
	tcase_add_loop_test(c, any_beginning_of_a_line_is_read_to_its_end_alone, 0, 5);
	tcase_add_loop_test(c, a_key_that_does_not_fit_is_its_hash, 0, (int)rk_countof(lengths));
	tcase_add_test(c, two_ways_to_write_a_string_are_one_key);
	tcase_add_loop_test(c, a_wrong_key_is_told, 0, (int)rk_countof(wrong));
	tcase_add_test(c, a_key_that_is_longer_than_any_is_told);
	return unit_run(c);
}
