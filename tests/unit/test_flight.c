/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What is written to a flight recorder comes back whole, in order and without anything
 *         between, whoever is killed where; a file that is foreign, damaged, shrunk or random
 *         harms neither reader nor writer.
 * Method  Real files in a temporary directory. The writer changes the file by system calls
 *         alone, so it is killed before and after each of them; what a call itself may leave
 *         half done is put there by hand, one byte after the other.
 */
#include "shm/flight.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "base/text.h"
#include "shm/flight_reader.h"
#include "tests/unit/unit.h"

#define N RK_FLIGHT_RECORDS
#define FILE_LEN (4096 + N * 1024)

static char directory[64], path[96];
static struct rk_err err;

static void enter(void)
{
	strcpy(directory, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/flight", directory);
}

static void leave(void)
{
	(void)unlink(path);
	ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

static struct rk_flight create(void)
{
	struct rk_flight f;

	ck_assert_msg(rk_flight_create(&f, path, "carts", N, &err) == 0, "%s", err.text);
	return f;
}

static struct rk_flight_reader reader(void)
{
	struct rk_flight_reader r;

	ck_assert_msg(rk_flight_reader_open(&r, path, &err) == 0, "%s", err.text);
	return r;
}

static const struct rk_flight_event plain = {
	.kind = RK_FLIGHT_NOTE, .severity = 6, .fleet = "carts", .slot = RK_FLIGHT_NOBODY
};

static uint64_t write_number(struct rk_flight *f, unsigned long i)
{
	return rk_flight_note(f, &plain, "number %lu n=%lu", i, i);
}

/* The number an entry tells of, after holding it against what was written. */
static unsigned long number(const struct rk_flight_entry *e)
{
	unsigned long i = strtoul(e->text + strlen("number "), NULL, 10);
	char text[64];

	snprintf(text, sizeof(text), "number %lu n=%lu", i, i);
	ck_assert_str_eq(e->text, text);
	ck_assert_str_eq(e->record.fleet, "carts");
	ck_assert(!e->is_cut);
	return i;
}

/* Asserts that the file tells of first..last, in order. */
static void assert_numbers(unsigned long first, unsigned long last)
{
	struct rk_flight_reader r = reader();
	struct rk_flight_entry e;
	unsigned long i = first;

	while (rk_flight_reader_next(&r, false, &e) == 0)
		ck_assert_uint_eq(number(&e), i++);
	ck_assert_uint_eq(i, last + 1);
	rk_flight_reader_close_p(&r);
}

/* ---- what is written comes back ---- */

START_TEST(an_event_comes_back_with_everything_that_was_said_of_it)
{
	struct rk_flight f = create();
	struct rk_flight_event e = { .kind = RK_FLIGHT_DEATH,
				     .severity = 5,
				     .fleet = "carts",
				     .slot = 3,
				     .pid = 812,
				     .incarnation = 7,
				     .now_ns = 11,
				     .wall_ns = 12 };
	uint64_t first = rk_flight_note(&f, &e, "worker died cause=%s", "SIGKILL");
	struct rk_flight_reader r;
	struct rk_flight_entry got;
	struct stat st;

	e.group = first;
	e.kind = RK_FLIGHT_OBITUARY;
	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(rk_flight_note(&f, &e, "replaced"), 2);
	r = reader();
	ck_assert_str_eq(r.name, "carts");
	ck_assert(r.is_this_boot);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &got), 0);
	ck_assert_str_eq(got.text, "worker died cause=SIGKILL");
	ck_assert_uint_eq(got.record.kind, RK_FLIGHT_DEATH);
	ck_assert_uint_eq(got.record.severity, 5);
	ck_assert_str_eq(got.record.fleet, "carts");
	ck_assert_uint_eq(got.record.slot, 3);
	ck_assert_int_eq(got.record.pid, 812);
	ck_assert_uint_eq(got.record.incarnation, 7);
	ck_assert_uint_eq(got.record.now_ns, 11);
	ck_assert_uint_eq(got.record.wall_ns, 12);
	ck_assert_uint_eq(got.record.group, 1);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &got), 0);
	ck_assert_uint_eq(got.record.sequence, 2);
	ck_assert_uint_eq(got.record.group, 1);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &got), RK_FLIGHT_NONE);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, FILE_LEN);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

