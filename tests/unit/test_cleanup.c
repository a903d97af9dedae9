/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a resource is released once, by whoever owns it last, and errno survives.
 * Method  pipes and heap memory in nested scopes; fcntl tells whether a descriptor is open.
 */
#include "base/cleanup.h"

#include <check.h>
#include <fcntl.h>

#include "tests/unit/unit.h"

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(leaving_the_scope_closes_and_keeps_errno)
{
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	{
		rk_cleanup(rk_close_p) int fd = p[0];
		rk_cleanup(rk_close_p) int bad = 1 << 20; /* close() will set EBADF */

		ck_assert(is_open(fd));
		(void)bad;
		errno = ENOENT;
	}
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(!is_open(p[0]));
	ck_assert(is_open(p[1]));
}
END_TEST

START_TEST(a_taken_descriptor_stays_open)
{
	int p[2], taken;

	ck_assert_int_eq(pipe(p), 0);
	{
		rk_cleanup(rk_close_p) int fd = p[0];

		taken = rk_take_fd(&fd);
		ck_assert_int_eq(fd, -1);
	}
	ck_assert_int_eq(taken, p[0]);
	ck_assert(is_open(p[0]));
}
END_TEST

START_TEST(taken_memory_stays_and_the_owner_is_empty)
{
	char *taken;
	{
		rk_cleanup(rk_free_p) char *mem = strdup("kept");
		rk_cleanup(rk_free_p) char *none = NULL;

		taken = rk_take_ptr(&mem);
		ck_assert_ptr_null(mem);
		ck_assert_ptr_null(none);
	}
	ck_assert_str_eq(taken, "kept");
	free(taken);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("cleanup");

	tcase_add_test(c, leaving_the_scope_closes_and_keeps_errno);
	tcase_add_test(c, a_taken_descriptor_stays_open);
	tcase_add_test(c, taken_memory_stays_and_the_owner_is_empty);
	return unit_run(c);
}
