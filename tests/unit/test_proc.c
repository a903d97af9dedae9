/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The number of threads is read from a stat file whatever the process calls itself,
 *         and a process that is gone has none, and whether it is stopped. How it ended can be read
 * until it is reaped. Method  Texts as the kernel writes them; this process with a second thread; a
 * child that ends.
 */
#include "supervisor/proc.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	int threads;
} texts[] = {
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 777 1 2", 1 },
	{ "812 (a) R 9 (b) c) R 1 2 3 0 -1 4 100 0 0 0 1 2 0 0 20 0 37 0 777", 37 },
	{ "812 () Z 1 2 3 0 -1 4 100 0 0 0 1 2 0 0 20 0 0 0 777", 0 },
	{ "812 (w) S 1 812", -EPROTO },
	{ "812 (w", -EPROTO },
	{ "", -EPROTO },
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 x 0 777", -EPROTO },
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 -4 0 777", -EPROTO },
};

START_TEST(threads_are_found_whatever_the_name)
{
	ck_assert_int_eq(rk_proc_parse_threads(texts[_i].text), texts[_i].threads);
}
END_TEST

static const struct {
	const char *text;
	int r;
	uint64_t begun;
} begins[] = {
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 777 1 2", 0, 777 },
	{ "812 (a) S 9 (b) c) R 1 2 3 0 -1 4 100 0 0 0 1 2 0 0 20 0 37 0 12345678901 5", 0, 12345678901 },
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 0", 0, 0 },
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0", -EPROTO, 5 },
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 x", -EPROTO, 5 },
	{ "812 (w) S 1 812 812 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 -7", -EPROTO, 5 },
	{ "812 (w", -EPROTO, 5 },
	{ "", -EPROTO, 5 },
};

START_TEST(when_it_began_is_read_whatever_the_name)
{
	uint64_t begun = 5;

	ck_assert_int_eq(rk_proc_parse_begun(begins[_i].text, &begun), begins[_i].r);
	ck_assert_uint_eq(begun, begins[_i].begun);
}
END_TEST

START_TEST(a_process_began_once_and_one_that_is_gone_never)
{
	uint64_t ours = 0, again = 0, first = 0;
	rk_cleanup(rk_close_p) int self = rk_proc_open(getpid());
	rk_cleanup(rk_close_p) int init = rk_proc_open(1);
	rk_cleanup(rk_close_p) int gone = -1;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	ck_assert_int_eq(rk_proc_begun(self, &ours), 0);
	ck_assert_int_eq(rk_proc_begun(self, &again), 0);
	ck_assert_int_eq(rk_proc_begun(init, &first), 0);
	ck_assert_uint_eq(ours, again);
	ck_assert_uint_lt(first, ours);
	gone = rk_proc_open(pid);
	ck_assert_int_eq(rk_proc_begun(gone, &again), 0);
	ck_assert_uint_ge(again, ours);
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(rk_proc_begun(gone, &again), -ESRCH);
}
END_TEST

static const struct {
	const char *text;
	bool is_running;
} states[] = {
	{ "812 (w) S 1 812", true },
	{ "812 (w) R 1 812", true },
	{ "812 (a) T (b) S 1 2", true },
	{ "812 (w) D 1 812", true },
	{ "812 (w) T 1 812", false },
	{ "812 (w) t 1 812", false },
	{ "812 (a) S (b) T 1", false },
	{ "812 (w) Z 1 812", false },
	{ "812 (w) X 1 812", false },
	{ "812 (w) ", false },
	{ "812 (w", false },
	{ "", false },
};

START_TEST(whether_it_can_run_is_read_whatever_the_name)
{
	ck_assert_int_eq(rk_proc_parse_running(states[_i].text), states[_i].is_running);
}
END_TEST