START_TEST(the_newest_records_stay_when_the_ring_is_full)
{
	static const unsigned long n_written[] = { 0, 1, N - 1, N, N + 1, 3 * N + 7 };
	unsigned long n = n_written[_i];
	struct rk_flight f = create();

	for (unsigned long i = 1; i <= n; i++)
		ck_assert_uint_eq(write_number(&f, i), i);
	assert_numbers(n > N ? n - N + 1 : 1, n);
	rk_flight_close_p(&f);
}
END_TEST

START_TEST(a_follower_that_is_lapped_goes_on_with_the_oldest_and_says_how_many_it_missed)
{
	struct rk_flight f = create();
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	unsigned long i = 0;

	write_number(&f, 1);
	r = reader();
	for (i = 2; i <= 2 * N; i++)
		write_number(&f, i);
	for (i = N + 1; rk_flight_reader_next(&r, true, &e) == 0; i++)
		ck_assert_uint_eq(number(&e), i);
	ck_assert_uint_eq(i, 2 * N + 1);
	ck_assert_uint_eq(r.n_missed, N);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

static const uint32_t sizes[] = { RK_FLIGHT_RECORDS_MIN, 2 * RK_FLIGHT_RECORDS };

START_TEST(a_ring_has_as_many_records_as_it_was_made_with_also_for_a_successor)
{
	uint32_t n = sizes[_i];
	struct rk_flight f;
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	struct stat st;
	unsigned long i;

	ck_assert_msg(rk_flight_create(&f, path, "carts", n, &err) == 0, "%s", err.text);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 4096 + 1024 * (off_t)n);
	write_number(&f, 1);
	r = reader();
	for (i = 2; i <= n + 5; i++)
		write_number(&f, i);
	rk_flight_close_p(&f);
	ck_assert_msg(rk_flight_open(&f, path, "carts", &err) == 0, "%s", err.text);
	for (; i <= n + 9; i++)
		write_number(&f, i);
	assert_numbers(10, n + 9);
	for (i = 10; rk_flight_reader_next(&r, true, &e) == 0; i++)
		ck_assert_uint_eq(number(&e), i);
	ck_assert_uint_eq(i, n + 10);
	ck_assert_uint_eq(r.n_missed, 9);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

static const uint32_t no_sizes[] = { 0,
				     RK_FLIGHT_RECORDS_MIN - 1,
				     RK_FLIGHT_RECORDS_MIN / 2,
				     RK_FLIGHT_RECORDS + 1,
				     2 * RK_FLIGHT_RECORDS_MAX,
				     UINT32_MAX };

START_TEST(a_ring_of_another_size_is_not_made)
{
	struct rk_flight f;

	ck_assert_int_eq(rk_flight_create(&f, path, "carts", no_sizes[_i], &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "64 to 65536"));
	ck_assert_int_eq(f.fd, -1);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(sequences_go_on_over_their_wrap)
{
	static const uint64_t starts[] = { UINT64_MAX - 1, UINT64_MAX,       UINT32_MAX - 1,
					   UINT32_MAX,     (1ull << 63) - 2, UINT64_MAX - N - 2 };
	struct rk_flight f = create();
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	unsigned long i;

	f.next = starts[_i];
	for (i = 1; i <= 4; i++)
		write_number(&f, i);
	r = reader();
	for (i = 1; i <= 2; i++) {
		ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
		ck_assert_uint_eq(number(&e), i);
	}
	rk_flight_close_p(&f);
	ck_assert_int_eq(rk_flight_open(&f, path, "carts", &err), 0); /* a successor */
	ck_assert_uint_eq(f.next, starts[_i] + 4);
	for (i = 5; i <= N; i++)
		write_number(&f, i);
	for (i = 3; i <= N; i++) {
		ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
		ck_assert_uint_eq(number(&e), i);
	}
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), RK_FLIGHT_NONE);
	assert_numbers(1, N);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

START_TEST(a_long_text_comes_back_whole_and_what_is_too_long_is_cut)
{
	static const size_t lens[] = {
		879, 880, 881, 2000, RK_FLIGHT_TEXT_MAX - 40, RK_FLIGHT_TEXT_MAX + 40
	};
	static char text[RK_FLIGHT_TEXT_MAX + 64];
	struct rk_flight f = create();
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	size_t len = 1;

	text[0] = 'x'; /* so that cuts fall inside the characters that follow */
	while (len + 3 <= lens[_i]) {
		memcpy(text + len, "\xe2\x82\xac", 3);
		len += 3;
	}
	write_number(&f, 1);
	rk_flight_write(&f, &plain, text);
	write_number(&f, 2);
	r = reader();
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
	ck_assert_uint_eq(number(&e), 1);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
	ck_assert(rk_text_is_utf8(e.text, strlen(e.text)));
	if (len <= RK_FLIGHT_TEXT_MAX - 8 * 3)
		ck_assert_str_eq(e.text, text);
	else
		ck_assert(strlen(e.text) > RK_FLIGHT_TEXT_MAX - 32 &&
			  strncmp(e.text, text, strlen(e.text)) == 0);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
	ck_assert_uint_eq(number(&e), 2);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

START_TEST(hostile_bytes_are_made_printable)
{
	struct rk_flight f = create();
	struct rk_flight_reader r;
	struct rk_flight_entry e;

	rk_flight_note(&f, &plain, "words=\"%s\"", "a\x1b[31m\nb\xff\xc2\x9b z");
	r = reader();
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
	ck_assert_str_eq(e.text, "words=\"a?[31m?b?? z\"");
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

START_TEST(kinds_and_severities_have_names)
{
	for (uint32_t k = RK_FLIGHT_NOTE; k < RK_FLIGHT_KINDS; k++)
		ck_assert_int_eq(rk_flight_kind_find(rk_flight_kind_name(k)), k);
	ck_assert_int_eq(rk_flight_kind_find("?"), RK_FLIGHT_KINDS);
	ck_assert_str_eq(rk_flight_kind_name(UINT32_MAX), "?");
	ck_assert_str_eq(rk_flight_severity_name(4), "warning");
	ck_assert_str_eq(rk_flight_severity_name(8), "?");
}
END_TEST

/* ---- death of the writer ---- */

/* A child writes one long event; it is killed at its nth stop before or after a system call. False:
 * it came to its end. */
static bool killed_at(struct rk_flight *f, int nth, const char *text)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		_exit(rk_flight_write(f, &plain, text) == 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (int i = 0; i <= nth; i++) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			return false;
	}
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return true;
}

START_TEST(a_writer_killed_at_any_system_call_leaves_whole_records_to_which_a_successor_adds)
{
	static char text[3 * RK_FLIGHT_TEXT];
	int nth = 0, n_whole = 0, n_cut = 0, n_without = 0;
	bool is_killed = true;

	memset(text, 'e', sizeof(text) - 1);
	for (; is_killed; nth++) {
		struct rk_flight f = create();
		struct rk_flight_reader r;
		struct rk_flight_entry e;
		unsigned long i;

		for (i = 1; i <= N + 10; i++) /* so that it overwrites something */
			write_number(&f, i);
		is_killed = killed_at(&f, nth, text);
		rk_flight_close_p(&f);
		r = reader();
		i = 0;
		n_without++;
		while (rk_flight_reader_next(&r, false, &e) == 0)
			if (e.text[0] == 'e') {
				ck_assert_uint_eq(i, N + 10);
				ck_assert(e.is_cut == (strlen(e.text) < strlen(text)));
				ck_assert_uint_eq(strspn(e.text, "e"), strlen(e.text));
				n_without--;
				n_cut += e.is_cut;
				n_whole += !e.is_cut;
			} else {
				ck_assert(i == 0 || number(&e) == i + 1);
				i = number(&e);
			}
		ck_assert_uint_eq(i, N + 10);
		rk_flight_reader_close_p(&r);
		ck_assert_msg(rk_flight_open(&f, path, "carts", &err) == 0, "%s", err.text);
		write_number(&f, N + 11);
		r = reader();
		for (i = 0; rk_flight_reader_next(&r, true, &e) == 0;)
			i = e.text[0] == 'e' ? i : number(&e);
		ck_assert_uint_eq(i, N + 11);
		rk_flight_reader_close_p(&r);
		rk_flight_close_p(&f);
	}
	ck_assert_msg(nth > 8 && n_whole > 1 && n_cut > 1 && n_without > 0,
		      "%d stops: %d whole, %d cut, %d without", nth, n_whole, n_cut, n_without);
}
END_TEST

static void bytes_at(int fd, void *bytes, size_t len, off_t at, bool is_write)
{
	ssize_t n = is_write ? pwrite(fd, bytes, len, at) : pread(fd, bytes, len, at);

	ck_assert_int_eq(n, (ssize_t)len);
}

START_TEST(a_record_torn_at_any_byte_is_no_record)
{
	struct rk_flight f = create();
	uint8_t before[1024], after[1024], torn[1024];
	const off_t at = 4096 + 5 * 1024; /* sequence 5, then N + 5 */
	struct rk_flight_reader r;
	struct rk_flight_record record;

	for (unsigned long i = 1; i < N + 5; i++)
		write_number(&f, i);
	bytes_at(f.fd, before, sizeof(before), at, false);
	write_number(&f, N + 5);
	bytes_at(f.fd, after, sizeof(after), at, false);
	r = reader();
	for (size_t cut = 0; cut <= sizeof(torn); cut++) {
		memcpy(torn, before, sizeof(torn));
		memcpy(torn, after, cut);
		bytes_at(f.fd, torn, sizeof(torn), at, true);
		if (rk_flight_record_read(r.fd, N, 5, &record))
			ck_assert_msg(memcmp(torn, before, sizeof(torn)) == 0 ||
					      memcmp(torn, after, sizeof(torn)) == 0,
				      "torn behind byte %zu", cut);
	}
	for (size_t byte = 0; byte < sizeof(torn); byte++) {
		memcpy(torn, after, sizeof(torn));
		torn[byte] ^= (uint8_t)(1u << byte % 8);
		bytes_at(f.fd, torn, sizeof(torn), at, true);
		ck_assert_msg(!rk_flight_record_read(r.fd, N, 5, &record), "byte %zu flipped",
			      byte);
	}
	rk_flight_reader_close_p(&r);
	assert_numbers(6, N + 4); /* N + 5 is damaged, and 5 was overwritten */
	rk_flight_close_p(&f);
}
END_TEST

START_TEST(a_damaged_record_in_the_middle_is_skipped_and_counted)
{
	struct rk_flight f = create();
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	char byte = 'X';

	for (unsigned long i = 1; i <= 9; i++)
		write_number(&f, i);
	bytes_at(f.fd, &byte, 1, 4096 + 5 * 1024 + 150, true);
	r = reader();
	for (unsigned long i = 1; i <= 9; i++) {
		if (i == 5)
			continue;
		ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
		ck_assert_uint_eq(number(&e), i);
	}
	ck_assert_uint_eq(r.n_missed, 1);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

START_TEST(readers_beside_a_writer_see_whole_records_in_order)
{
	struct rk_flight f = create();
	struct rk_flight_reader r = reader();
	struct rk_flight_entry e;
	unsigned long last = 0, n = 0;
	const unsigned long n_written = 50000;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (unsigned long i = 1; i <= n_written; i++)
			write_number(&f, i);
		_exit(0);
	}
	while (last < n_written) {
		if (rk_flight_reader_next(&r, true, &e) != 0)
			continue;
		ck_assert_uint_gt(number(&e), last);
		last = number(&e);
		n++;
	}
	ck_assert_uint_eq(n + r.n_missed, n_written);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

/* The writer died behind n_written numbers, and what the head announces is this: its successor goes on behind them. */
static void goes_on_behind(unsigned long n_written, uint32_t announced)
{
	struct rk_flight f = create(), next;

	for (unsigned long i = 1; i <= n_written; i++)
		write_number(&f, i);
	bytes_at(f.fd, &announced, sizeof(announced), offsetof(struct rk_flight_head, changes), true);
	rk_flight_close_p(&f);
	ck_assert_msg(rk_flight_open(&next, path, "carts", &err) == 0, "%s", err.text);
	ck_assert_uint_eq(write_number(&next, n_written + 1), n_written + 1);
	assert_numbers(n_written + 1 > N ? n_written + 2 - N : 1, n_written + 1);
	rk_flight_close_p(&next);
	(void)unlink(path);
}

START_TEST(a_successor_goes_on_behind_the_newest_record_whatever_was_announced)
{
	const unsigned long written[] = { 0, 1, 63, 64, 65, 200, N - 1, N, N + 1, N + 70, 2 * N - 1 };
	const unsigned long behind[] = { 0, 1, 2, 63, 64, 65, 150 };

	for (size_t i = 0; i < rk_countof(written); i++) {
		for (size_t k = 0; k < rk_countof(behind); k++)
			if (behind[k] <= written[i])
				goes_on_behind(written[i], (uint32_t)(written[i] - behind[k]));
		goes_on_behind(written[i], (uint32_t)written[i] + 1);  /* never written */
		goes_on_behind(written[i], (uint32_t)written[i] + 7 * N); /* nonsense */
	}
}
END_TEST

/* ---- following ---- */

static long sleep_on(const struct rk_flight_reader *r, uint32_t word)
{
	const struct timespec limit = { .tv_sec = 20 };

	return syscall(SYS_futex, r->changes, FUTEX_WAIT, word, &limit, NULL, 0);
}

/* A child that sleeps on the word and exits 0 when it was woken by a change. */
static pid_t sleeper(void)
{
	struct rk_flight_reader r = reader();
	uint32_t word, now;
	pid_t pid;

	ck_assert_int_ge(rk_flight_reader_look(&r, &word), 0);
	pid = fork();
	if (pid == 0) {
		struct rk_flight_reader own;

		if (rk_flight_reader_open(&own, path, NULL) < 0)
			_exit(2);
		do {
			if (sleep_on(&own, word) < 0 && errno != EAGAIN && errno != EINTR)
				_exit(3);
		} while (rk_flight_reader_look(&own, &now) >= 0 && now == word);
		_exit(0);
	}
	rk_flight_reader_close_p(&r);
	return pid;
}

static void await_sleep(pid_t pid)
{
	char file[64], state = 0;

	snprintf(file, sizeof(file), "/proc/%d/stat", (int)pid);
	while (state != 'S') {
		FILE *stat = fopen(file, "re");

		ck_assert_ptr_nonnull(stat);
		ck_assert_int_eq(fscanf(stat, "%*d (%*[^)]) %c", &state), 1);
		(void)fclose(stat);
	}
}

static void change_nothing(struct rk_flight *f)
{
	write_number(f, 1);
}

static void change_by_end(struct rk_flight *f)
{
	rk_flight_end(f, path, &plain, "stopped");
	ck_assert_int_lt(access(path, F_OK), 0);
}

static void change_by_successor(struct rk_flight *f)
{
	struct rk_flight next = create();

	rk_flight_close_p(&next);
	(void)f;
}

static const struct {
	void (*change)(struct rk_flight *f);
	int state;
	const char *last;
} changes[] = {
	{ change_nothing, RK_FLIGHT_OPEN, "number 1 n=1" },
	{ change_by_end, RK_FLIGHT_ENDED, "stopped" },
	{ change_by_successor, RK_FLIGHT_REPLACED, "replaced by a new fleet of this name" },
};

START_TEST(whoever_follows_is_woken_by_a_record_by_the_end_and_by_a_new_fleet)
{
	struct rk_flight f = create();
	struct rk_flight_reader r = reader();
	struct rk_flight_entry e;
	pid_t pid = sleeper();
	uint32_t word;
	int status;

	await_sleep(pid);
	changes[_i].change(&f);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x",
		      (unsigned int)status);
	ck_assert_int_eq(rk_flight_reader_look(&r, &word), changes[_i].state);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
	ck_assert_str_eq(e.text, changes[_i].last);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

/* ---- successors ---- */

START_TEST(a_new_file_replaces_whatever_is_there)
{
	struct rk_flight f;
	int fd;

	if (_i == 1) { /* garbage, and what a supervisor killed in the middle left */
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		ck_assert_int_eq(write(fd, "garbage", 7), 7);
		ck_assert_int_eq(close(fd), 0);
		strcat(path, ".new");
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		ck_assert_int_eq(close(fd), 0);
		path[strlen(path) - 4] = '\0';
	} else if (_i == 2) { /* a link to somebody's file, which stays as it is */
		ck_assert_int_eq(symlink("/proc/self/status", path), 0);
	} else if (_i == 3) {
		ck_assert_int_eq(mkfifo(path, 0600), 0);
	}
	f = create();
	write_number(&f, 1);
	assert_numbers(1, 1);
	rk_flight_close_p(&f);
}
END_TEST

static void patch(off_t at, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
	ck_assert_int_eq(close(fd), 0);
}

static void resize(off_t size)
{
	ck_assert_int_eq(truncate(path, size), 0);
}

static void other_boot(void)
{
	patch(32, "0123456789abcdef", 16);
}

static void other_name(void)
{
	patch(56, "other", 6);
}

static void has_ended(void)
{
	patch(24, "\1", 1);
}

static void is_gone(void)
{
	ck_assert_int_eq(unlink(path), 0);
}

static void other_magic(void)
{
	patch(3, "!", 1);
}

static void other_version(void)
{
	patch(8, "\2", 1);
}

static void other_record_size(void)
{
	patch(12, "\0\0\0\1", 4);
}

static void other_count(void)
{
	patch(16, "\0\2\0\0", 4);
}

static void count_is_no_power(void)
{
	patch(16, "\xe8\3\0\0", 4); /* 1000 */
}

static void count_is_beyond_all(void)
{
	patch(16, "\0\0\0\x80", 4);
}

static void is_empty(void)
{
	resize(0);
}

static void is_shrunk_into_the_head(void)
{
	resize(100);
}

static void is_shrunk(void)
{
	resize(FILE_LEN - 1);
}

static void is_oversized(void)
{
	resize(FILE_LEN + 4096);
}

static void is_random(void)
{
	static char bytes[FILE_LEN];
	struct rk_rand rand = rk_rand_init(7);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)rk_rand_u64(&rand);
	patch(0, bytes, sizeof(bytes));
}

static void is_a_directory(void)
{
	is_gone();
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void is_a_fifo(void)
{
	is_gone();
	ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static const struct {
	const char *what;
	void (*damage)(void);
	int code;         /* of a reader; 0 = it may read */
	const char *says; /* to a reader, or else to a successor */
} damages[] = {
	{ "another boot", other_boot, 0, "before the last boot" },
	{ "another fleet", other_name, 0, "another fleet's" },
	{ "an ended fleet", has_ended, 0, "has ended" },
	{ "no file", is_gone, -ENOENT, "cannot open" },
	{ "another magic", other_magic, -EBADMSG, "remove it" },
	{ "another version", other_version, -EPROTO, "of one release" },
	{ "another record size", other_record_size, -EBADMSG, "remove it" },
	{ "another number of records", other_count, -EBADMSG, "remove it" },
	{ "a number that is no power of two", count_is_no_power, -EBADMSG, "remove it" },
	{ "a number beyond all bounds", count_is_beyond_all, -EBADMSG, "remove it" },
	{ "an empty file", is_empty, -EBADMSG, "remove it" },
	{ "a piece of a head", is_shrunk_into_the_head, -EBADMSG, "remove it" },
	{ "a shrunk file", is_shrunk, -EBADMSG, "changed its size" },
	{ "an oversized file", is_oversized, -EBADMSG, "changed its size" },
	{ "random bytes", is_random, -EBADMSG, "remove it" },
	{ "a directory", is_a_directory, -EBADMSG, "remove it" },
	{ "a FIFO", is_a_fifo, -EBADMSG, "remove it" },
};

START_TEST(a_file_that_is_not_ours_is_refused_with_what_to_do)
{
	struct rk_flight f = create();
	struct rk_flight_reader r = { .fd = -1 };
	struct rk_err said = { 0 };
	int code;

	write_number(&f, 1);
	rk_flight_close_p(&f);
	damages[_i].damage();
	code = rk_flight_reader_open(&r, path, &err);
	ck_assert_msg(code == damages[_i].code, "%s: %d %s", damages[_i].what, code, err.text);
	if (code)
		ck_assert_msg(strstr(err.text, damages[_i].says) != NULL, "%s: %s",
			      damages[_i].what, err.text);
	rk_flight_reader_close_p(&r);
	ck_assert_msg(rk_flight_open(&f, path, "carts", &said) < 0, "%s", damages[_i].what);
	ck_assert_msg(code || strstr(said.text, damages[_i].says) != NULL, "%s: %s",
		      damages[_i].what, said.text);
	ck_assert_int_eq(f.fd, -1);
	ck_assert_uint_eq(rk_flight_note(&f, &plain, "into nothing"), 0);
	(void)rmdir(path);
}
END_TEST

START_TEST(a_file_shrunk_under_writer_and_reader_kills_neither)
{
	struct rk_flight f = create();
	struct rk_flight_reader r = reader();
	struct rk_flight_entry e;
	uint32_t word;

	write_number(&f, 1);
	resize(0);
	ck_assert_int_eq(rk_flight_reader_look(&r, &word), -EIO);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), RK_FLIGHT_NONE);
	ck_assert_int_eq(rk_flight_reader_next(&r, false, &e), RK_FLIGHT_NONE);
	ck_assert_int_lt(sleep_on(&r, 0), 0); /* and not a signal */
	write_number(&f, 2);
	write_number(&f, 3);
	while (rk_flight_reader_next(&r, true, &e) == 0)
		(void)number(&e);
	rk_flight_reader_close_p(&r);
	rk_flight_close_p(&f);
}
END_TEST

/* ---- random bytes ---- */

static void scribble(struct rk_rand *rand, int fd)
{
	uint8_t bytes[64];
	off_t at = rk_rand_below(rand, 4)
			   ? (off_t)rk_rand_below(rand, FILE_LEN - sizeof(bytes))
			   : 20 + (off_t)rk_rand_below(rand, 2) * 4; /* changes, state */

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rk_rand_u64(rand);
	ck_assert_int_gt(pwrite(fd, bytes, 1 + rk_rand_below(rand, at < 4096 ? 4 : sizeof(bytes)),
				at),
			 0);
}

/* The head again, or nobody could open the file for another round; but for the words from 20 to 28. */
static void head_repair(int fd, const uint8_t head[static 4096])
{
	ck_assert_int_eq(pwrite(fd, head, 20, 0), 20);
	ck_assert_int_eq(pwrite(fd, head + 28, 4096 - 28, 28), 4096 - 28);
}

START_TEST(whatever_the_file_holds_a_reader_ends_and_shows_nothing_that_was_not_written)
{
	uint64_t seed =
		getenv("RK_SEED") ? strtoull(getenv("RK_SEED"), NULL, 10) : rk_clock_wall_ns();
	struct rk_rand rand = rk_rand_init(seed);
	struct rk_flight f = create();
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	uint8_t head[4096];

	fprintf(stderr, "# RK_SEED=%llu\n", (unsigned long long)seed);
	ck_assert_int_eq(pread(f.fd, head, sizeof(head), 0), sizeof(head));
	for (unsigned long i = 1; i <= N + N / 2; i++)
		write_number(&f, i);
	for (int round = 0; round < 60; round++) {
		unsigned long last = 0, n = 0;

		r = reader();
		for (int k = 0; k < 20; k++)
			scribble(&rand, f.fd);
		while (rk_flight_reader_next(&r, rk_rand_below(&rand, 2), &e) == 0) {
			ck_assert_msg(number(&e) > last, "seed %llu", (unsigned long long)seed);
			last = number(&e);
			n++;
		}
		ck_assert_uint_le(n, N);
		rk_flight_reader_close_p(&r);
		head_repair(f.fd, head);
		write_number(&f, N + N / 2 + 1 + (unsigned long)round);
	}
	rk_flight_close_p(&f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("flight");

	tcase_add_checked_fixture(c, enter, leave);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, an_event_comes_back_with_everything_that_was_said_of_it);
	tcase_add_loop_test(c, the_newest_records_stay_when_the_ring_is_full, 0, 6);
	tcase_add_test(
		c, a_follower_that_is_lapped_goes_on_with_the_oldest_and_says_how_many_it_missed);
	tcase_add_loop_test(c, a_ring_has_as_many_records_as_it_was_made_with_also_for_a_successor,
			    0, rk_countof(sizes));
	tcase_add_loop_test(c, a_ring_of_another_size_is_not_made, 0, rk_countof(no_sizes));
	tcase_add_loop_test(c, sequences_go_on_over_their_wrap, 0, 6);
	tcase_add_loop_test(c, a_long_text_comes_back_whole_and_what_is_too_long_is_cut, 0, 6);
	tcase_add_test(c, hostile_bytes_are_made_printable);
	tcase_add_test(c, kinds_and_severities_have_names);
	tcase_add_test(
		c,
		a_writer_killed_at_any_system_call_leaves_whole_records_to_which_a_successor_adds);
	tcase_add_test(c, a_record_torn_at_any_byte_is_no_record);
	tcase_add_test(c, a_damaged_record_in_the_middle_is_skipped_and_counted);
	tcase_add_test(c, a_successor_goes_on_behind_the_newest_record_whatever_was_announced);
	tcase_add_test(c, readers_beside_a_writer_see_whole_records_in_order);
	tcase_add_loop_test(c, whoever_follows_is_woken_by_a_record_by_the_end_and_by_a_new_fleet,
			    0, 3);
	tcase_add_loop_test(c, a_new_file_replaces_whatever_is_there, 0, 4);
	tcase_add_loop_test(c, a_file_that_is_not_ours_is_refused_with_what_to_do, 0,
			    (int)(sizeof(damages) / sizeof(damages[0])));
	tcase_add_test(c, a_file_shrunk_under_writer_and_reader_kills_neither);
	tcase_add_test(
		c, whatever_the_file_holds_a_reader_ends_and_shows_nothing_that_was_not_written);
	return unit_run(c);
}
