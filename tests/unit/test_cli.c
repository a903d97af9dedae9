/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the table of commands is complete, its options are read as they are documented, what is
 *         misspelt is told with its nearest neighbour, and errors have their exit statuses.
 * Method  tables of command lines; every command of the table in a loop.
 */
#include "cli/cli.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/near.h"
#include "cli/help.h"
#include "tests/unit/unit.h"

#define WORDS 8

static int n_words(char *const *words)
{
	int n = 0;

	while (words[n])
		n++;
	return n;
}

/* Reads a line such as { "call", "key", "-o", "json" }; the result borrows from `kept`. */
static int read_line(struct rk_args *a, char **kept, const char *const *words, struct rk_err *err)
{
	memcpy(kept, words, (WORDS + 1) * sizeof(*kept));
	return rk_args_read(a, rk_command_find(words[0]), n_words(kept), kept, err);
}

/* ---- args ---- */

static const struct {
	const char *words[WORDS + 1];
	int n_rest;
	const char *first; /* of the rest */
	bool json;
} good[] = {
	{ { "status" }, 0, NULL, false },
	{ { "status", "a" }, 1, "a", false },
	{ { "status", "--wait", "a" }, 1, "a", false },
	{ { "status", "--wait=5s", "a" }, 1, "a", false },
	{ { "status", "-o", "json" }, 0, NULL, true },
	{ { "status", "-ojson" }, 0, NULL, true },
	{ { "status", "--output=json" }, 0, NULL, true },
	{ { "status", "--output", "text" }, 0, NULL, false },
	{ { "call", "key", "-o", "json", "body" }, 2, "key", true },
	{ { "call", "-o", "json", "key" }, 1, "key", true },
	{ { "call", "--", "--key", "-o" }, 2, "--key", false },
	{ { "call", "key", "--", "-o" }, 2, "key", false },
	{ { "call", "key", "-" }, 2, "key", false },
	{ { "put", "-" }, 1, "-", false },
	{ { "run", "worker", "-n", "4", "--help" }, 4, "worker", false },
	{ { "run", "-n4", "--", "worker", "-n" }, 2, "worker", false },
	{ { "run", "--quiet", "-n", "4", "worker" }, 1, "worker", false },
};

START_TEST(options_and_arguments_are_told_apart)
{
	char *kept[WORDS + 1];
	struct rk_args a;
	struct rk_err err = { 0 };

	ck_assert_msg(read_line(&a, kept, good[_i].words, &err) == 0, "%s", err.text);
	ck_assert_int_eq(a.n_rest, good[_i].n_rest);
	ck_assert_ptr_null(a.rest[a.n_rest]);
	if (good[_i].first)
		ck_assert_str_eq(a.rest[0], good[_i].first);
	ck_assert_int_eq(rk_args_json(&a), good[_i].json);
}
END_TEST

static const struct {
	const char *words[WORDS + 1];
	const char *says;
} bad[] = {
	{ { "status", "--internal" },
	  "status has no option '--internal', did you mean '--internals'" },
	{ { "status", "--internal=yes" }, "no option '--internal', did" },
	{ { "status", "--nmae", "x" }, "did you mean '--name'" },
	{ { "status", "--xyzzy" }, "has no option '--xyzzy': see 'rekindle status --help'" },
	{ { "status", "-x" }, "has no option '-x'" },
	{ { "status", "--internals=1" }, "--internals takes no value" },
	{ { "status", "--name" }, "--name needs a value: NAME" },
	{ { "status", "--name", "a b" }, "--name: name 'a b'" },
	{ { "status", "--name=" }, "--name: name ''" },
	{ { "status", "-o", "xml" }, "--output: 'xml' is none of text|json" },
	{ { "status", "-o", "" }, "is none of" },
	{ { "status", "-o", "text|json" }, "is none of" },
	{ { "status", "more", "1", "than" }, "'than' is one argument too many" },
	{ { "list", "more" }, "'more' is one argument too many" },
	{ { "status", "--wait=5" }, "--wait: '5' is not a duration; give a unit: 5s or 5ms" },
	{ { "status", "--wait=0" }, "must be 1ms..24h" },
	{ { "call" }, "call needs a KEY" },
	{ { "call", "a", "b", "c" }, "'c' is one argument too many" },
	{ { "call", "a", "--timeout", "5" }, "--timeout: '5' is not a duration; give a unit: 5s or 5ms" },
	{ { "call", "a", "--timeout", "0" }, "must be 1ms..24h" },
	{ { "call", "a", "--timeout", "25h" }, "must be 1ms..24h" },
	{ { "help", "--completion", "fish" }, "is none of bash" },
};

