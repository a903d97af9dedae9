/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    numbers are read as people write them, wholly or not at all, and a refusal says why.
 * Method  tables of texts; the result is preset, so that a parser that fills it on failure shows.
 */
#include "base/num.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

#define UNTOUCHED UINT64_C(0xdeadbeef)

typedef int parser(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v,
		   struct rk_err *err);

static const struct {
	parser *parse;
	const char *text;
	uint64_t want;
} good[] = {
	{ rk_num_parse, "0", 0 },
	{ rk_num_parse, "007", 7 },
	{ rk_num_parse, "18446744073709551615", UINT64_MAX },
	{ rk_num_parse_size, "0", 0 },
	{ rk_num_parse_size, "4096B", 4096 },
	{ rk_num_parse_size, "64K", 65536 },
	{ rk_num_parse_size, "1M", 1048576 },
	{ rk_num_parse_size, "1k", 1024 },
	{ rk_num_parse_size, "1t", UINT64_C(1099511627776) },
	{ rk_num_parse_size, "2G", UINT64_C(2147483648) },
	{ rk_num_parse_size, "1T", UINT64_C(1099511627776) },
	{ rk_num_parse_ns, "0", 0 },
	{ rk_num_parse_ns, "7ns", 7 },
	{ rk_num_parse_ns, "20us", 20000 },
	{ rk_num_parse_ns, "500ms", UINT64_C(500000000) },
	{ rk_num_parse_ns, "2s", UINT64_C(2000000000) },
	{ rk_num_parse_ns, "5min", UINT64_C(300000000000) },
	{ rk_num_parse_ns, "1h", UINT64_C(3600000000000) },
};

static const struct {
	parser *parse;
	const char *text;
	uint64_t min, max;
	int want;
	const char *says;
} bad[] = {
	{ rk_num_parse, "", 0, 10, -EINVAL, "'' is not a number" },
	{ rk_num_parse, "-1", 0, 10, -ERANGE, "-1: must be 0..10" },
	{ rk_num_parse, "--1", 0, 10, -EINVAL, "'--1' is not a number" },
	{ rk_num_parse, "-", 0, 10, -EINVAL, "'-' is not a number" },
	{ rk_num_parse, "-x", 0, 10, -EINVAL, "'-x' is not a number" },
	{ rk_num_parse, "+1", 0, 10, -EINVAL, "'+1' is not a number" },
	{ rk_num_parse, " 1", 0, 10, -EINVAL, "' 1' is not a number" },
	{ rk_num_parse, "1 ", 0, 10, -EINVAL, "'1 ' is not a number" },
	{ rk_num_parse, "1K", 0, 10, -EINVAL, "'1K' is not a number" },
	{ rk_num_parse, "0x1", 0, 10, -EINVAL, "'0x1' is not a number" },
	{ rk_num_parse, "18446744073709551616", 0, UINT64_MAX, -ERANGE, "too large" },
	{ rk_num_parse, "11", 1, 10, -ERANGE, "11: must be 1..10" },
	{ rk_num_parse, "0", 1, 10, -ERANGE, "0: must be 1..10" },
	{ rk_num_parse_size, "K", 0, 10, -EINVAL, "a size such as" },
	{ rk_num_parse_size, "-1K", 4096, 1 << 20, -ERANGE, "-1K: must be 4K..1M" },
	{ rk_num_parse_size, "1048576", 0, UINT64_MAX, -EINVAL, "not a size; give a unit: 1048576B or 1048576K" },
	{ rk_num_parse_size, "1KB", 0, 10, -EINVAL, "a size such as" },
	{ rk_num_parse_size, "1.5M", 0, 10, -EINVAL, "a size such as" },
	{ rk_num_parse_size, "16777216T", 0, UINT64_MAX, -ERANGE, "too large" },
	{ rk_num_parse_size, "1K", 4096, 1 << 20, -ERANGE, "1K: must be 4K..1M" },
	{ rk_num_parse_ns, "5", 0, UINT64_MAX, -EINVAL,
	  "'5' is not a duration; give a unit: 5s or 5ms" },
	{ rk_num_parse_ns, "5S", 0, UINT64_MAX, -EINVAL, "a duration such as" },
	{ rk_num_parse_ns, "5 s", 0, UINT64_MAX, -EINVAL, "a duration such as" },
	{ rk_num_parse_ns, "ms", 0, UINT64_MAX, -EINVAL, "a duration such as" },
	{ rk_num_parse_ns, "9999999h", 0, UINT64_MAX, -ERANGE, "too large" },
	{ rk_num_parse_ns, "2h", 0, UINT64_C(1500000000), -ERANGE, "2h: must be 0ns..1500ms" },
};

START_TEST(what_people_write_is_read)
{
	uint64_t v = UNTOUCHED;
	struct rk_err err = { 0 };

	ck_assert_msg(good[_i].parse(good[_i].text, 0, UINT64_MAX, &v, &err) == 0, "%s: %s",
		      good[_i].text, err.text);
	ck_assert_uint_eq(v, good[_i].want);
}
END_TEST

START_TEST(anything_else_is_refused_with_a_reason_and_changes_nothing)
{
	uint64_t v = UNTOUCHED;
	struct rk_err err = { 0 };

	ck_assert_int_eq(bad[_i].parse(bad[_i].text, bad[_i].min, bad[_i].max, &v, &err), bad[_i].want);
	ck_assert_int_eq(err.code, bad[_i].want);
	ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "\"%s\" lacks \"%s\"", err.text,
		      bad[_i].says);
	ck_assert_uint_eq(v, UNTOUCHED);
}
END_TEST

START_TEST(both_bounds_belong_to_the_range)
{
	uint64_t v;

	ck_assert_int_eq(rk_num_parse("1", 1, 10, &v, NULL), 0);
	ck_assert_int_eq(rk_num_parse("10", 1, 10, &v, NULL), 0);
}
END_TEST

static const struct {
	uint64_t v;
	const char *want;
} texts[] = {
	{ 0, "0" },
	{ 999, "999" },
	{ 1000, "1,000" },
	{ 10233, "10,233" },
	{ 123456, "123,456" },
	{ 1234567, "1,234,567" },
	{ UINT64_MAX, "18,446,744,073,709,551,615" },
};

START_TEST(thousands_are_separated)
{
	char text[RK_NUM_TEXT];

	ck_assert_str_eq(rk_num_format(text, texts[_i].v), texts[_i].want);
}
END_TEST

START_TEST(one_alone_is_singular)
{
	ck_assert_str_eq(rk_num_plural(1), "");
	ck_assert_str_eq(rk_num_plural(0), "s");
	ck_assert_str_eq(rk_num_plural(2), "s");
	ck_assert_str_eq(rk_num_plural(UINT64_MAX), "s");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("num");

	tcase_add_loop_test(c, what_people_write_is_read, 0, rk_countof(good));
	tcase_add_loop_test(c, anything_else_is_refused_with_a_reason_and_changes_nothing, 0,
			    rk_countof(bad));
	tcase_add_test(c, both_bounds_belong_to_the_range);
	tcase_add_loop_test(c, thousands_are_separated, 0, rk_countof(texts));
	tcase_add_test(c, one_alone_is_singular);
	return unit_run(c);
}
