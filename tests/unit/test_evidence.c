/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Evidence names each thread and what the kernel shows of it; what may not be read is said
 *         with the reason; hostile names stay printable; everything fits.
 * Method  A child of known name that sleeps; the same when it is dead; made-up evidence of
 *         greatest length.
 */
#include "supervisor/evidence.h"

#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static struct rk_observatory shared; /* one test per process */
static struct rk_observe *o;
static struct rk_evidence evidence;
static char text[RK_EVIDENCE_TEXT];
static pid_t child;

static void setup(void)
{
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, "sly\nthread 9");
		(void)!write(ready[1], "r", 1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	rk_observatory_init(&shared);
	ck_assert_int_eq(rk_observe_open(&shared, child, -1, &o), 0);
}

static void teardown(void)
{
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	rk_observe_close(o);
}

static void gather(void)
{
	struct rk_evidence_case c = { .worker = 3,
				      .pid = child,
				      .incarnation = 12,
				      .key_hash = 0xabc,
				      .wall_ns = 1700000000 * RK_NS_PER_S,
				      .response = RK_RESPOND_KILL };
	struct rk_finding f = { .verdict = RK_VERDICT_ASLEEP,
				.phase = RK_PHASE_WORKING,
				.job = 42,
				.partition = 7,
				.stalled_ns = 10 * RK_NS_PER_S,
				.bound_ns = 10 * RK_NS_PER_S };

	rk_observe_look(o, true, rk_clock_ns(), &f.look);
	rk_evidence_gather(&c, &f, o, &evidence);
	ck_assert_uint_eq(rk_evidence_format(&evidence, text), strlen(text));
}

static void must_have(const char *what)
{
	ck_assert_msg(strstr(text, what) != NULL, "no \"%s\" in\n%s", what, text);
}

START_TEST(it_says_who_what_job_and_how_each_thread_stands)
{
	gather();
	must_have("worker 3 (pid ");
	must_have("incarnation 12) 2023-11-14T22:13:20Z: asleep, response kill\n");
	must_have("  job 42 of partition 7, key hash 0000000000000abc\n");
	must_have("bound 10000 ms");
	ck_assert_uint_eq(evidence.n_threads, 1);
	ck_assert_int_eq(evidence.thread[0].tid, child);
	ck_assert(evidence.thread[0].wchan[0] && evidence.thread[0].syscall[0] &&
		  evidence.thread[0].stack[0]);
}
END_TEST

START_TEST(a_name_cannot_forge_a_line)
{
	gather();
	must_have("(sly?thread 9) state ");
}
END_TEST

START_TEST(what_cannot_be_read_is_said)
{
	gather();
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	rk_evidence_gather(&(struct rk_evidence_case){ .pid = child }, &evidence.finding, o,
			   &evidence);
	(void)rk_evidence_format(&evidence, text);
	must_have("stack not available (No such ");
	must_have("wchan not available (No such ");
	must_have("syscall not available (No such ");
}
END_TEST

START_TEST(the_right_to_read_the_stack_is_asked_and_its_absence_said)
{
	if (geteuid() != 0)
		return; /* then the kernel refuses anyway, and the test below this line is the whole
			   of it */
	ck_assert_int_eq(seteuid(65534), 0);
	gather();
	ck_assert_int_eq(seteuid(0), 0);
	must_have("syscall not permitted (");
	must_have("stack not permitted (");
}
END_TEST

START_TEST(the_longest_evidence_fits_and_ends_with_a_line)
{
	size_t len;

	memset(&evidence, 'x', sizeof(evidence));
	evidence.n_threads = 1u << 31; /* it may come from a damaged file */
	evidence.finding.look.error = -13;
	evidence.finding.look.is_cut = evidence.finding.look.is_frozen = true;
	for (uint32_t i = 0; i < RK_EVIDENCE_THREADS; i++) {
		struct rk_evidence_thread *t = &evidence.thread[i];

		t->name[sizeof(t->name) - 1] = t->wchan[sizeof(t->wchan) - 1] = '\0';
		t->syscall[sizeof(t->syscall) - 1] = t->stack[sizeof(t->stack) - 1] = '\0';
	}
	len = rk_evidence_format(&evidence, text);
	ck_assert_uint_lt(len, RK_EVIDENCE_TEXT);
	ck_assert_int_eq(text[len - 1], '\n');
	must_have("more threads\n");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("evidence");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, it_says_who_what_job_and_how_each_thread_stands);
	tcase_add_test(c, a_name_cannot_forge_a_line);
	tcase_add_test(c, what_cannot_be_read_is_said);
	tcase_add_test(c, the_right_to_read_the_stack_is_asked_and_its_absence_said);
	tcase_add_test(c, the_longest_evidence_fits_and_ends_with_a_line);
	return unit_run(c);
}
