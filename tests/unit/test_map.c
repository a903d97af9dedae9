/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a map's lines cover all hashes, in their order and without a gap, agree with where keys are
 *         routed, and change only as far as something changed; its file is replaced as a whole, and
 *         only by other contents.
 * Method  tables of owners and states turned into text; every line read back; a file's inode.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/map_file.h"
#include "cli/map_text.h"
#include "shm/route.h"
#include "tests/unit/unit.h"

#define HEAD(seed, n) "# rekindle map 1\n# fleet carts\n# hash xxh3-64\n# seed " seed "\n# partitions " n "\n"

static const char *const endpoints[] = { "127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002", NULL };
static const char *const all_ready[] = { "ready", "ready", "ready", "ready" };
static const char *const one_away[] = { "ready", "wait", "ready", "ready" };
static const char *const all_gone[] = { "gone", "gone", "gone", "gone" };

static char *text_of(const uint32_t *owner, uint32_t n_partitions, const char *const *state)
{
	struct rk_map map = { .fleet = "carts", .seed = 0xc0ffee, .n_partitions = n_partitions, .owner = owner,
			      .n_slots = 4, .endpoint = endpoints, .state = state };
	size_t len;
	char *text = rk_map_text(&map, &len);

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(strlen(text), len);
	return text;
}

static const struct {
	uint32_t n;
	uint32_t owner[8];
	const char *const *state;
	const char *text;
} cases[] = {
	{ 1, { 1 }, all_ready, HEAD("0000000000c0ffee", "1") "0000000000000000-ffffffffffffffff 127.0.0.1:7001 ready\n" },
	{ 4, { 0, 0, 0, 0 }, all_ready, HEAD("0000000000c0ffee", "4") "0000000000000000-ffffffffffffffff 127.0.0.1:7000 ready\n" },
	{ 4, { 0, 1, 1, 0 }, one_away,
	  HEAD("0000000000c0ffee", "4") "0000000000000000-3fffffffffffffff 127.0.0.1:7000 ready\n"
	  "4000000000000000-bfffffffffffffff 127.0.0.1:7001 wait\n"
	  "c000000000000000-ffffffffffffffff 127.0.0.1:7000 ready\n" },
	{ 8, { 0, 1, 2, 2, 1, 0, 0, 0 }, all_gone,
	  HEAD("0000000000c0ffee", "8") "0000000000000000-1fffffffffffffff 127.0.0.1:7000 gone\n"
	  "2000000000000000-3fffffffffffffff 127.0.0.1:7001 gone\n"
	  "4000000000000000-7fffffffffffffff 127.0.0.1:7002 gone\n"
	  "8000000000000000-9fffffffffffffff 127.0.0.1:7001 gone\n"
	  "a000000000000000-ffffffffffffffff 127.0.0.1:7000 gone\n" },
	/* Nobody's, and those of a slot without an address. */
	{ 4, { 0xffff, 3, 4, 2 }, all_ready,
	  HEAD("0000000000c0ffee", "4") "0000000000000000-bfffffffffffffff - none\n"
	  "c000000000000000-ffffffffffffffff 127.0.0.1:7002 ready\n" },
};

START_TEST(a_line_is_a_run_of_partitions_of_one_slot)
{
	rk_cleanup(rk_free_p) char *text = text_of(cases[_i].owner, cases[_i].n, cases[_i].state);

	ck_assert_str_eq(text, cases[_i].text);
}
END_TEST

/* The lines behind the head, one after the other. */
static bool next_line(const char **at, uint64_t *ret_first, uint64_t *ret_last, char endpoint[static 32], char state[static 16])
{
	int n = 0;

	if (sscanf(*at, "%16" SCNx64 "-%16" SCNx64 " %31s %15s\n%n", ret_first, ret_last, endpoint, state, &n) != 4)
		return false;
	*at += n;
	return true;
}

static const char *lines_of(const char *text)
{
	const char *last = strrchr(text, '#');

	return strchr(last, '\n') + 1;
}

static void owners_scatter(uint32_t *owner, uint32_t n)
{
	for (uint32_t p = 0; p < n; p++)
		owner[p] = (p * 2654435761u >> 20) % 3;
}

START_TEST(the_ranges_leave_nothing_out_and_say_what_the_route_says)
{
	const uint32_t n = 1u << _i;
	rk_cleanup(rk_free_p) uint32_t *owner = calloc(n, sizeof(*owner));
	rk_cleanup(rk_free_p) char *text = NULL;
	const struct rk_geometry g = { .n_partitions = n, .hash_seed = 0xc0ffee };
	char endpoint[32], state[16], key[16];
	uint64_t first, last, expected = 0;

	ck_assert_ptr_nonnull(owner);
	owners_scatter(owner, n);
	text = text_of(owner, n, all_ready);
	for (const char *at = lines_of(text); *at; expected = last + 1) {
		ck_assert(next_line(&at, &first, &last, endpoint, state));
		ck_assert_uint_eq(first, expected);
		for (uint32_t k = 0; k < 200; k++) {
			uint64_t hash;

			(void)snprintf(key, sizeof(key), "user:%u", k);
			hash = XXH3_64bits_withSeed(key, strlen(key), g.hash_seed);
			if (hash >= first && hash <= last)
				ck_assert_str_eq(endpoint, endpoints[owner[rk_route_partition(&g, key, strlen(key))]]);
		}
	}
	ck_assert_uint_eq(expected, 0); /* the last range's end was the last hash */
}
END_TEST

