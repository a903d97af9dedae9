/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/prepare.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/fault.h"
#include "shm/region.h"
#include "shm/words.h"

#define GAP 16u /* unchanged bytes between two changes that are saved with them */

/* ---- does it fit ---- */

int rk_prepare_fits(const struct rk_worker_def *def, const struct rk_shm *m, struct rk_err *err)
{
	if (def->state_size > m->g.state_max)
		return rk_err_set(
			err, -EFBIG,
			"its state has %zu bytes and the fleet allows %u: start it with --max-state=%zuB",
			def->state_size, m->g.state_max, def->state_size);
	if (!def->arena_size)
		return 0;
	if (def->arena_size < RK_ARENA_MIN)
		return rk_err_set(
			err, -EINVAL,
			"rk_worker_def.arena_size is %zu: the smallest arena has %u bytes",
			def->arena_size, RK_ARENA_MIN);
	if (def->arena_size > rk_arena_room(m, def->state_size))
		return rk_err_set(
			err, -EFBIG,
			"its state and arena have %zu and %zu bytes and the fleet allows %u: start it with --max-state=%zuB",
			def->state_size, def->arena_size, m->g.state_max,
			(size_t)RK_ALIGN_UP(def->state_size, (size_t)RK_ARENA_UNIT) +
				RK_ALIGN_UP(def->arena_size, (size_t)RK_ARENA_UNIT));
	return 0;
}

enum found { FOUND_FRESH, FOUND_OURS, FOUND_OLD };

/* What a head says of the state: an enum found, or -EPROTO. */
static int judge(const struct rk_prepare *p, const struct rk_bank_head *head, bool initialized,
		 struct rk_err *err)
{
	const struct rk_worker_def *def = p->def;

	if (!initialized)
		return FOUND_FRESH;
	if (head->state_version != def->state_version && !def->upgrade)
		return rk_err_set(
			err, -EPROTO,
			"partition %u holds a state of version %u and this program declares version %u: give it an "
			"upgrade, or run the program that made it; the state is kept",
			p->partition, head->state_version, def->state_version);
	if (head->arena_len != def->arena_size)
		return rk_err_set(
			err, -EPROTO,
			"partition %u has an arena of %llu bytes and this program declares %zu: run the program that "
			"made it, or start a new fleet; the state is kept",
			p->partition, (unsigned long long)head->arena_len, def->arena_size);
	if (head->state_version != def->state_version)
		return FOUND_OLD;
	if (head->state_len != def->state_size)
		return rk_err_set(
			err, -EPROTO,
			"partition %u holds a state of %llu bytes and this program declares %zu: run the program that "
			"made it, or start a new fleet",
			p->partition, (unsigned long long)head->state_len, def->state_size);
	return FOUND_OURS;
}

int rk_prepare_look(const struct rk_prepare *p, struct rk_err *err)
{
	uint64_t at = rk_bank_offset(p->m, p->partition, p->bank), word;
	/* Acquire: as an owner looks at it. */
	uint64_t commit = atomic_load_explicit(&rk_shm_part(p->m, p->partition)->commit,
					       memory_order_acquire);
	struct rk_bank_head head;
	int r;

	/* Read, not mapped: for most partitions it is all that is ever asked. */
	if (pread(p->state_fd, &head, sizeof(head), (off_t)(at + p->m->l.bank_guarded)) !=
		    (ssize_t)sizeof(head) ||
	    pread(p->state_fd, &word, sizeof(word), (off_t)(at + p->m->l.bank_log)) !=
		    (ssize_t)sizeof(word))
		return rk_err_set(err, -EPROTO, "partition %u: cannot read its state: %s",
				  p->partition, strerror(errno));
	if (rk_logword_job(word) == rk_commit_cursor(commit) && rk_logword_entries(word))
		return 0;
	r = judge(p, &head, head.initialized, err);
	return r < 0 ? r : 0;
}

/* ---- fresh ---- */

/* Zero, then init(), then one store that says so. Killed before it: once more from zero. */
static int initialize(const struct rk_prepare *p, struct rk_bank *bank, struct rk_arena *arena,
		      struct rk_err *err)
{
	const struct rk_worker_def *def = p->def;

	if (def->init) {
		int r;

		memset(bank->state, 0, def->state_size);
		r = def->init(bank->state, p->partition, def->arg);
		if (r < 0)
			return rk_err_set(err, r, "init of partition %u failed: %s", p->partition,
					  strerror(-r));
	}
	if (arena->head)
		rk_arena_init(arena);
	bank->head->state_len = def->state_size;
	bank->head->state_version = def->state_version;
	bank->head->arena_len = def->arena_size;
	RK_KILL_POINT(OWNER_INIT);
	atomic_store_explicit(&bank->head->initialized, 1, memory_order_release);
	return 0;
}

