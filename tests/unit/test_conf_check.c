/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What does not fit together is told where it can be changed, and a configuration is
 *         held against the machine it is to run on.
 * Method  A table of configurations with the one complaint each must give, on a made-up machine:
 *         no root, CPUs 0 and 1, 1 GiB, and of programs, files and directories only /good.
 */
#include "supervisor/conf_check.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/conf_fixture.h"
#include "tests/unit/unit.h"

static int find(const char *program, struct rk_err *err)
{
	return strcmp(program, "/good") == 0
		       ? 0
		       : rk_err_set(err, -ENOENT, "'%s' is not there", program);
}

static int look(const char *path)
{
	return strcmp(path, "/good") == 0 ? 0 : -ENOENT;
}

static bool has_bridge;

static int find_bridge(struct rk_err *err)
{
	return has_bridge ? 0 : rk_err_set(err, -ENOENT, "cannot find rekindle-bridge");
}

static struct rk_conf_world world_of(uint32_t euid)
{
	struct rk_conf_world w = { .euid = euid,
				   .egid = euid,
				   .memory = 1u << 30,
				   .find = find,
				   .find_bridge = find_bridge,
				   .is_dir = look,
				   .is_file = look };

	CPU_SET(0, &w.cpus);
	CPU_SET(1, &w.cpus);
	return w;
}

#define A "[Fleet a]\nExec=/good\n"
#define B "[Fleet b]\nExec=/good\n"
#define C "[Fleet c]\nExec=/good\n"

static const struct {
	const char *text;
	uint32_t line;
	const char *says;
} bad[] = {
	{ "", 0, "there is no fleet" },
	{ "[Supervisor]\nLogLevel=info\n", 0, "there is no fleet" },
	{ "[Fleet a]\nWorkers=1\n", 1, "has no command" },
	{ "[Fleet a]\nExec=\n", 2, "has no command" },
	{ A "RestartWindow=0\n", 3, "has no window" },
	{ A "RestartBackoff=9s\n", 3, "longer than RestartBackoffMax" },
	{ A "MemoryHigh=2G\nMemoryMax=1G\n", 3, "above MemoryMax" },
	{ A "QuotaPerClient=17\n", 3, "Slots=16" },
	{ A "ClientGroup=0\n", 3, "SocketMode=0660" },
	{ A "SocketMode=0777\nUMask=0000\nStandby=64\nWorkers=4095\n", 5, "more than 4095" },
	{ A "MaxClients=65536\nSlots=1024\n", 3, "lower MaxClients= or Slots=" },
	{ A "MaxReply=16M\nDedup=65534\n", 1, "lower MaxState=" },
	{ A "KillSignal=SIGUSR1\nJobTimeoutSignal=SIGUSR1\n", 4, "KillSignal= too" },
	{ A "After=a\n", 3, "cannot wait for itself" },
	{ A "Requires=x\n", 3, "there is no [Fleet x]" },
	{ A "After=b\n" B "Requires=a\n", 3, "cycle: a -> b -> a;" },
	{ A "After=b\n" B "After=c\n" C "After=b\n", 6, "cycle: b -> c -> b;" },
	{ "[Fleet a]\nExec=/bad x\n", 2, "Exec='/bad' is not there" },
	{ A "ExecStartPre=/good\nExecStartPre=/bad\n", 4, "ExecStartPre='/bad'" },
	{ A "OnFailure=/bad\n", 3, "OnFailure='/bad'" },
	{ A "WorkingDirectory=/bad\n", 3, "WorkingDirectory=/bad: No such file" },
	{ A "EnvironmentFile=/good -/bad /worse\n", 3, "EnvironmentFile=/worse: No such file" },
	{ A "User=0\n", 3, "User=0 needs root" },
	{ A "Group=0\n", 3, "Group=0 needs root" },
	{ A "ClientUser=0\n", 3, "ClientUser=0 needs root" },
	{ A "CPUAffinity=2-9\n", 3, "no CPU that this machine has" },
	{ A "MaxState=8M\n" B "MaxState=1M\n", 3, "of which fleet 'a'" },
};

START_TEST(what_does_not_fit_is_told_where_it_can_be_changed)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_conf_world w = world_of(1000);

	conf_of(bad[_i].text, &conf, &c);
	rk_conf_check_world(&conf, &w, &c);
	expect_complaint(&c, bad[_i].line, bad[_i].says);
}
END_TEST

