/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/arena.h"

#include <errno.h>
#include <string.h>

#define UNIT RK_ARENA_UNIT
#define HEAD_UNITS 1u  /* of a used block */
#define BLOCK_UNITS 2u /* the smallest block */
#define FIRST ((uint32_t)(sizeof(struct rk_arena_head) / UNIT))
#define SIZE_BITS 28
#define SIZE_MASK ((1u << SIZE_BITS) - 1)
#define NEVER UINT64_MAX /* no job's number */
#define OWN_CLASS_MAX 16 /* blocks of the wanted size's own class that are looked at */

/* ---- words ---- */

static uint32_t size_word(enum rk_arena_kind kind, uint32_t units)
{
	return (uint32_t)kind << SIZE_BITS | units;
}

static enum rk_arena_kind kind_of(const struct rk_arena_block *b)
{
	return (enum rk_arena_kind)(b->size >> SIZE_BITS);
}

static uint32_t units_of(const struct rk_arena_block *b)
{
	return b->size & SIZE_MASK;
}

/* What a used block's `next` says, so that user's bytes are not taken for a block. */
static uint32_t check_word(uint32_t place, uint32_t units)
{
	uint64_t x = ((uint64_t)place << 32 | units) * 0x9e3779b97f4a7c15ull;

	return (uint32_t)(x >> 32) | 1;
}

/* Class of free blocks of this size: each has sizes of its own class or larger. */
static uint32_t class_of(uint32_t units)
{
	uint32_t power;

	if (units < 4)
		return units;
	power = 31 - (uint32_t)__builtin_clz(units);
	return (power - 1) * 4 + (units >> (power - 2) & 3);
}

/* The first class whose blocks are all large enough. */
static uint32_t class_above(uint32_t units)
{
	return units < 8 ? class_of(units)
			 : class_of(units + (1u << (31 - (uint32_t)__builtin_clz(units) - 2)) - 1);
}

/* ---- looking ---- */

static struct rk_arena_block *at(const struct rk_arena *a, uint32_t place)
{
	return (struct rk_arena_block *)(void *)((char *)a->head + (uint64_t)place * UNIT);
}

static void *damaged(struct rk_arena *a)
{
	a->error = -EUCLEAN;
	return NULL;
}

/* Whether a block of this kind lies here and its neighbors say the same. */
static bool is_block(const struct rk_arena *a, uint32_t place, enum rk_arena_kind kind)
{
	const struct rk_arena_block *b;
	uint32_t units;

	if (place < FIRST || place >= a->end)
		return false;
	b = at(a, place);
	units = units_of(b);
	if (kind_of(b) != kind || units < BLOCK_UNITS || units > a->end - place ||
	    at(a, place + units)->prev != units)
		return false;
	if (place == FIRST)
		return b->prev == 0;
	return b->prev >= BLOCK_UNITS && b->prev <= place - FIRST &&
	       units_of(at(a, place - b->prev)) == b->prev;
}

/* The free block at a place that some word names, or NULL and an error. */
static struct rk_arena_block *free_block(struct rk_arena *a, uint32_t place)
{
	return is_block(a, place, RK_ARENA_FREE) ? at(a, place) : damaged(a);
}

/* The class at or above this one that has a block, or RK_ARENA_CLASSES. */
static uint32_t find_class(const struct rk_arena *a, uint32_t from)
{
	uint64_t bits;

	for (uint32_t i = from / 64; i < 2; i++) {
		bits = a->head->map[i] & (i == from / 64 ? ~0ull << from % 64 : ~0ull);
		if (bits)
			return rk_min_u32(i * 64 + (uint32_t)__builtin_ctzll(bits),
					  RK_ARENA_CLASSES);
	}
	return RK_ARENA_CLASSES;
}

