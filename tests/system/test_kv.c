/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the kv example answers every command as a map would, while its workers are killed
 *         again and again: nothing lost, nothing applied twice, nothing half.
 * Method  a real fleet of workers/examples/kv; random commands against a map in this process,
 *         whose every answer is compared; every few commands a worker is killed, also while
 *         calls are under way. The seed is printed with every finding.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define KEYS 60
#define VALUE_MAX 700
#define TURNS 4000

static struct fleet fleet;

struct pair {
	bool there;
	size_t len;
	char value[VALUE_MAX];
};

static struct pair map[KEYS];

struct turn {
	int key;
	size_t len;
	char body[VALUE_MAX + 16];
};

/* A random command: mostly set and get, numbers in every fourth key. */
static void choose(struct rk_rand *r, struct turn *t)
{
	t->key = (int)rk_rand_below(r, KEYS);
	switch (rk_rand_below(r, 8)) {
	case 0:
	case 1:
		strcpy(t->body, "get");
		break;
	case 2:
		strcpy(t->body, "delete");
		break;
	case 3:
		snprintf(t->body, sizeof(t->body), "incr %d", (int)rk_rand_below(r, 2000) - 1000);
		break;
	default:
		strcpy(t->body, "set ");
		t->len = rk_rand_below(r, 1u << (1 + rk_rand_below(r, 9)));
		if (t->key % 4 == 0)
			t->len = (size_t)snprintf(t->body + 4, 16, "%d",
						  (int)rk_rand_below(r, 1000));
		else
			for (size_t i = 0; i < t->len; i++)
				t->body[4 + i] = (char)rk_rand_u64(r);
		t->len += 4;
		return;
	}
	t->len = strlen(t->body);
}

/* What a map would do. Returns the error, and sets the reply. */
static int expect(const struct turn *t, char *ret_reply, size_t *ret_len)
{
	struct pair *p = &map[t->key];
	char text[VALUE_MAX + 1], *end;
	long long n;

	*ret_len = 0;
	if (t->body[0] == 's') {
		p->there = true;
		p->len = t->len - 4;
		memcpy(p->value, t->body + 4, p->len);
		return 0;
	}
	if (t->body[0] == 'i') {
		if (p->there && (p->len == 0 || p->len >= 24))
			return -EINVAL;
		memcpy(text, p->there ? p->value : "0", p->there ? p->len : 1);
		text[p->there ? p->len : 1] = '\0';
		n = strtoll(text, &end, 10);
		if (*end)
			return -EINVAL;
		*ret_len = (size_t)sprintf(ret_reply, "%lld", n + strtoll(t->body + 5, NULL, 10));
		p->there = true;
		p->len = *ret_len;
		memcpy(p->value, ret_reply, p->len);
		return 0;
	}
	if (!p->there)
		return -ENOENT;
	if (t->body[0] == 'd') {
		p->there = false;
		return 0;
	}
	*ret_len = p->len;
	memcpy(ret_reply, p->value, p->len);
	return 0;
}

/* How a fleet's life is made hard. */
enum { PLAIN, IN_BATCHES, WITH_CHECK, WITH_CHECK_ALONE, HARDSHIPS };

static int pid_of(struct rk_client *c, const char *key)
{
	uint32_t partition, worker;
	int pid;

	ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid), 0);
	return pid;
}

START_TEST(a_store_whose_workers_are_killed_is_a_map_all_the_same)
{
	static const char *const options[] = { "--partitions", "4", NULL };
	struct rk_rand r = rk_rand_init((uint64_t)_i);
	int n_kills = 0, last[2] = { 0 };
	struct rk_client *c;
	struct turn t;

	if (_i >= WITH_CHECK)
		ck_assert_int_eq(setenv("RK_CHECK", "1", 1), 0);
	if (_i == IN_BATCHES)
		ck_assert_int_eq(setenv("REKINDLE_BATCH", "16", 1), 0);
	fleet_start(&fleet, 2, options, "workers/examples/kv");
	c = fleet_client(NULL);
	for (int turn = 0; turn < TURNS; turn++) {
		struct rk_request request = { .body = t.body, .timeout_ms = FLEET_WAIT_MS };
		struct rk_reply reply = { 0 };
		char key[16], wanted[VALUE_MAX];
		size_t len;
		int error, outcome;

		choose(&r, &t);
		snprintf(key, sizeof(key), "key:%d", t.key);
		request.key = key;
		request.len = t.len;
		error = expect(&t, wanted, &len);
		if (turn % 40 == 39 && _i != WITH_CHECK_ALONE) { /* on its way, or just before */
			int pid = pid_of(c, key);

			if (pid > 0 && pid != last[0] && pid != last[1]) {
				n_kills += kill(pid, SIGKILL) == 0;
				last[n_kills % 2] = pid;
			}
		}
		outcome = rk_call_retry(c, &request, &reply);
		ck_assert_msg(outcome == (error ? RK_FAILED : RK_DONE) && reply.error == error,
			      "seed %d, turn %d, %s %.20s: %s, error %d, not %d", _i, turn, key,
			      t.body, rk_outcome_text(outcome), reply.error, error);
		ck_assert_msg(error || (reply.len == len && memcmp(reply.body, wanted, len) == 0),
			      "seed %d, turn %d, %s %.20s: another answer", _i, turn, key, t.body);
		rk_reply_release(c, &reply);
	}
	ck_assert_int_ge(n_kills, _i == WITH_CHECK_ALONE ? 0 : 20);
	for (int i = 0; i < 2 && _i == WITH_CHECK_ALONE; i++)
		ck_assert_msg(fleet_lives(fleet.worker[i]), "RK_CHECK found fault with worker %d",
			      i);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_full_store_says_so_and_has_room_again_after_deleting)
{
	static const char *const options[] = { "--partitions", "1", NULL };
	static const char value[4 + VALUE_MAX] = "set ";
	struct rk_client *c;
	char key[16];
	int n_kept[2] = { 0 };

	fleet_start(&fleet, 1, options, "workers/examples/kv");
	c = fleet_client(NULL);
	for (int round = 0; round < 2; round++) {
		struct rk_request request = {
			.key = key, .body = value, .len = sizeof(value), .timeout_ms = FLEET_WAIT_MS
		};
		struct rk_reply reply = { 0 };
		int r = RK_DONE;

		for (; r == RK_DONE; n_kept[round] += r == RK_DONE) {
			snprintf(key, sizeof(key), "%d", n_kept[round]);
			r = rk_call_retry(c, &request, &reply);
		}
		ck_assert_int_eq(r, RK_FAILED);
		ck_assert_int_eq(reply.error, -ENOSPC);
		rk_reply_release(c, &reply);
		request.body = "delete";
		request.len = 6;
		for (int i = 0; i < n_kept[round]; i++) {
			snprintf(key, sizeof(key), "%d", i);
			ck_assert_int_eq(rk_call_retry(c, &request, &reply), RK_DONE);
			rk_reply_release(c, &reply);
		}
	}
	ck_assert_int_gt(n_kept[0], 40);
	ck_assert_int_eq(n_kept[0], n_kept[1]);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("kv");

	tcase_set_timeout(c, 100);
	tcase_add_loop_test(c, a_store_whose_workers_are_killed_is_a_map_all_the_same, PLAIN,
			    HARDSHIPS);
	tcase_add_test(c, a_full_store_says_so_and_has_room_again_after_deleting);
	return unit_run(c);
}
