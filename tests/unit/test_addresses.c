/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a lookup says which slot owns a key, where that is reached, and whether it is ready: as soon
 *         as the route or a published view says otherwise; who waits is woken by what he waits for, and
 *         by the fleet's end. Addresses are what the supervisor's answer says of each slot, or nothing.
 * Method  a fleet's board in private memory, to which the test publishes; a thread that waits; a forked
 *         child; answers, good and bad.
 */
#include "workers/lib/addresses.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/board.h"
#include "shm/part.h"
#include "shm/route.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define ANSWER "{\"address\":{\"text\":\"127.0.0.1:%p\",\"port\":7000,\"fleet\":\"carts\"}}"
#define PATIENCE_MS 20000u

struct world {
	struct fixture *f;
	struct rk_board_writer writer;
	struct rk_view *view;
	struct rk_addresses *a;
};

static bool is_dead(uint32_t reader, void *arg)
{
	(void)reader;
	(void)arg;
	return false;
}

static int endpoints_of(const char *text, uint32_t n, struct rk_endpoints *ret, struct rk_err *err)
{
	struct json_object *answer = json_tokener_parse(text);
	int r;

	ck_assert_ptr_nonnull(answer);
	r = rk_endpoints_read(ret, answer, n, err);
	json_object_put(answer);
	return r;
}

static void state_publish(struct world *w, uint32_t slot, uint32_t state)
{
	rk_view_slots(w->view)[slot].state = state;
	ck_assert(rk_board_publish(&w->writer, w->view));
}

/* Partition p is slot p's, and all of them are ready. */
static struct world begin(void)
{
	struct world w = { .f = fixture_new(NULL, 0) };
	const struct rk_shm *m = &w.f->m;
	struct rk_endpoints endpoints;

	m->board->epoch_mode = RK_EPOCH_EXCHANGE;
	w.view = calloc(1, m->l.view_stride);
	ck_assert_ptr_nonnull(w.view);
	rk_board_writer_init(&w.writer, m, is_dead, NULL);
	for (uint32_t i = 0; i < m->g.n_workers; i++) {
		rk_part_route(m, i, i, RK_ROUTE_UP);
		state_publish(&w, i, RK_SLOT_READY);
	}
	ck_assert_int_eq(endpoints_of(ANSWER, m->g.n_workers, &endpoints, NULL), 0);
	ck_assert_int_eq(rk_addresses_make(&w.a, m, &endpoints), 0);
	return w;
}

static void end(struct world *w)
{
	rk_addresses_close(w->a);
	free(w->view);
	fixture_free(w->f);
}

/* A key of this partition. */
static const char *key_of(const struct world *w, uint32_t partition)
{
	static char key[16];

	for (uint32_t i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		if (rk_route_partition(&w->f->m.g, key, strlen(key)) == partition)
			return key;
	}
	ck_abort_msg("no key of partition %u", partition);
}

static void expect(struct world *w, uint32_t partition, uint32_t worker, enum rk_address_state state)
{
	const char *key = key_of(w, partition);
	struct rk_address a;
	char text[32];

	for (int with_len = 0; with_len < 2; with_len++) {
		ck_assert_int_eq(rk_addresses_find(w->a, key, with_len ? strlen(key) : 0, &a), 0);
		(void)snprintf(text, sizeof(text), "127.0.0.1:%u", 7000 + worker);
		ck_assert_str_eq(a.text, text);
		ck_assert_uint_eq(a.partition, partition);
		ck_assert_uint_eq(a.worker, worker);
		ck_assert_int_eq(a.state, (int)state);
	}
}

/* ---- lookup ---- */

START_TEST(each_key_has_the_address_of_the_slot_that_owns_it)
{
	struct world w = begin();

	for (uint32_t p = 0; p < w.f->m.g.n_partitions; p++)
		expect(&w, p, p, RK_ADDRESS_READY);
	rk_part_route(&w.f->m, 2, 0, RK_ROUTE_UP);
	expect(&w, 2, 0, RK_ADDRESS_READY);
	expect(&w, 0, 0, RK_ADDRESS_READY);
	end(&w);
}
END_TEST

