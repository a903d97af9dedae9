/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client, inside: the handle and what its three parts share - client.c (open,
 * close, slots), calling.c (calls that wait), async.c (calls that do not).
 *
 * One mutex, private to the process, guards everything but the words in shared
 * memory that are only looked at. No other process can hold it.
 */
#ifndef RK_LIB_CLIENT_H
#define RK_LIB_CLIENT_H

#include <pthread.h>

#include "shm/call.h"
#include "workers/lib/rekindle.h"

enum rk_use {
	RK_USE_FREE,
	RK_USE_SYNC,      /* somebody waits in rk_call(), or holds the reply */
	RK_USE_ASYNC,     /* rk_next() will bring it */
	RK_USE_SUBMITTED, /* nobody awaits it; rk_flush() counts it */
	RK_USE_ABANDONED, /* its reply was released before it was finished */
	RK_USE_USES
};

struct rk_client_slot {
	enum rk_use use;
	bool resumed;
	struct rk_call call;
	uint64_t deadline_ns; /* 0 = none */
	uint32_t next;        /* free list, or asynchronous calls in the order they began; slot + 1 */
};

struct rk_client {
	struct rk_shm m;
	struct rk_caller caller;
	struct rk_reader *reader;
	uint32_t reader_line; /* which one that is */
	char fleet[RK_NAME_MAX], part[RK_NAME_MAX]; /* whose it is, to find it again; part "" = the only one */
	int sock;
	char *alive; /* a page that a fork wipes: 1 in the process that opened the handle */
	uint64_t spin_ns;
	pthread_mutex_t lock;
	struct rk_client_slot *slots;
	uint32_t free_head;              /* slot + 1 */
	uint32_t n_usable;               /* slots that may be used: QuotaPerClient */
	uint32_t async_head, async_tail; /* slot + 1 */
	uint32_t n_async, n_submitted;
	uint32_t n_parked; /* threads that sleep on the page's bell, or are about to */
	bool out_of_order; /* the last finished asynchronous call was not the oldest */
	uint64_t n_refused; /* submitted jobs whose handler said no, since the last flush */
	uint64_t random;
	pthread_t thread; /* raises `event`; runs when has_thread */
	bool has_thread;
	bool look_again;    /* a call must be asked for again and found its ring full */
	bool closing;       /* atomic */
	uint64_t armed_ns;  /* deadline the thread sleeps until; 0 = none */
	int event;
};

/* Sets what rk_client_error() returns in this thread; "" = nothing failed. */
void rk_client_error_set(const char *text);

/* Begins a call in a free slot; deadline 0 = none. Lock held. Returns 0 and the slot; an outcome; -errno. */
int rk_client_begin(struct rk_client *c, const struct rk_request *request, uint64_t deadline_ns, enum rk_use use,
		    uint32_t *ret_slot);

/* The slot is free again. Lock held. */
void rk_client_free_slot(struct rk_client *c, uint32_t slot);

/* Releases what a reply object holds, if anything. Lock held. */
void rk_client_release(struct rk_client *c, struct rk_reply *reply);

/* Fills in a reply from a DONE call. Lock held. Returns RK_DONE or RK_FAILED. */
int rk_client_collect(struct rk_client *c, uint32_t slot, struct rk_reply *reply);

/* Checks that the handle may be used at all, for something new. Returns 0, RK_FORKED, RK_STALE or RK_ENDED. */
int rk_client_usable(struct rk_client *c);

/* The same for what has begun: of a fleet that has ended there is still to be told what became of it. */
int rk_client_collectable(struct rk_client *c);

/* Looks after calls that nobody awaits and frees the slots of the finished ones. Lock held. */
void rk_client_sweep_unattended(struct rk_client *c);

/* Deadline of a request's time-out from now (its 0 is the default): 0 = none. */
uint64_t rk_client_deadline(uint32_t timeout_ms);

/*
 * Ends the thread of rk_client_fd(), if it runs, and closes the descriptor: the next rk_client_fd() makes another
 * one. While it runs every reply costs its worker a bell.
 */
void rk_client_stop_thread(struct rk_client *c);

/* What a call that was certainly not applied is told: its worker is down or held up, or just not applied. */
int rk_client_not_applied(const struct rk_client *c, const struct rk_call *call);

/* Makes the reply object the handle of this slot's call. */
void rk_client_handle(struct rk_client *c, uint32_t slot, struct rk_reply *reply);

/* Whether there is an asynchronous call with this tag that rk_next() has still to bring. */
bool rk_client_awaits(struct rk_client *c, uint64_t tag);

/* The same, and a worker has taken it: as this job of this partition. */
bool rk_client_is_taken(struct rk_client *c, uint64_t tag, uint32_t *ret_partition, uint64_t *ret_job);

/*
 * rk_next() without waiting that looks at the calls' cells alone: no clock, no ring. What no cell tells, such as
 * a call that will not be applied, only rk_next() finds.
 */
int rk_client_peek(struct rk_client *c, struct rk_reply *reply);

/* Begins every call that a predecessor of this name left, as asynchronous ones. */
void rk_client_resume(struct rk_client *c);

#endif
