/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/try.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/out.h"
#include "cli/pipe_fleet.h"
#include "cli/snapshot.h"
#include "cli/try_fix.h"
#include "cli/try_look.h"
#include "cli/try_plan.h"

#define TIMEOUT_NS (10 * RK_NS_PER_S)
#define PAUSE_MS 10
#define AGAIN_NS (200 * RK_NS_PER_MS) /* how long more than one answer is waited for */
#define DEATH_NS (2 * RK_NS_PER_S) /* for the word on how a worker ended */
#define LOG_MAX (1u << 20)
#define LOG_SHOWN 3u /* lines */
#define ANSWER_SHOWN 60

struct try {
	const struct rk_args *args;
	struct rk_try_plan plan;
	struct rk_try_fleet of;
	struct rk_pipe_fleet fleet;
	char directory[64], program[64];
	uint64_t timeout_ns;
	int signals, log;
	char *text; /* of the log, as read last */
};

/* ---- what is said ---- */

RK_PRINTF(2, 3) static void step(const char *what, const char *fmt, ...)
{
	va_list args;

	(void)printf("ok   %-9s ", what);
	va_start(args, fmt);
	(void)vprintf(fmt, args);
	va_end(args);
	(void)printf("\n");
	(void)fflush(stdout);
}

RK_PRINTF(1, 2) static void trouble(const char *fmt, ...)
{
	va_list args;

	(void)printf("FAIL ");
	va_start(args, fmt);
	(void)vprintf(fmt, args);
	va_end(args);
	(void)printf("\n");
}

/* What all have said so far. */
static const char *log_read(struct try *t)
{
	ssize_t n = pread(t->log, t->text, LOG_MAX - 1, 0);

	t->text[n > 0 ? n : 0] = '\0';
	return t->text;
}

/* Ours begin with the time, or name the bridge. */
static bool is_programs(const char *line)
{
	return strncmp(line, "rekindle", 8) != 0 && strncmp(line, "20", 2) != 0 && *line != '\n';
}

static uint64_t log_of_program(struct try *t)
{
	uint64_t n = 0;

	for (const char *line = log_read(t); *line; line = strchrnul(line, '\n'), line += *line == '\n')
		if (is_programs(line))
			n += strcspn(line, "\n") + 1;
	return n;
}

static bool is_same(const char *line, const char *other)
{
	size_t len = strcspn(line, "\n") + 1;

	return other && strncmp(line, other, len) == 0;
}

/* The last lines that the program said; what its next processes repeat once. */
static void log_show(struct try *t)
{
	const char *last[LOG_SHOWN] = { NULL };
	char clean[200];
	uint32_t n = 0;

	for (const char *line = log_read(t); *line; line = strchrnul(line, '\n'), line += *line == '\n')
		if (is_programs(line) && !is_same(line, n ? last[(n - 1) % LOG_SHOWN] : NULL))
			last[n++ % LOG_SHOWN] = line;
	for (uint32_t i = n > LOG_SHOWN ? n - LOG_SHOWN : 0; i < n; i++)
		(void)printf("     | %s\n", rk_out_clean(clean, sizeof(clean), last[i % LOG_SHOWN], strcspn(last[i % LOG_SHOWN], "\n")));
}

static int fix(struct try *t, enum rk_try_fault fault)
{
	char text[512], who[96];

	log_show(t);
	(void)printf("fix: %s\n", rk_try_fix(fault, t->program, text, sizeof(text)));
	if (fault == RK_TRY_BUSY && *rk_try_holder(t->of.port, who, sizeof(who)))
		(void)printf("     port %u is that of %s\n", t->of.port, who);
	return RK_CLI_FAILED;
}

static bool is_native(const struct try *t)
{
	return strcmp(t->of.kind, "native") == 0;
}

static int fix_native(struct try *t)
{
	log_show(t);
	(void)printf("fix: if it is not made with librekindle it needs another kind: --kind=lines for a filter, --kind=tcp for a server\n");
	return RK_CLI_FAILED;
}

/* How a worker ended last, which is known a moment behind its death. */
static const char *death_await(struct try *t, char *text, size_t size)
{
	uint64_t until_ns = rk_clock_ns() + DEATH_NS;

	while (!*rk_pipe_fleet_last_death(&t->fleet, text, size) && rk_clock_ns() < until_ns)
		(void)poll(NULL, 0, 10);
	return text;
}