START_TEST(a_wrong_command_line_is_explained)
{
	char *kept[WORDS + 1];
	struct rk_args a = { .n_rest = 77 };
	struct rk_err err = { 0 };

	ck_assert_int_eq(read_line(&a, kept, bad[_i].words, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "\"%s\" lacks \"%s\"", err.text,
		      bad[_i].says);
}
END_TEST

START_TEST(values_are_read_with_their_units)
{
	static const char *const words[WORDS + 1] = { "call",    "key",     "--timeout", "1500ms",
						      "--retry", "--named", "me" };
	char *kept[WORDS + 1];
	struct rk_args a;

	ck_assert_int_eq(read_line(&a, kept, words, NULL), 0);
	ck_assert_uint_eq(rk_args_number(&a, "timeout", 7), 1500 * RK_NS_PER_MS);
	ck_assert(rk_args_flag(&a, "retry"));
	ck_assert_str_eq(rk_args_text(&a, "named"), "me");
	ck_assert_ptr_null(rk_args_text(&a, "name"));
}
END_TEST

START_TEST(a_value_that_may_be_left_out_is_read_behind_its_sign_alone)
{
	static const char *const with[WORDS + 1] = { "status", "--wait=2s" },
				      *const without[WORDS + 1] = { "status", "--wait", "a" };
	char *kept[WORDS + 1];
	struct rk_args a;

	ck_assert_int_eq(read_line(&a, kept, with, NULL), 0);
	ck_assert_uint_eq(rk_args_number(&a, "wait", 7), 2 * RK_NS_PER_S);
	ck_assert_int_eq(read_line(&a, kept, without, NULL), 0);
	ck_assert(rk_args_flag(&a, "wait"));
	ck_assert_uint_eq(rk_args_number(&a, "wait", 7), 0);
}
END_TEST

static const struct {
	const char *words[WORDS + 1];
	const char *sorted; /* NULL: refused */
} fronts[] = {
	{ { "rekindle" }, "rekindle" },
	{ { "rekindle", "status", "--name", "a" }, "rekindle status --name a" },
	{ { "rekindle", "--name", "a", "call", "x" }, "rekindle call --name a x" },
	{ { "rekindle", "--name=a", "call", "x" }, "rekindle call --name=a x" },
	{ { "rekindle", "-o", "json", "--name", "a", "status" }, "rekindle status -o json --name a" },
	{ { "rekindle", "-ojson", "list" }, "rekindle list -ojson" },
	{ { "rekindle", "--timeout", "5s", "stop" }, NULL },
	{ { "rekindle", "--name", "a" }, NULL },
	{ { "rekindle", "--name" }, NULL },
	{ { "rekindle", "--", "status" }, NULL },
};

START_TEST(a_common_option_may_stand_in_front_of_the_command)
{
	char *kept[WORDS + 1], line[128] = "";
	struct rk_err err = { 0 };
	int n, r;

	memcpy(kept, fronts[_i].words, sizeof(kept));
	n = n_words(kept);
	r = rk_args_command_first(n, kept, &err);
	ck_assert_int_eq(r, fronts[_i].sorted ? 0 : -EINVAL);
	ck_assert_int_eq(err.text[0] == '\0', fronts[_i].sorted != NULL);
	for (int i = 0; i < n; i++)
		(void)snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%s",
			       i ? " " : "", kept[i]);
	if (fronts[_i].sorted)
		ck_assert_str_eq(line, fronts[_i].sorted);
}
END_TEST

START_TEST(a_fleet_is_named_once)
{
	static const char *const words[][WORDS + 1] = { { "stop" },
							{ "stop", "a" },
							{ "stop", "--name", "a" },
							{ "stop", "--name", "a", "a" },
							{ "stop", "--name", "a", "b" } };
	static const char *const want[] = { NULL, "a", "a", "a", "" };
	const char *name = NULL;
	char *kept[WORDS + 1];
	struct rk_args a;

	ck_assert_int_eq(read_line(&a, kept, words[_i], NULL), 0);
	ck_assert_int_eq(rk_cli_fleet(&a, &name, NULL), _i == 4 ? -EINVAL : 0);
	if (_i < 4)
		ck_assert_pstr_eq(name, want[_i]);
}
END_TEST