START_TEST(only_a_slot_that_is_ready_need_not_be_waited_for)
{
	struct world w = begin();

	state_publish(&w, 1, (uint32_t)_i);
	expect(&w, 1, 1, _i == RK_SLOT_READY ? RK_ADDRESS_READY : RK_ADDRESS_WAIT);
	expect(&w, 2, 2, RK_ADDRESS_READY);
	state_publish(&w, 1, RK_SLOT_READY);
	expect(&w, 1, 1, RK_ADDRESS_READY);
	end(&w);
}
END_TEST

START_TEST(a_route_that_is_away_counts_before_a_view_says_so)
{
	struct world w = begin();

	expect(&w, 3, 3, RK_ADDRESS_READY);
	rk_part_route(&w.f->m, 3, 3, 0);
	expect(&w, 3, 3, RK_ADDRESS_WAIT);
	end(&w);
}
END_TEST

START_TEST(a_key_that_nobody_has_has_no_address)
{
	struct world w = begin();
	struct rk_address a;

	rk_part_route(&w.f->m, 1, w.f->m.g.n_workers, RK_ROUTE_UP);
	ck_assert_int_eq(rk_addresses_find(w.a, key_of(&w, 1), 0, &a), 0);
	ck_assert_ptr_null(a.text);
	ck_assert_int_eq(a.state, RK_ADDRESS_NONE);
	ck_assert_int_eq(rk_addresses_wait(w.a, key_of(&w, 1), 0, RK_TIMEOUT_NONE, &a), 0);
	end(&w);
}
END_TEST

START_TEST(when_the_fleet_has_ended_nobody_has_any)
{
	struct world w = begin();

	expect(&w, 1, 1, RK_ADDRESS_READY);
	rk_board_end(&w.f->m);
	for (uint32_t p = 0; p < w.f->m.g.n_partitions; p++)
		expect(&w, p, p, RK_ADDRESS_NONE);
	end(&w);
}
END_TEST

START_TEST(a_text_lives_as_long_as_the_handle)
{
	struct world w = begin();
	struct rk_address before, after;

	ck_assert_int_eq(rk_addresses_find(w.a, key_of(&w, 1), 0, &before), 0);
	state_publish(&w, 1, RK_SLOT_DOWN);
	state_publish(&w, 1, RK_SLOT_READY);
	ck_assert_int_eq(rk_addresses_find(w.a, key_of(&w, 1), 0, &after), 0);
	ck_assert_ptr_eq(before.text, after.text);
	end(&w);
}
END_TEST

START_TEST(a_forked_child_is_told_that_the_handle_is_not_its_own)
{
	struct world w = begin();
	struct rk_address a;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int good = rk_addresses_find(w.a, "k", 0, &a) == -ECHILD &&
			   rk_addresses_wait(w.a, "k", 0, RK_TIMEOUT_NONE, &a) == -ECHILD;

		rk_addresses_close(w.a);
		_exit(good ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	expect(&w, 1, 1, RK_ADDRESS_READY);
	end(&w);
}
END_TEST

/* ---- waiting ---- */

struct waiting {
	struct world *w;
	const char *key;
	int r;
	struct rk_address a;
};

static void *wait_run(void *arg)
{
	struct waiting *k = arg;

	k->r = rk_addresses_wait(k->w->a, k->key, 0, PATIENCE_MS, &k->a);
	return NULL;
}

static const struct {
	bool is_end;
	enum rk_address_state state;
} wakes[] = { { false, RK_ADDRESS_READY }, { true, RK_ADDRESS_NONE } };

START_TEST(who_waits_is_woken_when_the_slot_is_ready_or_the_fleet_has_ended)
{
	struct world w = begin();
	struct waiting k = { .w = &w, .key = key_of(&w, 1) };
	uint64_t began_ns = rk_clock_ns();
	pthread_t thread;

	rk_part_route(&w.f->m, 1, 1, 0);
	state_publish(&w, 1, RK_SLOT_DOWN);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_run, &k), 0);
	state_publish(&w, 2, RK_SLOT_DOWN); /* is none of its business */
	if (wakes[_i].is_end) {
		rk_board_end(&w.f->m);
	} else {
		rk_part_route(&w.f->m, 1, 1, RK_ROUTE_UP);
		state_publish(&w, 1, RK_SLOT_STARTING);
		state_publish(&w, 1, RK_SLOT_READY);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(k.r, 0);
	ck_assert_int_eq(k.a.state, (int)wakes[_i].state);
	ck_assert_uint_lt(rk_clock_ns() - began_ns, PATIENCE_MS * RK_NS_PER_MS / 2);
	end(&w);
}
END_TEST

