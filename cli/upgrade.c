/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle upgrade: keeper and supervisor of a running fleet become another binary. What can be known
 * before is asked of that binary itself: which memory it adopts, and whether it understands the
 * configuration in force. Then the supervisor is asked to make way for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/num.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/out.h"

#define CONFIGURATION_FD 3 /* where rekindled --adopts looks for it */
#define ADOPTS_MAX 4096u   /* bytes of what it says */
#define ADOPTS_S 10u       /* it has time for that */

/* What it takes to adopt a fleet; as rekindled --adopts says it, one a line. */
struct versions {
	char release[64];
	int64_t abi, journal, keeper; /* -1 = it does not say */
};

static void line_take(struct versions *v, const char *line)
{
	static const char release[] = "release ";
	const struct {
		const char *word;
		int64_t *to;
	} numbers[] = { { "abi ", &v->abi }, { "journal ", &v->journal }, { "keeper ", &v->keeper } };
	uint64_t n;

	if (strncmp(line, release, sizeof(release) - 1) == 0)
		(void)snprintf(v->release, sizeof(v->release), "%s", line + sizeof(release) - 1);
	for (size_t i = 0; i < rk_countof(numbers); i++)
		if (strncmp(line, numbers[i].word, strlen(numbers[i].word)) == 0 &&
		    rk_num_parse(line + strlen(numbers[i].word), 0, UINT32_MAX, &n, NULL) == 0)
			*numbers[i].to = (int64_t)n;
}

/* In the child: never returns. */
static _Noreturn void adopts_become(const char *path, int configuration, int out)
{
	static char program[PATH_MAX], question[] = "--adopts";
	char *const argv[] = { program, question, NULL }; /* by its path: what it complains of is not ours */

	if (dup2(out, STDOUT_FILENO) < 0 || (configuration != CONFIGURATION_FD && dup2(configuration, CONFIGURATION_FD) < 0))
		_exit(126);
	if (configuration == CONFIGURATION_FD && rk_fd_cloexec(configuration, 0) < 0)
		_exit(126);
	(void)snprintf(program, sizeof(program), "%s", path);
	(void)alarm(ADOPTS_S); /* it may be anything */
	(void)execv(path, argv);
	_exit(127);
}

