/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Lone restarts wait for nothing and read nothing; a storm's wait grows with each, and the
 *         machine is asked once a second at most.
 * Method  Times are arguments; the kernel's files are whatever this machine has, or text of our
 * own.
 */
#include "supervisor/storm.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/unit.h"

#define T0 (1000 * RK_NS_PER_S)

START_TEST(lone_restarts_read_nothing_and_wait_for_nothing)
{
	struct rk_storm p;

	rk_storm_open(&p);
	for (uint64_t i = 0; i < 100; i++)
		ck_assert_uint_eq(rk_storm_on_restart(&p, T0 + i * RK_NS_PER_S), 0);
	ck_assert_uint_eq(p.read_ns, 0);
	rk_storm_close(&p);
}
END_TEST

START_TEST(each_restart_of_a_storm_waits_longer)
{
	struct rk_storm p;
	uint64_t last_ns = 0;

	rk_storm_open(&p);
	for (uint32_t i = 0; i < 200; i++) {
		uint64_t wait_ns = rk_storm_on_restart(&p, T0 + i);

		ck_assert(i < RK_BRAKE_FREE ? wait_ns == 0
					    : wait_ns > last_ns || wait_ns == RK_BRAKE_WAIT_MAX_NS);
		last_ns = wait_ns;
	}
	ck_assert_uint_eq(p.read_ns, T0 + RK_BRAKE_FREE); /* and once was enough */
	rk_storm_close(&p);
}
END_TEST

START_TEST(a_short_machine_brakes_harder_and_garbage_is_no_pressure)
{
	static const char text[] = "some avg10=80.00 avg60=1.00 avg300=0.50 total=99\n";
	rk_cleanup(rk_close_p) int fd = memfd_create("pressure", MFD_CLOEXEC);
	struct rk_storm p = { .fd = { -1, fd, -1 } };
	enum rk_brake_kind kind;

	ck_assert_int_eq(write(fd, "nonsense\n", 9), 9);
	rk_storm_refresh(&p, T0);
	ck_assert_uint_eq(rk_brake_pressure(&p.brake, T0, &kind), 0);
	ck_assert_int_eq(pwrite(fd, text, strlen(text), 0), (int)strlen(text));
	rk_storm_refresh(&p, T0 + RK_NS_PER_S / 2); /* too early to look again */
	ck_assert_uint_eq(rk_brake_pressure(&p.brake, T0, &kind), 0);
	rk_storm_refresh(&p, T0 + RK_NS_PER_S);
	ck_assert_uint_eq(rk_brake_pressure(&p.brake, T0 + RK_NS_PER_S, &kind), 8000);
	ck_assert_int_eq(kind, RK_BRAKE_MEMORY);
}
END_TEST

START_TEST(a_kernel_without_the_files_brakes_by_numbers_alone)
{
	struct rk_storm p = { .fd = { -1, -1, -1 } };

	for (uint32_t i = 0; i < RK_BRAKE_FREE; i++)
		ck_assert_uint_eq(rk_storm_on_restart(&p, T0), 0);
	ck_assert_uint_gt(rk_storm_on_restart(&p, T0), 0);
}
END_TEST

START_TEST(kills_for_want_of_memory_are_read_once_for_many)
{
	struct rk_storm p = { .fd = { -1, -1, -1 } };
	uint64_t n = rk_storm_oom_kills(&p, T0);

	ck_assert_uint_lt(n, UINT64_MAX); /* this kernel counts them */
	p.n_oom_kills = n + 1000;
	ck_assert_uint_eq(rk_storm_oom_kills(&p, T0 + 19 * RK_NS_PER_MS), n + 1000);
	ck_assert_uint_lt(rk_storm_oom_kills(&p, T0 + 20 * RK_NS_PER_MS), n + 1000);
	p.n_oom_kills = n + 1000;
	rk_storm_oom_forget(&p);
	ck_assert_uint_lt(rk_storm_oom_kills(&p, T0 + 21 * RK_NS_PER_MS), n + 1000);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("storm");

	tcase_add_test(c, lone_restarts_read_nothing_and_wait_for_nothing);
	tcase_add_test(c, each_restart_of_a_storm_waits_longer);
	tcase_add_test(c, a_short_machine_brakes_harder_and_garbage_is_no_pressure);
	tcase_add_test(c, a_kernel_without_the_files_brakes_by_numbers_alone);
	tcase_add_test(c, kills_for_want_of_memory_are_read_once_for_many);
	return unit_run(c);
}
