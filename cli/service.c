/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle enable and disable: whether systemd starts a fleet with the machine.
 *
 * They execute systemctl. libsystemd would save four processes of commands that nobody runs in a
 * loop, and cost each of the others its loading and that of what it needs (compression, gcrypt);
 * and systemctl also asks for a password where polkit wants one, works on the root of a machine
 * that does not run, and says itself what it could not do.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "cli/cli.h"
#include "cli/programs.h"
#include "shm/abi.h"
#include "shm/rundir.h"

#define WORD_LEN 64 /* of systemctl's answers */

#define SYSTEMCTL_NOT_ALLOWED 4 /* from start and stop, as LSB has it; other verbs only fail */

struct service {
	const char *name;
	const char *root; /* NULL = this machine */
	bool is_now;
	char unit[RK_NAME_MAX + 32];
	char state[WORD_LEN]; /* as is-enabled has it */
};

/* ---- systemctl ---- */

/* systemctl [--root=ROOT] VERB [UNIT]; its answer's first word in word, unless that is NULL. */
static int systemctl(const struct service *s, const char *verb, const char *unit,
		     char word[WORD_LEN])
{
	char program[] = "systemctl", quiet[] = "--quiet", root[PATH_MAX + 8] = "", what[32];
	char name[sizeof(s->unit)] = "";
	char *argv[6] = { program };
	size_t n = 1;
	int r;

	(void)snprintf(what, sizeof(what), "%s", verb);
	if (s->root) {
		(void)snprintf(root, sizeof(root), "--root=%s", s->root);
		argv[n++] = root;
	}
	if (!word)
		argv[n++] = quiet;
	argv[n++] = what;
	if (unit) {
		(void)snprintf(name, sizeof(name), "%s", unit);
		argv[n++] = name;
	}
	r = rk_programs_run(&(struct rk_programs_child){
		.argv = argv, .out = word, .size = WORD_LEN, .hides_errors = word != NULL });
	if (word && r >= 0)
		word[strcspn(word, " \n")] = '\0';
	return r;
}

static int unexecuted(int r)
{
	return rk_cli_complain(RK_CLI_NOT_ALLOWED, "cannot execute systemctl: %s", strerror(-r));
}

/* The exit status for one that failed, which has said why. */
static int failed(const struct service *s, int r, const char *what)
{
	if (r < 0)
		return unexecuted(r);
	if (geteuid() != 0)
		return rk_cli_complain(RK_CLI_NOT_ALLOWED, "%s was not %s: it takes root's rights",
				       s->unit, what);
	return rk_cli_complain(RK_CLI_FAILED, "%s was not %s", s->unit, what);
}

/* ---- what has to be so ---- */

/* Of another root nobody needs to run. */
static int systemd_check(const struct service *s)
{
	char word[WORD_LEN] = "";
	int r = s->root ? 0 : systemctl(s, "is-system-running", NULL, word);

	if (r == -ENOENT)
		return rk_cli_complain(
			RK_CLI_NOT_ALLOWED,
			"systemctl is not installed: only systemd starts a fleet with the machine; "
			"'rekindle run --config %s' starts it without",
			s->name);
	if (r < 0)
		return unexecuted(r);
	if (!s->root &&
	    (word[0] == '\0' || strcmp(word, "offline") == 0 || strcmp(word, "unknown") == 0))
		return rk_cli_complain(
			RK_CLI_UNREACHABLE,
			"systemd does not run here, or cannot be reached: 'rekindle run --config %s' "
			"starts the fleet without it",
			s->name);
	return RK_CLI_OK;
}

/* Fills in the state; older systemd says nothing of a unit that is not there. */
static int unit_check(struct service *s)
{
	int r = systemctl(s, "is-enabled", s->unit, s->state);

	if (r < 0)
		return unexecuted(r);
	if (s->state[0] == '\0' || strcmp(s->state, "not-found") == 0)
		return rk_cli_complain(
			RK_CLI_NOT_ALLOWED,
			"rekindle@.service is not installed where systemd looks for it: install "
			"rekindle below /usr or /usr/local, then 'systemctl daemon-reload'");
	return RK_CLI_OK;
}

/* As 'rekindle check' does; its complaints are shown, its praise is not. */
static int configuration_check(const struct service *s)
{
	char path[PATH_MAX], check[] = "--check", config[RK_NAME_MAX + 16], root[PATH_MAX + 8],
			     sum[512];
	char *argv[5] = { path, check, config };
	struct rk_err err;
	int r;

	if (rk_programs_daemon(path, &err) < 0)
		return rk_cli_complain(RK_CLI_NOT_ALLOWED, "%s", err.text);
	(void)snprintf(config, sizeof(config), "--config=%s", s->name);
	(void)snprintf(root, sizeof(root), "--root=%s", s->root ? s->root : "/");
	argv[3] = root;
	r = rk_programs_run(
		&(struct rk_programs_child){ .argv = argv, .out = sum, .size = sizeof(sum) });
	if (r < 0)
		return rk_cli_complain(RK_CLI_NOT_ALLOWED, "cannot execute %s: %s", path,
				       strerror(-r));
	if (r != 0)
		return rk_cli_complain(r < 128 ? r : RK_CLI_FAILED, "%s was not enabled", s->unit);
	return RK_CLI_OK;
}

/* ---- the commands ---- */