START_TEST(who_waits_in_vain_is_told_so_when_his_time_is_up)
{
	static const uint32_t times[] = { 0, 5 };
	struct world w = begin();
	struct rk_address a;

	state_publish(&w, 1, RK_SLOT_STOPPED);
	for (size_t i = 0; i < rk_countof(times); i++) {
		ck_assert_int_eq(rk_addresses_wait(w.a, key_of(&w, 1), 0, times[i], &a), -ETIMEDOUT);
		ck_assert_str_eq(a.text, "127.0.0.1:7001");
		ck_assert_int_eq(a.state, RK_ADDRESS_WAIT);
	}
	end(&w);
}
END_TEST

/* ---- what the supervisor answers ---- */

static const struct {
	const char *answer;
	int r;
	uint32_t n;
	const char *of[3]; /* slots 0, 1, 3 */
} answers[] = {
	{ "{}", 0, 0, { NULL, NULL, NULL } },
	{ "{\"address\":7}", 0, 0, { NULL, NULL, NULL } },
	{ ANSWER, 0, 4, { "127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7003" } },
	{ "{\"address\":{\"text\":\"unix:%s\",\"socket\":\"/run/%f-%i\",\"fleet\":\"carts\"}}", 0, 4,
	  { "unix:/run/carts-0", "unix:/run/carts-1", "unix:/run/carts-3" } },
	{ "{\"address\":{\"text\":\"here\"}}", 0, 4, { "here", "here", "here" } },
	/* Beyond the last port. */
	{ "{\"address\":{\"text\":\"h:%p\",\"port\":65533}}", 0, 4, { "h:65533", "h:65534", NULL } },
	{ "{\"address\":{\"text\":\"h:%p\",\"port\":-1}}", -EPROTO, 0, { NULL, NULL, NULL } },
	{ "{\"address\":{\"text\":\"h:%p\",\"port\":70000}}", -EPROTO, 0, { NULL, NULL, NULL } },
	{ "{\"address\":{\"text\":\"%z\"}}", -EPROTO, 0, { NULL, NULL, NULL } },
	{ "{\"address\":{\"text\":\"a\\nb\"}}", -EPROTO, 0, { NULL, NULL, NULL } },
};

START_TEST(each_slot_s_address_is_what_the_answer_says_or_an_error)
{
	static const uint32_t slots[] = { 0, 1, 3 };
	struct rk_endpoints e;
	struct rk_err err = { 0 };

	ck_assert_int_eq(endpoints_of(answers[_i].answer, 4, &e, &err), answers[_i].r);
	if (answers[_i].r < 0)
		ck_assert(err.text[0]);
	else
		ck_assert_uint_eq(e.n, answers[_i].n);
	for (size_t k = 0; answers[_i].r == 0 && k < rk_countof(slots); k++)
		ck_assert_pstr_eq(rk_endpoints_of(&e, slots[k]), answers[_i].of[k]);
	ck_assert_ptr_null(answers[_i].r == 0 ? rk_endpoints_of(&e, 4) : NULL);
	rk_endpoints_free_p(&e);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("addresses");

	tcase_add_test(c, each_key_has_the_address_of_the_slot_that_owns_it);
	tcase_add_loop_test(c, only_a_slot_that_is_ready_need_not_be_waited_for, 0, RK_SLOT_STATES);
	tcase_add_test(c, a_route_that_is_away_counts_before_a_view_says_so);
	tcase_add_test(c, a_key_that_nobody_has_has_no_address);
	tcase_add_test(c, when_the_fleet_has_ended_nobody_has_any);
	tcase_add_test(c, a_text_lives_as_long_as_the_handle);
	tcase_add_test(c, a_forked_child_is_told_that_the_handle_is_not_its_own);
	tcase_add_loop_test(c, who_waits_is_woken_when_the_slot_is_ready_or_the_fleet_has_ended, 0, (int)rk_countof(wakes));
	tcase_add_test(c, who_waits_in_vain_is_told_so_when_his_time_is_up);
	tcase_add_loop_test(c, each_slot_s_address_is_what_the_answer_says_or_an_error, 0, (int)rk_countof(answers));
	return unit_run(c);
}
