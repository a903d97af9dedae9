/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A successor maps a dead supervisor's memory if it is the very memory that was made, whole and
 *         of this boot, and finds in it what was left there; else it refuses by name, changes nothing
 *         and keeps nothing open.
 * Method  A real fleet's segments, adopted through copies of their descriptors, with one thing of them
 *         replaced or overwritten.
 */
#include "supervisor/segments.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/part.h"
#include "shm/region.h"
#include "shm/words.h"
#include "tests/unit/unit.h"

/* One test per process. */
static struct rk_segments made;
static struct rk_err err;
static int fd[RK_SEGMENT_KINDS]; /* as keeper hands them over */

static struct rk_geometry small(void)
{
	struct rk_geometry g;

	rk_geometry_default(&g);
	g.n_partitions = 4;
	g.n_clients = 3;
	g.n_workers = 2;
	return g;
}

static void setup(void)
{
	struct rk_geometry g = small();

	ck_assert_msg(rk_segments_create(&made, &g, &err) == 0, "%s", err.text);
	fd[0] = -1;
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		fd[k] = fcntl(made.fd[k], F_DUPFD_CLOEXEC, 0);
		ck_assert_int_ge(fd[k], 0);
	}
}

static void teardown(void)
{
	rk_segments_close(&made);
}

static void expect_refused(const char *says)
{
	struct rk_segments s;
	uint32_t n_before = unit_n_fds(), n_given = 0;

	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		n_given += fd[k] >= 0;
	err = (struct rk_err){ 0 };
	ck_assert_int_eq(rk_segments_adopt(&s, fd, &err), -EPROTO);
	ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
	ck_assert_uint_eq(unit_n_fds(), n_before - n_given); /* they were taken over in any case */
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		ck_assert_int_eq(fd[k], -1);
	ck_assert_ptr_null(s.m.board);
	ck_assert_ptr_null(s.m.journal);
	rk_segments_close(&s); /* an empty one */
}