/* Reads the arguments. Returns false when that was all; *ret_status then. */
static bool begin(struct service *s, struct rk_args *a, int argc, char **argv, int *ret_status)
{
	struct rk_err err;

	if (!rk_cli_begin(a, argc, argv, ret_status))
		return false;
	*s = (struct service){ .name = a->rest[0],
			       .root = rk_args_text(a, "root"),
			       .is_now = rk_args_flag(a, "now") };
	*ret_status = RK_CLI_USAGE;
	if (rk_name_check(s->name, &err) < 0) {
		(void)rk_cli_fail(&err);
		return false;
	}
	if (s->root && (s->is_now || strlen(s->root) >= PATH_MAX)) {
		(void)rk_cli_complain(
			RK_CLI_USAGE, "%s",
			s->is_now ? "--now is for this machine, --root for one that does not run"
				  : "--root is too long");
		return false;
	}
	(void)snprintf(s->unit, sizeof(s->unit), "rekindle@%s.service", s->name);
	return true;
}

static int now_start(const struct service *s)
{
	int r = systemctl(s, "start", s->unit, NULL);

	if (r < 0)
		return unexecuted(r);
	if (r != 0)
		return rk_cli_complain(
			r == SYSTEMCTL_NOT_ALLOWED ? RK_CLI_NOT_ALLOWED : RK_CLI_FAILED,
			"it is enabled, but has not been started: 'journalctl -xeu %s' tells why",
			s->unit);
	(void)printf("%s runs\n", s->unit);
	return RK_CLI_OK;
}

/* A unit that has no [Install] any more, by a drop-in, cannot be enabled: systemctl does not call
 * that a failure. */
static int enable(struct service *s)
{
	bool was_enabled = strcmp(s->state, "enabled") == 0;
	int r = systemctl(s, "enable", s->unit, NULL), status;

	if (r != 0)
		return failed(s, r, "enabled");
	status = unit_check(s);
	if (status != RK_CLI_OK)
		return status;
	if (strcmp(s->state, "enabled") != 0)
		return rk_cli_complain(RK_CLI_FAILED,
				       "%s was not enabled: 'systemctl is-enabled' calls it %s",
				       s->unit, s->state);
	(void)printf("%s %s: systemd starts it with the machine\n", s->unit,
		     was_enabled ? "was enabled already" : "is enabled");
	return RK_CLI_OK;
}

int rk_cli_enable(int argc, char **argv)
{
	struct service s;
	struct rk_args a;
	int status;

	if (!begin(&s, &a, argc, argv, &status))
		return status;
	status = configuration_check(&s);
	if (status == RK_CLI_OK)
		status = systemd_check(&s);
	if (status == RK_CLI_OK)
		status = unit_check(&s);
	if (status == RK_CLI_OK)
		status = enable(&s);
	return status == RK_CLI_OK && s.is_now ? now_start(&s) : status;
}

/* It may run all the same. */
static void running_say(const struct service *s)
{
	char word[WORD_LEN] = "";

	if (s->root || systemctl(s, "is-active", s->unit, word) != 0)
		return;
	(void)printf("%s runs on until 'systemctl stop %s'\n", s->unit, s->unit);
}

static int now_stop(const struct service *s)
{
	int r = systemctl(s, "stop", s->unit, NULL);

	if (r < 0)
		return unexecuted(r);
	if (r != 0)
		return rk_cli_complain(
			r == SYSTEMCTL_NOT_ALLOWED ? RK_CLI_NOT_ALLOWED : RK_CLI_FAILED,
			"it is disabled, but has not been stopped: 'systemctl status %s' tells more",
			s->unit);
	(void)printf("%s does not run\n", s->unit);
	return RK_CLI_OK;
}

/* A configuration of this name, where rekindled looks for one. */
static bool is_configured(const struct service *s)
{
	static const char *const directories[] = { "etc", "run", "usr/lib" };

	for (size_t i = 0; i < rk_countof(directories); i++) {
		char path[PATH_MAX + RK_NAME_MAX + 32];

		(void)snprintf(path, sizeof(path), "%s/%s/rekindle/%s.conf", s->root ? s->root : "", directories[i], s->name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/*
 * A name that nothing has: mistyped, as a rule. systemctl takes any instance of a template, and would say that it is
 * disabled.
 */
static int there_check(const struct service *s)
{
	char word[WORD_LEN] = "";

	if (strcmp(s->state, "disabled") != 0 || is_configured(s))
		return RK_CLI_OK;
	if (!s->root && systemctl(s, "is-active", s->unit, word) == 0)
		return RK_CLI_OK; /* it has lost its file, and runs */
	return rk_cli_complain(RK_CLI_FAILED,
			       "there is no %s.conf in %s/etc/rekindle, and %s is not enabled: there is nothing to disable", s->name,
			       s->root ? s->root : "", s->unit);
}

/* Whatever its configuration is like: one that is broken or gone must not stay enabled for it. */
int rk_cli_disable(int argc, char **argv)
{
	struct service s;
	struct rk_args a;
	int status, r;

	if (!begin(&s, &a, argc, argv, &status))
		return status;
	status = systemd_check(&s);
	if (status == RK_CLI_OK)
		status = unit_check(&s);
	if (status == RK_CLI_OK)
		status = there_check(&s);
	if (status != RK_CLI_OK)
		return status;
	r = systemctl(&s, "disable", s.unit, NULL);
	if (r != 0)
		return failed(&s, r, "disabled");
	(void)printf("%s %s: systemd does not start it with the machine\n", s.unit,
		     strcmp(s.state, "disabled") == 0 ? "was not enabled" : "is disabled");
	if (s.is_now)
		return now_stop(&s);
	running_say(&s);
	return RK_CLI_OK;
}
