/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the program's state is saved at intervals and once more at the end, and restored first; what came of it is
 *         recorded each time, and nothing stays of what is given up.
 * Method  short commands that leave their marks in a file, and an asker of the test's own.
 */
#include "workers/bridge/checkpoint.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

#define LONG (3 * RK_NS_PER_S)
#define SHORT (30 * RK_NS_PER_MS)
#define RECORDS 64

struct told {
	unsigned int n;
	struct rk_checkpoint_record at[RECORDS];
	unsigned int n_asked;
	int answer; /* of ask */
};

static void on_end(const struct rk_checkpoint_record *record, void *arg)
{
	struct told *t = arg;

	ck_assert_uint_lt(t->n, RECORDS);
	t->at[t->n++] = *record;
}

static int on_ask(void *arg)
{
	struct told *t = arg;

	t->n_asked++;
	return t->answer;
}

static struct ev_loop *loop_new(void)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_NOENV);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

static struct rk_checkpoint *checkpoint_new(struct ev_loop *loop, char *save, char *restore, struct told *t,
					    uint64_t interval_ns)
{
	char *save_argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, save, NULL };
	char *restore_argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, restore, NULL };
	struct rk_checkpoint_conf conf = {
		.save = save ? save_argv : NULL,
		.restore = restore ? restore_argv : NULL,
		.interval_ns = interval_ns,
		.timeout_ns = LONG,
		.on_end = on_end,
		.arg = t,
	};
	struct rk_checkpoint *c = rk_checkpoint_new(loop, &conf);

	ck_assert_ptr_nonnull(c);
	return c;
}

static struct rk_checkpoint *asker_new(struct ev_loop *loop, struct told *t, uint64_t interval_ns)
{
	struct rk_checkpoint_conf conf = {
		.ask = on_ask, .interval_ns = interval_ns, .timeout_ns = SHORT, .on_end = on_end, .arg = t
	};
	struct rk_checkpoint *c = rk_checkpoint_new(loop, &conf);

	ck_assert_ptr_nonnull(c);
	return c;
}

static void run(struct ev_loop *loop, const unsigned int *n, unsigned int want)
{
	while (*n < want)
		(void)ev_run(loop, EVRUN_ONCE);
}

START_TEST(what_came_of_it_is_recorded)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct told t = { 0 };
	char bad[] = "echo no space left >&2; exit 4", good[] = "exit 0", line[RK_CHECKPOINT_LINE];
	struct rk_checkpoint *c = checkpoint_new(loop, bad, good, &t, 0);

	ck_assert_uint_eq(rk_checkpoint_last(c)->began_wall_ns, 0);
	ck_assert_int_eq(rk_checkpoint_restore(c), 0);
	ck_assert_int_eq(rk_checkpoint_restore(c), -EALREADY);
	run(loop, &t.n, 1);
	ck_assert(t.at[0].is_ok);
	ck_assert_int_eq(t.at[0].deed, RK_CHECKPOINT_RESTORE);
	ck_assert_uint_gt(t.at[0].began_wall_ns, 0);
	ck_assert_uint_gt(t.at[0].took_ns, 0);
	ck_assert_msg(strncmp(rk_checkpoint_line(line, &t.at[0]), "restored in ", 12) == 0, "%s", line);
	rk_checkpoint_begin(c); /* without an interval */
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_int_eq(rk_checkpoint_finish(c), 0);
	ck_assert_int_eq(rk_checkpoint_finish(c), 0); /* once is enough */
	run(loop, &t.n, 2);
	ck_assert(!t.at[1].is_ok);
	ck_assert_int_eq(t.at[1].deed, RK_CHECKPOINT_LAST_SAVE);
	ck_assert_str_eq(t.at[1].text, "exited with 4: no space left");
	(void)rk_checkpoint_line(line, &t.at[1]);
	ck_assert_msg(strncmp(line, "last checkpoint failed after ", 29) == 0, "%s", line);
	ck_assert_ptr_nonnull(strstr(line, "s: exited with 4: no space left"));
	ck_assert_mem_eq(rk_checkpoint_last(c)->text, t.at[1].text, sizeof(t.at[1].text));
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(t.n, 2);
	rk_checkpoint_free(c);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
}
END_TEST

