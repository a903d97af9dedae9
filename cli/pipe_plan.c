/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe_plan.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/programs.h"
#include "shm/rundir.h"

#define CAT_ROOM (64u * 1024)
#define WORKERS_NORMAL 4u
#define STOP_NORMAL_NS (5 * RK_NS_PER_S)
#define CLIENTS 2u
#define SLOTS_PER_WORKER 64u /* what a program has at a time: Window= */
#define SLOTS_MOST 256u
#define PARTITIONS_LEAST 32u
#define LINE_MOST (64u * 1024)

void rk_pipe_plan_free_p(struct rk_pipe_plan *plan)
{
	rk_wordlist_free_p(&plan->argv);
}

void rk_pipe_plan_name(char ret[static RK_NAME_MAX], const char *command, int pid)
{
	const char *slash = strrchr(command, '/'), *word = slash ? slash + 1 : command;
	char end[16];
	size_t len, most = RK_NAME_MAX - 1 - (size_t)snprintf(end, sizeof(end), "-%d", pid);

	len = rk_min_size(strlen(word), most);
	(void)snprintf(ret, RK_NAME_MAX, "%.*s%s", (int)len, word, end);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)ret[i]) && (i == 0 || !strchr("._-@", ret[i])))
			ret[i] = '_';
}

/* ---- whether ---- */

/* Whether the command line says anything of this key, as an option or with --set. */
static bool says(const struct rk_args *a, const char *option, const char *key)
{
	size_t len = strlen(key);

	if (rk_args_text(a, option))
		return true;
	for (uint32_t i = 0; i < a->n_repeated; i++)
		if (strncmp(a->repeated[i], key, len) == 0 && a->repeated[i][len] == '=')
			return true;
	return false;
}

static bool is_fed(void)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode));
}

/* ---- rekindled's arguments ---- */

/* Options of a pipeline that are none of rekindled. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = { "key", "unordered", "name", "quiet", "config" };

	for (size_t i = 0; i < rk_countof(ours); i++)
		if (strcmp(ours[i], name) == 0)
			return true;
	return false;
}

static int users_add(struct rk_wordlist *to, const struct rk_args *a)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->command->n_options; i++) {
		const struct rk_option *o = &a->command->options[i];

		if (a->option[i].text && o->kind != RK_OPTION_REPEATED && !is_ours(o->name))
			r = rk_daemon_option(to, o->name, o->value ? a->option[i].text : NULL);
	}
	for (uint32_t i = 0; r == 0 && i < a->n_repeated; i++)
		r = rk_daemon_option(to, "set", a->repeated[i]);
	if (r == 0)
		r = rk_wordlist_add(to, "--");
	for (int i = 0; r == 0 && i < a->n_rest; i++)
		r = rk_wordlist_add(to, a->rest[i]);
	return r;
}

static uint32_t partitions_for(uint32_t n_workers)
{
	uint32_t n = PARTITIONS_LEAST;

	while (n < 4 * n_workers && n < RK_PARTITIONS_MAX)
		n *= 2;
	return n;
}

/*
 * Sizes for one client whose lines may be long. They stand before what the user says, which counts
 * then. Memory is reserved for all of it, and used as far as lines are.
 */
static int sizes_add(struct rk_wordlist *to, const struct rk_pipe_plan *plan)
{
	const struct {
		const char *name;
		uint32_t value;
		const char *unit;
	} sizes[] = {
		{ "max-clients", CLIENTS, "" },
		{ "slots", rk_min_u32(SLOTS_PER_WORKER * plan->n_workers, SLOTS_MOST), "" },
		{ "partitions", partitions_for(plan->n_workers), "" },
		{ "max-request", LINE_MOST + RK_FIELD_MAX, "B" },
		{ "max-reply", LINE_MOST, "B" },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < rk_countof(sizes); i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%u%s", sizes[i].value, sizes[i].unit);
		r = rk_daemon_option(to, sizes[i].name, text);
	}
	return r;
}

/* What it does by itself is no news in a pipeline, but for warnings; its standard output is not ours. */
static int argv_make(struct rk_wordlist *to, const struct rk_pipe_plan *plan, const struct rk_args *a, const char *ask)
{
	int r = rk_daemon_begin(to);

	if (r == 0 && ask)
		r = rk_daemon_option(to, ask, NULL);
	if (r == 0)
		r = rk_daemon_option(to, "name", plan->name);
	if (r == 0 && !ask)
		r = rk_daemon_option(to, "quiet", NULL);
	if (r == 0 && !ask)
		r = rk_daemon_option(to, "set", "LogLevel=warning");
	if (r == 0 && !ask)
		r = sizes_add(to, plan);
	return r == 0 ? users_add(to, a) : r;
}

/* ---- what is in force ---- */

