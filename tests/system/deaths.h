/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet of tests/system/hang_worker, whose jobs misbehave, and what is told of them: the dead
 * letters as a reader of the fleet maps them, the event log as the command prints it. Every wait
 * has a bound, and whatever is not as it should be fails the test.
 */
#ifndef RK_TESTS_SYSTEM_DEATHS_H
#define RK_TESTS_SYSTEM_DEATHS_H

#include <stdint.h>

#include "cli/look.h"
#include "shm/dead.h"
#include "tests/system/fleet.h"

#define DEATHS_WORKER "tests/system/hang_worker"
#define DEATHS_LETTER_SIZE 2048 /* of a letter's key and body */

struct deaths {
	struct fleet fleet;
	struct rk_look look;
	char told[65536]; /* the last events */
};

/* A fleet of n workers, options as for fleet_start(); worker NULL: DEATHS_WORKER, or a path. */
void deaths_start(struct deaths *d, int n_workers, const char *const *options, const char *worker);
void deaths_stop(struct deaths *d);

/* A job of any length; both are borrowed. */
struct rk_request deaths_job(const char *key, const char *body);

/* Fills told with the events of some kinds, "response,quarantine". */
void deaths_events(struct deaths *d, const char *kinds);

/* How often told has this text. */
uint32_t deaths_count(const struct deaths *d, const char *text);

/* Asserts that it is there n times. */
void deaths_assert_told(const struct deaths *d, const char *text, uint32_t n);

/* The same, or once more: where /proc was too slow to tell how a worker died (Linux before 6.15).
 */
void deaths_assert_told_or_more(const struct deaths *d, const char *text, uint32_t n);

/* How many letters there are; *ret is the last one, its bytes in room. */
uint32_t deaths_letters(struct deaths *d, struct rk_dead_letter *ret,
			char room[static DEATHS_LETTER_SIZE]);

/* Asserts that no job of any partition, that is not committed, has been charged. */
void deaths_assert_nobody_charged(struct deaths *d);

/* Calls and asserts the reply. */
void deaths_assert_added(struct rk_client *c, const char *key, const char *text);

/* Waits until a process of the key's slot that is not this one is in a job. Returns its pid. */
int deaths_await_in_job(struct deaths *d, struct rk_client *c, const char *key, int not_pid);

/* One key of each of the n workers. */
void deaths_keys(struct rk_client *c, uint32_t n, char ret[][16]);

#endif
