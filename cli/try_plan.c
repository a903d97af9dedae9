/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/try_plan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/daemon.h"
#include "cli/programs.h"
#include "shm/rundir.h"

#define CAT_ROOM (1u << 20)
#define WORDS_MAX 1024u
#define START_NORMAL_NS (90 * RK_NS_PER_S)
#define STOP_NORMAL_NS (5 * RK_NS_PER_S)

/* ---- what rekindled says ---- */

static const char *command_name(const struct rk_args *a)
{
	const char *slash = strrchr(a->rest[0], '/'), *name = slash ? slash + 1 : a->rest[0];
	struct rk_err why;

	return rk_name_check(name, &why) < 0 ? "try" : name;
}

static int argv_make(struct rk_wordlist *w, const struct rk_args *a)
{
	bool is_command = rk_args_text(a, "kind") || rk_args_text(a, "preset") || a->n_repeated || a->n_rest > 1;
	int r = rk_daemon_begin(w);

	if (r == 0)
		r = rk_daemon_option(w, "cat", NULL);
	if (r == 0 && rk_args_text(a, "root"))
		r = rk_daemon_option(w, "root", rk_args_text(a, "root"));
	if (!is_command)
		return r < 0 ? r : rk_daemon_option(w, "config", a->rest[0]);
	if (r == 0)
		r = rk_daemon_option(w, "name", command_name(a));
	if (r == 0 && rk_args_text(a, "kind"))
		r = rk_daemon_option(w, "kind", rk_args_text(a, "kind"));
	if (r == 0 && rk_args_text(a, "preset"))
		r = rk_daemon_option(w, "preset", rk_args_text(a, "preset"));
	for (uint32_t i = 0; r == 0 && i < a->n_repeated; i++)
		r = rk_daemon_option(w, "set", a->repeated[i]);
	if (r == 0)
		r = rk_wordlist_add(w, "--");
	for (int i = 0; r == 0 && i < a->n_rest; i++)
		r = rk_wordlist_add(w, a->rest[i]);
	return r;
}

static int cat_read(struct rk_try_plan *p, const struct rk_args *a, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist argv = { 0 };
	char path[PATH_MAX], *name;
	int r = rk_programs_daemon(path, err);

	if (r < 0)
		return r;
	p->cat = calloc(1, CAT_ROOM);
	if (!p->cat || argv_make(&argv, a) < 0)
		return rk_err_set(err, -ENOMEM, "no memory");
	name = argv.at[0];
	argv.at[0] = path;
	r = rk_programs_run(&(struct rk_programs_child){ .argv = argv.at, .out = p->cat, .size = CAT_ROOM });
	argv.at[0] = name;
	return r < 0 ? rk_err_set(err, r, "cannot execute %s: %s", path, strerror(-r)) : r;
}

/* ---- its lines ---- */

static const char *next_line(const char *line)
{
	line = strchrnul(line, '\n');
	return line + (*line == '\n');
}

/* "[Fleet NAME]": its name. */
static bool section_read(const char *line, char name[static RK_NAME_MAX])
{
	return sscanf(line, "[Fleet %63[^]\n]]", name) == 1;
}

/* The first line of a fleet's; "" if there is no such fleet. */
static const char *section_find(const char *cat, const char *fleet)
{
	char name[RK_NAME_MAX];

	for (; *cat; cat = next_line(cat))
		if (section_read(cat, name) && strcmp(name, fleet) == 0)
			return next_line(cat);
	return "";
}

static bool is_over(const char *line)
{
	return !*line || *line == '[';
}

/* The value of a key in a section, or NULL. */
static const char *value_find(const char *section, const char *key, char *ret, size_t size)
{
	size_t len = strlen(key);

	for (; !is_over(section); section = next_line(section))
		if (strncmp(section, key, len) == 0 && section[len] == '=') {
			(void)snprintf(ret, size, "%.*s", (int)strcspn(section + len + 1, "\n"), section + len + 1);
			return ret;
		}
	return NULL;
}