static const char *const good[] = {
	A,
	A "RestartBurst=0\nRestartWindow=0\n",
	A "ClientGroup=0\nSocketMode=0660\n",
	A "User=1000\nGroup=1000\n",
	A "CPUAffinity=1-9\n",
	A "KillSignal=SIGUSR1\nJobTimeoutSignal=SIGUSR2\n",
	A "ExecStartPre=-/bad\nEnvironmentFile=-/bad\nWorkingDirectory=/good\n",
	A "After=b c\n" B "After=c\n" C,                   /* a diamond is no cycle */
	A "MaxState=8M\nDisabled=yes\n" B "MaxState=1M\n", /* takes no memory */
	A "Workers=4031\nStandby=64\n",
};

START_TEST(what_fits_gives_no_complaint)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_conf_world w = world_of(1000);

	conf_of(good[_i], &conf, &c);
	rk_conf_check_world(&conf, &w, &c);
	ck_assert_msg(c.n == 0, "%s", c.n ? c.at[0].text : "");
}
END_TEST

START_TEST(root_may_choose_any_user)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_conf_world w = world_of(0);

	conf_of(A "User=1000\nGroup=77\nClientUser=1000\n", &conf, &c);
	rk_conf_check_world(&conf, &w, &c);
	ck_assert_msg(c.n == 0, "%s", c.n ? c.at[0].text : "");
}
END_TEST

/* That of Exec= is looked for all the same: the bridge would look for it later. */
START_TEST(a_wrapped_program_needs_its_bridge_which_is_missed_once)
{
	static const char text[] = "[Fleet off]\nExec=/good\nKind=lines\nDisabled=yes\n" A "Kind=lines\n" B "Kind=lines\n";
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 }, none = { 0 }, bad_program = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 }, other = { 0 };
	struct rk_conf_world w = world_of(1000);

	conf_of(text, &conf, &c);
	rk_conf_check_world(&conf, &w, &c);
	expect_complaint(&c, 7, "Kind=lines: cannot find rekindle-bridge");
	has_bridge = true;
	rk_conf_check_world(&conf, &w, &none);
	ck_assert_uint_eq(none.n, 0);
	conf_of("[Fleet a]\nExec=/bad\nKind=lines\n", &other, &bad_program);
	rk_conf_check_world(&other, &w, &bad_program);
	expect_complaint(&bad_program, 2, "Exec='/bad' is not there");
}
END_TEST

START_TEST(the_commands_of_a_wrapped_program_are_looked_for)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_conf_world w = world_of(1000);

	has_bridge = true;
	conf_of(A "Kind=tcp\nProbeExec=/bad a\nCheckpointExec=/worse\nRestoreExec=/worst\n", &conf, &c);
	rk_conf_check_world(&conf, &w, &c);
	ck_assert_uint_eq(c.n, 3);
	ck_assert_str_eq(c.at[0].text, "ProbeExec='/bad' is not there");
	ck_assert_str_eq(c.at[1].text, "CheckpointExec='/worse' is not there");
	ck_assert_str_eq(c.at[2].text, "RestoreExec='/worst' is not there");
}
END_TEST

START_TEST(nothing_is_concluded_from_what_was_refused)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	conf_of("[Fleet a]\nExec='x\n", &conf, &c);
	expect_complaint(&c, 2, "no partner"); /* and not: there is no Exec */
}
END_TEST

START_TEST(this_machine_can_be_described)
{
	struct rk_conf_world w;
	struct rk_err err = { 0 };

	rk_conf_world(&w);
	ck_assert_uint_gt(w.memory, 1 << 20);
	ck_assert_int_gt(CPU_COUNT(&w.cpus), 0);
	ck_assert_int_eq(w.find("sh", &err), 0);
	ck_assert_int_lt(w.find("/dev/null", &err), 0);
	ck_assert_int_eq(w.is_dir("/"), 0);
	ck_assert_int_eq(w.is_dir("/dev/null"), -ENOTDIR);
	ck_assert_int_eq(w.is_file("/nonexistent"), -ENOENT);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("conf_check");

	tcase_add_loop_test(c, what_does_not_fit_is_told_where_it_can_be_changed, 0,
			    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_loop_test(c, what_fits_gives_no_complaint, 0,
			    (int)(sizeof(good) / sizeof(good[0])));
	tcase_add_test(c, root_may_choose_any_user);
	tcase_add_test(c, a_wrapped_program_needs_its_bridge_which_is_missed_once);
	tcase_add_test(c, the_commands_of_a_wrapped_program_are_looked_for);
	tcase_add_test(c, nothing_is_concluded_from_what_was_refused);
	tcase_add_test(c, this_machine_can_be_described);
	return unit_run(c);
}