/* Line by line: whether the two texts differ in nothing but the state of lines of this endpoint. */
START_TEST(a_restart_changes_the_state_of_its_lines_and_nothing_else)
{
	uint32_t owner[256];
	rk_cleanup(rk_free_p) char *before = NULL, *after = NULL;
	const char *a, *b;
	char endpoint[2][32], state[2][16];
	uint64_t first[2], last[2];
	uint32_t n_changed = 0;

	owners_scatter(owner, 256);
	before = text_of(owner, 256, all_ready);
	after = text_of(owner, 256, one_away);
	a = lines_of(before);
	b = lines_of(after);
	while (*a && *b) {
		ck_assert(next_line(&a, &first[0], &last[0], endpoint[0], state[0]));
		ck_assert(next_line(&b, &first[1], &last[1], endpoint[1], state[1]));
		ck_assert_uint_eq(first[0], first[1]);
		ck_assert_uint_eq(last[0], last[1]);
		ck_assert_str_eq(endpoint[0], endpoint[1]);
		ck_assert_str_eq(state[1], strcmp(endpoint[0], endpoints[1]) == 0 ? "wait" : "ready");
		n_changed += strcmp(state[0], state[1]) != 0;
	}
	ck_assert(!*a && !*b);
	ck_assert_uint_gt(n_changed, 10);
}
END_TEST

/* ---- the file ---- */

struct folder {
	char path[32], file[64];
};

static void folder_make(struct folder *f)
{
	(void)snprintf(f->path, sizeof(f->path), "/tmp/rk-map.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->path));
	(void)snprintf(f->file, sizeof(f->file), "%s/map", f->path);
}

static uint32_t n_entries(const struct folder *f)
{
	DIR *all = opendir(f->path);
	uint32_t n = 0;

	ck_assert_ptr_nonnull(all);
	while (readdir(all))
		n++;
	(void)closedir(all);
	return n - 2;
}

static void folder_remove(struct folder *f)
{
	(void)unlink(f->file);
	ck_assert_int_eq(rmdir(f->path), 0);
}

static void expect_file(const struct folder *f, const char *text)
{
	char have[64] = "";
	FILE *from = fopen(f->file, "r");

	ck_assert_ptr_nonnull(from);
	have[fread(have, 1, sizeof(have) - 1, from)] = '\0';
	(void)fclose(from);
	ck_assert_str_eq(have, text);
}

static ino_t inode_of(const struct folder *f)
{
	struct stat st;

	ck_assert_int_eq(stat(f->file, &st), 0);
	return st.st_ino;
}

START_TEST(a_file_is_replaced_by_other_contents_and_by_none_that_are_the_same)
{
	static const char *const texts[] = { "one\n", "one\ntwo\n", "two\n", "", "one\n" };
	struct folder f;

	folder_make(&f);
	for (size_t i = 0; i < rk_countof(texts); i++) {
		ino_t inode;

		ck_assert_int_eq(rk_map_file_put(f.file, texts[i], strlen(texts[i]), NULL), 0);
		expect_file(&f, texts[i]);
		inode = inode_of(&f);
		ck_assert_int_eq(rk_map_file_put(f.file, texts[i], strlen(texts[i]), NULL), RK_MAP_FILE_SAME);
		ck_assert_uint_eq(inode_of(&f), inode);
		ck_assert_uint_eq(n_entries(&f), 1);
	}
	folder_remove(&f);
}
END_TEST

START_TEST(who_has_the_old_file_open_reads_it_to_its_end)
{
	struct folder f;
	char have[8] = "";
	FILE *from;

	folder_make(&f);
	ck_assert_int_eq(rk_map_file_put(f.file, "old\n", 4, NULL), 0);
	from = fopen(f.file, "r");
	ck_assert_ptr_nonnull(from);
	ck_assert_int_eq(rk_map_file_put(f.file, "newer\n", 6, NULL), 0);
	ck_assert_uint_eq(fread(have, 1, sizeof(have), from), 4);
	ck_assert_str_eq(have, "old\n");
	(void)fclose(from);
	folder_remove(&f);
}
END_TEST

START_TEST(where_it_cannot_be_written_nothing_is_left)
{
	struct folder f;
	struct rk_err err = { 0 };

	folder_make(&f);
	ck_assert_int_eq(mkdir(f.file, 0700), 0);
	ck_assert_int_eq(rk_map_file_put(f.file, "text\n", 5, &err), -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, f.file));
	ck_assert_uint_eq(n_entries(&f), 1);
	ck_assert_int_eq(rmdir(f.file), 0);
	folder_remove(&f);
	ck_assert_int_eq(rk_map_file_put(f.file, "text\n", 5, &err), -EIO); /* its folder is not there */
}
END_TEST

int main(void)
{
	TCase *c = unit_case("map");

	tcase_add_loop_test(c, a_line_is_a_run_of_partitions_of_one_slot, 0, (int)rk_countof(cases));
	tcase_add_loop_test(c, the_ranges_leave_nothing_out_and_say_what_the_route_says, 0, 15);
	tcase_add_test(c, a_restart_changes_the_state_of_its_lines_and_nothing_else);
	tcase_add_test(c, a_file_is_replaced_by_other_contents_and_by_none_that_are_the_same);
	tcase_add_test(c, who_has_the_old_file_open_reads_it_to_its_end);
	tcase_add_test(c, where_it_cannot_be_written_nothing_is_left);
	return unit_run(c);
}
