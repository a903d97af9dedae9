/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    an entry is what journald's native protocol says; one that journald cannot have goes to
 *         stderr, and nobody waits for it; a record's entry has its id and what it is about.
 * Method  a datagram socket in journald's place, a pipe that is the journal's stream in stderr's.
 */
#include "supervisor/journald.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/recorder.h"
#include "tests/unit/unit.h"

static char directory[64], path[80];
static int theirs = -1; /* journald's end */
static int from = -1;   /* what stderr gets */
static struct rk_journald j;

static void bind_journald(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	theirs = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	strcpy(a.sun_path, path);
	ck_assert_int_eq(bind(theirs, (struct sockaddr *)&a, sizeof(a)), 0);
}

static void stderr_is_journal(void)
{
	struct stat st;
	char stream[64];
	int p[2];

	ck_assert_int_eq(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	ck_assert_int_eq(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(close(p[1]), 0);
	from = p[0];
	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
}

static void enter(void)
{
	strcpy(directory, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	bind_journald();
	stderr_is_journal();
	ck_assert_int_eq(rk_journald_open(&j, path, "rekindled"), 0);
	rk_log_divert(rk_journald_take, &j);
	rk_log_init(&(struct rk_log_conf){ .name = "rekindled", .most = RK_LOG_INFO });
}

static void leave(void)
{
	rk_journald_close_p(&j);
	(void)unlink(path);
	ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

/* The next entry, "(none)" if there is none. */
static const char *entry(void)
{
	static char text[RK_JOURNALD_ENTRY_MAX + 1];
	ssize_t len = recv(theirs, text, sizeof(text) - 1, 0);

	if (len < 0)
		return "(none)";
	text[len] = '\0';
	return text;
}

static const char *on_stderr(void)
{
	static char text[4096];
	ssize_t len = read(from, text, sizeof(text) - 1);

	text[len < 0 ? 0 : len] = '\0';
	return text;
}

START_TEST(an_entry_is_one_datagram_of_fields)
{
	rk_log(RK_LOG_WARNING, "keeper says so held=%u", 3u);
	ck_assert_str_eq(entry(), "MESSAGE=keeper says so held=3\nPRIORITY=4\n"
				  "SYSLOG_IDENTIFIER=rekindled\n");
	rk_log_whose("carts");
	rk_log_with(RK_LOG_ERROR,
		    (struct rk_log_field[]){
			    { "MESSAGE_ID", "0123" }, { "NONE", NULL }, { "EMPTY", "" } },
		    3, "and so");
	ck_assert_str_eq(entry(), "MESSAGE=and so\nPRIORITY=3\nSYSLOG_IDENTIFIER=rekindled\n"
				  "REKINDLE_NAME=carts\nMESSAGE_ID=0123\nEMPTY=\n");
	ck_assert_str_eq(entry(), "(none)");
	ck_assert_str_eq(on_stderr(), "");
}
END_TEST

START_TEST(quoted_input_is_no_field_of_its_own_and_no_binary)
{
	rk_log_with(RK_LOG_ERROR, &(struct rk_log_field){ "A", "1\nPRIORITY=0" }, 1, "name=%s",
		    "a\nMESSAGE_ID=0\xff");
	ck_assert_str_eq(entry(), "MESSAGE=name=a?MESSAGE_ID=0?\nPRIORITY=3\n"
				  "SYSLOG_IDENTIFIER=rekindled\nA=1?PRIORITY=0\n");
}
END_TEST

/* As long as a text may be, and fields longer than an entry. */
START_TEST(an_entry_has_a_bound)
{
	char value[2 * RK_JOURNALD_ENTRY_MAX];
	const char *got;

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	rk_log_with(RK_LOG_ERROR, (struct rk_log_field[]){ { "LONG", value }, { "LATE", "1" } }, 2,
		    "%s", value);
	got = entry();
	ck_assert_uint_eq(strlen(got), RK_JOURNALD_ENTRY_MAX);
	ck_assert_str_eq(got + strlen(got) - 3, "xx\n");
	ck_assert_ptr_nonnull(strstr(got, "...\nPRIORITY=3\n"));
	ck_assert_ptr_null(strstr(got, "LATE"));
}
END_TEST

START_TEST(without_journald_a_line_is_on_stderr)
{
	ck_assert_int_eq(close(theirs), 0); /* died: nobody reads the socket */
	rk_log(RK_LOG_WARNING, "one");
	ck_assert_str_eq(on_stderr(), "<4>one\n");
	ck_assert_int_eq(unlink(path), 0); /* never was */
	rk_log(RK_LOG_WARNING, "two");
	ck_assert_str_eq(on_stderr(), "<4>two\n");
	bind_journald(); /* comes back, with a new socket */
	rk_log(RK_LOG_WARNING, "three");
	ck_assert_str_eq(entry(), "MESSAGE=three\nPRIORITY=4\nSYSLOG_IDENTIFIER=rekindled\n");
	ck_assert_str_eq(on_stderr(), "");
}
END_TEST

START_TEST(nobody_waits_for_a_journald_that_does_not_read)
{
	unsigned int n = 0;
	const char *last = "";

	while (!last[0]) { /* would block */
		rk_log(RK_LOG_WARNING, "line %u", n++);
		last = on_stderr();
		ck_assert_uint_lt(n, 1000000);
	}
	ck_assert_str_eq(on_stderr(), "");
	for (unsigned int i = 0; i + 1 < n; i++)
		ck_assert_str_ne(entry(), "(none)");
	ck_assert_str_eq(entry(), "(none)"); /* what stderr got is not here too */
}
END_TEST

/* A child that reads as journald does; every entry takes it a moment. Ends behind the empty one. */
static pid_t reader_start(unsigned int n_entries)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	while (pid == 0) {
		struct pollfd p = { .fd = theirs, .events = POLLIN };
		char text[RK_JOURNALD_ENTRY_MAX];
		ssize_t len;

		if (poll(&p, 1, 10000) != 1)
			_exit(1);
		len = recv(theirs, text, sizeof(text), 0);
		if (len == 0)
			_exit(n_entries == 0 ? 0 : 2);
		n_entries--;
	}
	return pid;
}

START_TEST(who_ends_waits_until_all_has_been_read)
{
	int status;
	pid_t pid;

	for (unsigned int i = 0; i < 3; i++)
		rk_log(RK_LOG_WARNING, "line %u", i);
	pid = reader_start(3);
	ck_assert(rk_journald_settle(&j, 10000));
	ck_assert_int_eq(recv(theirs, &status, 1, MSG_PEEK), -1); /* nothing is left */
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(but_not_for_one_that_does_not_read)
{
	uint64_t start_ns = rk_clock_ns();

	rk_log(RK_LOG_WARNING, "line");
	ck_assert(!rk_journald_settle(&j, 30));
	ck_assert_uint_ge(rk_clock_ns() - start_ns, 30 * RK_NS_PER_MS);
	ck_assert_str_eq(entry(), "MESSAGE=line\nPRIORITY=4\nSYSLOG_IDENTIFIER=rekindled\n");
	ck_assert_str_eq(entry(), ""); /* by which it is known that the line has been dealt with */
	ck_assert(!rk_journald_settle(&j, 0));
	ck_assert_int_eq(close(theirs), 0);
	ck_assert(rk_journald_settle(&j, 10000)); /* nobody will read it */
}
END_TEST

START_TEST(who_has_said_nothing_need_not_wait)
{
	ck_assert(rk_journald_settle(&j, 0)); /* though nobody reads */
	ck_assert_int_eq(recv(theirs, &(char){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT), -1);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused)
{
	struct rk_journald other;
	char name[200];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(rk_journald_open(&other, name, "x"), -EINVAL);
	rk_journald_close_p(&other);
}
END_TEST

/* ---- records ---- */

static struct rk_recorder recorder = { .flight.fd = -1 };

static const struct rk_note death = { .kind = RK_FLIGHT_DEATH,
				      .level = RK_LOG_WARNING,
				      .is_quiet = true,
				      .fleet = "words",
				      .slot = 2,
				      .pid = 812,
				      .incarnation = 7,
				      .group = 99 };

START_TEST(a_record_is_an_entry_with_what_it_is_about)
{
	char want[600];

	rk_log_whose("carts");
	(void)rk_recorder_note(&recorder, &death, "worker died cause=\"%s\"", "SIGKILL");
	snprintf(want, sizeof(want),
		 "MESSAGE=worker died cause=\"SIGKILL\" slot=2 pid=812 incarnation=7\nPRIORITY=4\n"
		 "SYSLOG_IDENTIFIER=rekindled\nREKINDLE_NAME=carts\nMESSAGE_ID=%s\n"
		 "REKINDLE_EVENT=death\nREKINDLE_FLEET=words\nREKINDLE_WORKER=2\nREKINDLE_PID=812\n"
		 "REKINDLE_INCARNATION=7\nREKINDLE_GROUP=99\n",
		 rk_message_id(RK_MESSAGE_WORKER_DIED));
	ck_assert_str_eq(entry(), want);
}
END_TEST

START_TEST(a_record_has_no_field_for_what_it_is_not_about)
{
	struct rk_note note = { .kind = RK_FLIGHT_NOTE,
				.level = RK_LOG_INFO,
				.slot = RK_FLIGHT_NOBODY };

	rk_recorder_note_later(&recorder, &note, "something");
	ck_assert_str_eq(entry(), "MESSAGE=something\nPRIORITY=6\nSYSLOG_IDENTIFIER=rekindled\n"
				  "REKINDLE_EVENT=note\n");
	note.level = RK_LOG_DEBUG;
	(void)rk_recorder_note(&recorder, &note, "hidden");
	ck_assert_str_eq(entry(), "(none)");
}
END_TEST

START_TEST(a_record_may_have_an_id_of_its_own)
{
	struct rk_note note = death;
	char want[64];

	note.message = RK_MESSAGE_WORKER_STAYS_DOWN;
	(void)rk_recorder_note(&recorder, &note, "worker stays down");
	snprintf(want, sizeof(want), "\nMESSAGE_ID=%s\n",
		 rk_message_id(RK_MESSAGE_WORKER_STAYS_DOWN));
	ck_assert_ptr_nonnull(strstr(entry(), want));
}
END_TEST

START_TEST(outside_of_the_journal_a_quiet_record_stays_quiet)
{
	struct rk_note note = death;

	ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
	rk_log_init(&(struct rk_log_conf){ .name = "rekindled", .most = RK_LOG_INFO });
	(void)rk_recorder_note(&recorder, &note, "worker died");
	note.is_quiet = false;
	(void)rk_recorder_note(&recorder, &note, "worker died");
	ck_assert_str_eq(on_stderr(), "rekindled: worker died slot=2 pid=812 incarnation=7\n");
	ck_assert_str_eq(entry(), "(none)");
}
END_TEST

/* ---- ids ---- */

/* Those that are nothing one has to be told: what is said in passing, and steps of the table. */
static bool needs_no_id(int kind)
{
	return kind == RK_FLIGHT_NOTE || kind == RK_FLIGHT_TRANSITION;
}

START_TEST(every_kind_of_record_has_an_id)
{
	enum rk_message m = rk_message_of_kind((enum rk_flight_kind)_i);

	ck_assert_msg((m == RK_MESSAGE_OF_KIND) == needs_no_id(_i), "%s",
		      rk_flight_kind_name((uint32_t)_i));
	ck_assert_int_eq(rk_message_id(m) == NULL, needs_no_id(_i));
}
END_TEST

START_TEST(an_id_is_32_digits_and_no_other_messages)
{
	const char *id = rk_message_id((enum rk_message)_i);

	ck_assert_uint_eq(strspn(id, "0123456789abcdef"), 32);
	ck_assert_uint_eq(strlen(id), 32);
	for (int i = RK_MESSAGE_OF_KIND + 1; i < _i; i++)
		ck_assert_str_ne(rk_message_id((enum rk_message)i), id);
}
END_TEST

START_TEST(what_is_in_no_flight_recorder_has_an_id_too)
{
	char want[200];

	ck_assert_ptr_null(rk_message_id(RK_MESSAGE_OF_KIND));
	ck_assert_ptr_null(rk_message_id(RK_MESSAGE_COUNT));
	rk_message_log(RK_MESSAGE_FLEET_KILLED, RK_LOG_ERROR, "the supervisor died signal=%s",
		       "SIGKILL");
	snprintf(
		want, sizeof(want),
		"MESSAGE=the supervisor died signal=SIGKILL\nPRIORITY=3\nSYSLOG_IDENTIFIER=rekindled\n"
		"MESSAGE_ID=%s\n",
		rk_message_id(RK_MESSAGE_FLEET_KILLED));
	ck_assert_str_eq(entry(), want);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("journald");

	tcase_add_checked_fixture(c, enter, leave);
	tcase_add_test(c, an_entry_is_one_datagram_of_fields);
	tcase_add_test(c, quoted_input_is_no_field_of_its_own_and_no_binary);
	tcase_add_test(c, an_entry_has_a_bound);
	tcase_add_test(c, without_journald_a_line_is_on_stderr);
	tcase_add_test(c, nobody_waits_for_a_journald_that_does_not_read);
	tcase_add_test(c, who_ends_waits_until_all_has_been_read);
	tcase_add_test(c, but_not_for_one_that_does_not_read);
	tcase_add_test(c, who_has_said_nothing_need_not_wait);
	tcase_add_test(c, a_path_that_is_too_long_is_refused);
	tcase_add_test(c, a_record_is_an_entry_with_what_it_is_about);
	tcase_add_test(c, a_record_has_no_field_for_what_it_is_not_about);
	tcase_add_test(c, a_record_may_have_an_id_of_its_own);
	tcase_add_test(c, outside_of_the_journal_a_quiet_record_stays_quiet);
	tcase_add_loop_test(c, every_kind_of_record_has_an_id, RK_FLIGHT_NOTE, RK_FLIGHT_KINDS);
	tcase_add_loop_test(c, an_id_is_32_digits_and_no_other_messages, RK_MESSAGE_OF_KIND + 1,
			    RK_MESSAGE_COUNT);
	tcase_add_test(c, what_is_in_no_flight_recorder_has_an_id_too);
	return unit_run(c);
}
