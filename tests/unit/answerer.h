/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervisor that follows a script, for tests of who asks it: a runtime directory of the test's
 * own, its lock, and a thread that does with each connection what the script's next word says.
 *
 * Who       one test, two threads. Everything ends with answerer_end(), which asserts that.
 */
#ifndef RK_TESTS_UNIT_ANSWERER_H
#define RK_TESTS_UNIT_ANSWERER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define ANSWERER_MAX 32

enum answerer_deed {
	ANSWER,     /* to the request, with {"ok":true,"n":N}: N counts connections from 0 */
	REFUSE,     /* with EBUSY */
	CUT,        /* the connection, once the request was read */
	SILENCE,    /* the connection stands, without an answer */
	ANSWER_BOTH /* the first silent connection first, then this one */
};

struct answerer {
	char base[64];
	int lock; /* of the directory, whose name is "test"; -1 = nobody's */
	int listens;
	const enum answerer_deed *script; /* the last word goes on for ever */
	int n_script;
	char request[ANSWERER_MAX][256]; /* what was asked, by connection */
	int sock[ANSWERER_MAX];
	_Atomic int n; /* connections so far */
	pthread_t thread;
};

/* Makes the directory, and takes its lock. */
void answerer_begin(struct answerer *a);

/* Listens from now on, in a thread of its own. */
void answerer_listen(struct answerer *a, const enum answerer_deed *script, int n_script);

/* Nobody runs any more. Whoever is connected stays so. */
void answerer_unlock(struct answerer *a);

void answerer_end(struct answerer *a);

/* Path of the control socket. */
void answerer_path(const struct answerer *a, char ret[static 108]);

#endif
