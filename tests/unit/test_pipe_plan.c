/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a pipeline's fleet has a name that a fleet may have and that tells whose it is, whatever the
 *         command is called.
 * Method  a table.
 */
#include "cli/pipe_plan.h"

#include <check.h>
#include <string.h>

#include "shm/rundir.h"
#include "tests/unit/unit.h"

static const struct {
	const char *command;
	int pid;
	const char *name;
} names[] = {
	{ "jq", 12, "jq-12" },
	{ "/usr/bin/jq", 4194304, "jq-4194304" },
	{ "./my worker", 1, "my_worker-1" },
	{ ".hidden", 1, "_hidden-1" },
	{ "python3.11", 1, "python3.11-1" },
	{ "/", 1, "-1" },
	{ "\xc3\xa4", 1, "__-1" },
	{ "a-name-of-seventy-bytes-and-so-one-that-no-fleet-could-ever-have-as-its", 4194304,
	  "a-name-of-seventy-bytes-and-so-one-that-no-fleet-could-4194304" },
};

START_TEST(a_pipeline_has_a_name_of_its_own)
{
	char name[RK_NAME_MAX];
	struct rk_err err = { 0 };

	rk_pipe_plan_name(name, names[_i].command, names[_i].pid);
	ck_assert_uint_lt(strlen(name), RK_NAME_MAX);
	ck_assert_msg(rk_name_check(name, &err) == 0, "%s", err.text);
	if (strlen(names[_i].command) < 60)
		ck_assert_str_eq(name, names[_i].name);
	else
		ck_assert_str_eq(strrchr(name, '-'), "-4194304");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("pipe_plan");

	tcase_add_loop_test(c, a_pipeline_has_a_name_of_its_own, 0, (int)rk_countof(names));
	return unit_run(c);
}
