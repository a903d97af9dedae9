/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/near.h"
#include "base/num.h"
#include "base/spelling.h"
#include "shm/rundir.h"

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static int unknown(const struct rk_command *c, const struct rk_spelling *s, struct rk_err *err)
{
	unsigned int best = RK_NEAR_NEVER;
	const char *nearest = NULL;
	char written[RK_NEAR_LONGEST + 8];

	(void)snprintf(written, sizeof(written), "%.*s", (int)rk_min_size(s->len, 100), s->arg);
	for (size_t i = 0; i < c->n_options && s->arg[1] == '-'; i++) {
		unsigned int d = rk_near_judge(written + 2, c->options[i].name);

		if (d < best) {
			best = d;
			nearest = c->options[i].name;
		}
	}
	return rk_err_set(err, -EINVAL, "%s has no option '%s'%s%s%s: see 'rekindle %s --help'%s",
			  c->name, written, nearest ? ", did you mean '--" : "",
			  nearest ? nearest : "", nearest ? "'" : "", c->name,
			  strcmp(c->name, "run") == 0 ? "; other keys of rekindle.conf(5) are --set KEY=VALUE" : "");
}

static bool is_choice(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *w = words; w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
		if (len && !strchr(word, '|') && strncmp(w, word, len) == 0 &&
		    (w[len] == '|' || w[len] == '\0'))
			return true;
	return false;
}

static int value_check(const struct rk_option *o, struct rk_arg *v, struct rk_err *err)
{
	switch (o->kind) {
	case RK_OPTION_NAME:
		return rk_name_check(v->text, err);
	case RK_OPTION_FLEET:
		return rk_fleet_name_check(v->text, err);
	case RK_OPTION_COUNT:
		return o->max ? rk_num_parse(v->text, o->min, o->max, &v->number, err) : 0;
	case RK_OPTION_SIZE:
		return o->max ? rk_num_parse_size(v->text, o->min, o->max, &v->number, err) : 0;
	case RK_OPTION_TIME:
	case RK_OPTION_MAY_TIME:
		return o->max ? rk_num_parse_ns(v->text, o->min, o->max, &v->number, err) : 0;
	case RK_OPTION_CHOICE:
		return is_choice(o->value, v->text)
			       ? 0
			       : rk_err_set(err, -EINVAL, "'%s' is none of %s", v->text, o->value);
	case RK_OPTION_FLAG:
	case RK_OPTION_TEXT:
	case RK_OPTION_REPEATED:
	case RK_OPTION_KINDS:
		break;
	}
	return 0;
}

/* Reads the option at argv[*i] and leaves *i at the last argument it took. */
static int option_read(struct rk_args *a, int argc, char **argv, int *i, struct rk_err *err)
{
	const struct rk_command *c = a->command;
	struct rk_spelling s = rk_spell(argv[*i]);
	size_t at = 0;
	char what[64];

	while (at < c->n_options && !rk_spelling_is(&s, c->options[at].name, c->options[at].letter))
		at++;
	if (at == c->n_options)
		return unknown(c, &s, err);
	const struct rk_option *o = &c->options[at];
	(void)snprintf(what, sizeof(what), "--%s", o->name);
	if (o->kind == RK_OPTION_FLAG) {
		if (s.value)
			return rk_err_set(err, -EINVAL, "%s takes no value", what);
		a->option[at].text = o->name;
		return 0;
	}
	if (!s.value && o->kind == RK_OPTION_MAY_TIME) {
		a->option[at].text = o->name;
		return 0;
	}
	if (!s.value) {
		if (*i + 1 >= argc)
			return rk_err_set(err, -EINVAL, "%s needs a value: %s", what, o->value);
		s.value = argv[++*i];
	}
	a->option[at].text = s.value;
	if (o->kind == RK_OPTION_REPEATED) {
		if (a->n_repeated == RK_ARGS_REPEATED_MAX)
			return rk_err_set(err, -EINVAL, "%s may stand %d times", what,
					  RK_ARGS_REPEATED_MAX);
		a->repeated[a->n_repeated++] = s.value;
	}
	return value_check(o, &a->option[at], err) < 0 ? rk_err_prefix(err, -EINVAL, what) : 0;
}

