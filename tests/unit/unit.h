/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a unit test: one libcheck case, run and turned into an exit status. Every test
 * runs in its own process; what is printed, and whether it is TAP, the environment says.
 */
#ifndef RK_TESTS_UNIT_UNIT_H
#define RK_TESTS_UNIT_UNIT_H

#include <check.h>
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>

static inline TCase *unit_case(const char *name)
{
	return tcase_create(name);
}

/* Descriptors that are open here, always by the same number too many. */
static inline uint32_t unit_n_fds(void)
{
	DIR *all = opendir("/proc/self/fd");
	uint32_t n = 0;

	ck_assert_ptr_nonnull(all);
	while (readdir(all))
		n++;
	ck_assert_int_eq(closedir(all), 0);
	return n;
}

/* Runs the case and returns main()'s exit status. */
static inline int unit_run(TCase *c)
{
	Suite *s = suite_create("unit");
	SRunner *runner;
	int n_failed;

	suite_add_tcase(s, c);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