/* A free block of at least so many units; 0 when there is none, or an error. */
static uint32_t find(struct rk_arena *a, uint32_t units)
{
	uint32_t cls = find_class(a, class_above(units)), place;

	if (cls < RK_ARENA_CLASSES) {
		place = a->head->first[cls];
		if (!free_block(a, place) || units_of(at(a, place)) < units)
			damaged(a);
		return place;
	}
	/* Some of its own class may be large enough, and the last ones often are. */
	place = a->head->first[class_of(units)];
	for (int n = 0; place && n < OWN_CLASS_MAX; n++) {
		struct rk_arena_block *b = free_block(a, place);

		if (!b || units_of(b) >= units)
			return place;
		place = b->next;
	}
	return 0;
}

/* ---- changing: after an error nothing changes any more ---- */

/* Saves bytes before they change. Returns whether they may. */
static bool save(struct rk_arena *a, const void *p, size_t len)
{
	if (a->error == 0)
		a->error = rk_bank_save(a->bank, p, len);
	return a->error == 0;
}

static void set(struct rk_arena *a, uint32_t *word, uint32_t value)
{
	if (save(a, word, sizeof(*word)))
		*word = value;
}

static void set_map(struct rk_arena *a, uint32_t cls, bool any)
{
	uint64_t *word = &a->head->map[cls / 64];

	if (save(a, word, sizeof(*word)))
		*word = any ? *word | 1ull << cls % 64 : *word & ~(1ull << cls % 64);
}

/* Whoever names a free block in its list names another one, or nothing (0), from now on. */
static void rename_in_list(struct rk_arena *a, const struct rk_arena_block *b, uint32_t place,
			   uint32_t next, uint32_t back)
{
	uint32_t cls = class_of(units_of(b));

	if (b->next) {
		struct rk_arena_block *n = free_block(a, b->next);

		if (!n || n->back != place) {
			damaged(a);
			return;
		}
		set(a, &n->back, back);
	}
	if (b->back) {
		struct rk_arena_block *n = free_block(a, b->back);

		if (!n || n->next != place)
			damaged(a);
		else
			set(a, &n->next, next);
	} else if (a->head->first[cls] != place) {
		damaged(a);
	} else {
		set(a, &a->head->first[cls], next);
	}
}

/* Takes a free block out of its list. */
static void unlink_block(struct rk_arena *a, uint32_t place)
{
	const struct rk_arena_block *b = at(a, place);

	rename_in_list(a, b, place, b->next, b->back);
	if (!b->next && !b->back)
		set_map(a, class_of(units_of(b)), false);
}

/* Puts a free block, saved and sized, into its list. */
static void link_block(struct rk_arena *a, uint32_t place)
{
	struct rk_arena_block *b = at(a, place);
	uint32_t cls = class_of(units_of(b)), first = a->head->first[cls];

	b->next = first;
	b->back = 0;
	if (first) {
		struct rk_arena_block *n = free_block(a, first);

		if (!n)
			return;
		set(a, &n->back, place);
	} else {
		set_map(a, cls, true);
	}
	set(a, &a->head->first[cls], place);
}

/*
 * Takes a free block out of its list; what is behind its first `units` stays
 * free, and takes its place in the list where that is of the same cls.
 */
static void split(struct rk_arena *a, uint32_t place, uint32_t units)
{
	const struct rk_arena_block b = *at(a, place);
	uint32_t rest = place + units, rest_units = units_of(&b) - units;
	struct rk_arena_block *r = at(a, rest);
	bool stays = class_of(rest_units) == class_of(units_of(&b));

	if (stays)
		rename_in_list(a, &b, place, rest, rest);
	else
		unlink_block(a, place);
	if (!save(a, r, sizeof(*r)))
		return;
	*r = (struct rk_arena_block){ .size = size_word(RK_ARENA_FREE, rest_units),
				      .prev = units,
				      .next = b.next,
				      .back = b.back,
				      .stamp = b.stamp };
	set(a, &at(a, rest + rest_units)->prev, rest_units);
	if (!stays && !a->error)
		link_block(a, rest);
}