START_TEST(what_is_not_given_has_its_default)
{
	static const char *const words[WORDS + 1] = { "call", "key" };
	char *kept[WORDS + 1];
	struct rk_args a;

	ck_assert_int_eq(read_line(&a, kept, words, NULL), 0);
	ck_assert_uint_eq(rk_args_number(&a, "timeout", 7), 7);
	ck_assert(!rk_args_flag(&a, "retry"));
	ck_assert(!rk_args_flag(&a, "no-such-option"));
}
END_TEST

START_TEST(help_wins_over_everything_behind_it)
{
	static const char *const words[WORDS + 1] = { "call", "-h", "--no-such-option" };
	char *kept[WORDS + 1];
	struct rk_args a;

	ck_assert_int_eq(read_line(&a, kept, words, NULL), RK_ARGS_HELP);
}
END_TEST

/* ---- near ---- */

static const struct {
	const char *a, *b;
	unsigned int want;
} distances[] = {
	{ "", "", 0 },
	{ "a", "", 1 },
	{ "status", "status", 0 },
	{ "stauts", "status", 1 },
	{ "stats", "status", 1 },
	{ "statuss", "status", 1 },
	{ "kitten", "sitting", 3 },
	{ "ab", "ba", 1 },
	{ "0123456789012345678901234567890123", "", RK_NEAR_NEVER },
};

START_TEST(a_swap_counts_as_one_step)
{
	ck_assert_uint_eq(rk_near_distance(distances[_i].a, distances[_i].b), distances[_i].want);
	ck_assert_uint_eq(rk_near_distance(distances[_i].b, distances[_i].a), distances[_i].want);
}
END_TEST

static const struct {
	const char *written, *meant;
} misspelt[] = {
	{ "stat", "status" }, { "sattus", "status" }, { "STATUS", NULL }, { "lst", "list" },
	{ "cal", "call" },    { "keys", "key" },      { "ps", "status" }, { "resize", "scale" },
	{ "kill", "stop" },   { "hlep", "help" },     { "", NULL },       { "frobnicate", NULL },
	{ "x", NULL },        { "vers", "version" },
};

START_TEST(the_nearest_command_is_named_or_none)
{
	const char *nearest = rk_command_nearest(misspelt[_i].written);

	if (misspelt[_i].meant)
		ck_assert_pstr_eq(nearest, misspelt[_i].meant);
	else
		ck_assert_msg(nearest == NULL, "'%s' is no %s", misspelt[_i].written, nearest);
}
END_TEST

/* ---- the table ---- */

static const struct rk_command *command(int i)
{
	size_t n;

	return &rk_commands(&n)[i];
}

static int n_commands(void)
{
	size_t n;

	(void)rk_commands(&n);
	return (int)n;
}

START_TEST(every_command_is_complete)
{
	const struct rk_command *c = command(_i);

	ck_assert_ptr_eq(rk_command_find(c->name), c);
	ck_assert(c->summary && c->summary[0] >= 'a' && c->summary[0] <= 'z');
	ck_assert(c->summary[strlen(c->summary) - 1] != '.');
	ck_assert(c->arguments && c->text && c->run);
	ck_assert(c->n_options <= RK_ARGS_OPTIONS_MAX);
	ck_assert(c->n_max < 0 || c->n_max >= c->n_min);
	ck_assert_msg(c->n_min == 0 || c->rest_help, "%s says what is missing", c->name);
}
END_TEST

START_TEST(every_option_is_documented_and_alone_of_its_name)
{
	const struct rk_command *c = command(_i);

	for (size_t k = 0; k < c->n_options; k++) {
		const struct rk_option *o = &c->options[k];

		ck_assert_msg(o->help && o->help[0], "%s --%s", c->name, o->name);
		ck_assert_msg((o->kind == RK_OPTION_FLAG) == (o->value == NULL), "%s --%s", c->name,
			      o->name);
		ck_assert_msg(strcmp(o->name, "help") != 0 && o->letter != 'h',
			      "%s: help is everybody's", c->name);
		for (size_t j = 0; j < k; j++) {
			ck_assert_str_ne(o->name, c->options[j].name);
			ck_assert(!o->letter || o->letter != c->options[j].letter);
		}
	}
}
END_TEST

