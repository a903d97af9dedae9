/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A fault hits the process that was meant, or nothing is done and a sentence says why; a
 *         stop ends by itself; what makes no sense is refused.
 * Method  Slots that were never started, with a real child as process of one; shared memory of the
 *         fixture; the answers to a table of requests.
 */
#include "supervisor/inject.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/macro.h"
#include "shm/beat.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

enum { SLOTS = 3, VICTIM = 1 };

static struct fixture *fixture;
static struct rk_conf_fleet conf;
static struct rk_crew_conf crew;
static struct rk_slot_host host;
static struct rk_slot slots[SLOTS];
static struct rk_recorder recorder = { .flight.fd = -1 };
static struct rk_inject inject;
static sd_event *event;

static pid_t child(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		for (;;)
			(void)pause();
	return pid;
}

static void setup(void)
{
	fixture = fixture_new(NULL, 0);
	conf = (struct rk_conf_fleet){ .o.allow_faults = true };
	crew = (struct rk_crew_conf){ .conf = &conf, .m = &fixture->m };
	host = (struct rk_slot_host){ .c = &crew };
	ck_assert_int_ge(sd_event_new(&event), 0);
	inject = (struct rk_inject){ .event = event, .recorder = &recorder, .fleet = "f" };
	for (uint32_t i = 0; i < SLOTS; i++)
		slots[i] = (struct rk_slot){ .host = &host, .number = i, .is_wanted = true, .stat_fd = -1,
					      .process.pidfd = -1 };
	slots[VICTIM].state = RK_FSM_READY;
	slots[VICTIM].incarnation = 7;
	slots[VICTIM].process.pid = child();
	slots[VICTIM].process.pidfd = (int)syscall(SYS_pidfd_open, slots[VICTIM].process.pid, 0);
	ck_assert_int_ge(slots[VICTIM].process.pidfd, 0);
}

static void teardown(void)
{
	rk_inject_end(&inject);
	(void)kill(slots[VICTIM].process.pid, SIGKILL);
	(void)waitpid(slots[VICTIM].process.pid, NULL, 0);
	(void)close(slots[VICTIM].process.pidfd);
	sd_event_unref(event);
	fixture_free(fixture);
}

static int hit(const struct rk_inject_request *q, struct rk_inject_hit *ret)
{
	struct rk_slot *s = NULL;
	struct rk_err err = { 0 };
	int r = rk_inject_choose(&inject, slots, SLOTS, q, &s, &err);

	if (r == 0)
		r = rk_inject(&inject, s, q, ret, &err);
	ck_assert_msg((r < 0) == (err.text[0] != '\0'), "%d without a sentence", r);
	return r;
}

/* ---- requests ---- */

static const struct {
	const char *text;
	int r;
	struct rk_inject_request q;
} requests[] = {
	{ "{\"what\":\"kill\"}", 0, { RK_INJECT_KILL, RK_INJECT_ANY, 100, 1, 0 } },
	{ "{\"what\":\"stop\",\"worker\":2}", 0, { RK_INJECT_STOP, 2, 1000, 1, 0 } },
	{ "{\"what\":\"slow\",\"worker\":0,\"ms\":5,\"jobs\":16777215}", 0, { RK_INJECT_SLOW, 0, 5, 16777215, 0 } },
	{ "{\"what\":\"hang\",\"ms\":86400000}", 0, { RK_INJECT_HANG, RK_INJECT_ANY, 86400000, 1, 0 } },
	{ "{\"what\":\"loop\"}", 0, { RK_INJECT_LOOP, RK_INJECT_ANY, 100, 1, 0 } },
	{ "{}", -EINVAL, { 0 } },
	{ "{\"what\":null}", -EINVAL, { 0 } },
	{ "{\"what\":\"burn\"}", -EINVAL, { 0 } },
	{ "{\"what\":[1]}", -EINVAL, { 0 } },
	{ "{\"what\":\"kill\",\"worker\":-1}", -EINVAL, { 0 } },
	{ "{\"what\":\"kill\",\"worker\":4096}", -EINVAL, { 0 } },
	{ "{\"what\":\"kill\",\"worker\":\"1\"}", -EINVAL, { 0 } },
	{ "{\"what\":\"stop\",\"ms\":0}", -EINVAL, { 0 } },
	{ "{\"what\":\"stop\",\"ms\":86400001}", -EINVAL, { 0 } },
	{ "{\"what\":\"slow\",\"jobs\":16777216}", -EINVAL, { 0 } },
	{ "{\"what\":\"slow\",\"jobs\":null}", -EINVAL, { 0 } },
};

