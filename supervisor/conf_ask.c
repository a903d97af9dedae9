/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/conf_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/conf_check.h"
#include "supervisor/conf_frozen.h"
#include "supervisor/conf_show.h"
#include "supervisor/keeper.h"
#include "supervisor/message.h"
#include "supervisor/sources.h"

#define CONFIGURATION_FD 3 /* where --adopts finds the one in force */

/* A command line's own mistakes are the caller's; those of a file are its author's. */
static enum rk_exit status_of(const struct rk_conf_request *q, int r)
{
	if (r == -EACCES || r == -EPERM)
		return RK_EXIT_PERMISSION;
	return q->config ? RK_EXIT_CONFIG : RK_EXIT_USAGE;
}

/*
 * Loads and checks one configuration. What is wrong is in c or, when nothing could be read, in
 * err. Returns the exit status.
 */
static enum rk_exit load(struct rk_conf *conf, const struct rk_conf_request *q, uint64_t memory_held,
			 struct rk_complaints *c, struct rk_err *err)
{
	struct rk_conf_world world;
	int r = rk_conf_load(conf, q, c, err);
	uint32_t n_shape = rk_complaints_count(c);

	if (r < 0)
		return status_of(q, r);
	rk_conf_world(&world);
	world.memory += memory_held;
	rk_conf_check_world(conf, &world, c);
	if (n_shape > 0)
		return status_of(q, -EINVAL);
	return rk_complaints_count(c) > 0 ? RK_EXIT_CONFIG : RK_EXIT_OK;
}

/* ---- --check and --cat ---- */

/* One configuration; is_cat prints it although something may be wrong with it. */
static enum rk_exit one_answer(const struct rk_conf_request *q)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_err err = { 0 };
	enum rk_exit status = load(&conf, q, 0, &c, &err);

	if (err.code) {
		(void)fprintf(stderr, "rekindled: %s\n", err.text);
		return status;
	}
	if (q->ask == RK_CONF_CAT)
		rk_conf_cat(&conf, stdout);
	rk_complaints_print(&c, "", stderr);
	if (status == RK_EXIT_OK && q->ask == RK_CONF_CHECK)
		rk_conf_sum(&conf, stdout);
	return status;
}

/* Every configuration that there is. */
static enum rk_exit all_answer(const struct rk_conf_request *q)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist names = { 0 };
	enum rk_exit worst = RK_EXIT_OK;
	struct rk_err err = { 0 };

	if (rk_sources_list(q->root, &names, &err) < 0 || names.n == 0) {
		(void)fprintf(
			stderr, "rekindled: %s\n",
			*err.text ? err.text
				  : "there is no configuration: name a file, such as ./words.conf");
		return RK_EXIT_CONFIG;
	}
	for (uint32_t i = 0; i < names.n; i++) {
		struct rk_conf_request one = { .ask = q->ask,
					       .config = names.at[i],
					       .root = q->root };
		enum rk_exit status = one_answer(&one);

		if (status > worst)
			worst = status;
	}
	return worst;
}

/* To 'rekindle upgrade', which has the configuration in force of a running fleet on descriptor 3. */
static enum rk_exit adopts_answer(void)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 }, leaving = { 0 };
	struct rk_err err = { 0 };

	(void)printf("release " PACKAGE_VERSION "\nabi %u\njournal %u\nkeeper %u\n", RK_ABI_VERSION, RK_JOURNAL_LAYOUT,
		     RK_KEEPER_TABLE);
	if (fcntl(CONFIGURATION_FD, F_GETFD) < 0 || rk_conf_thaw(CONFIGURATION_FD, &conf, &leaving, &err) == 0)
		return RK_EXIT_OK;
	(void)fprintf(stderr, "rekindled: %s\n", err.text);
	return RK_EXIT_CONFIG;
}

static enum rk_exit answer(const struct rk_conf_request *q)
{
	switch (q->ask) {
	case RK_CONF_HELP:
		rk_conf_usage(stdout);
		break;
	case RK_CONF_VERSION:
		(void)puts("rekindled " PACKAGE_VERSION);
		break;
	case RK_CONF_CAT_DEFAULTS:
		rk_conf_cat_defaults(stdout);
		break;
	case RK_CONF_MAN:
		rk_conf_man(stdout);
		break;
	case RK_CONF_ADOPTS:
		return adopts_answer();
	case RK_CONF_CHECK:
	case RK_CONF_CAT:
		return q->config || q->name ? one_answer(q) : all_answer(q);
	case RK_CONF_RUN:
	case RK_CONF_ASKS:
		break;
	}
	return RK_EXIT_OK;
}

enum rk_exit rk_conf_answer(int argc, char *const *argv)
{
	rk_cleanup(rk_conf_request_free_p) struct rk_conf_request q = { 0 };
	struct rk_err err = { 0 };
	enum rk_exit status;

	if (rk_conf_request_read(&q, argc, argv, &err) < 0) {
		(void)fprintf(stderr, "rekindled: %s\n", err.text);
		return RK_EXIT_USAGE;
	}
	status = answer(&q);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	(void)fputs("rekindled: cannot write to standard output\n", stderr);
	return RK_EXIT_FAILED;
}

/* ---- running ---- */

/* The journal keeps file and line apart. */
static void complaint_log(const struct rk_complaint *a)
{
	char line[16], place[32] = "";
	const struct rk_log_field fields[] = {
		{ "MESSAGE_ID", rk_message_id(RK_MESSAGE_CONFIG_WRONG) },
		{ "CONFIG_FILE", a->file },
		{ "CONFIG_LINE", a->file && a->line ? line : NULL },
	};

	(void)snprintf(line, sizeof(line), "%u", a->line);
	if (a->file && a->line)
		(void)snprintf(place, sizeof(place), ":%s: ", line);
	else if (a->file)
		(void)snprintf(place, sizeof(place), ": ");
	rk_log_with(RK_LOG_ERROR, fields, rk_countof(fields), "%s%s%s", a->file ? a->file : "", place,
		    a->text);
}

static void complaints_log(struct rk_complaints *c)
{
	rk_complaints_sort(c);
	for (uint32_t i = 0; i < c->n; i++)
		complaint_log(&c->at[i]);
	if (c->n_dropped)
		rk_log(RK_LOG_ERROR, "and %u more", c->n_dropped);
}

enum rk_exit rk_conf_read(int argc, char *const *argv, const struct rk_conf_running *running, struct rk_conf *ret,
			  struct rk_complaints *c, struct rk_err *err)
{
	rk_cleanup(rk_conf_request_free_p) struct rk_conf_request q = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	enum rk_exit status;

	if (rk_conf_request_read(&q, argc, argv, err) < 0)
		return RK_EXIT_USAGE;
	q.before = running ? running->conf : NULL;
	status = load(&conf, &q, running ? running->memory : 0, c, err);
	*ret = conf;
	conf = (struct rk_conf){ 0 };
	return status;
}

enum rk_exit rk_conf_begin(int argc, char *const *argv, struct rk_conf *ret)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	struct rk_err err = { 0 };
	enum rk_exit status = rk_conf_read(argc, argv, NULL, ret, &c, &err);

	if (err.code)
		rk_log(RK_LOG_ERROR, "%s", err.text);
	complaints_log(&c);
	return status;
}