int rk_try_plan_make(struct rk_try_plan *p, const struct rk_args *a, struct rk_err *err)
{
	int r;

	*p = (struct rk_try_plan){ 0 };
	r = cat_read(p, a, err);
	if (r != 0)
		return r;
	for (const char *line = p->cat; *line && p->n_fleets < RK_TRY_FLEETS_MAX; line = next_line(line))
		p->n_fleets += section_read(line, p->fleets[p->n_fleets]);
	return p->n_fleets ? 0 : rk_err_set(err, -ENOENT, "there is no fleet to try");
}

void rk_try_plan_free_p(struct rk_try_plan *p)
{
	free(p->cat);
	*p = (struct rk_try_plan){ 0 };
}

/* ---- a fleet ---- */

static uint64_t time_of(const char *section, const char *key, uint64_t otherwise_ns)
{
	char text[64];
	uint64_t ns;

	if (!value_find(section, key, text, sizeof(text)) || rk_num_parse_ns(text, 0, UINT64_MAX, &ns, NULL) < 0)
		return otherwise_ns;
	return ns;
}

int rk_try_plan_fleet(const struct rk_try_plan *p, uint32_t n, struct rk_try_fleet *ret, struct rk_err *err)
{
	const char *section = section_find(p->cat, p->fleets[n]);
	rk_cleanup(rk_free_p) char *text = calloc(1, CAT_ROOM);
	uint64_t port;

	*ret = (struct rk_try_fleet){ .kind = "native",
				      .start_timeout_ns = time_of(section, "StartTimeout", START_NORMAL_NS),
				      .stop_timeout_ns = time_of(section, "StopTimeout", STOP_NORMAL_NS) };
	if (!text)
		return rk_err_set(err, -ENOMEM, "no memory");
	(void)snprintf(ret->name, sizeof(ret->name), "%s", p->fleets[n]);
	(void)value_find(section, "Kind", ret->kind, sizeof(ret->kind));
	ret->has_user = value_find(section, "User", text, CAT_ROOM) || value_find(section, "Group", text, CAT_ROOM);
	ret->has_probe = value_find(section, "Expect", text, CAT_ROOM) || value_find(section, "HealthPath", text, CAT_ROOM) ||
			 value_find(section, "ProbeExec", text, CAT_ROOM);
	if (strcmp(ret->kind, "tcp") == 0 || strcmp(ret->kind, "http") == 0)
		ret->port = 7000;
	if (value_find(section, "Port", text, CAT_ROOM) && rk_num_parse(text, 0, UINT16_MAX, &port, NULL) == 0)
		ret->port = (uint16_t)port;
	if (!value_find(section, "Exec", text, CAT_ROOM))
		return rk_err_set(err, -EINVAL, "fleet %s has no Exec=", ret->name);
	return rk_wordlist_split(&ret->exec, text, WORDS_MAX, err);
}

void rk_try_fleet_free_p(struct rk_try_fleet *f)
{
	rk_wordlist_free_p(&f->exec);
}

/* What is said otherwise here, or means others. */
static bool is_left_out(const char *line)
{
	static const char *const keys[] = { "Workers=", "Standby=",	"After=", "Requires=", "Preset=", "Disabled=", "StateDirectory=",
					    "Output=",	"HangAfter=", "CheckpointInterval=", "OnFailure=", "Listen=" };

	for (size_t i = 0; i < rk_countof(keys); i++)
		if (strncmp(line, keys[i], strlen(keys[i])) == 0)
			return true;
	return *line == '#' || *line == '\n';
}

int rk_try_plan_write(const struct rk_try_plan *p, const struct rk_try_fleet *f, const char *path, const char *directory,
		      struct rk_err *err)
{
	FILE *to = fopen(path, "we");

	if (!to)
		return rk_err_set(err, -errno, "%s: %s", path, strerror(errno));
	(void)fprintf(to, "[Fleet %s]\n", f->name);
	for (const char *line = section_find(p->cat, f->name); !is_over(line); line = next_line(line))
		if (!is_left_out(line))
			(void)fprintf(to, "%.*s\n", (int)strcspn(line, "\n"), line);
	(void)fprintf(to, "Workers=1\nHangAfter=1h\n");
	if (strcmp(f->kind, "native") != 0 && strcmp(f->kind, "lines") != 0)
		(void)fprintf(to, "StateDirectory=%s/%%i\n", directory);
	if (fclose(to) == 0)
		return 0;
	return rk_err_set(err, -errno, "%s: %s", path, strerror(errno));
}
