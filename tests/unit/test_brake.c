/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A storm of restarts is stretched, the more the shorter the machine is; a lone death
 *         is never delayed; the addition is bounded; and the kernel's text is read as the
 *         kernel writes it and not otherwise.
 * Method  Storms in virtual time; texts in a table. Random times come from a seed, which each
 *         failure names.
 */
#include "supervisor/brake.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define S RK_NS_PER_S
#define MS RK_NS_PER_MS
#define T0 (1000 * S)

/* One restart as the loop does it. */
static uint64_t restart(struct rk_brake *b, uint64_t now_ns)
{
	uint64_t wait_ns = rk_brake_wait_ns(b, now_ns);

	rk_brake_on_restart(b, now_ns);
	return wait_ns;
}

START_TEST(the_kernels_text_is_read_and_no_other)
{
	static const struct {
		const char *text;
		int r;
		uint32_t v;
	} cases[] = {
		{ "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0, 0 },
		{ "some avg10=12.34 avg60=1.00 avg300=0.00 total=99\nfull avg10=99.00 ", 0, 1234 },
		{ "some avg10=100.00 avg60=0.00", 0, 10000 },
		{ "some avg10=100.01 avg60=0.00", -EINVAL, 0 },
		{ "some avg10=999.99 avg60=0.00", -EINVAL, 0 },
		{ "some avg10=1000.00 avg60=0.00", -EINVAL, 0 },
		{ "some avg10=12.3 avg60=0.00", -EINVAL, 0 },
		{ "some avg10=12.345 avg60=0.00", -EINVAL, 0 },
		{ "some avg10=12.34", -EINVAL, 0 },
		{ "some avg10=.34 ", -EINVAL, 0 },
		{ "some avg10=-1.00 ", -EINVAL, 0 },
		{ "some avg10=", -EINVAL, 0 },
		{ "full avg10=12.34 avg60=0.00", -EINVAL, 0 },
		{ " some avg10=12.34 ", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < rk_countof(cases); i++) {
		uint32_t v = 4711;
		struct rk_err err;
		int r = rk_brake_parse(cases[i].text, strlen(cases[i].text), &v, &err);

		ck_assert_msg(r == cases[i].r, "'%s' gives %d", cases[i].text, r);
		ck_assert_uint_eq(v, r ? 4711 : cases[i].v);
	}
}
END_TEST

START_TEST(a_text_cut_anywhere_is_refused_or_whole)
{
	static const char text[] = "some avg10=12.34 avg60=0.00 avg300=0.00 total=0\n";

	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len + 1); /* so that ASan sees a read beyond it */
		uint32_t v = 0;
		int r;

		memcpy(copy, text, len);
		r = rk_brake_parse(copy, len, &v, NULL);
		ck_assert_int_eq(r, len < strlen("some avg10=12.34 ") ? -EINVAL : 0);
		ck_assert_uint_eq(v, r ? 0 : 1234);
		free(copy);
	}
}
END_TEST

START_TEST(a_lone_death_is_never_delayed)
{
	struct rk_brake b = { 0 };
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	uint64_t now_ns = T0;

	for (int i = 0; i < 1000; i++) {
		now_ns += S + rk_rand_below(&random, 100 * S);
		rk_brake_on_pressure(&b, (enum rk_brake_kind)rk_rand_below(&random, 3), 10000,
				     now_ns);
		ck_assert_msg(restart(&b, now_ns) == 0, "seed %d: restart %d", _i, i);
	}
}
END_TEST

START_TEST(a_few_restarts_a_second_are_no_storm_even_under_pressure)
{
	struct rk_brake b = { 0 };

	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t now_ns = T0 + i * S / (RK_BRAKE_FREE - 1);

		rk_brake_on_pressure(&b, RK_BRAKE_CPU, 10000, now_ns);
		ck_assert_msg(restart(&b, now_ns) == 0, "restart %lu", (unsigned long)i);
	}
}
END_TEST