static const struct {
	const char *text;
	uint32_t sig;
	int catches;
} statuses[] = {
	{ "Name:\tw\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000200\n", SIGUSR1, 1 },
	{ "Name:\tw\nSigIgn:\t0000000000000200\nSigCgt:\t0000000000000800\n", SIGUSR1, 0 },
	{ "Name:\tSigCgt:\nSigCgt:\t8000000000000000\n", 64, 1 },
	{ "Name:\tw\nSigCgt:\t0000000000000200\n", 0, -EPROTO },
	{ "Name:\tw\nSigCgt:\t0000000000000200\n", 65, -EPROTO },
	{ "Name:\tw\nSigCgt:\t", SIGUSR1, -EPROTO },
	{ "Name:\tw\n", SIGUSR1, -EPROTO },
	{ "", SIGUSR1, -EPROTO },
};

START_TEST(whether_it_has_a_handler_is_read)
{
	ck_assert_int_eq(rk_proc_parse_catches(statuses[_i].text, statuses[_i].sig),
			 statuses[_i].catches);
}
END_TEST

static void on_signal(int sig)
{
	(void)sig;
}

START_TEST(a_handler_of_ours_is_found)
{
	ck_assert_int_eq(rk_proc_catches(getpid(), SIGWINCH), 0);
	ck_assert(signal(SIGWINCH, on_signal) != SIG_ERR);
	ck_assert_int_eq(rk_proc_catches(getpid(), SIGWINCH), 1);
	ck_assert(signal(SIGWINCH, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(rk_proc_catches(getpid(), SIGWINCH), 0);
	ck_assert(signal(SIGWINCH, SIG_DFL) != SIG_ERR);
}
END_TEST

START_TEST(a_process_that_is_stopped_or_gone_does_not_run)
{
	pid_t pid = fork();
	int status, fd;

	if (pid == 0)
		for (;;)
			(void)pause();
	fd = rk_proc_open(pid);
	ck_assert(rk_proc_is_running(fd));
	(void)kill(pid, SIGSTOP);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(!rk_proc_is_running(fd));
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(!rk_proc_is_running(fd));
	(void)close(fd);
}
END_TEST

static int n_threads(int fd)
{
	struct rk_proc_end end;

	(void)!rk_proc_end(fd, &end);
	return end.n_threads;
}

static void *wait_for_end(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) == 0 ? NULL : arg;
}

START_TEST(a_second_thread_is_counted)
{
	rk_cleanup(rk_close_p) int fd = rk_proc_open(getpid());
	int gate[2], before = n_threads(fd);
	pthread_t thread;

	ck_assert_int_ge(before, 1);
	ck_assert_int_eq(pipe(gate), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_end, &gate[0]), 0);
	ck_assert_int_eq(n_threads(fd), before + 1);
	(void)close(gate[1]);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(gate[0]);
}
END_TEST