/* The value of a key that `rekindled --cat` has printed, cut out of it; NULL = not said. */
static const char *cat_find(const char *cat, const char *key, char *ret, size_t size)
{
	size_t len = strlen(key);

	for (const char *line = cat; *line; line = strchrnul(line, '\n'), line += *line == '\n')
		if (strncmp(line, key, len) == 0 && line[len] == '=') {
			(void)snprintf(ret, size, "%.*s", (int)strcspn(line + len + 1, "\n"), line + len + 1);
			return ret;
		}
	return NULL;
}

/* Asks rekindled what the arguments come to. Returns 0; > 0: it refuses them; -errno. */
static int cat_read(const struct rk_pipe_plan *plan, const struct rk_args *a, char *cat, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist argv = { 0 };
	char path[PATH_MAX];
	char *name;
	int r;

	if (rk_programs_daemon(path, err) < 0)
		return 1; /* whoever executes it will say so */
	if (argv_make(&argv, plan, a, "cat") < 0)
		return rk_err_set(err, -ENOMEM, "no memory");
	name = argv.at[0];
	argv.at[0] = path; /* it is found there */
	r = rk_programs_run(&(struct rk_programs_child){ .argv = argv.at, .out = cat, .size = CAT_ROOM, .hides_errors = true });
	argv.at[0] = name;
	return r < 0 ? rk_err_set(err, r, "cannot execute %s: %s", path, strerror(-r)) : r;
}

/* Reads the kind, and what else is needed. Returns as rk_pipe_plan_make(). */
static int cat_judge(struct rk_pipe_plan *plan, const char *cat, bool is_asked, struct rk_err *err)
{
	char kind[32] = "native", text[64];
	uint64_t n;

	(void)cat_find(cat, "Kind", kind, sizeof(kind));
	if (cat_find(cat, "Workers", text, sizeof(text)) && rk_num_parse(text, 1, RK_WORKERS_MAX, &n, NULL) == 0)
		plan->n_workers = (uint32_t)n;
	if (cat_find(cat, "StopTimeout", text, sizeof(text)) && rk_num_parse_ns(text, 0, UINT64_MAX, &n, NULL) == 0)
		plan->stop_timeout_ns = n;
	if (strcmp(kind, "lines") == 0 || (strcmp(kind, "native") == 0 && is_asked))
		return 1;
	return !is_asked ? 0 : rk_err_set(err, -EINVAL, "--key and --unordered are for lines: what a worker of kind %.20s gets is none", kind);
}

static int decide(struct rk_pipe_plan *plan, const struct rk_args *a, bool is_asked, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *cat = calloc(1, CAT_ROOM);
	int r;

	if (!cat)
		return rk_err_set(err, -ENOMEM, "no memory");
	r = cat_read(plan, a, cat, err);
	if (r != 0)
		return r > 0 ? 0 : r; /* what is wrong it says once more, and better */
	return cat_judge(plan, cat, is_asked, err);
}

static void name_choose(struct rk_pipe_plan *plan, const struct rk_args *a)
{
	const char *name = rk_args_text(a, "name");

	/* Not $REKINDLE_NAME: that is the fleet one works with, and this one is nobody's but this command's. */
	if (name)
		(void)snprintf(plan->name, sizeof(plan->name), "%s", name);
	else
		rk_pipe_plan_name(plan->name, a->rest[0], (int)getpid());
}

int rk_pipe_plan_make(struct rk_pipe_plan *plan, const struct rk_args *a, struct rk_err *err)
{
	const char *key = rk_args_text(a, "key");
	bool is_asked = key || rk_args_flag(a, "unordered");
	int r;

	*plan = (struct rk_pipe_plan){ .is_ordered = !rk_args_flag(a, "unordered"), .is_quiet = rk_args_flag(a, "quiet"),
				       .n_workers = WORKERS_NORMAL, .stop_timeout_ns = STOP_NORMAL_NS };
	if (is_asked && rk_args_text(a, "config"))
		return rk_err_set(err, -EINVAL, "--key and --unordered are for lines of standard input, which no fleet of "
						"--config reads: take them out, or name the COMMAND instead");
	if (rk_args_text(a, "config") || a->n_rest == 0)
		return !is_asked ? 0 : rk_err_set(err, -EINVAL, "run needs the COMMAND that the workers run, behind '--'");
	if (!is_asked && (!is_fed() || !(says(a, "kind", "Kind") || says(a, "preset", "Preset"))))
		return 0;
	r = rk_field_parse(&plan->key, key ? key : "whole", err);
	if (r < 0)
		return rk_err_prefix(err, r, "--key");
	name_choose(plan, a);
	r = decide(plan, a, is_asked, err);
	if (r == 1 && argv_make(&plan->argv, plan, a, NULL) < 0)
		return rk_err_set(err, -ENOMEM, "no memory");
	return r;
}
