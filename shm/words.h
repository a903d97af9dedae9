/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing and unpacking of the shared 64-bit words that abi.h lists: pure.
 *
 * Positions, cursors and job numbers have 48 bits and wrap; they are compared
 * by distance, which is right as long as two of them are less than 2^47 apart
 * (a ring has at most 2^20 places).
 */
#ifndef RK_SHM_WORDS_H
#define RK_SHM_WORDS_H

#include <stdbool.h>

#include "shm/abi.h"

#define RK_MASK48 ((1ull << 48) - 1)
#define RK_MASK42 ((1ull << 42) - 1)
#define RK_SEQUENCE_MAX ((1ull << 50) - 1)
#define RK_WORKER_NONE 0xfffu

/* position + n, wrapped */
static inline uint64_t rk_pos_add(uint64_t position, uint64_t n)
{
	return (position + n) & RK_MASK48;
}

/* Whether position a comes before b. */
static inline bool rk_pos_before(uint64_t a, uint64_t b)
{
	return (int64_t)((a - b) << 16) < 0;
}

/* ---- reference ---- */

static inline uint64_t rk_lap(uint64_t position, uint32_t n_ring)
{
	/* n_ring is a power of two and at least 64: 42 bits. A shift, since a division costs more than a publish. */
	return (position & RK_MASK48) >> __builtin_ctz(n_ring);
}

static inline uint64_t rk_ref(uint64_t position, uint32_t n_ring, uint32_t cell, enum rk_ref_state state)
{
	return rk_lap(position, n_ring) << 22 | (uint64_t)cell << 2 | (uint64_t)state;
}

static inline uint64_t rk_ref_lap(uint64_t ref)
{
	return ref >> 22;
}

static inline uint32_t rk_ref_cell(uint64_t ref)
{
	return (uint32_t)(ref >> 2) & (RK_CELLS_MAX - 1);
}

static inline enum rk_ref_state rk_ref_state(uint64_t ref)
{
	return (enum rk_ref_state)(ref & 3);
}

static inline uint64_t rk_ref_with(uint64_t ref, enum rk_ref_state state)
{
	return (ref & ~3ull) | (uint64_t)state;
}

/* ---- where a cell was published ---- */

#define RK_WHERE_SOMEWHERE (1ull << 63)

static inline uint64_t rk_where(uint32_t partition, uint64_t position)
{
	return RK_WHERE_SOMEWHERE | (uint64_t)partition << 48 | (position & RK_MASK48);
}

static inline uint32_t rk_where_partition(uint64_t where)
{
	return (uint32_t)(where >> 48) & 0x7fff;
}

static inline uint64_t rk_where_position(uint64_t where)
{
	return where & RK_MASK48;
}

/* ---- cell word ---- */

static inline uint64_t rk_cellword(uint64_t sequence, uint32_t worker, enum rk_cell_state state)
{
	return sequence << 14 | (uint64_t)worker << 2 | (uint64_t)state;
}

static inline uint64_t rk_cellword_sequence(uint64_t word)
{
	return word >> 14;
}

static inline uint32_t rk_cellword_worker(uint64_t word)
{
	return (uint32_t)(word >> 2) & RK_WORKER_NONE;
}

static inline enum rk_cell_state rk_cellword_state(uint64_t word)
{
	return (enum rk_cell_state)(word & 3);
}

/* ---- request word of a cell ---- */

static inline uint64_t rk_request_word(uint32_t slot, uint32_t partition, uint32_t key_len)
{
	return (uint64_t)slot << 48 | (uint64_t)partition << 32 | key_len;
}

static inline uint32_t rk_request_slot(uint64_t request)
{
	return (uint32_t)(request >> 48);
}

static inline uint32_t rk_request_partition(uint64_t request)
{
	return (uint32_t)(request >> 32) & 0xffff;
}

static inline uint32_t rk_request_key_len(uint64_t request)
{
	return (uint32_t)request;
}

/* ---- commit word ---- */

static inline uint64_t rk_commit(uint32_t incarnation, uint64_t cursor)
{
	return (uint64_t)incarnation << 48 | (cursor & RK_MASK48);
}

static inline uint64_t rk_commit_cursor(uint64_t commit)
{
	return commit & RK_MASK48;
}

static inline uint32_t rk_commit_incarnation(uint64_t commit)
{
	return (uint32_t)(commit >> 48);
}

/* The incarnation after this one: 16 bits, never zero. */
static inline uint32_t rk_incarnation_next(uint32_t incarnation)
{
	uint32_t next = (incarnation + 1) & 0xffff;

	return next ? next : 1;
}

/* ---- log word ---- */

static inline uint64_t rk_logword(uint64_t job, uint32_t n_entries)
{
	return job << 16 | n_entries;
}

static inline uint64_t rk_logword_job(uint64_t word)
{
	return word >> 16;
}

static inline uint32_t rk_logword_entries(uint64_t word)
{
	return (uint32_t)word & 0xffff;
}

/* ---- owner word ---- */

static inline uint64_t rk_owner(uint32_t incarnation, uint32_t bank, uint32_t worker, enum rk_owner_flag flag)
{
	return (uint64_t)incarnation << 48 | (uint64_t)bank << 32 | (uint64_t)worker << 16 | (uint64_t)flag;
}

