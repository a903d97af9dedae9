/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A death becomes one line: how it died, what it said, what came of it; a worker's
 *         last words cannot drive a terminal or overrun anything.
 * Method  A table of deaths and the lines they must become.
 */
#include "supervisor/obituary.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

static const struct {
	struct rk_obituary o;
	const char *line;
} deaths[] = {
	{ { .worker = 2,
	    .pid = 812,
	    .is_cause_known = true,
	    .code = CLD_KILLED,
	    .status = SIGKILL,
	    .outcome = RK_OBITUARY_COMMITTED,
	    .successor = 845,
	    .job = 10233,
	    .took_ns = 1600000 },
	  "worker 2 (pid 812) SIGKILL: 845 committed job 10,233 after 1.6 ms" },
	{ { .worker = 2,
	    .pid = 812,
	    .is_cause_known = true,
	    .code = CLD_EXITED,
	    .status = 3,
	    .outcome = RK_OBITUARY_READY,
	    .successor = 845,
	    .took_ns = 1200000 },
	  "worker 2 (pid 812) exited 3: 845 ready after 1.2 ms" },
	{ { .worker = 0,
	    .pid = 9,
	    .is_cause_known = true,
	    .code = CLD_DUMPED,
	    .status = SIGSEGV,
	    .outcome = RK_OBITUARY_READY,
	    .successor = 10,
	    .took_ns = 26 * RK_NS_PER_MS },
	  "worker 0 (pid 9) SIGSEGV (core): 10 ready after 26 ms" },
	{ { .worker = 0,
	    .pid = 9,
	    .is_cause_known = true,
	    .code = CLD_KILLED,
	    .status = 40,
	    .outcome = RK_OBITUARY_LOST,
	    .successor = 10 },
	  "worker 0 (pid 9) signal 40: 10 took over and died before it was ready" },
	{ { .worker = 1,
	    .pid = 9,
	    .exec_error = ENOENT,
	    .is_cause_known = true,
	    .code = CLD_EXITED,
	    .status = 127,
	    .outcome = RK_OBITUARY_WAITING,
	    .n_failed = 5,
	    .took_ns = 100 * RK_NS_PER_MS },
	  "worker 1 (pid 9) could not be executed (No such file or directory): not ready 5 times "
	  "in a row, next try in 100 ms" },
	{ { .worker = 1, .pid = 9, .last_words = "no table", .outcome = RK_OBITUARY_STOPPED },
	  "worker 1 (pid 9) died (\"no table\"): not replaced, the fleet stops" },
	{ { .worker = 1,
	    .pid = 9,
	    .outcome = RK_OBITUARY_WAITING,
	    .n_failed = 9,
	    .took_ns = 1600 * RK_NS_PER_MS },
	  "worker 1 (pid 9) died: not ready 9 times in a row, next try in 1.6 s" },
	{ { .worker = 1,
	    .pid = 9,
	    .is_cause_known = true,
	    .code = CLD_KILLED,
	    .status = SIGKILL,
	    .outcome = RK_OBITUARY_WAITING,
	    .n_braked = 31,
	    .took_ns = 46 * RK_NS_PER_MS },
	  "worker 1 (pid 9) SIGKILL: restarts are braked: 31 deaths in 1 s, next try in 46 ms" },
	{ { .worker = 1,
	    .pid = 9,
	    .outcome = RK_OBITUARY_WAITING,
	    .n_braked = 31,
	    .n_failed = 6,
	    .took_ns = 246 * RK_NS_PER_MS },
	  "worker 1 (pid 9) died: not ready 6 times in a row, and restarts are braked (31 deaths in 1 s), "
	  "next try in 246 ms" },
	{ { .worker = 1,
	    .pid = 9,
	    .was_ready = true,
	    .outcome = RK_OBITUARY_WAITING,
	    .n_failed = 6,
	    .took_ns = 200 * RK_NS_PER_MS },
	  "worker 1 (pid 9) died: dead 6 times in a row before it was healthy, next try in 200 ms" },
	{ { .worker = 2,
	    .pid = 812,
	    .was_in_job = true,
	    .in_job = 17,
	    .partition = 3,
	    .verdict = RK_VERDICT_ASLEEP,
	    .judged_for_ns = 10 * RK_NS_PER_S,
	    .is_cause_known = true,
	    .code = CLD_KILLED,
	    .status = SIGKILL,
	    .outcome = RK_OBITUARY_READY,
	    .successor = 845,
	    .took_ns = 1600000 },
	  "worker 2 (pid 812) hung in job 17 of partition 3 for 10.0 s, killed: 845 ready after 1.6 ms" },
	{ { .worker = 2,
	    .pid = 812,
	    .verdict = RK_VERDICT_START_TIMEOUT,
	    .judged_for_ns = 60 * RK_NS_PER_S,
	    .is_cause_known = true,
	    .code = CLD_DUMPED,
	    .status = SIGABRT,
	    .outcome = RK_OBITUARY_LOST,
	    .successor = 845 },
	  "worker 2 (pid 812) did not start for 60.0 s, SIGABRT (core): 845 took over and died before it was ready" },
	{ { .worker = 2, .pid = 812, .verdict = RK_VERDICT_LATE, .outcome = RK_OBITUARY_STOPPED },
	  "worker 2 (pid 812) died: not replaced, the fleet stops" },
};

START_TEST(a_death_reads_as_it_should)
{
	char text[RK_OBITUARY_LINE];

	ck_assert_str_eq(rk_obituary_format(&deaths[_i].o, text), deaths[_i].line);
}
END_TEST

START_TEST(last_words_are_printable_and_end)
{
	struct rk_obituary o = { .worker = 1 };
	char words[RK_OBITUARY_WORDS], text[RK_OBITUARY_LINE];

	memset(words, '\x1b', sizeof(words)); /* no NUL anywhere */
	rk_obituary_words(&o, words, sizeof(words));
	ck_assert_uint_eq(strlen(o.last_words), RK_OBITUARY_WORDS - 1);
	ck_assert_ptr_null(strchr(o.last_words, '\x1b'));
	ck_assert_uint_lt(strlen(rk_obituary_format(&o, text)), RK_OBITUARY_LINE);
	rk_obituary_words(&o, "gr\xc3\xbc\xc3\x9f\n", 7);
	ck_assert_str_eq(o.last_words, "gr?????"); /* it may be no UTF-8 at all */
}
END_TEST

int main(void)
{
	TCase *c = unit_case("obituary");

	tcase_add_loop_test(c, a_death_reads_as_it_should, 0,
			    (int)(sizeof(deaths) / sizeof(deaths[0])));
	tcase_add_test(c, last_words_are_printable_and_end);
	return unit_run(c);
}
