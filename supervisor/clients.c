/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/clients.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "shm/bell.h"
#include "shm/call.h"
#include "shm/rundir.h"
#include "supervisor/journal.h"

enum page_state { FREE, LIVE, LEAVING, KEPT };

struct page {
	enum page_state state;
	uint64_t id;
	struct rk_peer peer; /* while LIVE */
	uint64_t left;       /* KEPT: counts departures, the oldest has the least */
	bool had_calls;      /* KEPT: when it left; it gets none afterwards */
	char name[RK_NAME_MAX];
};

struct reader {
	bool is_used;
	struct rk_peer peer;
};

struct rk_clients {
	const struct rk_shm *m;
	struct page *pages;
	struct reader *readers;
	uint32_t n_leaving;
	uint64_t n_left;
};

static bool is_dead(const struct rk_peer *peer)
{
	struct pollfd p = { .fd = peer->pidfd, .events = POLLIN };

	return peer->pidfd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static uint32_t flags_of(const struct page *p)
{
	if (p->state == FREE)
		return 0;
	return RK_CLIENT_USED | (p->name[0] ? RK_CLIENT_NAMED : 0) |
	       (p->state == LIVE ? RK_CLIENT_ALIVE : 0);
}

/* The page's holder has changed: the journal first, then the word that workers look at. */
static void holder_publish(struct rk_clients *c, uint32_t page)
{
	struct page *p = &c->pages[page];

	rk_journal_client(c->m, page, p->id, p->state == LIVE ? p->peer.pid : 0, flags_of(p),
			  p->name);
	/* P1: release; a worker that sees the id (R2) sees a page whose old calls are gone. */
	atomic_store_explicit(&rk_shm_client_ids(c->m)[page], p->id, memory_order_release);
}

static void reader_journal(struct rk_clients *c, uint32_t reader, uint32_t page)
{
	const struct rk_peer *peer = &c->readers[reader].peer;
	const struct rk_journal_who who = rk_journal_who(peer->pid, peer->pidfd);

	rk_journal_reader(c->m, reader, &who, page);
}

static void page_give(struct rk_clients *c, uint32_t page, uint64_t id, const char *name,
		      const struct rk_peer *peer)
{
	struct page *p = &c->pages[page];

	*p = (struct page){ .state = LIVE, .id = id, .peer = *peer };
	if (name)
		memcpy(p->name, name, strlen(name) + 1); /* rk_name_check() bounds it */
	holder_publish(c, page);
}

/* Nobody's from here on; its last holder's calls are gone from every ring. */
static void page_clear(struct rk_clients *c, uint32_t page)
{
	c->pages[page] = (struct page){ .state = FREE };
	holder_publish(c, page);
}

uint32_t rk_clients_progress(struct rk_clients *c)
{
	for (uint32_t i = 0; i < c->m->g.n_clients && c->n_leaving > 0; i++) {
		if (c->pages[i].state != LEAVING || !rk_page_try_free(c->m, i))
			continue;
		page_clear(c, i);
		c->n_leaving--;
	}
	return c->n_leaving;
}

static uint32_t page_free(const struct rk_clients *c)
{
	for (uint32_t i = 0; i < c->m->g.n_clients; i++)
		if (c->pages[i].state == FREE)
			return i;
	return RK_CLIENTS_NONE;
}

/* The named client that left first and has nothing to come back for gives up its page. */
static uint32_t page_forfeit(struct rk_clients *c)
{
	uint32_t oldest = RK_CLIENTS_NONE;

	for (uint32_t i = 0; i < c->m->g.n_clients; i++) {
		struct page *p = &c->pages[i];

		if (p->state != KEPT || rk_page_has_calls(c->m, i))
			continue;
		if (oldest == RK_CLIENTS_NONE || p->left < c->pages[oldest].left)
			oldest = i;
	}
	if (oldest == RK_CLIENTS_NONE || !rk_page_try_free(c->m, oldest))
		return RK_CLIENTS_NONE;
	page_clear(c, oldest);
	return oldest;
}

static uint32_t page_find(struct rk_clients *c)
{
	uint32_t page = page_free(c);

	if (page == RK_CLIENTS_NONE && c->n_leaving > 0) {
		(void)rk_clients_progress(c);
		page = page_free(c);
	}
	return page != RK_CLIENTS_NONE ? page : page_forfeit(c);
}

static uint32_t page_of_name(const struct rk_clients *c, const char *name)
{
	for (uint32_t i = 0; i < c->m->g.n_clients; i++)
		if (c->pages[i].state != FREE && strcmp(c->pages[i].name, name) == 0)
			return i;
	return RK_CLIENTS_NONE;
}

/* A page for a client with a name: its own if it was here before. */
static int page_open_named(struct rk_clients *c, const char *name, const struct rk_peer *peer,
			   uint32_t *ret_page, struct rk_err *err)
{
	uint32_t page = page_of_name(c, name);

	if (page == RK_CLIENTS_NONE)
		return -ENOENT;
	if (c->pages[page].state == LIVE && !is_dead(&c->pages[page].peer))
		return rk_err_set(err, -EBUSY,
				  "client name '%s' is in use by pid %d: choose another name, or "
				  "end that process",
				  name, (int)c->pages[page].peer.pid);
	if (c->pages[page].state == LIVE)
		rk_clients_release(c, page); /* its death is only now being told to us */
	page_give(c, page, c->pages[page].id, name, peer);
	*ret_page = page;
	return 0;
}

static int page_open(struct rk_clients *c, const char *name, const struct rk_peer *peer,
		     uint32_t *ret_page, struct rk_err *err)
{
	int r = name ? page_open_named(c, name, peer, ret_page, err) : -ENOENT;
	uint32_t page;

	if (r != -ENOENT)
		return r;
	page = page_find(c);
	if (page == RK_CLIENTS_NONE && c->n_leaving > 0)
		return rk_err_set(err, -EAGAIN,
				  "all %u client pages are taken, %u of them by dead clients whose "
				  "calls still run: try again",
				  c->m->g.n_clients, c->n_leaving);
	if (page == RK_CLIENTS_NONE)
		return rk_err_set(err, -ENOSPC,
				  "all %u client pages are in use: close a client, or start the "
				  "fleet with a larger --max-clients",
				  c->m->g.n_clients);
	page_give(c, page, rk_journal_next_client(c->m), name, peer);
	*ret_page = page;
	return 0;
}

int rk_clients_open(struct rk_clients *c, const char *name, const struct rk_peer *peer,
		    struct rk_grant *ret, struct rk_err *err)
{
	struct rk_grant grant = { .is_named = name != NULL };
	int r = name ? rk_name_check(name, err) : 0;

	if (r < 0)
		return r;
	r = rk_clients_read(c, peer, &grant.reader, err);
	if (r < 0)
		return r;
	r = page_open(c, name, peer, &grant.page, err);
	if (r < 0) {
		rk_clients_release_reader(c, grant.reader);
		return r;
	}
	grant.id = c->pages[grant.page].id;
	reader_journal(c, grant.reader, grant.page);
	*ret = grant;
	return 0;
}

bool rk_clients_is_reserved(const char *name)
{
	return strncmp(name, RK_CLIENTS_RESERVED, strlen(RK_CLIENTS_RESERVED)) == 0;
}

bool rk_clients_holds(const struct rk_clients *c, uint32_t page, const struct rk_peer *peer)
{
	return c->pages[page].state == LIVE && c->pages[page].peer.pidfd == peer->pidfd;
}

void rk_clients_release(struct rk_clients *c, uint32_t page)
{
	struct page *p = &c->pages[page];

	if (p->state != LIVE)
		return;
	p->peer.pidfd = -1;
	/* It may have died between publishing a job and ringing for it. */
	rk_bell_ring_pending(c->m);
	if (p->name[0]) {
		p->state = KEPT;
		p->left = ++c->n_left;
		p->had_calls = rk_page_has_calls(c->m, page);
		holder_publish(c, page);
		return;
	}
	p->state = LEAVING;
	c->n_leaving++;
	holder_publish(c, page);
	(void)rk_clients_progress(c);
}

int rk_clients_read(struct rk_clients *c, const struct rk_peer *peer, uint32_t *ret_reader,
		    struct rk_err *err)
{
	for (uint32_t i = 0; i < c->m->g.n_readers; i++) {
		struct rk_reader *line = rk_shm_reader(c->m, i);

		if (c->readers[i].is_used)
			continue;
		c->readers[i] = (struct reader){ .is_used = true, .peer = *peer };
		reader_journal(c, i, RK_CLIENTS_NONE);
		/* Relaxed: handed over by a message. Its last owner may have died in a section. */
		atomic_store_explicit(&line->active, 0, memory_order_relaxed);
		atomic_store_explicit(&line->pid, (uint32_t)peer->pid, memory_order_relaxed);
		*ret_reader = i;
		return 0;
	}
	return rk_err_set(err, -ENOSPC,
			  "all %u reader lines are in use: end a 'rekindle top' or a client",
			  c->m->g.n_readers);
}

void rk_clients_release_reader(struct rk_clients *c, uint32_t reader)
{
	static const struct rk_journal_who nobody;
	struct rk_reader *line = rk_shm_reader(c->m, reader);

	c->readers[reader] = (struct reader){ .peer.pidfd = -1 };
	rk_journal_reader(c->m, reader, &nobody, RK_CLIENTS_NONE);
	/* Relaxed: its owner is gone; the view it may have held is free with the next publish. */
	atomic_store_explicit(&line->active, 0, memory_order_relaxed);
	atomic_store_explicit(&line->pid, 0, memory_order_relaxed);
}

bool rk_clients_reader_is_dead(const struct rk_clients *c, uint32_t reader)
{
	return !c->readers[reader].is_used || is_dead(&c->readers[reader].peer);
}

/* Whether the next client of this name finds calls. */
static uint32_t calls_of(const struct rk_clients *c, uint32_t page)
{
	const struct page *p = &c->pages[page];
	bool has = p->state == KEPT && p->had_calls && rk_page_has_calls(c->m, page);

	return has ? RK_CLIENT_HAS_CALLS : 0;
}

void rk_clients_fill(const struct rk_clients *c, struct rk_view *view)
{
	struct rk_view_client *to = rk_view_clients(c->m, view);

	for (uint32_t i = 0; i < c->m->g.n_clients; i++) {
		const struct page *p = &c->pages[i];

		to[i] = (struct rk_view_client){ .id = p->id,
						 .flags = flags_of(p) | calls_of(c, i),
						 .pid = p->state == LIVE ? p->peer.pid : 0 };
		memcpy(to[i].name, p->name, sizeof(to[i].name));
	}
}

void rk_clients_answered(struct rk_clients *c, uint32_t reader)
{
	rk_journal_answered(c->m, reader);
}

/* ---- of a dead supervisor ---- */

static void page_adopt(struct rk_clients *c, uint32_t page)
{
	const struct rk_journal_client *j = &rk_journal_clients(c->m, c->m->journal)[page];
	uint64_t id = atomic_load_explicit(&rk_shm_client_ids(c->m)[page], memory_order_relaxed);
	struct page *p = &c->pages[page];

	if (id == RK_CLIENT_ENDED)
		id = 0; /* our predecessor had ended the fleet, and so do we */
	/* Killed between the journal and the board: its client was told nothing, or had left for good. */
	if (!(j->flags & RK_CLIENT_USED) && id == 0)
		return;
	p->state = LIVE; /* until it is settled */
	p->id = id;
	if (!(j->flags & RK_CLIENT_USED))
		return;
	p->id = j->id;
	memcpy(p->name, j->name, sizeof(p->name));
	p->name[sizeof(p->name) - 1] = '\0';
	if (p->name[0])
		p->left = ++c->n_left; /* in which order they left is forgotten */
}

void rk_clients_adopt(struct rk_clients *c)
{
	for (uint32_t i = 0; i < c->m->g.n_clients; i++)
		page_adopt(c, i);
	for (uint32_t i = 0; i < c->m->g.n_readers; i++)
		c->readers[i].peer.pidfd = -1;
}

bool rk_clients_was(const struct rk_clients *c, uint32_t reader, struct rk_journal_who *ret, uint32_t *ret_page)
{
	const struct rk_journal_reader *j = &rk_journal_readers(c->m, c->m->journal)[reader];

	*ret = (struct rk_journal_who){ .pid = atomic_load_explicit(&j->pid, memory_order_acquire),
					.pidfd_inode = j->pidfd_inode,
					.begun = j->begun };
	*ret_page = j->page && j->page <= c->m->g.n_clients ? j->page - 1 : RK_CLIENTS_NONE;
	return ret->pid != 0 && atomic_load_explicit(&j->answered, memory_order_acquire);
}

void rk_clients_hold(struct rk_clients *c, uint32_t reader, uint32_t page, const struct rk_peer *peer)
{
	c->readers[reader] = (struct reader){ .is_used = true, .peer = *peer };
	if (page != RK_CLIENTS_NONE && c->pages[page].state == LIVE)
		c->pages[page].peer = *peer;
}

void rk_clients_settle(struct rk_clients *c)
{
	for (uint32_t i = 0; i < c->m->g.n_readers; i++)
		if (!c->readers[i].is_used)
			rk_clients_release_reader(c, i);
	for (uint32_t i = 0; i < c->m->g.n_clients; i++) {
		if (c->pages[i].state != LIVE)
			continue;
		if (c->pages[i].peer.pid == 0)
			rk_clients_release(c, i);
		else
			holder_publish(c, i);
	}
}

int rk_clients_new(const struct rk_shm *m, struct rk_clients **ret)
{
	struct rk_clients *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->m = m;
	c->pages = calloc(m->g.n_clients, sizeof(*c->pages));
	c->readers = calloc(m->g.n_readers, sizeof(*c->readers));
	if (!c->pages || !c->readers) {
		rk_clients_free(c);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < m->g.n_clients; i++)
		c->pages[i].peer.pidfd = -1;
	*ret = c;
	return 0;
}

void rk_clients_free(struct rk_clients *c)
{
	if (!c)
		return;
	free(c->pages);
	free(c->readers);
	free(c);
}
