/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/system/deaths.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "shm/part.h"
#include "shm/words.h"

void deaths_start(struct deaths *d, int n_workers, const char *const *options, const char *worker)
{
	struct rk_err err;

	fleet_start(&d->fleet, n_workers, options, worker ? worker : DEATHS_WORKER);
	ck_assert_msg(rk_look_open(&d->look, NULL, &err) == 0, "%s", err.text);
}

void deaths_stop(struct deaths *d)
{
	rk_look_close_p(&d->look);
	fleet_stop(&d->fleet);
}

struct rk_request deaths_job(const char *key, const char *body)
{
	return (struct rk_request){
		.key = key, .body = body, .len = strlen(body) + 1, .timeout_ms = RK_TIMEOUT_NONE
	};
}

/* ---- what is told ---- */

void deaths_events(struct deaths *d, const char *kinds)
{
	char command[4300], program[4096];
	FILE *out;

	fleet_path(program, "rekindle");
	(void)snprintf(command, sizeof(command), "%.4000s events -n 1000 --kind %.100s", program,
		       kinds);
	out = popen(command, "re");
	ck_assert_ptr_nonnull(out);
	d->told[fread(d->told, 1, sizeof(d->told) - 1, out)] = '\0';
	(void)pclose(out);
}

uint32_t deaths_count(const struct deaths *d, const char *text)
{
	uint32_t n = 0;

	for (const char *at = d->told; (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

void deaths_assert_told(const struct deaths *d, const char *text, uint32_t n)
{
	ck_assert_msg(deaths_count(d, text) == n, "%u times '%s' and not %u times in: %s",
		      deaths_count(d, text), text, n, d->told);
}

void deaths_assert_told_or_more(const struct deaths *d, const char *text, uint32_t n)
{
	if (deaths_count(d, text) != n + 1)
		deaths_assert_told(d, text, n);
}

uint32_t deaths_letters(struct deaths *d, struct rk_dead_letter *ret,
			char room[static DEATHS_LETTER_SIZE])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->look.m.g.n_dead; i++) {
		struct rk_dead_letter l = { .bytes = room };

		if (rk_dead_look(&d->look.m, i, &l)) {
			*ret = l;
			n++;
		}
	}
	return n;
}

void deaths_assert_nobody_charged(struct deaths *d)
{
	for (uint32_t p = 0; p < d->look.m.g.n_partitions; p++)
		ck_assert_uint_eq(rk_part_attempts(&d->look.m, p), 0);
}

/* ---- calls ---- */

void deaths_assert_added(struct rk_client *c, const char *key, const char *text)
{
	struct rk_request request = deaths_job(key, "add");
	struct rk_reply reply = { 0 };

	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
	ck_assert_msg(reply.len == strlen(text) && memcmp(reply.body, text, reply.len) == 0,
		      "%s: %.*s and not %s", key, (int)reply.len, (const char *)reply.body, text);
	rk_reply_release(c, &reply);
}

int deaths_await_in_job(struct deaths *d, struct rk_client *c, const char *key, int not_pid)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	uint32_t partition, worker;
	struct rk_beat *beat;
	int pid;

	do {
		ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid),
				 0);
		rk_look_view(&d->look);
		beat = rk_shm_beat(&d->look.m, worker);
		if (pid > 0 && pid != not_pid && beat->state == RK_BEAT_RUNNING &&
		    beat->incarnation == rk_look_slot(&d->look, worker)->incarnation)
			return pid;
	} while (rk_clock_ns() < end_ns);
	ck_abort_msg("no worker is in a job of %s", key);
}

void deaths_keys(struct rk_client *c, uint32_t n, char ret[][16])
{
	bool found[FLEET_WORKERS_MAX] = { 0 };
	uint32_t partition, worker, n_found = 0;
	int pid;

	for (unsigned int i = 0; n_found < n; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "key%u", i);
		ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid),
				 0);
		ck_assert_uint_lt(worker, n);
		if (found[worker])
			continue;
		found[worker] = true;
		memcpy(ret[worker], key, sizeof(key));
		n_found++;
	}
}
