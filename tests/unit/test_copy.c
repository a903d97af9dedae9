/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What is copied in comes out again, at any length and private alignment, and neither
 *         copy touches a byte beyond the length rounded up to 8.
 * Method  Every length from 0 to 200 and every alignment of the private side, between canaries
 *         and, at the end of a mapping, before an inaccessible page.
 */
#include "shm/copy.h"

#include <check.h>
#include <sys/mman.h>

#include "tests/unit/unit.h"

#define PAGE 4096

START_TEST(what_goes_in_comes_out_and_nothing_beyond_is_touched)
{
	size_t len = (size_t)_i, whole = (len + 7) & ~7ul;
	_Alignas(8) char shared[256];
	char from[256], to[256];

	for (size_t align = 0; align < 8; align++) {
		memset(shared, 0x5a, sizeof(shared));
		memset(to, 0x33, sizeof(to));
		for (size_t i = 0; i < sizeof(from); i++)
			from[i] = (char)(i * 13 + 1);
		rk_copy_in(shared, from + align, len);
		for (size_t i = whole; i < sizeof(shared); i++)
			ck_assert_int_eq(shared[i], 0x5a);
		for (size_t i = len; i < whole; i++)
			ck_assert_int_eq(shared[i], 0); /* nothing of the neighbour leaks */
		rk_copy_out(to + align, shared, len);
		ck_assert(memcmp(to + align, from + align, len) == 0);
		for (size_t i = 0; i < sizeof(to); i++)
			if (i < align || i >= align + len)
				ck_assert_int_eq(to[i], 0x33);
	}
}
END_TEST

START_TEST(the_end_of_the_mapping_is_not_crossed)
{
	size_t len = (size_t)_i;
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char bytes[256] = "x";

	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(mprotect(map + PAGE, PAGE, PROT_NONE), 0);
	rk_copy_in(map + PAGE - ((len + 7) & ~7ul), bytes, len);
	rk_copy_out(bytes, map + PAGE - ((len + 7) & ~7ul), len);
	ck_assert_int_eq(munmap(map, 2 * PAGE), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("copy");

	tcase_add_loop_test(c, what_goes_in_comes_out_and_nothing_beyond_is_touched, 0, 201);
	tcase_add_loop_test(c, the_end_of_the_mapping_is_not_crossed, 0, 201);
	return unit_run(c);
}
