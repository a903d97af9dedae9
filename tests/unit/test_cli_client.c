/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    call and put open their place as long as --timeout says, whatever dies meanwhile; without
 *         it no oftener than the library tries.
 * Method  a scripted supervisor that answers the ping, then cuts the connection of each `open`.
 */
#include "cli/client.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/args.h"
#include "tests/unit/answerer.h"
#include "tests/unit/unit.h"
#include "workers/lib/question.h"

#define LONG "20s" /* no wait that works is this long */

static struct answerer a;
static struct rk_err err;

/* Opens a place as `rekindle put key --name test [--timeout TIMEOUT]` would. */
static int open_as(const char *timeout)
{
	char text[6][16] = { "put", "key", "--name", "test", "--timeout" };
	char *argv[] = { text[0], text[1], text[2], text[3], text[4], text[5] };
	struct rk_args args;
	struct rk_client *client = NULL;
	int r;

	if (timeout)
		(void)snprintf(text[5], sizeof(text[5]), "%s", timeout);
	r = rk_args_read(&args, rk_command_find("put"), timeout ? 6 : 4, argv, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	r = rk_cli_client_open(&client, &args, NULL, rk_cli_client_deadline(&args), &err);
	rk_cli_client_close_p(&client);
	return r;
}

static int n_opens(void)
{
	int n = atomic_load_explicit(&a.n, memory_order_acquire), opens = 0;

	for (int i = 0; i < n; i++)
		opens += strstr(a.request[i], "\"open\"") != NULL;
	return opens;
}

START_TEST(a_time_out_that_is_given_is_used_whole)
{
	/* The ping's answer; more cuts than the library takes; then an answer, which lacks the descriptors. */
	static const enum answerer_deed script[] = { ANSWER, CUT, CUT, CUT, CUT, CUT, CUT, CUT, CUT, CUT, ANSWER };

	answerer_begin(&a);
	answerer_listen(&a, script, rk_countof(script));
	ck_assert_int_eq(open_as(LONG), -EPROTO);
	ck_assert_msg(strstr(err.text, "0 descriptors instead of 4"), "%s", err.text);
	ck_assert_int_eq(n_opens(), 10);
	answerer_end(&a);
}
END_TEST

START_TEST(without_one_the_library_decides)
{
	static const enum answerer_deed script[] = { CUT };

	answerer_begin(&a);
	answerer_listen(&a, script, rk_countof(script));
	ck_assert_int_eq(open_as(NULL), -ECONNRESET);
	ck_assert_int_eq(n_opens(), (int)RK_QUESTION_TRIES);
	answerer_end(&a);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("cli_client");

	tcase_add_test(c, a_time_out_that_is_given_is_used_whole);
	tcase_add_test(c, without_one_the_library_decides);
	return unit_run(c);
}