/* ---- upgrade ---- */

/* A bank as it was, shared, and as the hook left it, private. */
struct change {
	const struct rk_prepare *p;
	struct rk_bank old;   /* a view of the shared bank elsewhere */
	const char *new;      /* the private state, at the state's own address */
	uint64_t n, data_len; /* undo entries, and bytes behind them, that it takes */
	uint32_t hint;        /* where in the log to look for the next one */
	int (*visit)(struct change *, uint64_t offset, uint64_t len);
};

/* Visits what differs in [from, to) of the state. */
static int each_difference(struct change *c, uint64_t from, uint64_t to)
{
	const char *old = c->old.state, *new = c->new;
	int r = 0;

	while (r == 0 && from < to) {
		uint64_t end, last;

		if (old[from] == new[from]) {
			from++;
			continue;
		}
		for (last = end = from; end < to && end - last <= GAP; end++)
			if (old[end] != new[end])
				last = end;
		r = c->visit(c, from, last + 1 - from);
		from = last + 1;
	}
	return r;
}

static int each_change(struct change *c, int (*visit)(struct change *, uint64_t, uint64_t))
{
	const struct rk_worker_def *def = c->p->def;
	uint64_t states =
		c->old.head->state_len > def->state_size ? c->old.head->state_len : def->state_size;
	struct rk_arena arena;
	int r;

	c->visit = visit;
	c->hint = 0;
	r = each_difference(c, 0, rk_min_u64(states, c->p->m->g.state_max));
	if (r == 0 && def->arena_size &&
	    rk_arena_view(&arena, &c->old, def->state_size, def->arena_size) == 0)
		r = each_difference(c, (uint64_t)((char *)arena.head - c->old.state),
				    (uint64_t)((char *)arena.head - c->old.state) +
					    (arena.end + 1ull) * RK_ARENA_UNIT);
	return r;
}

/*
 * Whether the log holds these bytes already: an attempt before this one saved
 * them for the same job, and the oldest entry wins when it is rolled back. So
 * that the log does not fill up however often an upgrade is killed.
 */
static bool is_saved(struct change *c, const void *p, uint64_t len)
{
	uint64_t at = (uint64_t)((const char *)p - c->old.guarded);

	for (uint32_t k = 0; k < c->old.n_entries; k++) {
		uint32_t i = (c->hint + k) % c->old.n_entries;
		/* Relaxed: written by this process or a dead one. */
		uint64_t from =
			atomic_load_explicit(&c->old.entries[i].offset, memory_order_relaxed);
		uint64_t n = atomic_load_explicit(&c->old.entries[i].len, memory_order_relaxed);

		if (from <= at && at + len <= from + n) {
			c->hint = i + 1;
			return true;
		}
	}
	return false;
}

static int count(struct change *c, uint64_t offset, uint64_t len)
{
	bool saved = is_saved(c, c->old.state + offset, len);

	c->n += !saved;
	c->data_len += !saved && len > RK_LOG_INLINE ? RK_ALIGN_UP(len, 8ull) : 0;
	return 0;
}

static int save_bytes(struct change *c, const void *p, uint64_t len)
{
	return is_saved(c, p, len) ? 0 : rk_bank_save(&c->old, p, len);
}

static int save(struct change *c, uint64_t offset, uint64_t len)
{
	return save_bytes(c, c->old.state + offset, len);
}

static int copy(struct change *c, uint64_t offset, uint64_t len)
{
	memcpy(c->old.state + offset, c->new + offset, len);
	RK_KILL_POINT(UPGRADE_COPYING);
	return 0;
}

