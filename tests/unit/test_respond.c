/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Every verdict has a response under every policy; none that is not a proven fault ever
 *         leads to a kill; ABORT becomes KILL when CoreTimeout is over.
 * Method  The whole table is walked.
 */
#include "supervisor/respond.h"

#include <check.h>

#include "tests/unit/unit.h"

#define CORE_NS (3 * RK_NS_PER_S)

static enum rk_response respond(int verdict, enum rk_policy policy, uint64_t for_ns)
{
	const struct rk_policies p = { policy, policy, CORE_NS };

	return rk_respond((enum rk_verdict)verdict, &p, for_ns);
}

static int is_kill(enum rk_response r)
{
	return r == RK_RESPOND_KILL || r == RK_RESPOND_ABORT;
}

START_TEST(every_verdict_has_a_response_under_every_policy)
{
	for (int policy = 0; policy < RK_POLICIES; policy++) {
		enum rk_response r = respond(_i, (enum rk_policy)policy, 0);

		ck_assert_uint_lt((unsigned int)r, RK_RESPONSES);
		/* An empty cell would read NONE. */
		ck_assert_msg((r == RK_RESPOND_NONE) == (_i < RK_VERDICT_SUSPECT),
			      "%s under %s: %s", rk_verdict_name((enum rk_verdict)_i),
			      rk_policy_name((enum rk_policy)policy), rk_response_name(r));
	}
}
END_TEST

START_TEST(what_is_no_proven_fault_never_kills)
{
	for (int policy = 0; policy < RK_POLICIES; policy++)
		if (_i <= RK_VERDICT_LATE)
			ck_assert(!is_kill(respond(_i, (enum rk_policy)policy, UINT64_MAX)));
}
END_TEST

START_TEST(report_and_move_kill_nobody_but_by_start_and_stop_deadlines)
{
	int is_deadline = _i == RK_VERDICT_START_TIMEOUT || _i == RK_VERDICT_STOP_TIMEOUT;

	ck_assert_int_eq(is_kill(respond(_i, RK_POLICY_REPORT, UINT64_MAX)), is_deadline);
	ck_assert_int_eq(is_kill(respond(_i, RK_POLICY_MOVE, UINT64_MAX)), is_deadline);
}
END_TEST

START_TEST(abort_becomes_kill_when_the_core_has_had_its_time)
{
	static const struct rk_policies no_core = { RK_POLICY_KILL, RK_POLICY_KILL, 0 };

	ck_assert_int_eq(respond(RK_VERDICT_LOOP, RK_POLICY_KILL, 0), RK_RESPOND_ABORT);
	ck_assert_int_eq(respond(RK_VERDICT_LOOP, RK_POLICY_KILL, CORE_NS - 1), RK_RESPOND_ABORT);
	ck_assert_int_eq(respond(RK_VERDICT_LOOP, RK_POLICY_KILL, CORE_NS), RK_RESPOND_KILL);
	ck_assert_int_eq(rk_respond(RK_VERDICT_LOOP, &no_core, 0), RK_RESPOND_KILL);
}
END_TEST

START_TEST(a_response_never_goes_back_while_its_verdict_stands)
{
	for (int policy = 0; policy < RK_POLICIES; policy++) {
		enum rk_response before = RK_RESPOND_NONE;

		for (uint64_t t = 0; t < 2 * CORE_NS; t += CORE_NS / 10) {
			enum rk_response r = respond(_i, (enum rk_policy)policy, t);

			ck_assert_int_ge(r, before);
			before = r;
		}
	}
}
END_TEST

START_TEST(pauses_follow_their_own_policy)
{
	static const struct rk_policies p = { RK_POLICY_KILL, RK_POLICY_REPORT, 0 };

	ck_assert_int_eq(rk_respond(RK_VERDICT_STOPPED, &p, 0), RK_RESPOND_REPORT);
	ck_assert_int_eq(rk_respond(RK_VERDICT_TRACED, &p, 0), RK_RESPOND_REPORT);
	ck_assert_int_eq(rk_respond(RK_VERDICT_FROZEN, &p, 0), RK_RESPOND_REPORT);
	ck_assert_int_eq(rk_respond(RK_VERDICT_DISK, &p, 0), RK_RESPOND_KILL);
}
END_TEST

START_TEST(what_is_outside_the_enums_does_nothing)
{
	ck_assert_int_eq(respond(RK_VERDICTS, RK_POLICY_KILL, 0), RK_RESPOND_NONE);
	ck_assert_int_eq(respond(RK_VERDICT_LOOP, RK_POLICIES, 0), RK_RESPOND_NONE);
	ck_assert_str_eq(rk_response_name(RK_RESPONSES), "?");
	ck_assert_str_eq(rk_policy_name(RK_POLICIES), "?");
}
END_TEST

START_TEST(policies_are_read_back_as_they_are_written)
{
	enum rk_policy p = RK_POLICIES;

	for (int i = 0; i < RK_POLICIES; i++) {
		ck_assert_int_eq(rk_policy_parse(rk_policy_name((enum rk_policy)i), &p), 0);
		ck_assert_int_eq(p, i);
	}
	ck_assert_int_eq(rk_policy_parse("Kill", &p), -1);
	ck_assert_int_eq(p, RK_POLICIES - 1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("respond");

	tcase_add_loop_test(c, every_verdict_has_a_response_under_every_policy, 0, RK_VERDICTS);
	tcase_add_loop_test(c, what_is_no_proven_fault_never_kills, 0, RK_VERDICTS);
	tcase_add_loop_test(c, report_and_move_kill_nobody_but_by_start_and_stop_deadlines, 0,
			    RK_VERDICTS);
	tcase_add_test(c, abort_becomes_kill_when_the_core_has_had_its_time);
	tcase_add_loop_test(c, a_response_never_goes_back_while_its_verdict_stands, 0, RK_VERDICTS);
	tcase_add_test(c, pauses_follow_their_own_policy);
	tcase_add_test(c, what_is_outside_the_enums_does_nothing);
	tcase_add_test(c, policies_are_read_back_as_they_are_written);
	return unit_run(c);
}
