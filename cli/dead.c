/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle dead: what a fleet has put aside. The word behind it says what to do: list, show,
 * retry, drop.
 */
#include "cli/dead.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cli/out.h"
#include "cli/recall.h"

void rk_cli_dead_print(const struct rk_dead_command *c, struct json_object *letters)
{
	struct json_object *o = json_object_new_object();

	rk_out_json_text(o, "name", c->look.ask.fleet);
	json_object_object_add(o, "letters", letters);
	rk_out_json(o);
}

int rk_cli_dead_status(uint32_t n_well, uint32_t n_ill)
{
	if (n_ill == 0)
		return RK_CLI_OK;
	return n_well ? RK_CLI_PARTLY : RK_CLI_FAILED;
}

static bool is_chosen(struct rk_letter *const *chosen, int n, const struct rk_letter *letter)
{
	for (int i = 0; i < n; i++)
		if (chosen[i] == letter)
			return true;
	return false;
}

/* One that is not there is complained of; one that is named twice is taken once. */
static int choose(const struct rk_letters *l, const char *text, struct rk_letter **chosen, int *n,
		  struct rk_err *err)
{
	struct rk_letter *letter;
	uint32_t partition;
	uint64_t job;
	int r = rk_letter_parse(text, &partition, &job, err);

	if (r < 0)
		return r;
	letter = rk_letters_find(l, partition, job);
	if (!letter)
		return rk_cli_complain(-ENOENT, "there is no dead letter %s: see 'rekindle dead list'",
				       text);
	if (!is_chosen(chosen, *n, letter))
		chosen[(*n)++] = letter;
	return 0;
}

int rk_cli_dead_choose(const struct rk_dead_command *c, const struct rk_letters *l,
		       struct rk_letter **chosen, uint32_t *ret_n_missing, struct rk_err *err)
{
	int n = 0;

	*ret_n_missing = 0;
	for (uint32_t i = 0; rk_args_flag(&c->a, "all") && i < l->n; i++)
		chosen[n++] = &l->at[i];
	for (int i = 0; i < c->a.n_rest; i++) {
		int r = choose(l, c->a.rest[i], chosen, &n, err);

		if (r == -EINVAL)
			return r;
		*ret_n_missing += r < 0;
	}
	return n;
}

/* ---- drop ---- */

static int drop(struct rk_dead_command *c, struct rk_letter *letter, struct rk_err *err)
{
	char name[RK_LETTER_NAME];
	int r;

	(void)rk_letter_name(name, letter->is.partition, letter->is.job);
	if (letter->is.is_retrying)
		return rk_err_set(err, -EALREADY,
				  "%s is being sent again: 'rekindle dead retry %s' brings that to its end",
				  name, name);
	r = rk_letter_ask(&c->look, c->name, letter, "drop", err);
	return r < 0 ? rk_err_prefix(err, r, name) : 0;
}

static struct json_object *drop_json(const struct rk_letter *letter, const struct rk_err *err)
{
	struct json_object *o = rk_cli_dead_json(&letter->is);

	rk_out_json_text(o, "now", err->code ? "kept" : "dropped");
	rk_out_json_text(o, "message", err->code ? err->text : NULL);
	return o;
}

static int drop_all(struct rk_dead_command *c, struct rk_letter *const *chosen, int n,
		    uint32_t n_missing)
{
	struct json_object *all = rk_args_json(&c->a) ? json_object_new_array() : NULL;
	uint32_t n_dropped = 0;
	char name[RK_LETTER_NAME];

	for (int i = 0; i < n; i++) {
		struct rk_err err = { 0 };

		if (drop(c, chosen[i], &err) < 0)
			(void)rk_cli_complain(0, "%s", err.text);
		else if (!all)
			(void)printf("%s  dropped\n", rk_letter_name(name, chosen[i]->is.partition,
								     chosen[i]->is.job));
		n_dropped += err.code == 0;
		if (all)
			json_object_array_add(all, drop_json(chosen[i], &err));
	}
	if (all)
		rk_cli_dead_print(c, all);
	else if (n == 0 && n_missing == 0)
		(void)puts("no dead letters");
	return rk_cli_dead_status(n_dropped, (uint32_t)n - n_dropped + n_missing);
}

