/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients: who holds which client page and which reader line.
 *
 *   FREE --open--> LIVE --gone, anonymous--> LEAVING --no ring names it--> FREE
 *                   | ^                                                     ^
 *        gone, named| | open, same name                                     |
 *                   v |                                                     |
 *                  KEPT --no page left, no open calls: the oldest-----------+
 *
 * A page belongs to one client id for life: the id is on the board while the client's calls may
 * still run, and no id is ever given twice. A named client that comes back gets its page, id,
 * sequences and unread replies. A client is gone when its connection is closed or its process
 * is dead; never by time-out.
 *
 * Who       the supervisor's loop; control.h brings the peers.
 * Crash     each page's holder stands in the journal and on the board.
 * Blocking  never; allocates only in rk_clients_new().
 */
#ifndef RK_SUPERVISOR_CLIENTS_H
#define RK_SUPERVISOR_CLIENTS_H

#include <sys/types.h>

#include "shm/layout.h"
#include "supervisor/journal.h"

#define RK_CLIENTS_NONE UINT32_MAX
#define RK_CLIENTS_RESERVED "rekindle." /* names that begin so are for root and the owner */

/* A process on the other end of a connection; the pidfd is borrowed while it holds anything. */
struct rk_peer {
	pid_t pid;
	int pidfd;
};

struct rk_clients;

/* What a client is given. */
struct rk_grant {
	uint32_t page;
	uint32_t reader;
	uint64_t id;
	bool is_named;
};

/* Everything free. 0 or -ENOMEM. */
RK_MUST_USE int rk_clients_new(const struct rk_shm *m, struct rk_clients **ret);
void rk_clients_free(struct rk_clients *c);

/*
 * Gives a page and a reader line to a peer; name is NULL for an anonymous client. Returns 0;
 * -EINVAL a bad name; -EBUSY a living client has this name; -EAGAIN no page just now, dead
 * clients' pages are being freed; -ENOSPC all pages or reader lines are in use.
 */
RK_MUST_USE int rk_clients_open(struct rk_clients *c, const char *name, const struct rk_peer *peer,
				struct rk_grant *ret, struct rk_err *err);

/* Whether a client's name is reserved. Pure. */
bool rk_clients_is_reserved(const char *name);

/* The answer to rk_clients_open() or _read() is on its way: the line is the peer's for whoever adopts it. */
void rk_clients_answered(struct rk_clients *c, uint32_t reader);

/*
 * Of a dead supervisor: what the journal says. Until rk_clients_settle() every line and page that was
 * in use waits for its peer; then those that nobody held are released.
 */
void rk_clients_adopt(struct rk_clients *c);

/* Whose a line was then, if it was told so: returns false if it was nobody's. page: RK_CLIENTS_NONE = none. */
bool rk_clients_was(const struct rk_clients *c, uint32_t reader, struct rk_journal_who *ret, uint32_t *ret_page);

/* That one is there, and has it still. */
void rk_clients_hold(struct rk_clients *c, uint32_t reader, uint32_t page, const struct rk_peer *peer);
void rk_clients_settle(struct rk_clients *c);

/* The client has closed its connection or is confirmed dead. */
void rk_clients_release(struct rk_clients *c, uint32_t page);

/* Whether the page is held by this very peer, by its pidfd, and not by a successor of its name. */
bool rk_clients_holds(const struct rk_clients *c, uint32_t page, const struct rk_peer *peer);

/* Gives a reader line alone. 0; -ENOSPC. */
RK_MUST_USE int rk_clients_read(struct rk_clients *c, const struct rk_peer *peer,
				uint32_t *ret_reader, struct rk_err *err);
void rk_clients_release_reader(struct rk_clients *c, uint32_t reader);

/* Tries to free the pages of clients that left. Returns how many still wait. */
uint32_t rk_clients_progress(struct rk_clients *c);

/* Whether a reader line is nobody's or its owner is confirmed dead: rk_board_is_dead. */
bool rk_clients_reader_is_dead(const struct rk_clients *c, uint32_t reader);

/* The clients' part of a view. */
void rk_clients_fill(const struct rk_clients *c, struct rk_view *view);

#endif