/* It ended by itself. */
static int ended(struct try *t, bool has_answered)
{
	enum rk_try_fault fault;
	char death[320];

	trouble("%s ends by itself: %s", t->program, death_await(t, death, sizeof(death)));
	fault = rk_try_of_words(log_read(t), has_answered);
	return is_native(t) ? fix_native(t) : fix(t, fault);
}

/* ---- found ---- */

static bool find_along_path(const char *program, char *ret, size_t size)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		size_t len = strcspn(path, ":");

		if (snprintf(ret, size, "%.*s/%s", (int)len, path, program) < (int)size && access(ret, X_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

/* That it is there rekindled has seen. */
static void found(struct try *t)
{
	const char *program = t->of.exec.at[0];
	char path[PATH_MAX];

	(void)rk_try_program(t->of.exec.at, t->program, sizeof(t->program));
	if (strchr(program, '/') || !find_along_path(program, path, sizeof(path)))
		(void)snprintf(path, sizeof(path), "%s", program);
	step("found", "%s", path);
}

/* ---- started ---- */

static int argv_make(const char *config, struct rk_wordlist *w)
{
	int r = rk_daemon_begin(w);

	return r < 0 ? r : rk_daemon_option(w, "config", config);
}

static const char *words_of(struct try *t, char *text, size_t size)
{
	struct rk_snapshot_worker w;

	text[0] = '\0';
	if (!t->fleet.is_open)
		return text;
	rk_look_view(&t->fleet.look);
	w = rk_snapshot_worker(&t->fleet.look, 0);
	(void)snprintf(text, size, "%s", w.last_words);
	return text;
}

static int not_ready(struct try *t)
{
	char words[256], time[RK_OUT_TIME];

	(void)words_of(t, words, sizeof(words));
	trouble("%s is not ready after %s%s%s", t->program, rk_out_time(time, t->fleet.start_ns), *words ? ": " : "", words);
	if (is_native(t))
		return fix_native(t);
	return fix(t, strcmp(t->of.kind, "notify") == 0 ? RK_TRY_NO_READY : RK_TRY_NO_PROBE);
}

static int fleet_failed(struct try *t, int r, const struct rk_err *err)
{
	if (r == -EINTR)
		return rk_cli_complain(RK_CLI_FAILED, "interrupted");
	if (r == -EIO || (r == -ETIMEDOUT && rk_pipe_fleet_deaths(&t->fleet)))
		return ended(t, false);
	if (r == -ETIMEDOUT)
		return not_ready(t);
	trouble("%s", err->text);
	(void)fputs(log_read(t), stdout);
	return t->fleet.keeper.status == RK_CLI_CONFIG ? RK_CLI_CONFIG : RK_CLI_FAILED;
}

static int started(struct try *t, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist argv = { 0 };
	char config[128], state[128], time[RK_OUT_TIME];
	uint64_t began_ns;
	int r;

	(void)snprintf(config, sizeof(config), "%s/try.conf", t->directory);
	(void)snprintf(state, sizeof(state), "%s/state", t->directory);
	(void)mkdir(state, 0700);
	(void)chmod(state, t->of.has_user ? 01777 : 0700); /* theirs is made below it */
	r = rk_try_plan_write(&t->plan, &t->of, config, state, err);
	if (r == 0 && argv_make(config, &argv) < 0)
		r = rk_err_set(err, -ENOMEM, "no memory");
	if (r < 0)
		return rk_cli_fail(err);
	t->fleet = (struct rk_pipe_fleet)RK_PIPE_FLEET_NONE;
	t->fleet.name = "try";
	t->fleet.output = t->log;
	t->fleet.stop_timeout_ns = t->of.stop_timeout_ns;
	t->fleet.start_ns = rk_min_u64(t->of.start_timeout_ns, t->timeout_ns);
	began_ns = rk_clock_ns();
	r = rk_pipe_fleet_start(&t->fleet, argv.at, t->signals, err);
	if (r < 0)
		return fleet_failed(t, r, err);
	step("ready", "after %s%s", rk_out_time(time, rk_clock_ns() - began_ns),
	     t->of.has_probe || strcmp(t->of.kind, "notify") == 0 || strcmp(t->of.kind, "lines") == 0 || is_native(t)
		     ? ""
		     : ", as it lives: without Send= and Expect=, HealthPath= or ProbeExec= nobody sees whether it works");
	return RK_CLI_OK;
}

/* ---- answered ---- */

static int no_answer(struct try *t)
{
	char time[RK_OUT_TIME];
	pid_t bridge, pid;
	enum rk_try_fault fault;

	rk_look_view(&t->fleet.look);
	bridge = rk_look_slot(&t->fleet.look, 0)->pid;
	pid = rk_try_child(bridge);
	fault = rk_try_unread(pid) ? RK_TRY_DEAF : rk_try_written(pid) > log_of_program(t) ? RK_TRY_OPEN : RK_TRY_SILENT;
	trouble("%s has not answered within %s, though it %s", t->program, rk_out_time(time, t->timeout_ns),
		fault == RK_TRY_DEAF ? "lives: it has not read the line" :
		fault == RK_TRY_OPEN ? "has read the line and has written something: but no whole line" :
				       "has read the line");
	return fix(t, fault);
}

static int judge_answer(struct try *t, int r, const struct rk_reply *reply, uint64_t took_ns)
{
	char clean[ANSWER_SHOWN * 4 + 8], time[RK_OUT_TIME];
	size_t shown = rk_min_size(reply->len, ANSWER_SHOWN);

	if (r == RK_FAILED && reply->error == -EMSGSIZE) {
		trouble("%s has answered with more than fits", t->program);
		return fix(t, RK_TRY_LONG);
	}
	if (r != RK_DONE)
		return ended(t, false);
	(void)rk_out_clean(clean, sizeof(clean), reply->body, shown);
	if (reply->len && memmem(reply->body, reply->len, "\033[", 2)) {
		trouble("%s answers in colors, which are part of the answer: %s", t->program, clean);
		return fix(t, RK_TRY_COLORED);
	}
	step("answered", "in %s: %s%s", rk_out_time(time, took_ns), clean, shown < reply->len ? "..." : "");
	return RK_CLI_OK;
}

/* Waits a little. Returns false when it is to be given up. */
static bool pause_take(const struct try *t, int ms)
{
	struct pollfd p = { .fd = t->signals, .events = POLLIN };

	return poll(&p, 1, ms) <= 0;
}

static int ask(struct try *t, const char *line)
{
	uint64_t began_ns = rk_clock_ns();
	struct rk_reply reply = { 0 };
	int r = rk_call_async(t->fleet.client, &(struct rk_request){ .key = "try", .body = line, .len = strlen(line),
								     .timeout_ms = RK_TIMEOUT_NONE });

	if (r != 0)
		return rk_cli_complain(RK_CLI_FAILED, "the line cannot be sent: %s", rk_outcome_text(r));
	while ((r = rk_next(t->fleet.client, PAUSE_MS, &reply)) == -EAGAIN) {
		if (rk_pipe_fleet_deaths(&t->fleet))
			return ended(t, false);
		if (rk_clock_ns() - began_ns > t->timeout_ns)
			return no_answer(t);
		if (!pause_take(t, 0))
			return rk_cli_complain(RK_CLI_FAILED, "interrupted");
	}
	r = judge_answer(t, r, &reply, rk_clock_ns() - began_ns);
	rk_reply_release(t->fleet.client, &reply);
	return r;
}

/* What else it says, that nobody asked for. */
static int listen_on(struct try *t)
{
	uint64_t until_ns = rk_clock_ns() + AGAIN_NS;

	while (rk_clock_ns() < until_ns) {
		if (rk_pipe_fleet_deaths(&t->fleet))
			return ended(t, true);
		if (!pause_take(t, PAUSE_MS))
			return rk_cli_complain(RK_CLI_FAILED, "interrupted");
	}
	return RK_CLI_OK;
}

static int answered(struct try *t)
{
	const char *line = rk_args_text(t->args, "try-line");
	int status;

	if (strcmp(t->of.kind, "lines") != 0)
		return listen_on(t);
	if (!line)
		line = strcmp(t->program, "jq") == 0 ? "{\"hello\":\"rekindle\"}" : "rekindle";
	status = ask(t, line);
	if (status == RK_CLI_OK)
		status = listen_on(t);
	return status == RK_CLI_OK ? ask(t, line) : status; /* it has to go on */
}

/* ---- stopped ---- */

static int stopped(struct try *t)
{
	uint64_t began_ns = rk_clock_ns();
	char time[RK_OUT_TIME];

	rk_pipe_fleet_end(&t->fleet, false);
	if (strstr(log_read(t), "did not stop in time")) {
		trouble("%s does not end when it is asked to: it was killed after %s", t->program,
			rk_out_time(time, rk_clock_ns() - began_ns));
		return fix(t, RK_TRY_STAYS);
	}
	step("stopped", "after %s", rk_out_time(time, rk_clock_ns() - began_ns));
	return RK_CLI_OK;
}

/* ---- the whole ---- */

static int try_fleet(struct try *t, uint32_t n)
{
	rk_cleanup(rk_try_fleet_free_p) struct rk_try_fleet of = { 0 };
	struct rk_err err = { 0 };
	int status;

	if (rk_try_plan_fleet(&t->plan, n, &of, &err) < 0)
		return rk_cli_fail(&err);
	t->of = of;
	if (t->plan.n_fleets > 1)
		(void)printf("%s:\n", of.name);
	(void)ftruncate(t->log, 0);
	found(t);
	status = started(t, &err);
	if (status == RK_CLI_OK)
		status = answered(t);
	if (status == RK_CLI_OK)
		status = stopped(t);
	rk_pipe_fleet_end(&t->fleet, true);
	t->fleet = (struct rk_pipe_fleet)RK_PIPE_FLEET_NONE;
	return status;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	(void)remove(path);
	return 0;
}

static int begin(struct try *t, struct rk_err *err)
{
	sigset_t set;
	char path[128];

	(void)strcpy(t->directory, "/tmp/rekindle-try-XXXXXX");
	if (!mkdtemp(t->directory)) {
		t->directory[0] = '\0';
		return rk_err_set(err, -errno, "cannot make a directory below /tmp: %s", strerror(errno));
	}
	(void)chmod(t->directory, 0711);
	(void)snprintf(path, sizeof(path), "%s/run", t->directory);
	if (setenv("REKINDLE_RUNTIME_DIR", path, 1) < 0 || unsetenv("REKINDLE_NAME") < 0)
		return rk_err_set(err, -errno, "%s", strerror(errno));
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	t->log = memfd_create("rekindle-try-log", MFD_CLOEXEC);
	t->text = malloc(LOG_MAX);
	if (t->signals < 0 || t->log < 0 || !t->text)
		return rk_err_set(err, -errno, "%s", strerror(errno));
	(void)fcntl(t->log, F_SETFL, O_APPEND);
	return 0;
}

static void end(struct try *t)
{
	rk_pipe_fleet_end(&t->fleet, true);
	rk_try_plan_free_p(&t->plan);
	if (*t->directory)
		(void)nftw(t->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	rk_close_p(&t->signals);
	rk_close_p(&t->log);
	free(t->text);
}

static int try_all(struct try *t)
{
	struct rk_err err = { 0 };
	int status = RK_CLI_OK, r;

	r = rk_try_plan_make(&t->plan, t->args, &err);
	if (r > 0)
		return r; /* rekindled has said it */
	if (r < 0 || begin(t, &err) < 0)
		return rk_cli_fail(&err);
	for (uint32_t n = 0; n < t->plan.n_fleets && status == RK_CLI_OK; n++)
		status = try_fleet(t, n);
	return status;
}

int rk_cli_try(const struct rk_args *a)
{
	static struct try t;
	int status;

	t = (struct try){ .args = a, .fleet = RK_PIPE_FLEET_NONE, .signals = -1, .log = -1,
			  .timeout_ns = rk_args_number(a, "timeout", TIMEOUT_NS) };
	if (!a->n_rest)
		return rk_cli_complain(RK_CLI_USAGE, "--try needs a configuration, or '--' and a COMMAND: see 'rekindle check --help'");
	status = try_all(&t);
	end(&t);
	return status;
}