START_TEST(a_request_is_read_or_refused_whole)
{
	struct json_object *in = json_tokener_parse(requests[_i].text);
	struct rk_inject_request q = { 0 };
	struct rk_err err;

	ck_assert_msg(rk_inject_read(in, &q, &err) == requests[_i].r, "%s", requests[_i].text);
	ck_assert_int_eq(q.fault, requests[_i].q.fault);
	ck_assert_uint_eq(q.worker, requests[_i].q.worker);
	ck_assert_uint_eq(q.ms, requests[_i].q.ms);
	ck_assert_uint_eq(q.n_jobs, requests[_i].q.n_jobs);
	json_object_put(in);
}
END_TEST

/* ---- whom ---- */

START_TEST(without_allow_faults_nothing_is_done)
{
	conf.o.allow_faults = false;
	for (int fault = 0; fault < RK_INJECT_FAULTS; fault++) {
		const struct rk_inject_request q = { .fault = (enum rk_inject_fault)fault, .worker = VICTIM, .ms = 1 };
		struct rk_inject_hit who;

		ck_assert_int_eq(hit(&q, &who), -EPERM);
	}
	ck_assert_int_eq(waitpid(slots[VICTIM].process.pid, NULL, WNOHANG), 0);
	ck_assert(!rk_beat_has_order(rk_shm_beat(&fixture->m, VICTIM)));
}
END_TEST

START_TEST(any_is_one_that_is_ready)
{
	for (int i = 0; i < 20; i++) {
		const struct rk_inject_request q = { .fault = RK_INJECT_HANG, .worker = RK_INJECT_ANY, .n_jobs = 1 };
		struct rk_inject_hit who;

		ck_assert_int_eq(hit(&q, &who), 0);
		ck_assert_uint_eq(who.worker, VICTIM);
		ck_assert_int_eq(who.pid, slots[VICTIM].process.pid);
		ck_assert_uint_eq(who.incarnation, 7);
	}
}
END_TEST

START_TEST(any_of_a_few_is_each_as_often_as_the_others)
{
	const struct rk_inject_request q = { .worker = RK_INJECT_ANY };
	struct rk_slot room[64] = { 0 }; /* most of it empty, as in a fleet of a few */
	int n[rk_countof(room)] = { 0 };

	for (uint32_t i = 0; i < rk_countof(room); i++)
		room[i] = (struct rk_slot){ .host = &host, .number = i };
	for (uint32_t i = 2; i <= 4; i++) {
		room[i].state = RK_FSM_READY;
		room[i].process.pid = (pid_t)i;
	}
	for (int i = 0; i < 3000; i++) {
		struct rk_slot *s = NULL;
		struct rk_err err;

		ck_assert_int_eq(rk_inject_choose(&inject, room, rk_countof(room), &q, &s, &err), 0);
		n[s->number]++;
	}
	for (uint32_t i = 2; i <= 4; i++)
		ck_assert_msg(n[i] > 800 && n[i] < 1200, "worker %u %d times of 3000", i, n[i]);
}
END_TEST

START_TEST(who_is_not_there_or_not_ready_is_named)
{
	struct rk_inject_request q = { .fault = RK_INJECT_STOP, .worker = SLOTS, .ms = 1000 };
	struct rk_inject_hit who;

	ck_assert_int_eq(hit(&q, &who), -ENOENT);
	q.worker = 0;
	ck_assert_int_eq(hit(&q, &who), -EAGAIN);
	slots[VICTIM].state = RK_FSM_SUSPECT;
	q.worker = VICTIM;
	ck_assert_int_eq(hit(&q, &who), -EAGAIN);
	q.worker = RK_INJECT_ANY;
	ck_assert_int_eq(hit(&q, &who), -EAGAIN);
	slots[0].is_wanted = false; /* there is only room for it */
	q.worker = 0;
	ck_assert_int_eq(hit(&q, &who), -ENOENT);
}
END_TEST

