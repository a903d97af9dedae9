/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handle: what a program holds of its worker, for loop.c (jobs run as they come) and ahead.c (jobs
 * are shown before they run).
 *
 * Who       the worker's job thread.
 * Crash     private to the process.
 */
#ifndef RK_LIB_HANDLE_H
#define RK_LIB_HANDLE_H

#include <pthread.h>

#include "workers/lib/wake.h"
#include "workers/lib/worker.h"

struct rk_worker {
	struct worker w;
	struct rk_worker_def def;
	struct rk_wake wake;
	bool armed;       /* parked; the helper thread sleeps in our place */
	bool is_declared; /* ahead.c: the state says something that PARKED must not hide */
	bool inside;      /* rk_worker_next() is running */
	pthread_t job_thread;
	char *alive; /* a page that a fork wipes */
	int status;  /* main()'s exit status */
};

/* rk_worker_open(), of a worker whose jobs are shown ahead or not. */
RK_MUST_USE int rk_handle_open(struct rk_worker **ret, const struct rk_worker_def *def, bool is_ahead);

/*
 * Parks, with the helper asleep in our place; the worker says PARKED unless something is declared.
 * False if there is work, as has_work (NULL: nobody wants any) says, or a wish to stop: look again.
 */
bool rk_handle_arm(struct rk_worker *k, bool (*has_work)(const struct worker *));

/* The job thread works again: nobody needs to ring. */
void rk_handle_disarm(struct rk_worker *k);

/* The handle's exit status for what ended a round, and the sentence said. */
void rk_handle_give_up(struct rk_worker *k, int r, const char *text);

#endif
