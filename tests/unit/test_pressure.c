/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The "full" total is read out of a pressure file and nothing else is taken for one; a
 *         tenth of the time since the last look counts as pressure, an answer stands for a while,
 *         and a machine without PSI is never pressed.
 * Method  Texts as kernels print them; pressure files of our own, with times of our own.
 */
#include "supervisor/pressure.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define TEXT(full)                                                                                            \
	"some avg10=1.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=" full \
	"\n"

static const struct {
	const char *text;
	int r;
	uint64_t us;
} texts[] = {
	{ TEXT("123456"), 0, 123456 },
	{ TEXT("18446744073709551615"), 0, UINT64_MAX },
	{ "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n", -EPROTO, 1 },
	{ "full avg10=0.00\n", -EPROTO, 1 },
	{ TEXT("x"), -EPROTO, 1 },
	{ "", -EPROTO, 1 },
};

START_TEST(the_full_total_is_found_or_nothing_is)
{
	uint64_t us = 1;

	ck_assert_int_eq(rk_pressure_parse(texts[_i].text, &us), texts[_i].r);
	ck_assert_uint_eq(us, texts[_i].us);
}
END_TEST

static void say(int fd, uint64_t us)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "full avg10=0.00 total=%llu\n",
			 (unsigned long long)us);

	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(pwrite(fd, text, (size_t)n, 0), n);
}

START_TEST(a_tenth_of_the_time_is_pressure_of_either_kind)
{
	struct rk_pressure p = { .fd = { memfd_create("memory", 0), memfd_create("io", 0) } };
	uint64_t now_ns = RK_NS_PER_S;

	say(p.fd[0], 5000000);
	say(p.fd[1], 0);
	ck_assert(!rk_pressure_is_high(&p, now_ns)); /* nothing to compare with */
	say(p.fd[_i], (_i ? 0 : 5000000) + 99999);
	ck_assert(!rk_pressure_is_high(&p, now_ns += RK_NS_PER_S));
	say(p.fd[_i], (_i ? 0 : 5000000) + 200000);
	ck_assert(!rk_pressure_is_high(&p, now_ns + RK_PRESSURE_AGE_NS -
						   1)); /* the old answer stands */
	ck_assert(rk_pressure_is_high(&p, now_ns += RK_NS_PER_S));
	ck_assert(!rk_pressure_is_high(&p, now_ns += RK_NS_PER_S));
	say(p.fd[_i], 1); /* backwards */
	ck_assert(!rk_pressure_is_high(&p, now_ns + RK_NS_PER_S));
	rk_pressure_close(&p);
}
END_TEST

START_TEST(a_machine_without_psi_is_never_pressed)
{
	struct rk_pressure p = { .fd = { -1, -1 } };

	for (uint64_t i = 1; i < 5; i++)
		ck_assert(!rk_pressure_is_high(&p, i * RK_NS_PER_S));
	rk_pressure_close(&p);
}
END_TEST

START_TEST(this_machines_files_are_understood_if_it_has_them)
{
	struct rk_pressure p;

	rk_pressure_open(&p);
	(void)rk_pressure_is_high(&p, 1);
	(void)rk_pressure_is_high(&p, RK_NS_PER_S);
	rk_pressure_close(&p);
	ck_assert_int_eq(p.fd[0], -1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("pressure");

	tcase_add_loop_test(c, the_full_total_is_found_or_nothing_is, 0, (int)rk_countof(texts));
	tcase_add_loop_test(c, a_tenth_of_the_time_is_pressure_of_either_kind, 0,
			    RK_PRESSURE_KINDS);
	tcase_add_test(c, a_machine_without_psi_is_never_pressed);
	tcase_add_test(c, this_machines_files_are_understood_if_it_has_them);
	return unit_run(c);
}