static inline uint32_t rk_owner_incarnation(uint64_t owner)
{
	return (uint32_t)(owner >> 48);
}

static inline uint32_t rk_owner_bank(uint64_t owner)
{
	return (uint32_t)(owner >> 32) & 0xff;
}

/* Of a partition that is to be taken over by copy: the bank to copy from. */
static inline uint32_t rk_owner_from(uint64_t owner)
{
	return (uint32_t)(owner >> 40) & 0xff;
}

/* The same with another flag; `from` goes with COPY. */
static inline uint64_t rk_owner_with(uint64_t owner, enum rk_owner_flag flag)
{
	uint64_t from = flag == RK_OWNER_COPY ? 0 : 0xffull << 40;

	return (owner & ~(from | 0xffff)) | (uint64_t)flag;
}

/* To be taken over by copy. */
static inline uint64_t rk_owner_copy(uint32_t incarnation, uint32_t bank, uint32_t from, uint32_t worker)
{
	return rk_owner(incarnation, bank, worker, RK_OWNER_COPY) | (uint64_t)from << 40;
}

static inline uint32_t rk_owner_worker(uint64_t owner)
{
	return (uint32_t)(owner >> 16) & 0xffff;
}

static inline enum rk_owner_flag rk_owner_flag(uint64_t owner)
{
	return (enum rk_owner_flag)(owner & 0xffff);
}

/* ---- route word ---- */

static inline uint64_t rk_route(uint32_t incarnation, uint32_t worker, uint32_t flags)
{
	return (uint64_t)incarnation << 48 | (uint64_t)worker << 16 | flags;
}

static inline uint32_t rk_route_worker(uint64_t route)
{
	return (uint32_t)(route >> 16) & 0xffff;
}

static inline uint32_t rk_route_flags(uint64_t route)
{
	return (uint32_t)(route & 0xffff);
}

/* ---- attempts ---- */

#define RK_ATTEMPTS_MAX 0x7fffu
#define RK_ATTEMPTS_BLOCKED 0x8000u

static inline uint64_t rk_attempts(uint64_t job, uint32_t n)
{
	return job << 16 | n;
}

static inline uint64_t rk_attempts_job(uint64_t attempts)
{
	return attempts >> 16;
}

static inline uint32_t rk_attempts_n(uint64_t attempts)
{
	return (uint32_t)attempts & RK_ATTEMPTS_MAX;
}

/* How often this job has failed, by a word that may be another's. */
static inline uint32_t rk_attempts_of(uint64_t attempts, uint64_t job)
{
	return rk_attempts_job(attempts) == job ? rk_attempts_n(attempts) : 0;
}

static inline uint64_t rk_charged(uint32_t incarnation, uint64_t job, uint32_t n)
{
	return (uint64_t)incarnation << 48 | (uint64_t)n << 32 | (job & 0xffffffff);
}

static inline uint32_t rk_charged_n(uint64_t charged)
{
	return (uint32_t)(charged >> 32) & RK_ATTEMPTS_MAX;
}

/* ---- orders ---- */

static inline uint64_t rk_orderword(enum rk_order what, uint32_t n_jobs, uint32_t ms)
{
	return (uint64_t)what << 56 | (uint64_t)(n_jobs & RK_ORDER_JOBS_MAX) << 32 | ms;
}

/* NONE for what is no order. */
static inline enum rk_order rk_orderword_what(uint64_t word)
{
	uint32_t what = (uint32_t)(word >> 56);

	return what < RK_ORDERS ? (enum rk_order)what : RK_ORDER_NONE;
}

static inline uint32_t rk_orderword_jobs(uint64_t word)
{
	return (uint32_t)(word >> 32) & RK_ORDER_JOBS_MAX;
}

static inline uint32_t rk_orderword_ms(uint64_t word)
{
	return (uint32_t)word;
}

/* ---- dead letters ---- */

static inline uint64_t rk_deadword(uint32_t generation, uint32_t partition, uint32_t incarnation, uint32_t worker,
				   enum rk_dead_state state)
{
	return (uint64_t)(generation & 0xffff) << 48 | (uint64_t)partition << 32 | (uint64_t)incarnation << 16 |
	       (uint64_t)worker << 4 | (uint64_t)state;
}

static inline uint32_t rk_deadword_generation(uint64_t word)
{
	return (uint32_t)(word >> 48);
}

static inline uint32_t rk_deadword_partition(uint64_t word)
{
	return (uint32_t)(word >> 32) & 0xffff;
}

static inline uint32_t rk_deadword_incarnation(uint64_t word)
{
	return (uint32_t)(word >> 16) & 0xffff;
}

static inline uint32_t rk_deadword_worker(uint64_t word)
{
	return (uint32_t)(word >> 4) & RK_WORKER_NONE;
}

static inline enum rk_dead_state rk_deadword_state(uint64_t word)
{
	return (enum rk_dead_state)(word & 15);
}

static inline uint64_t rk_deadword_with(uint64_t word, enum rk_dead_state state)
{
	return (word & ~15ull) | (uint64_t)state;
}

#endif
