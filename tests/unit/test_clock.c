/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the monotonic clock is the machine's, in nanoseconds, and never goes back.
 * Method  readings of the kernel's clock before and after must enclose ours.
 */
#include "base/clock.h"

#include <check.h>
#include <time.h>

#include "tests/unit/unit.h"

static uint64_t kernel_ns(clockid_t id)
{
	struct timespec ts;

	ck_assert_int_eq(clock_gettime(id, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

START_TEST(every_clock_stands_between_two_readings_of_the_kernels)
{
	uint64_t before = kernel_ns(CLOCK_MONOTONIC), now = rk_clock_ns();

	ck_assert_uint_ge(now, before);
	ck_assert_uint_le(now, kernel_ns(CLOCK_MONOTONIC));
	before = kernel_ns(CLOCK_BOOTTIME);
	now = rk_clock_boot_ns();
	ck_assert_uint_ge(now, before);
	ck_assert_uint_le(now, kernel_ns(CLOCK_BOOTTIME));
	before = kernel_ns(CLOCK_REALTIME);
	now = rk_clock_wall_ns();
	ck_assert_uint_ge(now + RK_NS_PER_S, before); /* somebody may set this one */
	ck_assert_uint_le(now, kernel_ns(CLOCK_REALTIME) + RK_NS_PER_S);
}
END_TEST

START_TEST(monotonic_time_never_goes_back)
{
	uint64_t last = rk_clock_ns();

	for (int i = 0; i < 100000; i++) {
		uint64_t now = rk_clock_ns();

		ck_assert_uint_ge(now, last);
		last = now;
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("clock");

	tcase_add_test(c, every_clock_stands_between_two_readings_of_the_kernels);
	tcase_add_test(c, monotonic_time_never_goes_back);
	return unit_run(c);
}
