/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A step that fails is named, whatever bytes come through the gate; a child that may not
 *         change its user does not run as the wrong one.
 * Method  Every step and some that are none; a child without privileges.
 */
#include "supervisor/setup.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char directory[] = "/some/where";
static struct rk_fleet_options options(void)
{
	struct rk_fleet_options o = { .nice = -7, .working_directory = directory };

	o.user = (struct rk_who){ .is_set = true, .id = 12, .gid = 12, .name = "games" };
	o.umask = (struct rk_mode){ true, 027 };
	return o;
}

static const struct {
	struct rk_setup_failure failure;
	const char *text;
} cases[] = {
	{ { RK_SETUP_UID, 0, EPERM }, "setuid to 'games': Operation not permitted" },
	{ { RK_SETUP_GID, 0, EPERM }, "setgid to 'games': Operation not permitted" },
	{ { RK_SETUP_GROUPS, 0, EPERM }, "setgroups: Operation not permitted" },
	{ { RK_SETUP_LIMIT, RK_LIMIT_AS, EPERM }, "LimitAS: Operation not permitted" },
	{ { RK_SETUP_NICE, 0, EACCES }, "nice level -7: Permission denied" },
	{ { RK_SETUP_CPUS, 0, EINVAL }, "CPUAffinity: Invalid argument" },
	{ { RK_SETUP_DIRECTORY, 0, ENOENT }, "chdir to '/some/where': No such file or directory" },
	{ { RK_SETUP_EXEC, 0, ENOENT }, "exec: No such file or directory" },
	{ { RK_SETUP_LIMIT, 4000000000u, EPERM }, "?: Operation not permitted" },
	{ { 4000000000u, 0, EPERM }, "an unknown step: Operation not permitted" },
};

START_TEST(a_step_that_fails_is_named)
{
	const struct rk_fleet_options o = options();
	const struct rk_setup s = { .o = &o };
	char text[200];

	ck_assert_str_eq(rk_setup_explain(&s, &cases[_i].failure, text, sizeof(text)),
			 cases[_i].text);
}
END_TEST

START_TEST(without_privileges_another_user_is_refused_and_our_own_is_not)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct rk_fleet_options o = { .nice = RK_NICE_KEEP };
		struct rk_setup_failure f = { 0 };
		struct rk_setup s;

		if (geteuid() == 0 && (syscall(SYS_setresgid, 65534, 65534, 65534) < 0 ||
				       syscall(SYS_setresuid, 65534, 65534, 65534) < 0))
			_exit(10);
		o.user = (struct rk_who){ .is_set = true, .id = geteuid(), .gid = getegid() };
		if (rk_setup_init(&s, &o, false, NULL) < 0 || !rk_setup_apply(&s, &f))
			_exit(11);
		rk_setup_free(&s);
		o.user.id = 12;
		if (rk_setup_init(&s, &o, false, NULL) < 0 || rk_setup_apply(&s, &f))
			_exit(12);
		_exit(f.error == EPERM && geteuid() != 12 ? 0 : 13);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "step %d",
		      WEXITSTATUS(status));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("setup");

	tcase_add_loop_test(c, a_step_that_fails_is_named, 0, (int)rk_countof(cases));
	tcase_add_test(c, without_privileges_another_user_is_refused_and_our_own_is_not);
	return unit_run(c);
}