/* The time until the last of n workers that die at once has started. */
static uint64_t storm_ns(uint32_t n, uint32_t pressure)
{
	struct rk_brake b = { 0 };
	uint64_t last_ns = 0, before_ns = 0;

	rk_brake_on_pressure(&b, RK_BRAKE_IO, pressure, T0);
	for (uint32_t i = 0; i < n; i++) {
		last_ns = restart(&b, T0 + i * 10);
		ck_assert_uint_ge(last_ns, before_ns);
		ck_assert_uint_le(last_ns, RK_BRAKE_WAIT_MAX_NS);
		before_ns = last_ns;
	}
	return last_ns;
}

START_TEST(a_storm_becomes_a_queue_the_longer_the_shorter_the_machine_is)
{
	ck_assert_uint_eq(storm_ns(RK_BRAKE_FREE, 10000), 0);
	ck_assert_uint_le(storm_ns(200, 0), S / 2);
	ck_assert_uint_ge(storm_ns(200, 5000), 4 * S);
	ck_assert_uint_ge(storm_ns(200, 10000), 9 * S);
	ck_assert_uint_eq(storm_ns(4096, 10000), RK_BRAKE_WAIT_MAX_NS);
	for (uint32_t p = 0; p < 10000; p += 500)
		ck_assert_uint_lt(storm_ns(100, p), storm_ns(100, p + 500));
}
END_TEST

START_TEST(pressure_read_long_ago_counts_as_none)
{
	struct rk_brake b = { 0 };
	enum rk_brake_kind kind;

	ck_assert_uint_eq(rk_brake_pressure(&b, T0, &kind), 0);
	rk_brake_on_pressure(&b, RK_BRAKE_CPU, 3000, T0);
	rk_brake_on_pressure(&b, RK_BRAKE_MEMORY, 20000, T0 + S);
	rk_brake_on_pressure(&b, RK_BRAKE_KINDS, 1, T0 + S);
	ck_assert_uint_eq(rk_brake_pressure(&b, T0 + S, &kind), 10000);
	ck_assert_str_eq(rk_brake_kind_name(kind), "memory");
	ck_assert(rk_brake_is_memory_short(&b, T0 + S));
	ck_assert(!rk_brake_is_memory_short(&b, T0 + 7 * S));
	ck_assert_uint_eq(rk_brake_pressure(&b, T0 + 7 * S, &kind), 0);
	ck_assert_str_eq(rk_brake_kind_name(RK_BRAKE_KINDS), "?");
}
END_TEST

START_TEST(the_last_second_is_counted_to_a_sixteenth)
{
	struct rk_brake b = { 0 };
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	uint64_t at_ns[2000], now_ns = T0;

	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t least = 0, most = 0, n = rk_brake_n_restarts(&b, now_ns);

		for (uint32_t k = 0; k < i; k++) {
			least += now_ns - at_ns[k] < S - S / 16;
			most += now_ns - at_ns[k] < S;
		}
		ck_assert_msg(n >= least && n <= most, "seed %d: %u, not %u to %u", _i, n, least,
			      most);
		at_ns[i] = now_ns;
		rk_brake_on_restart(&b, now_ns);
		now_ns += rk_rand_below(&random, rk_rand_below(&random, 50) ? S / 100 : 3 * S);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("brake");

	tcase_add_test(c, the_kernels_text_is_read_and_no_other);
	tcase_add_test(c, a_text_cut_anywhere_is_refused_or_whole);
	tcase_add_loop_test(c, a_lone_death_is_never_delayed, 0, 5);
	tcase_add_test(c, a_few_restarts_a_second_are_no_storm_even_under_pressure);
	tcase_add_test(c, a_storm_becomes_a_queue_the_longer_the_shorter_the_machine_is);
	tcase_add_test(c, pressure_read_long_ago_counts_as_none);
	tcase_add_loop_test(c, the_last_second_is_counted_to_a_sixteenth, 0, 5);
	return unit_run(c);
}