int rk_arena_alloc(struct rk_arena *a, size_t len, void **ret)
{
	uint32_t units, place;
	struct rk_arena_block *b;

	a->error = a->head->magic == RK_ARENA_MAGIC ? 0 : -EUCLEAN;
	if (!a->error && len > (uint64_t)(a->end - FIRST - HEAD_UNITS) * UNIT)
		return -ENOMEM;
	units = rk_max_u32(BLOCK_UNITS, (uint32_t)((len + UNIT - 1) / UNIT) + HEAD_UNITS);
	place = a->error ? 0 : find(a, units);
	if (a->error || !place)
		return a->error ? a->error : -ENOMEM;
	b = at(a, place);
	if (units_of(b) - units < BLOCK_UNITS)
		units = units_of(b);
	/* Freed since the last commit, which an undo brings back: with the contents it had. */
	if (b->stamp == a->bank->job)
		(void)save(a, &b->stamp, (size_t)(units - HEAD_UNITS) * UNIT);
	if (!save(a, b, sizeof(*b)))
		return a->error;
	if (units < units_of(b))
		split(a, place, units);
	else
		unlink_block(a, place);
	if (a->error)
		return a->error;
	b->size = size_word(RK_ARENA_USED, units);
	b->next = check_word(place, units);
	b->back = 0;
	memset(&b->stamp, 0, (size_t)(units - HEAD_UNITS) * UNIT);
	*ret = &b->stamp;
	return 0;
}

/* The place of the used block whose bytes begin at p, or 0. */
static uint32_t used_place(const struct rk_arena *a, const void *p)
{
	uint64_t offset = (uint64_t)((uintptr_t)p - (uintptr_t)a->head);
	const struct rk_arena_block *b;
	uint32_t place;

	if (offset % UNIT || offset / UNIT < FIRST + HEAD_UNITS || offset / UNIT >= a->end)
		return 0;
	place = (uint32_t)(offset / UNIT) - HEAD_UNITS;
	b = at(a, place);
	return kind_of(b) == RK_ARENA_USED && !b->back && b->next == check_word(place, units_of(b))
		       ? place
		       : 0;
}

size_t rk_arena_len(const struct rk_arena *a, const void *p)
{
	uint32_t place = used_place(a, p);

	return place ? (size_t)(units_of(at(a, place)) - HEAD_UNITS) * UNIT : 0;
}

/* A free neighbor becomes part of the block that is being freed; its head is one no more. */
static uint32_t absorb(struct rk_arena *a, uint32_t place)
{
	struct rk_arena_block *b = free_block(a, place);
	uint32_t units;

	if (!b)
		return 0;
	units = units_of(b);
	unlink_block(a, place);
	if (!save(a, b, sizeof(*b)))
		return 0;
	b->size = 0;
	return units;
}

int rk_arena_free(struct rk_arena *a, void *p)
{
	uint32_t place = p ? used_place(a, p) : 0, units, before, after;
	struct rk_arena_block *b;

	if (!place)
		return p ? -EFAULT : 0;
	a->error = a->head->magic == RK_ARENA_MAGIC && is_block(a, place, RK_ARENA_USED) ? 0
											 : -EUCLEAN;
	b = at(a, place);
	units = units_of(b);
	before = b->prev;
	if (!save(a, b, sizeof(*b)))
		return a->error;
	after = kind_of(at(a, place + units)) == RK_ARENA_FREE ? absorb(a, place + units) : 0;
	before = before && kind_of(at(a, place - before)) == RK_ARENA_FREE
			 ? absorb(a, place - before)
			 : 0;
	if (a->error)
		return a->error;
	b->size = 0; /* if it is not the beginning, it is nothing that could be freed again */
	place -= before;
	units += before + after;
	if (before || after)
		set(a, &at(a, place + units)->prev, units);
	if (a->error)
		return a->error;
	b = at(a, place);
	b->size = size_word(RK_ARENA_FREE, units);
	b->stamp = a->bank->job;
	link_block(a, place);
	return a->error;
}

/* ---- the whole ---- */

uint64_t rk_arena_room(const struct rk_shm *m, uint64_t state_len)
{
	/* The state begins on a page; the arena ends with the state's last whole unit. */
	uint64_t end = m->g.state_max / UNIT * UNIT;

	return state_len < end ? end - RK_ALIGN_UP(state_len, (uint64_t)UNIT) : 0;
}