static int dead_drop(struct rk_dead_command *c)
{
	rk_cleanup(rk_letters_free_p) struct rk_letters l = { 0 };
	struct rk_letter **chosen = NULL;
	struct rk_err err = { 0 };
	uint32_t n_missing = 0;
	int status, r = rk_letters_read(&l, &c->look, &err);

	if (r == 0) {
		chosen = calloc(l.n + 1, sizeof(struct rk_letter *));
		r = chosen ? rk_cli_dead_choose(c, &l, chosen, &n_missing, &err) :
			     rk_err_set(&err, -ENOMEM, "no memory");
	}
	status = r < 0 ? rk_cli_fail(&err) : drop_all(c, chosen, r, n_missing);
	free(chosen);
	return status;
}

/* ---- the words ---- */

static const struct word {
	const char *name;
	int (*run)(struct rk_dead_command *c);
	bool takes_all, takes_body;
	int n_min, n_max; /* LETTERs, unless --all is given */
} words[] = {
	{ "list", rk_cli_dead_list, false, false, 0, 0 },
	{ "show", rk_cli_dead_show, false, true, 1, 1 },
	{ "retry", rk_cli_dead_retry, true, false, 1, -1 },
	{ "drop", dead_drop, true, false, 1, -1 },
};

static const struct word *word_find(const char *name)
{
	for (size_t i = 0; i < rk_countof(words); i++)
		if (strcmp(words[i].name, name) == 0)
			return &words[i];
	return NULL;
}

/* Whether the arguments fit the word, whose LETTERs are what is left of them. */
static int check(const struct word *w, const struct rk_args *a, struct rk_err *err)
{
	bool is_all = rk_args_flag(a, "all"), is_body = rk_args_flag(a, "body");

	if (is_all && !w->takes_all)
		return rk_err_set(err, -EINVAL, "--all is for dead retry and dead drop");
	if (is_body && !w->takes_body)
		return rk_err_set(err, -EINVAL, "--body is for dead show");
	if (is_body && rk_args_json(a))
		return rk_err_set(err, -EINVAL, "--body prints the body as it is: without -o json");
	if (rk_args_text(a, "timeout") && w->run != rk_cli_dead_retry)
		return rk_err_set(err, -EINVAL, "--timeout is for dead retry");
	if (is_all ? a->n_rest > 0 : a->n_rest < w->n_min)
		return rk_err_set(err, -EINVAL, "dead %s: name %s", w->name,
				  w->takes_all ? "LETTERs such as 3.17, or --all" : "a LETTER such as 3.17");
	if (w->n_max >= 0 && a->n_rest > w->n_max)
		return rk_err_set(err, -EINVAL, "dead %s: '%.60s' is too much", w->name,
				  a->rest[w->n_max]);
	return 0;
}

int rk_cli_dead(int argc, char **argv)
{
	struct rk_dead_command c = { .look = RK_LOOK_NONE };
	struct rk_err err = { 0 };
	const struct word *w;
	int status;

	if (!rk_cli_begin(&c.a, argc, argv, &status))
		return status;
	rk_recall_time(&c.a);
	w = word_find(c.a.rest[0]);
	if (!w)
		return rk_cli_complain(RK_CLI_USAGE,
				       "dead does not know '%.60s': list, show, retry or drop",
				       c.a.rest[0]);
	c.a.rest++;
	c.a.n_rest--;
	c.name = rk_args_text(&c.a, "name");
	if (check(w, &c.a, &err) < 0 || rk_look_open(&c.look, c.name, &err) < 0)
		status = rk_cli_fail(&err);
	else
		status = w->run(&c);
	rk_look_close_p(&c.look);
	return status;
}
