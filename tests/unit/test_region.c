/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A created segment passes its check and is of fixed size; a descriptor that is
 *         anything else is refused with a sentence that says what is wrong; a mapping is not
 *         inherited by a fork and lies where it was told to or nowhere.
 * Method  One table of wrong descriptors, each made wrong in one way.
 */
#include "shm/region.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

#define LEN 8192u

static const uint64_t fleet[2] = { 0x1111, 0x2222 };

static int segment(void)
{
	struct rk_err err = { 0 };
	int fd;

	ck_assert_msg(rk_region_create(RK_SEGMENT_CALLS, LEN, fleet, &fd, &err) == 0, "%s", err.text);
	return fd;
}

START_TEST(a_created_segment_passes_its_check)
{
	rk_cleanup(rk_close_p) int fd = segment();
	struct rk_segment head;
	struct rk_err err = { 0 };

	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(rk_region_check(fd, RK_SEGMENT_CALLS, fleet, LEN, &head, &err), 0);
	ck_assert_uint_eq(head.size, LEN);
	ck_assert_uint_eq(head.abi, RK_ABI_VERSION);
	ck_assert_int_eq(rk_region_check(fd, RK_SEGMENT_CALLS, NULL, 0, &head, &err), 0);
	ck_assert_uint_eq(head.fleet[1], 0x2222);
}
END_TEST

START_TEST(its_size_is_sealed)
{
	rk_cleanup(rk_close_p) int fd = segment();

	ck_assert_int_eq(ftruncate(fd, LEN - 4096), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(fd, LEN + 4096), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

/* ---- wrong descriptors ---- */

enum seals { NO_SEALS, SHRINK, GROW, BOTH };

static const struct {
	const char *what;
	size_t size; /* of the file */
	enum seals seals;
	size_t field; /* of the head that is wrong */
	uint64_t value;
	size_t value_len; /* 0: the head is right */
	const char *says;
} wrong[] = {
#define HEAD(member) offsetof(struct rk_segment, member), 0
#define WRONG(member, value) offsetof(struct rk_segment, member), value, sizeof(((struct rk_segment *)0)->member)
	{ "unsealed", LEN, NO_SEALS, HEAD(magic), 0, "sealed" },
	{ "may grow", LEN, SHRINK, HEAD(magic), 0, "sealed" },
	{ "may shrink", LEN, GROW, HEAD(magic), 0, "sealed" },
	{ "empty", 0, BOTH, HEAD(magic), 0, "too short" },
	{ "shorter than a head", 63, BOTH, HEAD(magic), 0, "too short" },
	{ "a head only", 64, BOTH, HEAD(magic), 0, "64 bytes" },
	{ "shrunk before it was sealed", LEN - 1, BOTH, HEAD(magic), 0, "8191 bytes" },
	{ "longer than it says", LEN + 1, BOTH, HEAD(magic), 0, "8193 bytes" },
	{ "not ours", LEN, BOTH, WRONG(magic, 0x464c457f), "not made by rekindle" },
	{ "all zero magic", LEN, BOTH, WRONG(magic, 0), "not made by rekindle" },
	{ "an older version", LEN, BOTH, WRONG(abi, RK_ABI_VERSION - 1), "ABI 1" },
	{ "a newer version", LEN, BOTH, WRONG(abi, RK_ABI_VERSION + 1), "ABI 3" },
	{ "another kind", LEN, BOTH, WRONG(kind, RK_SEGMENT_STATE), "another kind" },
	{ "no kind", LEN, BOTH, WRONG(kind, 0), "another kind" },
	{ "size says zero", LEN, BOTH, WRONG(size, 0), "its head says 0" },
	{ "size says too much", LEN, BOTH, WRONG(size, ~0ull), "its head says" },
	{ "another fleet", LEN, BOTH, offsetof(struct rk_segment, fleet), 0x1112, 8, "another fleet" },
	{ "another fleet's second half", LEN, BOTH, offsetof(struct rk_segment, fleet) + 8, 0, 8, "another fleet" },
};

static int wrong_segment(int i)
{
	static const int seals[] = { 0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_GROW };
	struct rk_segment head = { .magic = RK_MAGIC, .abi = RK_ABI_VERSION, .kind = RK_SEGMENT_CALLS, .size = LEN,
				   .fleet = { fleet[0], fleet[1] } };
	int fd = memfd_create("wrong", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	memcpy((char *)&head + wrong[i].field, &wrong[i].value, wrong[i].value_len);
	ck_assert_int_eq(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	ck_assert_int_eq(ftruncate(fd, (off_t)wrong[i].size), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals[wrong[i].seals]), 0);
	return fd;
}

START_TEST(a_wrong_segment_is_refused_with_a_sentence)
{
	rk_cleanup(rk_close_p) int fd = wrong_segment(_i);
	struct rk_segment head = { .size = 99 };
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_region_check(fd, RK_SEGMENT_CALLS, fleet, LEN, &head, &err), -EPROTO);
	ck_assert_msg(strstr(err.text, wrong[_i].says) != NULL, "%s: %s", wrong[_i].what, err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "segment calls"));
	ck_assert_uint_eq(head.size, 99); /* nothing of it was handed out */
}
END_TEST

START_TEST(a_segment_shorter_than_needed_is_refused)
{
	rk_cleanup(rk_close_p) int fd = segment();
	struct rk_segment head;
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_region_check(fd, RK_SEGMENT_CALLS, fleet, LEN + 1, &head, &err), -EPROTO);
	ck_assert_ptr_nonnull(strstr(err.text, "needed are 8193"));
}
END_TEST