START_TEST(it_is_saved_at_intervals_and_once_more_at_the_end)
{
	struct ev_loop *loop = loop_new();
	char path[] = "/tmp/rk-checkpoint.XXXXXX", script[96];
	struct told t = { 0 };
	struct rk_checkpoint *c;
	int file = mkstemp(path);
	off_t n_saved;

	ck_assert_int_ge(file, 0);
	(void)snprintf(script, sizeof(script), "printf x >> %s", path);
	c = checkpoint_new(loop, script, NULL, &t, RK_NS_PER_MS);
	ck_assert_int_eq(rk_checkpoint_restore(c), RK_CHECKPOINT_NOTHING);
	rk_checkpoint_begin(c);
	run(loop, &t.n, 3);
	ck_assert_int_eq(rk_checkpoint_finish(c), 0);
	while (t.at[t.n - 1].deed != RK_CHECKPOINT_LAST_SAVE)
		(void)ev_run(loop, EVRUN_ONCE);
	(void)ev_run(loop, 0); /* nothing is to come */
	n_saved = lseek(file, 0, SEEK_END);
	ck_assert_int_eq(n_saved, t.n);
	for (unsigned int i = 0; i < t.n; i++) {
		ck_assert_msg(t.at[i].is_ok, "%s", t.at[i].text);
		ck_assert_int_eq(t.at[i].deed, i + 1 < t.n ? RK_CHECKPOINT_SAVE : RK_CHECKPOINT_LAST_SAVE);
	}
	rk_checkpoint_free(c);
	(void)close(file);
	(void)unlink(path);
}
END_TEST

START_TEST(the_last_one_begins_after_one_that_is_under_way)
{
	struct ev_loop *loop = loop_new();
	struct told t = { 0 };
	struct rk_checkpoint *c = asker_new(loop, &t, RK_NS_PER_MS);

	rk_checkpoint_begin(c);
	run(loop, &t.n_asked, 1);
	ck_assert_int_eq(rk_checkpoint_finish(c), 0);
	ck_assert_uint_eq(t.n_asked, 1);
	rk_checkpoint_answered(c, true, NULL);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(t.n_asked, 2);
	rk_checkpoint_answered(c, false, "the disk\nis full");
	ck_assert_uint_eq(t.n, 2);
	ck_assert(t.at[0].is_ok && !t.at[1].is_ok);
	ck_assert_int_eq(t.at[0].deed, RK_CHECKPOINT_SAVE);
	ck_assert_int_eq(t.at[1].deed, RK_CHECKPOINT_LAST_SAVE);
	ck_assert_str_eq(t.at[1].text, "the disk?is full");
	rk_checkpoint_answered(c, true, NULL); /* too late, for nothing */
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(t.n, 2);
	rk_checkpoint_free(c);
}
END_TEST

START_TEST(who_does_not_answer_or_cannot_be_asked_has_failed)
{
	struct ev_loop *loop = loop_new();
	struct told t = { 0 };
	struct rk_checkpoint *c = asker_new(loop, &t, RK_NS_PER_MS);

	rk_checkpoint_begin(c);
	run(loop, &t.n, 1);
	ck_assert_str_eq(t.at[0].text, "no answer within 30ms");
	t.answer = -EPIPE;
	run(loop, &t.n, 3); /* it is tried again */
	ck_assert_str_eq(t.at[1].text, "Broken pipe");
	ck_assert_str_eq(t.at[2].text, "Broken pipe");
	ck_assert_int_eq(rk_checkpoint_finish(c), -EPIPE);
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(t.n, 3);
	rk_checkpoint_free(c);
}
END_TEST

START_TEST(where_nothing_is_said_nothing_is_done)
{
	struct ev_loop *loop = loop_new();
	struct told t = { 0 };
	struct rk_checkpoint *c = checkpoint_new(loop, NULL, NULL, &t, RK_NS_PER_MS);

	ck_assert_int_eq(rk_checkpoint_restore(c), RK_CHECKPOINT_NOTHING);
	rk_checkpoint_begin(c);
	ck_assert_int_eq(rk_checkpoint_finish(c), RK_CHECKPOINT_NOTHING);
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(t.n, 0);
	rk_checkpoint_free(c);
}
END_TEST

/* The loop index: 0 = a command, 1 = a question, 2 = an interval. */
START_TEST(nothing_stays_of_what_is_given_up)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	char slow[] = "exec sleep 1000";
	struct told t = { 0 };
	struct rk_checkpoint *c = _i == 1 ? asker_new(loop, &t, 0) :
					    checkpoint_new(loop, slow, NULL, &t, 3600 * RK_NS_PER_S);
	siginfo_t si;

	if (_i == 2)
		rk_checkpoint_begin(c);
	else
		ck_assert_int_eq(rk_checkpoint_finish(c), 0);
	(void)ev_run(loop, EVRUN_NOWAIT);
	rk_checkpoint_free(c);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0)
		(void)ev_run(loop, EVRUN_NOWAIT);
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bridge_checkpoint");

	tcase_add_test(c, what_came_of_it_is_recorded);
	tcase_add_test(c, it_is_saved_at_intervals_and_once_more_at_the_end);
	tcase_add_test(c, the_last_one_begins_after_one_that_is_under_way);
	tcase_add_test(c, who_does_not_answer_or_cannot_be_asked_has_failed);
	tcase_add_test(c, where_nothing_is_said_nothing_is_done);
	tcase_add_loop_test(c, nothing_stays_of_what_is_given_up, 0, 3);
	return unit_run(c);
}