/* Makes the change, to be committed with the first job. */
static int apply(struct change *c, struct rk_err *err)
{
	const struct rk_geometry *g = &c->p->m->g;
	struct rk_bank_head *head = c->old.head;
	int r;

	(void)each_change(c, count);
	/* Half of the log at most: the first job shares it. What is saved already is there, however
	 * full it is. */
	if (c->n && (c->old.n_entries + c->n + 1 > g->n_log / 2 ||
		     (c->data_len && c->old.data_used + c->data_len > g->log_data_len / 2)))
		return rk_err_set(
			err, -ENOSPC,
			"upgrade of partition %u from state version %u to %u changes more than half of the undo log "
			"holds: start the fleet with --undo=%llu and --undo-data=%lluB; the state is kept",
			c->p->partition, head->state_version, c->p->def->state_version,
			(unsigned long long)rk_max_u64(g->n_log, 2 * (c->n + 1)),
			(unsigned long long)rk_max_u64(g->log_data_len, 2 * c->data_len));
	r = each_change(c, save);
	if (r == 0)
		r = save_bytes(c, &head->state_len, 16); /* and hand, and the version */
	if (r < 0)
		return rk_err_set(err, r, "upgrade of partition %u: cannot save the old state: %s",
				  c->p->partition, strerror(-r));
	(void)each_change(c, copy);
	head->state_len = c->p->def->state_size;
	head->state_version = c->p->def->state_version;
	RK_KILL_POINT(UPGRADE_DONE);
	return 0;
}

/* A mapping of the bank at an address of its own choice, or, private or shared, in place of another
 * one. */
static int map_over(const struct rk_prepare *p, void *address, bool is_private)
{
	int flags = (is_private ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED) | MAP_FIXED;
	uint64_t len = p->m->l.bank_stride;
	void *at = mmap(address, len, PROT_READ | PROT_WRITE, flags, p->state_fd,
			(off_t)rk_bank_offset(p->m, p->partition, p->bank));

	if (at == MAP_FAILED || madvise(at, len, MADV_DONTFORK) < 0 ||
	    madvise(at, len, MADV_DONTDUMP) < 0)
		return -errno;
	return 0;
}

/* Runs the hook on a private copy at the state's own address, so that pointers into it hold. */
static int run_hook(struct change *c, char *state, struct rk_err *err)
{
	const struct rk_worker_def *def = c->p->def;
	uint32_t from = c->old.head->state_version;
	uint64_t len = rk_min_u64(c->old.head->state_len, c->p->m->g.state_max);
	int r;

	if (def->state_size > len)
		memset(state + len, 0, def->state_size - len);
	r = def->upgrade(state, from, c->p->partition, def->arg);
	RK_KILL_POINT(UPGRADE_RAN);
	if (r < 0)
		return rk_err_set(
			err, r,
			"upgrade of partition %u from state version %u to %u failed: %s; the state is kept",
			c->p->partition, from, def->state_version, strerror(-r));
	return apply(c, err);
}

static int upgrade(const struct rk_prepare *p, struct rk_bank *bank, void *mapped,
		   struct rk_err *err)
{
	struct change c = { .p = p, .new = bank->state };
	void *alias;
	int r, back;

	r = rk_region_map(p->state_fd, rk_bank_offset(p->m, p->partition, p->bank),
			  p->m->l.bank_stride, true, NULL, &alias, err);
	if (r < 0)
		return r;
	rk_bank_view(&c.old, p->m, alias);
	c.old.job = bank->job;
	c.old.n_entries = bank->n_entries;
	c.old.data_used = bank->data_used;
	r = map_over(p, mapped, true);
	if (r == 0)
		r = run_hook(&c, bank->state, err);
	else
		(void)rk_err_set(err, r, "upgrade of partition %u: no memory for a copy: %s",
				 p->partition, strerror(-r));
	back = map_over(p, mapped, false);
	bank->n_entries = c.old.n_entries;
	bank->data_used = c.old.data_used;
	rk_bank_pin(bank);
	rk_region_unmap(alias, p->m->l.bank_stride);
	if (back < 0) /* nothing lies there now: whoever goes on would fault */
		return rk_err_set(err, back, "cannot map partition %u again: %s", p->partition,
				  strerror(-back));
	return r;
}

int rk_prepare(const struct rk_prepare *p, struct rk_bank *bank, void *mapped,
	       struct rk_arena *ret_arena, struct rk_err *err)
{
	/* Acquire: with it stands what init() wrote. */
	bool initialized = atomic_load_explicit(&bank->head->initialized, memory_order_acquire);
	int r = judge(p, bank->head, initialized, err);

	*ret_arena = (struct rk_arena){ .bank = bank };
	if (r >= 0 && p->def->arena_size &&
	    rk_arena_view(ret_arena, bank, p->def->state_size, p->def->arena_size) < 0)
		r = rk_err_set(err, -EINVAL, "an arena of %zu bytes does not fit",
			       p->def->arena_size);
	if (r < 0)
		return r;
	if (r == FOUND_FRESH)
		return initialize(p, bank, ret_arena, err);
	return r == FOUND_OLD ? upgrade(p, bank, mapped, err) : 0;
}
