/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration from text, through a temporary file, for the tests of conf and its parts.
 */
#ifndef RK_TESTS_UNIT_CONF_FIXTURE_H
#define RK_TESTS_UNIT_CONF_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/conf.h"

/* Loads the text; the file is gone afterwards. Its complaints are the caller's. */
static inline void conf_of(const char *text, struct rk_conf *ret, struct rk_complaints *c)
{
	char path[] = "/tmp/rk-conf.XXXXXX";
	struct rk_conf_request q = { .config = path, .root = "/" };
	struct rk_err err = { 0 };
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
	ck_assert_msg(rk_conf_load(ret, &q, c, &err) == 0, "%s", err.text);
	(void)unlink(path);
}

/* The same for a text without mistakes. */
static inline void good_conf_of(const char *text, struct rk_conf *ret)
{
	struct rk_complaints c = { 0 };

	conf_of(text, ret, &c);
	ck_assert_msg(c.n == 0, "%s", c.n ? c.at[0].text : "");
}

/* There is exactly one complaint, at this line, and it says this. */
static inline void expect_complaint(struct rk_complaints *c, uint32_t line, const char *says)
{
	ck_assert_msg(c->n == 1, "%u complaints; the first: %s", c->n, c->n ? c->at[0].text : "");
	ck_assert_msg(strstr(c->at[0].text, says) != NULL, "%s", c->at[0].text);
	ck_assert_uint_eq(c->at[0].line, line);
}

#endif