START_TEST(a_process_that_is_gone_has_no_threads)
{
	int gate[2];
	pid_t pid;

	ck_assert_int_eq(pipe(gate), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(gate[1]);
		_exit(wait_for_end(&gate[0]) != NULL);
	}
	rk_cleanup(rk_close_p) int fd = rk_proc_open(pid);
	ck_assert_int_eq(n_threads(fd), 1);
	(void)close(gate[1]);
	(void)close(gate[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(n_threads(fd), 0);
	ck_assert_int_eq(rk_proc_open(pid), -ENOENT);
}
END_TEST

/* Fields 3 to 51 and the exit code. */
#define STAT                                                                                       \
	"812 (a) R 9) Z 4 5 6 0 1 2 3 4 5 6 0 1 2 3 4 5 6 0 1 2 3 4 5 6 0 1 2 3 4 5 6 0 1 2 3 4 5 6 0 1 2 3 4 5 6 0 1 2 "

static const struct {
	const char *text;
	int result, code, status;
} ends[] = {
	{ STAT "9\n", 0, CLD_KILLED, SIGKILL }, { STAT "139\n", 0, CLD_DUMPED, SIGSEGV },
	{ STAT "768\n", 0, CLD_EXITED, 3 },     { STAT "65280\n", 0, CLD_EXITED, 255 },
	{ STAT "0\n", -ENODATA, 0, 0 },         { STAT "-1\n", -EPROTO, 0, 0 },
	{ STAT "65536\n", -EPROTO, 0, 0 },      { STAT "\n", -EPROTO, 0, 0 },
	{ "812 (w) Z 1 2 3\n", -EPROTO, 0, 0 },
};

START_TEST(how_a_process_ended_is_read_from_its_stat_file)
{
	int code = 0, status = 0;

	ck_assert_int_eq(rk_proc_parse_exit(ends[_i].text, &code, &status), ends[_i].result);
	ck_assert_int_eq(code, ends[_i].code);
	ck_assert_int_eq(status, ends[_i].status);
}
END_TEST

START_TEST(and_that_can_be_read_before_it_is_reaped_and_by_its_pidfd_behind_it)
{
	siginfo_t si;
	struct rk_proc_end end;
	int code, status, r;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	rk_cleanup(rk_close_p) int fd = rk_proc_open(pid),
				   pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_eq(rk_proc_end(fd, &end), -ENODATA);
	ck_assert_int_lt(rk_proc_reaped(pidfd, &code, &status), 0);
	ck_assert_int_eq(kill(pid, SIGUSR1), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(rk_proc_end(fd, &end), 0);
	ck_assert(end.code == CLD_KILLED && end.status == SIGUSR1 && end.n_threads == 1);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(rk_proc_end(fd, &end), -ESRCH);
	ck_assert_int_eq(end.n_threads, 0);
	code = status = 0;
	r = rk_proc_reaped(pidfd, &code, &status);
	ck_assert(r < 0 || (code == CLD_KILLED && status == SIGUSR1)); /* Linux before 6.15 */
}
END_TEST

START_TEST(whom_the_kernel_killed_for_want_of_memory_is_counted)
{
	uint64_t n = 7;

	ck_assert_int_eq(rk_proc_parse_oom_kills("nr_free 5\noom_kill 12\nx 3\n", &n), 0);
	ck_assert_uint_eq(n, 12);
	ck_assert_int_eq(rk_proc_parse_oom_kills("nr_free 5\ndrop_oom_kill 9\n", &n), -EPROTO);
	ck_assert_int_eq(rk_proc_parse_oom_kills("a 1\noom_kill \n", &n), -EPROTO);
	ck_assert_int_eq(rk_proc_parse_oom_kills("", &n), -EPROTO);
	ck_assert_uint_eq(n, 12);
	ck_assert_int_eq(rk_proc_oom_kills(&n), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("proc");

	tcase_add_loop_test(c, threads_are_found_whatever_the_name, 0,
			    (int)(sizeof(texts) / sizeof(texts[0])));
	tcase_add_loop_test(c, how_a_process_ended_is_read_from_its_stat_file, 0,
			    (int)(sizeof(ends) / sizeof(ends[0])));
	tcase_add_test(c, and_that_can_be_read_before_it_is_reaped_and_by_its_pidfd_behind_it);
	tcase_add_test(c, whom_the_kernel_killed_for_want_of_memory_is_counted);
	tcase_add_loop_test(c, when_it_began_is_read_whatever_the_name, 0, rk_countof(begins));
	tcase_add_test(c, a_process_began_once_and_one_that_is_gone_never);
	tcase_add_loop_test(c, whether_it_can_run_is_read_whatever_the_name, 0,
			    (int)(sizeof(states) / sizeof(states[0])));
	tcase_add_loop_test(c, whether_it_has_a_handler_is_read, 0, rk_countof(statuses));
	tcase_add_test(c, a_handler_of_ours_is_found);
	tcase_add_test(c, a_process_that_is_stopped_or_gone_does_not_run);
	tcase_add_test(c, a_second_thread_is_counted);
	tcase_add_test(c, a_process_that_is_gone_has_no_threads);
	return unit_run(c);
}