int rk_arena_view(struct rk_arena *a, struct rk_bank *bank, uint64_t state_len, uint64_t len)
{
	uint64_t end = bank->m->g.state_max / UNIT * UNIT;

	if (len < RK_ARENA_MIN || len > rk_arena_room(bank->m, state_len))
		return -EINVAL;
	len = RK_ALIGN_UP(len, (uint64_t)UNIT);
	*a = (struct rk_arena){ .bank = bank,
				.head = (struct rk_arena_head *)(void *)(bank->state + end - len),
				.end = (uint32_t)(len / UNIT) - 1 };
	return 0;
}

void rk_arena_init(struct rk_arena *a)
{
	uint32_t units = a->end - FIRST, cls = class_of(units);

	*a->head = (struct rk_arena_head){ .magic = RK_ARENA_MAGIC,
					   .len = (uint64_t)(a->end + 1) * UNIT };
	a->head->first[cls] = FIRST;
	a->head->map[cls / 64] = 1ull << cls % 64;
	*at(a, FIRST) =
		(struct rk_arena_block){ .size = size_word(RK_ARENA_FREE, units), .stamp = NEVER };
	at(a, a->end)->size = size_word(RK_ARENA_END, HEAD_UNITS); /* 16 bytes: it has no stamp */
	at(a, a->end)->prev = units;
}

/* Counts the blocks from the first to the end mark; two free ones never lie side by side. */
static bool walk_blocks(const struct rk_arena *a, struct rk_arena_figures *f)
{
	enum rk_arena_kind last = RK_ARENA_USED;
	uint32_t place = FIRST, largest = 0;

	while (place != a->end) {
		const struct rk_arena_block *b = at(a, place);
		enum rk_arena_kind kind = kind_of(b);
		uint64_t len = (uint64_t)units_of(b) * UNIT;

		if ((kind != RK_ARENA_FREE && !used_place(a, &b->stamp)) ||
		    !is_block(a, place, kind) || (kind == RK_ARENA_FREE && last == RK_ARENA_FREE))
			return false;
		f->n_used += kind == RK_ARENA_USED;
		f->used_len += kind == RK_ARENA_USED ? len : 0;
		f->n_free += kind == RK_ARENA_FREE;
		f->free_len += kind == RK_ARENA_FREE ? len : 0;
		largest = kind == RK_ARENA_FREE ? rk_max_u32(largest, units_of(b)) : largest;
		last = kind;
		place += units_of(b);
	}
	f->largest_len = largest ? (uint64_t)(largest - HEAD_UNITS) * UNIT : 0;
	return kind_of(at(a, a->end)) == RK_ARENA_END;
}

/* Every free block stands in the list of its cls, once; n_left counts them down. */
static bool walk_list(const struct rk_arena *a, uint32_t cls, uint32_t *n_left)
{
	uint32_t back = 0, place = a->head->first[cls];

	if (!place != !(a->head->map[cls / 64] >> cls % 64 & 1))
		return false;
	for (; place; back = place, place = at(a, place)->next) {
		if (!*n_left || !is_block(a, place, RK_ARENA_FREE) || at(a, place)->back != back ||
		    class_of(units_of(at(a, place))) != cls)
			return false;
		--*n_left;
	}
	return true;
}

int rk_arena_check(struct rk_arena *a, struct rk_arena_figures *ret)
{
	struct rk_arena_figures f = { 0 };
	uint32_t n_left;

	if (a->head->magic != RK_ARENA_MAGIC || a->head->len != (uint64_t)(a->end + 1) * UNIT ||
	    !walk_blocks(a, &f))
		return -EUCLEAN;
	n_left = f.n_free;
	for (uint32_t cls = 0; cls < RK_ARENA_CLASSES; cls++)
		if (!walk_list(a, cls, &n_left))
			return -EUCLEAN;
	if (n_left || a->head->map[1] >> (RK_ARENA_CLASSES - 64))
		return -EUCLEAN;
	*ret = f;
	return 0;
}
