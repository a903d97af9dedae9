/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/place.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#define N_SLOTS (1u << 16) /* every value of a table entry can be looked up unchecked */

/* A member while one table is made; seats stand in the order of their keys. */
struct seat {
	uint64_t key; /* hash of id and seed */
	uint32_t weight;
	uint32_t held;   /* partitions it owns now */
	uint32_t quota;  /* partitions it shall own */
	uint32_t excess; /* partitions to shed */
	uint32_t picked; /* candidates in its heap so far */
	uint32_t heap;   /* where its heap starts in plan.entries */
	uint16_t slot;
};

/* What is sorted and kept in heaps, by major, then minor; no two are ever equal. */
struct entry {
	uint64_t major;
	uint64_t minor;
};

/* The work of one call, carved from the caller's scratch. */
struct plan {
	uint16_t *table;
	uint32_t n_partitions;
	uint32_t n_seats;
	struct seat *seats;
	struct entry *entries; /* each step in turn: ids, ranks, heaps, seats under quota */
	uint16_t *seat_of;     /* slot -> seat, or RK_PLACE_NONE */
};

/*
 * The finalizer of splitmix64. It is a bijection, so distinct ids have distinct
 * keys and no two scores that are ever compared are equal: no order of members
 * can show through a tie.
 */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline uint64_t partition_key(uint32_t partition)
{
	return mix(partition + 0x9e3779b97f4a7c15u);
}

static inline uint64_t score(uint64_t seat_key, uint64_t part_key)
{
	return mix(seat_key ^ part_key);
}

static inline int is_less(struct entry a, struct entry b)
{
	return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

static void sift_down(struct entry *heap, uint32_t n, uint32_t at)
{
	struct entry moving = heap[at];

	for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && is_less(heap[child], heap[child + 1]))
			child++;
		if (!is_less(moving, heap[child]))
			break;
		heap[at] = heap[child];
	}
	heap[at] = moving;
}

static void heapify(struct entry *heap, uint32_t n)
{
	for (uint32_t i = n / 2; i-- > 0;)
		sift_down(heap, n, i);
}

/* Ascending. Not qsort(), which allocates. */
static void sort(struct entry *entries, uint32_t n)
{
	heapify(entries, n);
	for (uint32_t last = n; last-- > 1;) {
		struct entry greatest = entries[0];

		entries[0] = entries[last];
		entries[last] = greatest;
		sift_down(entries, last, 0);
	}
}

size_t rk_place_scratch_size(uint32_t n_partitions, uint32_t n_members)
{
	return (size_t)rk_max_u32(n_partitions, n_members) * sizeof(struct entry) +
	       (size_t)n_members * sizeof(struct seat) + N_SLOTS * sizeof(uint16_t);
}

static void carve(struct plan *plan, void *scratch)
{
	assert((uintptr_t)scratch % alignof(struct entry) == 0);
	static_assert(sizeof(struct entry) % alignof(struct seat) == 0, "seats follow entries");

	plan->entries = scratch;
	plan->seats =
		(struct seat *)(plan->entries + rk_max_u32(plan->n_partitions, plan->n_seats));
	plan->seat_of = (uint16_t *)(plan->seats + plan->n_seats);
	memset(plan->seat_of, 0xff, N_SLOTS * sizeof(plan->seat_of[0]));
}

static int check_sizes(uint32_t n_partitions, const struct rk_place_view *view)
{
	if (n_partitions == 0 || n_partitions > RK_PLACE_PARTITIONS_MAX)
		return -EINVAL;
	if ((n_partitions & (n_partitions - 1)) != 0)
		return -EINVAL;
	if (view->n_members == 0 || view->n_members > RK_PLACE_MEMBERS_MAX)
		return -EINVAL;
	return 0;
}

/* Sorts the members by key into entries {key, index in the view}; equal keys are equal ids. */
static int sort_members(struct plan *plan, const struct rk_place_view *view)
{
	struct entry *entries = plan->entries;
	uint64_t salt = mix(~view->seed);

	for (uint32_t i = 0; i < view->n_members; i++)
		entries[i] = (struct entry){ mix(view->members[i].id ^ salt), i };
	sort(entries, view->n_members);
	for (uint32_t i = 1; i < view->n_members; i++)
		if (entries[i].major == entries[i - 1].major)
			return -EINVAL;
	return 0;
}

/* Seats the members in the order of their keys, whatever order the view lists them in. */
static int seat_members(struct plan *plan, const struct rk_place_view *view)
{
	int r = sort_members(plan, view);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < plan->n_seats; i++) {
		const struct rk_place_member *m = &view->members[plan->entries[i].minor];

		if (m->weight == 0 || m->slot == RK_PLACE_NONE)
			return -EINVAL;
		if (plan->seat_of[m->slot] != RK_PLACE_NONE)
			return -EINVAL;
		plan->seat_of[m->slot] = (uint16_t)i;
		plan->seats[i] = (struct seat){ .key = plan->entries[i].major,
						.weight = m->weight,
						.slot = m->slot };
	}
	return 0;
}

/* Counts what each seat holds, and marks as free what names no seat. */
static void count_held(struct plan *plan)
{
	for (uint32_t p = 0; p < plan->n_partitions; p++) {
		uint16_t i = plan->seat_of[plan->table[p]];

		if (i == RK_PLACE_NONE)
			plan->table[p] = RK_PLACE_NONE;
		else
			plan->seats[i].held++;
	}
}

