/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notify: what keeper says to systemd (sd_notify(3)), and the descriptors that systemd keeps for
 * it and gives back to its successor.
 *
 * The messages are sent here and not with libsystemd's sd_pid_notify_with_fds(): that one makes a
 * blocking socket for each message and waits for as long as PID 1 does not read. Here one socket
 * is connected once and never waits.
 *
 * Nothing that still matters is lost when systemd's socket is full, or systemd not there. What is
 * state stays marked and is sent by the next call of any of these functions, or by
 * rk_notify_flush(), which keeper calls when the socket has room again (rk_notify_events()):
 *
 *   removals, then stores       in the order of their calls, but an unsent store that is taken
 *                               back is never sent
 *   removals of what is superseded        behind the last store
 *   READY, RELOADING, STOPPING, STATUS    behind them, each kind once and with its latest text, in
 *                               the order of the latest calls: READY is never ahead of a store
 *
 * What is an event, rk_notify_send() and rk_notify_watchdog(), is sent at once or not at all, and
 * returns which. A message that fails for another reason than a full socket or a lost connection
 * holds up no other.
 *
 * Without NOTIFY_SOCKET every call does nothing and succeeds.
 *
 * Who       keeper, one thread. NotifyAccess=main: messages of its children would not count.
 * Crash     a message is received whole or not at all. Keeper may be killed between a store and
 *           its confirmation: only what a barrier confirmed is certain to come back.
 * Blocking  never, except rk_notify_barrier(), for as long as it is told. Allocates when a name is
 *           stored for the first time, up to RK_NOTIFY_STORE_MAX names.
 * Units     as named.
 */
#ifndef RK_SUPERVISOR_NOTIFY_H
#define RK_SUPERVISOR_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_NOTIFY_NAME_MAX 256u   /* of a stored descriptor, with its NUL: systemd's own limit */
#define RK_NOTIFY_STORE_MAX 1024u /* names; the unit's FileDescriptorStoreMax= is smaller */
#define RK_NOTIFY_STATUS_MAX 256u /* a status with its NUL; longer ones are cut */
#define RK_NOTIFY_TEXT_MAX 4096u  /* systemd ignores longer messages */

/* What of keeper's own state is told, each kind at most once when it is late. */
enum rk_notify_kind {
	RK_NOTIFY_READY,
	RK_NOTIFY_RELOADING,
	RK_NOTIFY_STOPPING,
	RK_NOTIFY_STATUS,
	RK_NOTIFY_KINDS
};

/* One of them that has not been sent. */
struct rk_notify_late {
	uint64_t order; /* of the calls; 0 = nothing is late */
	char text[64 + RK_NOTIFY_STATUS_MAX];
};

enum rk_notify_entry_state {
	RK_NOTIFY_WAITING,  /* to be stored */
	RK_NOTIFY_STORED,   /* systemd was told */
	RK_NOTIFY_LEAVING,  /* to be removed */
	RK_NOTIFY_REPLACED, /* to be removed, then another one stored under its name */
	RK_NOTIFY_SUPERSEDED, /* to be removed, once all that is to be stored is */
	RK_NOTIFY_ENTRY_STATES
};

/* One name in systemd's store, or on its way. */
struct rk_notify_entry {
	enum rk_notify_entry_state state;
	int fd; /* the caller's */
	char name[RK_NOTIFY_NAME_MAX];
};

struct rk_notify {
	int fd; /* -1 = there is no systemd */
	bool is_connected;
	bool is_full;         /* the last message found no room */
	bool is_barrier_late; /* a barrier found none, or had to wait for others */
	struct sockaddr_un address;
	uint32_t address_len;
	uint64_t watchdog_ns; /* 0 = none is wanted of this process */
	uint32_t watchdog_pid;
	uint32_t n_entries, n_room, n_most;
	struct rk_notify_entry *entries; /* in the order of their calls */
	struct rk_notify_late late[RK_NOTIFY_KINDS];
	uint64_t n_orders;
	int trouble; /* of a message since one got through; 0 = none, or it was told */
	bool has_trouble;
};

/*
 * Takes NOTIFY_SOCKET ("/path" or "@abstract"), WATCHDOG_USEC, WATCHDOG_PID and FDSTORE from the
 * environment and unsets them. Returns 0, also without NOTIFY_SOCKET. -errno and err if one of
 * them is no good or nobody is there: what can be used is used all the same (a systemd that is
 * away now is tried again by every call), and n is always valid.
 */
int rk_notify_open(struct rk_notify *n, struct rk_err *err);

/* Closes and forgets; systemd keeps what was stored. Also a cleanup. */
void rk_notify_close_p(struct rk_notify *n);

/* Whether there is a systemd to talk to. */
bool rk_notify_is_open(const struct rk_notify *n);

/*
 * Puts back into the environment what rk_notify_open() took, for the program that this process
 * executes in its own place. That one has to be told what is stored (rk_notify_stored()).
 * Returns 0 or -ENOMEM.
 */
RK_MUST_USE int rk_notify_environ(const struct rk_notify *n);