static int rest_check(const struct rk_args *a, struct rk_err *err)
{
	const struct rk_command *c = a->command;

	if (a->n_rest < c->n_min)
		return rk_err_set(err, -EINVAL, "%s needs %s: see 'rekindle %s --help'", c->name,
				  c->rest_help, c->name);
	if (c->n_max >= 0 && a->n_rest > c->n_max)
		return rk_err_set(err, -EINVAL,
				  "%s: '%s' is one argument too many: see 'rekindle %s --help'",
				  c->name, a->rest[c->n_max], c->name);
	return 0;
}

int rk_args_read(struct rk_args *ret, const struct rk_command *command, int argc, char **argv,
		 struct rk_err *err)
{
	struct rk_args a = { .command = command, .rest = argv + 1 };
	bool is_over = false;

	assert(command->n_options <= RK_ARGS_OPTIONS_MAX);
	for (int i = 1; i < argc; i++) {
		char *arg = argv[i];
		int r;

		if (is_over || arg[0] != '-' || arg[1] == '\0') {
			is_over = is_over || command->stops_at_first;
			a.rest[a.n_rest++] =
				arg; /* never behind i: the front fills slower than i goes */
			continue;
		}
		if (strcmp(arg, "--") == 0) {
			is_over = true;
			continue;
		}
		if (is_help(arg)) {
			*ret = a;
			return RK_ARGS_HELP;
		}
		r = option_read(&a, argc, argv, &i, err);
		if (r < 0)
			return r;
	}
	a.rest[a.n_rest] = NULL; /* argv[argc] at the latest */
	*ret = a;
	return rest_check(&a, err);
}

/* How many arguments an option takes that many commands have, with itself; 0 = it is none. */
static int common_len(const char *arg)
{
	static const struct rk_option common[] = {
		{ .name = "name", .kind = RK_OPTION_FLEET },
		{ .name = "output", .letter = 'o', .kind = RK_OPTION_CHOICE },
	};
	struct rk_spelling s = rk_spell(arg);

	for (size_t i = 0; i < rk_countof(common); i++)
		if (rk_spelling_is(&s, common[i].name, common[i].letter))
			return s.value ? 1 : 2;
	return 0;
}

int rk_args_command_first(int argc, char **argv, struct rk_err *err)
{
	char *command;
	int at = 1;

	while (at < argc && argv[at][0] == '-' && argv[at][1]) {
		int len = common_len(argv[at]);

		if (len == 0)
			return rk_err_set(err, -EINVAL,
					  "options stand behind the command: 'rekindle COMMAND %.60s'",
					  argv[at]);
		at += len;
	}
	if (at >= argc)
		return argc > 1 ? rk_err_set(err, -EINVAL, "there is no command: see 'rekindle help'")
				: 0;
	command = argv[at];
	memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof(*argv));
	argv[1] = command;
	return 0;
}

static const struct rk_arg *find(const struct rk_args *a, const char *option)
{
	for (size_t i = 0; i < a->command->n_options; i++)
		if (strcmp(a->command->options[i].name, option) == 0)
			return &a->option[i];
	return NULL;
}

const char *rk_args_text(const struct rk_args *a, const char *option)
{
	const struct rk_arg *v = find(a, option);

	return v ? v->text : NULL;
}

bool rk_args_flag(const struct rk_args *a, const char *option)
{
	return rk_args_text(a, option) != NULL;
}

uint64_t rk_args_number(const struct rk_args *a, const char *option, uint64_t otherwise)
{
	const struct rk_arg *v = find(a, option);

	return v && v->text ? v->number : otherwise;
}

bool rk_args_json(const struct rk_args *a)
{
	const char *format = rk_args_text(a, "output");

	return format && strcmp(format, "json") == 0;
}