/*
 * Gives each seat the whole part of its share, and ranks the seats for the
 * rest. Returns the rest.
 */
static uint32_t set_floors(struct plan *plan)
{
	uint32_t rest = plan->n_partitions;
	uint64_t total = 0; /* < 2^44: at most 2^12 members of less than 2^32 */

	for (uint32_t i = 0; i < plan->n_seats; i++)
		total += plan->seats[i].weight;
	for (uint32_t i = 0; i < plan->n_seats; i++) {
		struct seat *seat = &plan->seats[i];
		uint64_t product = (uint64_t)plan->n_partitions * seat->weight; /* < 2^48 */
		uint64_t lacking;

		seat->quota = (uint32_t)(product / total);
		rest -= seat->quota;
		/* The floors of two seats may differ, so what each holds says nothing; what
		 * it would have to shed without the extra partition does. */
		lacking = RK_PLACE_PARTITIONS_MAX + seat->quota - seat->held;
		plan->entries[i] = (struct entry){ total - product % total, lacking << 32 | i };
	}
	return rest;
}

static void set_quotas(struct plan *plan)
{
	uint32_t rest = set_floors(plan);

	sort(plan->entries, plan->n_seats);
	for (uint32_t i = 0; i < rest; i++)
		plan->seats[(uint32_t)plan->entries[i].minor].quota++;
}

/* Reserves each seat over quota a heap as large as its excess. Returns the sum of the excesses. */
static uint32_t set_excesses(struct plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n_seats; i++) {
		struct seat *seat = &plan->seats[i];

		if (seat->held <= seat->quota)
			continue;
		seat->excess = seat->held - seat->quota;
		seat->held = seat->quota;
		seat->heap = n;
		n += seat->excess;
	}
	return n;
}

/* Keeps the lowest candidates seen so far, at most excess of them, the highest of them on top. */
static void pick_lowest(struct seat *seat, struct entry *heap, struct entry candidate)
{
	if (seat->picked < seat->excess) {
		heap[seat->picked++] = candidate;
		if (seat->picked == seat->excess)
			heapify(heap, seat->excess);
	} else if (is_less(candidate, heap[0])) {
		heap[0] = candidate;
		sift_down(heap, seat->excess, 0);
	}
}

/* Frees, of each seat over quota, the partitions with its lowest scores. */
static void shed(struct plan *plan)
{
	uint32_t n_shed = set_excesses(plan);

	if (n_shed == 0)
		return;
	for (uint32_t p = 0; p < plan->n_partitions; p++) {
		uint16_t i = plan->seat_of[plan->table[p]];
		struct seat *seat;

		if (i == RK_PLACE_NONE || plan->seats[i].excess == 0)
			continue;
		seat = &plan->seats[i];
		pick_lowest(seat, plan->entries + seat->heap,
			    (struct entry){ score(seat->key, partition_key(p)), p });
	}
	for (uint32_t i = 0; i < n_shed; i++)
		plan->table[plan->entries[i].minor] = RK_PLACE_NONE;
}

/* Lists the seats under quota as {key, seat}: close together for the scan below. */
static uint32_t list_open(struct plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n_seats; i++)
		if (plan->seats[i].held < plan->seats[i].quota)
			plan->entries[n++] = (struct entry){ plan->seats[i].key, i };
	return n;
}

static uint32_t find_best(const struct entry *open, uint32_t n_open, uint64_t part_key)
{
	uint64_t best_score = 0;
	uint32_t best = 0;

	for (uint32_t i = 0; i < n_open; i++) {
		uint64_t s = score(open[i].major, part_key);

		if (s > best_score) {
			best_score = s;
			best = i;
		}
	}
	return best;
}

/* Gives every free partition an owner. Returns how many there were. */
static uint32_t fill(struct plan *plan)
{
	struct entry *open = plan->entries;
	uint32_t n_open = list_open(plan);
	uint32_t n_filled = 0;

	for (uint32_t p = 0; p < plan->n_partitions; p++) {
		struct seat *seat;
		uint32_t best;

		if (plan->table[p] != RK_PLACE_NONE)
			continue;
		assert(n_open > 0); /* the quotas add up to n_partitions */
		best = find_best(open, n_open, partition_key(p));
		seat = &plan->seats[open[best].minor];
		plan->table[p] = seat->slot;
		n_filled++;
		if (++seat->held == seat->quota)
			open[best] = open[--n_open];
	}
	return n_filled;
}

int rk_place_rebalance(uint16_t *table, uint32_t n_partitions, const struct rk_place_view *view,
		       void *scratch, uint32_t *ret_n_moves)
{
	struct plan plan = { .table = table,
			     .n_partitions = n_partitions,
			     .n_seats = view->n_members };
	int r = check_sizes(n_partitions, view);

	if (r < 0)
		return r;
	carve(&plan, scratch);
	r = seat_members(&plan, view);
	if (r < 0)
		return r;
	/* From here on nothing can fail, so the table may be changed. */
	count_held(&plan);
	set_quotas(&plan);
	shed(&plan);
	/* A slot that shed is at its quota and gets nothing back: each one filled has changed. */
	*ret_n_moves = fill(&plan);
	return 0;
}