START_TEST(whoever_prints_json_documents_its_members)
{
	const struct rk_command *c = command(_i);
	bool has_output = false;

	for (size_t k = 0; k < c->n_options; k++)
		has_output |= strcmp(c->options[k].name, "output") == 0;
	ck_assert_msg(has_output == (c->members != NULL), "%s", c->name);
	for (size_t k = 0; c->members && k < c->members->n; k++)
		ck_assert_msg(c->members->at[k].path[0] && c->members->at[k].meaning[0], "%s", c->name);
}
END_TEST

/* What a printer prints, in a buffer the caller frees. */
static char *printed(void (*print)(FILE *), void (*print_one)(FILE *, const struct rk_command *),
		     const struct rk_command *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	if (print)
		print(f);
	else
		print_one(f, c);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

START_TEST(help_man_page_and_completion_know_every_command_and_option)
{
	const struct rk_command *c = command(_i);
	char *all = printed(rk_help_all, NULL, NULL), *one = printed(NULL, rk_help_command, c);
	char *man = printed(rk_help_man, NULL, NULL),
	     *completion = printed(rk_help_completion, NULL, NULL);
	char text[96];

	(void)snprintf(text, sizeof(text), "\n  %-8s  %s", c->name, c->summary);
	ck_assert_ptr_nonnull(strstr(all, text));
	(void)snprintf(text, sizeof(text), "\n.SS %s\n", c->name);
	ck_assert_ptr_nonnull(strstr(man, text));
	(void)snprintf(text, sizeof(text), "\t%s) words=", c->name);
	ck_assert_ptr_nonnull(strstr(completion, text));
	for (size_t k = 0; k < c->n_options; k++) {
		(void)snprintf(text, sizeof(text), "--%s", c->options[k].name);
		ck_assert_msg(strstr(one, text) && strstr(completion, text), "%s %s", c->name,
			      text);
	}
	free(all);
	free(one);
	free(man);
	free(completion);
}
END_TEST

START_TEST(no_line_of_help_is_wider_than_a_terminal)
{
	char *text = printed(NULL, rk_help_command, command(_i));

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		ck_assert_msg(len <= 80, "%.*s", (int)len, line);
		line += len + (line[len] == '\n');
	}
	free(text);
}
END_TEST

/* ---- exit statuses ---- */

static const struct {
	int code, want;
} codes[] = {
	{ -ENOENT, 3 },        { -E2BIG, 64 }, { -EINVAL, 64 }, { -ETIMEDOUT, 69 },
	{ -ECONNRESET, 69 },   { -EPIPE, 69 }, { -EACCES, 77 }, { -EPERM, 77 },
	{ -EBUSY, 1 },         { -ENOSPC, 1 }, { -EPROTO, 1 },  { -EIO, 1 },
	{ -ENAMETOOLONG, 78 },
};

START_TEST(every_error_has_its_exit_status)
{
	ck_assert_int_eq(rk_cli_exit_for(codes[_i].code), codes[_i].want);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("cli");

	tcase_add_loop_test(c, options_and_arguments_are_told_apart, 0, rk_countof(good));
	tcase_add_loop_test(c, a_wrong_command_line_is_explained, 0, rk_countof(bad));
	tcase_add_test(c, values_are_read_with_their_units);
	tcase_add_test(c, a_value_that_may_be_left_out_is_read_behind_its_sign_alone);
	tcase_add_loop_test(c, a_common_option_may_stand_in_front_of_the_command, 0,
			    rk_countof(fronts));
	tcase_add_loop_test(c, a_fleet_is_named_once, 0, 5);
	tcase_add_test(c, what_is_not_given_has_its_default);
	tcase_add_test(c, help_wins_over_everything_behind_it);
	tcase_add_loop_test(c, a_swap_counts_as_one_step, 0, rk_countof(distances));
	tcase_add_loop_test(c, the_nearest_command_is_named_or_none, 0, rk_countof(misspelt));
	tcase_add_loop_test(c, every_command_is_complete, 0, n_commands());
	tcase_add_loop_test(c, every_option_is_documented_and_alone_of_its_name, 0, n_commands());
	tcase_add_loop_test(c, whoever_prints_json_documents_its_members, 0, n_commands());
	tcase_add_loop_test(c, help_man_page_and_completion_know_every_command_and_option, 0,
			    n_commands());
	tcase_add_loop_test(c, no_line_of_help_is_wider_than_a_terminal, 0, n_commands());
	tcase_add_loop_test(c, every_error_has_its_exit_status, 0, rk_countof(codes));
	return unit_run(c);
}
