/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store: keeper's memfds a second time, in the file descriptor store of systemd, and back from there
 * when this keeper is another one's successor. With REKINDLE_FDSTORE=1 in the environment, which
 * rekindle@.service sets, a fleet outlives its keeper: workers do not die with it. Without it
 * nothing is stored.
 *
 * In the store memory is called TAG.NAME, as keeper holds it (held.h); the Nth that came in another
 * one's place TAG.NAME.N, since that one is removed only when its successor is stored: of two the higher
 * number counts. A slot's descriptor is called dTAG.NAME; no other one comes in its place. pidfds and connections are never stored: processes are found again by what the journal
 * says of them.
 *
 * Who       keeper.
 * Crash     what a barrier has confirmed comes back, and the rest may.
 * Blocking  never, but rk_store_settle().
 */
#ifndef RK_SUPERVISOR_STORE_H
#define RK_SUPERVISOR_STORE_H

#include "supervisor/held.h"
#include "supervisor/notify.h"

#define RK_STORE_ENVIRONMENT "REKINDLE_FDSTORE"

struct rk_store {
	struct rk_notify notify;
	bool is_activated; /* the control socket is systemd's: it is there before and behind us */
	bool is_on;      /* what is held is stored, and outlives this process */
	int barrier;     /* systemd is asked to confirm; -1 = it is not */
	bool is_awaited; /* the supervisor waits for that */
};

/* Talks to systemd, if it is there, and takes back into *held what it kept. Complaints are logged. */
void rk_store_open(struct rk_store *s, struct rk_held *held);
void rk_store_close(struct rk_store *s);

/* Whether what keeper holds of this kind is stored too: enum rk_link_kind. */
bool rk_store_is_for(uint32_t kind);

/* It is about to be held, in the place of another one perhaps, which is still open; about is what came with KEEP. */
void rk_store_put(struct rk_store *s, const struct rk_link_msg *about, int fd);

/* The number under which it is stored or on its way, 1 for TAG.NAME; 0 = it is not. */
uint32_t rk_store_number(const struct rk_store *s, const struct rk_link_msg *about);

/* It is held now and stored already under this number, by what this process was before it became another binary. */
void rk_store_known(struct rk_store *s, const struct rk_link_msg *about, uint32_t number, int fd);

/* Before it is held no more. */
void rk_store_take_back(struct rk_store *s, const struct rk_link_msg *about);

/* The same of all memory of this tag, and of the descriptors of its fleet. */
void rk_store_drop(struct rk_store *s, const struct rk_held *held, uint64_t tag, uint64_t fleet);

/*
 * The supervisor waits until systemd has all of it. Returns whether it has, as far as that can be
 * known: then, or when rk_store_is_confirmed() says so once, it is to be told.
 */
bool rk_store_ask(struct rk_store *s);
void rk_store_ask_no_more(struct rk_store *s); /* whoever waited is gone */
bool rk_store_is_confirmed(struct rk_store *s);

/* The same, and waits for it: before this process makes way for the next one. 0 or -errno. */
int rk_store_settle(struct rk_store *s);

/*
 * Sends what is late. Whether nothing is, so that this process may forget what systemd is to know; without a store
 * a systemd that is not there is none to be told anything.
 */
bool rk_store_is_told(struct rk_store *s);

#endif