START_TEST(a_successor_finds_all_that_was_left_in_it)
{
	struct rk_segments s;

	ck_assert_int_gt(rk_part_assign(&made.m, 3, 1), 0);
	made.m.journal->last_client_id = 77;
	atomic_store(&rk_shm_client_ids(&made.m)[2], 76);
	ck_assert_msg(rk_segments_adopt(&s, fd, &err) == 0, "%s", err.text);
	ck_assert_mem_eq(&s.m.g, &made.m.g, sizeof(s.m.g)); /* the hash seed, too */
	ck_assert_mem_eq(&s.m.l, &made.m.l, sizeof(s.m.l));
	ck_assert_mem_eq(s.fleet, made.fleet, sizeof(s.fleet));
	ck_assert_uint_eq(rk_owner_worker(atomic_load(&rk_shm_part(&s.m, 3)->owner)), 1);
	ck_assert_uint_eq(atomic_load(&s.m.journal->last_client_id), 77);
	ck_assert_uint_eq(atomic_load(&rk_shm_client_ids(&s.m)[2]), 76);
	/* It is the same memory, in both directions. */
	atomic_store(&s.m.journal->last_client_id, 78);
	ck_assert_uint_eq(atomic_load(&made.m.journal->last_client_id), 78);
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		ck_assert_int_eq(s.fd_read[k] >= 0, made.fd_read[k] >= 0);
	/* And so for the next one, from what this one has. */
	rk_segments_close(&made);
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		fd[k] = fcntl(s.fd[k], F_DUPFD_CLOEXEC, 0);
	rk_segments_close(&s);
	ck_assert_msg(rk_segments_adopt(&s, fd, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(atomic_load(&s.m.journal->last_client_id), 78);
	rk_segments_close(&s);
}
END_TEST

/* The loops below run for each kind of segment. */
static enum rk_segment_kind kind_of(int i)
{
	return (enum rk_segment_kind)(i + 1);
}

static void replace(enum rk_segment_kind kind, int by)
{
	(void)close(fd[kind]);
	fd[kind] = by;
}

START_TEST(one_that_is_missing_is_refused)
{
	replace(kind_of(_i), -1);
	expect_refused(rk_segment_name(kind_of(_i)));
}
END_TEST

START_TEST(memory_that_can_shrink_is_refused)
{
	enum rk_segment_kind kind = kind_of(_i);
	off_t len = (off_t)rk_layout_segment_len(&made.m.l, kind);
	int other = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char page[4096];

	/* Its head is right, and its size. */
	ck_assert_int_eq(ftruncate(other, len), 0);
	ck_assert_int_eq(pread(fd[kind], page, sizeof(page), 0), (ssize_t)sizeof(page));
	ck_assert_int_eq(pwrite(other, page, sizeof(page), 0), (ssize_t)sizeof(page));
	replace(kind, other);
	expect_refused("not a sealed memfd");
}
END_TEST

START_TEST(memory_that_has_shrunk_is_refused)
{
	enum rk_segment_kind kind = kind_of(_i);
	int other = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char head[sizeof(struct rk_segment)];
	off_t len = _i % 2 ? (off_t)sizeof(head) : (off_t)sizeof(head) - 1;

	ck_assert_int_eq(pread(fd[kind], head, sizeof(head), 0), (ssize_t)sizeof(head));
	ck_assert_int_eq(write(other, head, (size_t)len), len);
	ck_assert_int_eq(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	replace(kind, other);
	expect_refused(rk_segment_name(kind));
}
END_TEST

START_TEST(a_segment_in_another_one_s_place_is_refused)
{
	enum rk_segment_kind kind = kind_of(_i), other = kind == RK_SEGMENT_DEAD ? RK_SEGMENT_PARTS : RK_SEGMENT_DEAD;

	replace(kind, fcntl(made.fd[other], F_DUPFD_CLOEXEC, 0));
	expect_refused("another kind of segment");
}
END_TEST

START_TEST(another_fleet_s_segment_is_refused)
{
	enum rk_segment_kind kind = kind_of(_i);
	struct rk_geometry g = small();
	struct rk_segments other;

	ck_assert_int_eq(rk_segments_create(&other, &g, &err), 0);
	replace(kind, fcntl(other.fd[kind], F_DUPFD_CLOEXEC, 0));
	/* Whose fleet it is the board says. */
	expect_refused(kind == RK_SEGMENT_BOARD ? "belongs to another fleet" : rk_segment_name(kind));
	rk_segments_close(&other);
}
END_TEST

/* Somebody made it like the one that was held; it is another piece of memory all the same. */
START_TEST(a_copy_is_refused_by_its_inode)
{
	enum rk_segment_kind kind = kind_of(_i);
	uint64_t len = rk_layout_segment_len(&made.m.l, kind);
	char page[4096];
	int copy;

	ck_assert_int_eq(rk_region_create(kind, len, made.fleet, &copy, &err), 0);
	for (uint64_t at = 0; at < len && kind != RK_SEGMENT_STATE; at += sizeof(page)) {
		ssize_t n = pread(fd[kind], page, sizeof(page), (off_t)at);

		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(pwrite(copy, page, (size_t)n, (off_t)at), n);
	}
	replace(kind, copy);
	expect_refused("is not the one that the journal names");
}
END_TEST

static void overwrite(enum rk_segment_kind kind, size_t at, const void *bytes, size_t len)
{
	ck_assert_int_eq(pwrite(fd[kind], bytes, len, (off_t)at), (ssize_t)len);
}

START_TEST(another_abi_is_refused_by_name)
{
	uint32_t abi = RK_ABI_VERSION + 1;

	overwrite(kind_of(_i), offsetof(struct rk_segment, abi), &abi, sizeof(abi));
	expect_refused("use programs and library of one release");
}
END_TEST

START_TEST(another_layout_of_the_journal_is_refused)
{
	uint32_t layout = _i ? 0 : RK_JOURNAL_LAYOUT + 1;

	overwrite(RK_SEGMENT_JOURNAL, offsetof(struct rk_journal, layout), &layout, sizeof(layout));
	expect_refused("its journal has layout");
}
END_TEST

START_TEST(memory_from_before_the_boot_is_refused)
{
	uint8_t boot[16] = { 1 };

	overwrite(RK_SEGMENT_BOARD, offsetof(struct rk_board, boot_id), boot, sizeof(boot));
	expect_refused("from before the last boot");
}
END_TEST

static const struct {
	size_t at;
	uint32_t value;
} geometries[] = {
	{ offsetof(struct rk_geometry, n_partitions), 0 },
	{ offsetof(struct rk_geometry, n_partitions), 3 },          /* no power of two */
	{ offsetof(struct rk_geometry, n_partitions), 8 },          /* would be read behind the end */
	{ offsetof(struct rk_geometry, n_partitions), UINT32_MAX },
	{ offsetof(struct rk_geometry, n_workers), UINT32_MAX },
	{ offsetof(struct rk_geometry, n_workers), 3 },
	{ offsetof(struct rk_geometry, n_clients), 2 },
	{ offsetof(struct rk_geometry, n_readers), 0 },
	{ offsetof(struct rk_geometry, n_banks), 2 },
	{ offsetof(struct rk_geometry, state_max), 8 },
	{ offsetof(struct rk_geometry, reply_max), UINT32_MAX },
};

START_TEST(sizes_that_do_not_fit_the_memory_are_refused)
{
	overwrite(RK_SEGMENT_BOARD, offsetof(struct rk_board, geometry) + geometries[_i].at, &geometries[_i].value,
		  sizeof(geometries[_i].value));
	expect_refused("");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("segments");
	int n = RK_SEGMENT_KINDS - 1;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_successor_finds_all_that_was_left_in_it);
	tcase_add_loop_test(c, one_that_is_missing_is_refused, 0, n);
	tcase_add_loop_test(c, memory_that_can_shrink_is_refused, 0, n);
	tcase_add_loop_test(c, memory_that_has_shrunk_is_refused, 0, n);
	tcase_add_loop_test(c, a_segment_in_another_one_s_place_is_refused, 0, n);
	tcase_add_loop_test(c, another_fleet_s_segment_is_refused, 0, n);
	tcase_add_loop_test(c, a_copy_is_refused_by_its_inode, 0, n);
	tcase_add_loop_test(c, another_abi_is_refused_by_name, 0, n);
	tcase_add_loop_test(c, another_layout_of_the_journal_is_refused, 0, 2);
	tcase_add_test(c, memory_from_before_the_boot_is_refused);
	tcase_add_loop_test(c, sizes_that_do_not_fit_the_memory_are_refused, 0, rk_countof(geometries));
	return unit_run(c);
}