static const char *const others[] = { "/dev/null", "/proc/self/exe", "/" };

START_TEST(a_descriptor_that_is_no_memfd_is_refused)
{
	rk_cleanup(rk_close_p) int fd = open(others[_i], O_RDONLY | O_CLOEXEC);
	struct rk_segment head;
	struct rk_err err = { 0 };

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(rk_region_check(fd, RK_SEGMENT_CALLS, fleet, 0, &head, &err), -EPROTO);
	ck_assert_int_eq(rk_region_check(-1, RK_SEGMENT_CALLS, fleet, 0, &head, &err), -EPROTO);
	ck_assert_ptr_nonnull(strstr(err.text, "not a sealed memfd"));
}
END_TEST

/* ---- mapping ---- */

START_TEST(two_mappings_share_their_bytes_and_offsets_are_kept)
{
	rk_cleanup(rk_close_p) int fd = segment();
	struct rk_err err = { 0 };
	void *whole, *second;

	ck_assert_int_eq(rk_region_map(fd, 0, LEN, true, NULL, &whole, &err), 0);
	ck_assert_int_eq(rk_region_map(fd, 4096, 4096, false, NULL, &second, &err), 0);
	((char *)whole)[4096] = 'x';
	ck_assert_int_eq(*(char *)second, 'x');
	rk_region_unmap(second, 4096);
	rk_region_unmap(whole, LEN);
	rk_region_unmap(NULL, LEN);
}
END_TEST

START_TEST(a_fixed_address_is_kept_and_never_taken_from_somebody)
{
	rk_cleanup(rk_close_p) int fd = segment();
	struct rk_err err = { 0 };
	void *at, *again;

	ck_assert_int_eq(rk_region_map(fd, 0, LEN, true, NULL, &at, &err), 0);
	((char *)at)[100] = 'x';
	ck_assert_int_eq(rk_region_map(fd, 0, LEN, true, at, &again, &err), -EEXIST);
	ck_assert_int_eq(((char *)at)[100], 'x');
	rk_region_unmap(at, LEN);
	ck_assert_int_eq(rk_region_map(fd, 0, LEN, true, at, &again, &err), 0);
	ck_assert_ptr_eq(again, at);
	rk_region_unmap(at, LEN);
}
END_TEST

START_TEST(a_forked_child_has_no_mapping)
{
	rk_cleanup(rk_close_p) int fd = segment();
	struct rk_err err = { 0 };
	void *at;
	int status;
	pid_t pid;

	ck_assert_int_eq(rk_region_map(fd, 0, LEN, true, NULL, &at, &err), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		unsigned char there;

		_exit(mincore(at, 4096, &there) < 0 && errno == ENOMEM ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	rk_region_unmap(at, LEN);
}
END_TEST

START_TEST(a_read_only_reopen_cannot_be_mapped_for_writing)
{
	rk_cleanup(rk_close_p) int fd = segment();
	rk_cleanup(rk_close_p) int ro = rk_region_reopen_readonly(fd);
	struct rk_segment head;
	struct rk_err err = { 0 };
	void *at;

	ck_assert_int_ge(ro, 0);
	ck_assert_int_eq(fcntl(ro, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(rk_region_check(ro, RK_SEGMENT_CALLS, fleet, LEN, &head, &err), 0);
	ck_assert_int_eq(rk_region_map(ro, 0, LEN, true, NULL, &at, &err), -EACCES);
	ck_assert_int_eq(rk_region_map(ro, 0, LEN, false, NULL, &at, &err), 0);
	rk_region_unmap(at, LEN);
	ck_assert_int_lt(rk_region_reopen_readonly(-1), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("region");

	tcase_add_test(c, a_created_segment_passes_its_check);
	tcase_add_test(c, its_size_is_sealed);
	tcase_add_loop_test(c, a_wrong_segment_is_refused_with_a_sentence, 0, rk_countof(wrong));
	tcase_add_test(c, a_segment_shorter_than_needed_is_refused);
	tcase_add_loop_test(c, a_descriptor_that_is_no_memfd_is_refused, 0, rk_countof(others));
	tcase_add_test(c, two_mappings_share_their_bytes_and_offsets_are_kept);
	tcase_add_test(c, a_fixed_address_is_kept_and_never_taken_from_somebody);
	tcase_add_test(c, a_forked_child_has_no_mapping);
	tcase_add_test(c, a_read_only_reopen_cannot_be_mapped_for_writing);
	return unit_run(c);
}