/* Runs it and reads what it says; its complaints go where ours go. Returns its wait status or -errno. */
static int adopts_run(const char *path, int configuration, char text[static ADOPTS_MAX + 1])
{
	size_t len = 0;
	ssize_t n;
	int pipe_fd[2], status;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		adopts_become(path, configuration, pipe_fd[1]);
	(void)close(pipe_fd[1]);
	while (pid > 0 && len < ADOPTS_MAX && (n = read(pipe_fd[0], text + len, ADOPTS_MAX - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	(void)close(pipe_fd[0]);
	if (pid < 0)
		return -errno;
	return waitpid(pid, &status, 0) == pid ? status : -errno;
}

static int adopts_ask(const char *path, int configuration, struct versions *ret, struct rk_err *err)
{
	char text[ADOPTS_MAX + 1], *save = NULL;
	int status = adopts_run(path, configuration, text);

	*ret = (struct versions){ .abi = -1, .journal = -1, .keeper = -1 };
	if (status < 0)
		return rk_err_set(err, status, "cannot run %s: %s", path, strerror(-status));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return rk_err_set(err, -ENOEXEC, "%s cannot be executed: give the path of a rekindled with --binary", path);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return rk_err_set(err, -EPROTO, "%s has not said for %u s what it adopts: it is no rekindled", path, ADOPTS_S);
	if (WIFSIGNALED(status))
		return rk_err_set(err, -EPROTO, "%s crashed when it was asked what it adopts (SIG%s): it is damaged, or no rekindled",
				  path, sigabbrev_np(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0)
		return rk_err_set(err, -EPROTO, "%s does not adopt this fleet, see above", path);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		line_take(ret, line);
	if (ret->abi < 0)
		return rk_err_set(err, -EPROTO, "%s does not say what it adopts: it is no rekindled, or one that is too old",
				  path);
	return 0;
}

static int versions_compare(const struct versions *have, const struct versions *new, struct rk_err *err)
{
	const struct {
		const char *what;
		int64_t have, new;
	} must[] = { { "the ABI of its memory", have->abi, new->abi },
		     { "the layout of its journal", have->journal, new->journal },
		     { "keeper's table", have->keeper, new->keeper } };

	for (size_t i = 0; i < rk_countof(must); i++)
		if (must[i].have != must[i].new)
			return rk_err_set(err, -EPROTO,
					  "release %s cannot take the fleet over from release %s: %s is version %lld here and "
					  "%lld there; 'rekindle stop' it and start it with the new one, which loses its states",
					  new->release, have->release, must[i].what, (long long)must[i].have,
					  (long long)must[i].new);
	return 0;
}

/* ---- the two questions ---- */

struct upgrade {
	struct rk_args a;
	struct rk_ask ask;
	struct json_object *answer;
	struct rk_fds fds; /* the configuration in force */
	char path[PATH_MAX];
	struct versions have, new;
	uint64_t deadline_ns; /* of --timeout; 0 = none was given */
	struct rk_err err;
};

static void upgrade_free_p(struct upgrade *u)
{
	json_object_put(u->answer);
	rk_fds_close_p(&u->fds);
	rk_ask_close_p(&u->ask);
}

/* The path goes along where one was given: the supervisor has to find a program there too. */
static char *request_make(const char *what, const char *path)
{
	struct json_object *request = json_object_new_object();
	char *text;

	rk_out_json_text(request, "verb", "upgrade");
	rk_out_json_text(request, "do", what);
	if (path)
		rk_out_json_text(request, "path", path);
	text = strdup(json_object_to_json_string(request));
	json_object_put(request);
	return text;
}

/* What runs now, and where the new one is. -ENOEXEC: that is no program. */
static int state_ask(struct upgrade *u)
{
	const char *given = rk_args_text(&u->a, "binary");
	rk_cleanup(rk_free_p) char *request = NULL;
	int r;

	if (rk_args_text(&u->a, "timeout"))
		u->deadline_ns = rk_clock_ns() + rk_args_number(&u->a, "timeout", 0);
	r = rk_ask_open_until(&u->ask, u->a.n_rest ? u->a.rest[0] : rk_args_text(&u->a, "name"), u->deadline_ns, &u->err);
	if (r < 0)
		return r;
	if (given && !realpath(given, u->path))
		return rk_err_set(&u->err, -ENOEXEC, "%s: %s: %s", u->ask.fleet, given, strerror(errno));
	request = request_make("ask", given ? u->path : NULL);
	r = request ? rk_ask(&u->ask, request, &u->answer, &u->fds, &u->err) : rk_err_set(&u->err, -ENOMEM, "no memory");
	if (r < 0)
		return r;
	u->have = (struct versions){ .abi = rk_connect_int(u->answer, "abi"),
				     .journal = rk_connect_int(u->answer, "journal"),
				     .keeper = rk_connect_int(u->answer, "keeper") };
	(void)snprintf(u->have.release, sizeof(u->have.release), "%s", rk_connect_text(u->answer, "release"));
	(void)snprintf(u->path, sizeof(u->path), "%s", rk_connect_text(u->answer, "path"));
	return u->fds.n == 1 ? 0 : rk_err_set(&u->err, -EPROTO, "the supervisor does not show its configuration");
}

static int check(struct upgrade *u)
{
	int r = adopts_ask(u->path, u->fds.fd[0], &u->new, &u->err);

	if (r == 0)
		r = versions_compare(&u->have, &u->new, &u->err);
	return r < 0 ? rk_err_prefix(&u->err, r, u->ask.fleet) : 0;
}

static int go(struct upgrade *u)
{
	rk_cleanup(rk_free_p) char *request = request_make("go", u->path);

	if (!request)
		return rk_err_set(&u->err, -ENOMEM, "no memory");
	json_object_put(u->answer);
	u->answer = NULL;
	u->ask.deadline_ns = 0; /* it has answered just now, and who asks no further does not know whether it has begun */
	return rk_ask_once(&u->ask, request, "whether the upgrade was begun", &u->answer, &u->err);
}

static int upgrade_follow(struct upgrade *u)
{
	int64_t group = rk_connect_int(u->answer, "operation");
	uint64_t now_ns = rk_clock_ns();
	struct rk_follow f = { .fleet = u->ask.fleet,
			       .what = "the upgrade",
			       .group = group > 0 ? (uint64_t)group : 0,
			       .n_ends = 1,
			       .is_keepers = true,
			       .timeout_ns = !u->deadline_ns ? 0 : u->deadline_ns > now_ns ? u->deadline_ns - now_ns : 1000,
			       .is_json = rk_args_json(&u->a) };

	return rk_args_flag(&u->a, "no-wait") ? RK_CLI_OK : rk_follow(&f);
}

/* Whatever stands in the way of an upgrade that was not begun. */
static int refuse(const struct upgrade *u, bool is_its_fault)
{
	if (!is_its_fault)
		return rk_cli_fail(&u->err);
	return rk_cli_complain(RK_CLI_CONFIG, "nothing was changed: %s", u->err.text);
}

static int could(const struct upgrade *u)
{
	struct json_object *o;

	if (!rk_args_json(&u->a)) {
		(void)printf("%s: release %s at %s can take over from release %s\n", u->ask.fleet, u->new.release, u->path,
			     u->have.release);
		return RK_CLI_OK;
	}
	o = json_object_new_object();
	rk_out_json_text(o, "fleet", u->ask.fleet);
	rk_out_json_text(o, "from", u->have.release);
	rk_out_json_text(o, "release", u->new.release);
	rk_out_json_text(o, "path", u->path);
	rk_out_json(o);
	return RK_CLI_OK;
}

int rk_cli_upgrade(int argc, char **argv)
{
	rk_cleanup(upgrade_free_p) struct upgrade u = { .ask.sock = -1 };
	int status, r;

	if (!rk_cli_begin(&u.a, argc, argv, &status))
		return status;
	r = state_ask(&u);
	if (r < 0)
		return refuse(&u, r == -ENOEXEC);
	if (check(&u) < 0)
		return refuse(&u, true);
	if (rk_args_flag(&u.a, "check"))
		return could(&u);
	r = go(&u);
	return r < 0 ? refuse(&u, r == -ENOEXEC) : upgrade_follow(&u);
}