/* Takes it out again: nobody whom this process starts is to speak for it. */
void rk_notify_environ_clear(void);

/* ---- keeper's state ---- */

/* "READY=1", with a status for people unless it is NULL. Control characters in it become '?'. */
void rk_notify_ready(struct rk_notify *n, const char *status);
void rk_notify_status(struct rk_notify *n, const char *status);
/* READY has to follow. now_ns is CLOCK_MONOTONIC: systemd since 253 wants to know. */
void rk_notify_reloading(struct rk_notify *n, uint64_t now_ns);
void rk_notify_stopping(struct rk_notify *n, const char *status);

/* ---- events ---- */

/*
 * One message of the caller's ("EXTEND_TIMEOUT_USEC=…"), at once. Returns 0; -EAGAIN if there is
 * no room; -EINVAL if it is empty (a message without bytes once aborted PID 1); -EMSGSIZE; another
 * -errno.
 */
int rk_notify_send(struct rk_notify *n, const char *text);

/* "WATCHDOG=1", at once, also ahead of what is late. 0, also when none is wanted; -errno as above.
 */
int rk_notify_watchdog(struct rk_notify *n);

/* ---- systemd's store ---- */

/* Whether systemd takes this name: 1 to 255 printable ASCII characters without ':'. */
bool rk_notify_name_is_valid(const char *name);

/*
 * Gives systemd a copy of the descriptor under this name. fd stays the caller's, who keeps it open
 * until it has called rk_notify_unstore(). A file that the store has under another name already is
 * dropped by systemd without a word. Returns 0: sent, or late; -EINVAL: no such name; -EEXIST: the
 * name is in use; -ENOSPC: the store is full; -ENOMEM.
 */
RK_MUST_USE int rk_notify_store(struct rk_notify *n, const char *name, int fd);

/* Notes that systemd has this descriptor already; the rest as above. */
RK_MUST_USE int rk_notify_stored(struct rk_notify *n, const char *name, int fd);

/* Makes systemd close its copy, also one that is unknown here. Returns 0, -EINVAL or -ENOMEM. */
int rk_notify_unstore(struct rk_notify *n, const char *name);

/*
 * The same, but not before everything that is to be stored is: for what another one takes the place
 * of, which has another name and is stored next. Nothing is sent by this call.
 */
void rk_notify_supersede(struct rk_notify *n, const char *name);

/* How many names are stored, or on their way. */
uint32_t rk_notify_n_stored(const struct rk_notify *n);

/* ---- what is late ---- */

/* Sends what is late. Returns whether all of it got through. */
bool rk_notify_flush(struct rk_notify *n);

/*
 * What to poll n->fd for, beside everything else: POLLOUT when the socket was full, else 0. (What
 * failed for another reason is tried by the next call; there is nothing to wait for.)
 */
short rk_notify_events(const struct rk_notify *n);

/*
 * Sends what is late, then "BARRIER=1" with one end of a pipe: systemd closes it when it has
 * worked through everything before it. *ret_fd is the other end, for poll(): POLLHUP = done; the
 * caller closes it. It is -1, and 0 returned, where there is no systemd. Returns 0; -EAGAIN:
 * no room, try again (rk_notify_events()); -EIO: something older could not be sent; -errno.
 */
RK_MUST_USE int rk_notify_barrier_begin(struct rk_notify *n, int *ret_fd);

/* The same, and waits: 0; -ETIMEDOUT if systemd has not come to it in this time; -errno. */
RK_MUST_USE int rk_notify_barrier(struct rk_notify *n, uint32_t timeout_ms);

/* -errno of a failed message that was not told yet, once per spell of failures; 0 = none. */
int rk_notify_trouble(struct rk_notify *n);

/* ---- what systemd gives back ---- */

/* A descriptor from systemd; whoever takes it leaves -1. */
struct rk_notify_fd {
	int fd;
	char name[RK_NOTIFY_NAME_MAX];
};

struct rk_notify_taken {
	uint32_t n;
	struct rk_notify_fd *at; /* from the store, each name once, in systemd's order */
	int control;             /* the listening socket that is called "control"; -1 = none */
};

/*
 * Takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from the environment and unsets them, as the
 * first thing a program does that opens descriptors. 0: *ret has what was meant for this process,
 * close-on-exec and owned by the caller; it is empty when nothing was, or when all of it is meant
 * for another process (variables that were inherited from a socket-activated parent). What is in
 * there is not in any rk_notify yet: rk_notify_stored().
 * -EINVAL and err when the values contradict each other or what is open; -ENOMEM. What was meant for
 * this process is closed then, as far as it can be known: a lock among it shall not be held by
 * somebody who does not know of it.
 */
RK_MUST_USE int rk_notify_take(struct rk_notify_taken *ret, struct rk_err *err);

/* Takes the descriptor of this name out; -1 if there is none. */
int rk_notify_taken_get(struct rk_notify_taken *t, const char *name);

/* Closes what nobody took. Also a cleanup, of { .control = -1 } before rk_notify_take(). */
void rk_notify_taken_free_p(struct rk_notify_taken *t);

#endif
