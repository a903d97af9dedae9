/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices: what the processes of the program's tree say with sd_notify(3). We are the one who listens at
 * NOTIFY_SOCKET.
 *
 * A datagram is read whole, with its descriptors and its sender, and becomes one struct rk_notice. Heard is only who
 * the caller says belongs to the tree. BARRIER=1 is answered here, by closing its descriptor; nobody is told of it.
 * What is empty, too long (RK_NOTICES_TEXT_MAX), has NULs in it or lost descriptors on its way is dropped whole, as
 * systemd does; unknown fields and values that are none are ignored; of a field that is said twice the first counts.
 * NOTIFYACCESS= and what belongs to systemd alone is ignored.
 *
 * An abstract address can be reached by every process of the network namespace, and by none in another; one with a
 * path by whoever may enter its folder. Neither gives anybody outside of the tree a hearing, but an abstract one can
 * be kept full by others.
 *
 * Who       the loop's thread.
 * Blocking  never. Allocates at rk_notices_open() alone. At most RK_NOTICES_PER_TURN datagrams in a turn of the loop.
 */
#ifndef RK_BRIDGE_NOTICES_H
#define RK_BRIDGE_NOTICES_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_NOTICES_TEXT_MAX 4096u /* of a datagram: systemd's own limit */
#define RK_NOTICES_FDS_MAX 253u	  /* of a datagram: the kernel's own limit */
#define RK_NOTICES_NAME_MAX 256u  /* of a descriptor, with its NUL */
#define RK_NOTICES_STATUS_MAX 256u
#define RK_NOTICES_PER_TURN 8u /* fewer than the kernel keeps for a socket */

/* Nothing is false, 0 or "". */
struct rk_notice {
	pid_t pid; /* who said it */
	bool is_ready, is_reloading, is_stopping;
	bool is_alive;	 /* WATCHDOG=1 */
	bool is_trouble; /* WATCHDOG=trigger: it says itself that it is not well */
	bool has_status, has_error, has_watchdog;
	char status[RK_NOTICES_STATUS_MAX]; /* without control characters, cut */
	int error;			    /* ERRNO= */
	pid_t main_pid;			    /* MAINPID=, as it said: not held against anything here */
	uint64_t watchdog_ns;		    /* WATCHDOG_USEC=; 0 with has_watchdog: it wants none any more */
	uint64_t extend_ns;		    /* EXTEND_TIMEOUT_USEC= */
	uint64_t since_ns;		    /* MONOTONIC_USEC=: when the reload began */

	/* FDSTORE=1, FDSTOREREMOVE=1 */
	bool is_store, is_unstore;
	bool is_unpolled; /* FDPOLL=0: the descriptor is kept when its other end has gone */
	char name[RK_NOTICES_NAME_MAX]; /* FDNAME=, "stored" where none was said; of is_unstore never "" */
	uint32_t n_fds;			/* only with is_store */
	int *fd; /* close-on-exec; whoever takes one leaves -1, the others are closed */
};

struct rk_notices_counts {
	uint64_t n_heard;
	uint64_t n_barriers;
	uint64_t n_foreign; /* from outside of the tree */
	uint64_t n_bad;	    /* empty, too long, or with NULs, lost descriptors or a BARRIER that is not alone */
	uint64_t n_closed;  /* descriptors that nobody wanted; a barrier's is none of them */
};

/* Whether this process, never 0, is one of the program's tree. It may be gone by now: then its user is all there is. */
typedef bool (*rk_notices_is_ours)(pid_t pid, uid_t uid, void *arg);

/* notice and what it points to are ours until it returns. It may close the whole thing. */
typedef void (*rk_on_notice)(struct rk_notice *notice, void *arg);

struct rk_notices;

/*
 * Listens: at path, where a socket that is there already is replaced, or with NULL at an abstract address of its own
 * that cannot be guessed. Returns 0; -ENAMETOOLONG, -errno with a sentence.
 */
RK_MUST_USE int rk_notices_open(struct ev_loop *loop, const char *path, rk_notices_is_ours is_ours,
				rk_on_notice on_notice, void *arg, struct rk_notices **ret, struct rk_err *err);

/* What NOTIFY_SOCKET has to be for the program; ours. */
const char *rk_notices_address(const struct rk_notices *n);

const struct rk_notices_counts *rk_notices_counts(const struct rk_notices *n);

/* Takes one message apart, len bytes of text without NULs: all but pid, n_fds and fd. Pure. */
void rk_notices_parse(struct rk_notice *ret, const char *text, size_t len);

/* Closes, and removes the path. NULL is fine. */
void rk_notices_close(struct rk_notices *n);

#endif