/* ---- what ---- */

START_TEST(a_kill_is_a_sigkill_that_the_slot_knows_of)
{
	const struct rk_inject_request q = { .fault = RK_INJECT_KILL, .worker = VICTIM };
	struct rk_inject_hit who;
	siginfo_t info;

	ck_assert_int_eq(hit(&q, &who), 0);
	ck_assert(slots[VICTIM].is_faulted);
	ck_assert_int_eq(waitid(P_PIDFD, (id_t)slots[VICTIM].process.pidfd, &info, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(info.si_status, SIGKILL);
	ck_assert_int_eq(hit(&q, &who), -EAGAIN);
}
END_TEST

START_TEST(a_stop_ends_by_itself_and_only_one_is_under_way)
{
	const struct rk_inject_request q = { .fault = RK_INJECT_STOP, .worker = VICTIM, .ms = 20 };
	struct rk_inject_hit who;
	int status;

	ck_assert_int_eq(hit(&q, &who), 0);
	ck_assert_int_eq(waitpid(who.pid, &status, WUNTRACED), who.pid);
	ck_assert(WIFSTOPPED(status));
	ck_assert_int_eq(hit(&q, &who), -EAGAIN);
	ck_assert_int_gt(sd_event_run(event, UINT64_MAX), 0);
	ck_assert_int_eq(waitpid(who.pid, &status, WCONTINUED), who.pid);
	ck_assert(WIFCONTINUED(status));
	ck_assert_int_eq(hit(&q, &who), 0);
}
END_TEST

START_TEST(the_end_of_the_fleet_ends_a_stop)
{
	const struct rk_inject_request q = { .fault = RK_INJECT_STOP, .worker = VICTIM, .ms = RK_INJECT_MS_MAX };
	struct rk_inject_hit who;
	int status;

	ck_assert_int_eq(hit(&q, &who), 0);
	ck_assert_int_eq(waitpid(who.pid, &status, WUNTRACED), who.pid);
	rk_inject_end(&inject);
	ck_assert_int_eq(waitpid(who.pid, &status, WCONTINUED), who.pid);
	ck_assert(WIFCONTINUED(status));
}
END_TEST

START_TEST(an_order_stands_in_the_beat_page_of_its_worker_alone)
{
	static const enum rk_order orders[RK_INJECT_FAULTS] = { [RK_INJECT_HANG] = RK_ORDER_HANG,
								[RK_INJECT_LOOP] = RK_ORDER_LOOP,
								[RK_INJECT_SLOW] = RK_ORDER_SLOW };

	for (int fault = RK_INJECT_HANG; fault < RK_INJECT_FAULTS; fault++) {
		const struct rk_inject_request q = { .fault = (enum rk_inject_fault)fault, .worker = VICTIM,
						     .ms = 5, .n_jobs = 1 };
		struct rk_inject_hit who;
		uint32_t ms;

		ck_assert_int_eq(hit(&q, &who), 0);
		for (uint32_t i = 0; i < SLOTS; i++)
			ck_assert(rk_beat_has_order(rk_shm_beat(&fixture->m, i)) == (i == VICTIM));
		ck_assert_int_eq(rk_beat_take_order(rk_shm_beat(&fixture->m, VICTIM), &ms), orders[fault]);
		ck_assert_uint_eq(ms, 5);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("inject");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_request_is_read_or_refused_whole, 0, rk_countof(requests));
	tcase_add_test(c, without_allow_faults_nothing_is_done);
	tcase_add_test(c, any_is_one_that_is_ready);
	tcase_add_test(c, any_of_a_few_is_each_as_often_as_the_others);
	tcase_add_test(c, who_is_not_there_or_not_ready_is_named);
	tcase_add_test(c, a_kill_is_a_sigkill_that_the_slot_knows_of);
	tcase_add_test(c, a_stop_ends_by_itself_and_only_one_is_under_way);
	tcase_add_test(c, the_end_of_the_fleet_ends_a_stop);
	tcase_add_test(c, an_order_stands_in_the_beat_page_of_its_worker_alone);
	return unit_run(c);
}
