/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe_order.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 128u
#define ROOM_KEPT 1024u /* of an entry that is free */

int rk_pipe_order_init(struct rk_pipe_order *o, uint32_t n, size_t held_max, bool is_ordered)
{
	*o = (struct rk_pipe_order){ .n = n, .held_max = held_max, .is_ordered = is_ordered };
	o->entries = calloc(n, sizeof(*o->entries));
	if (!o->entries)
		return -ENOMEM;
	for (uint32_t i = n; i-- > 0; o->free_head = i + 1)
		o->entries[i].next = o->free_head;
	return 0;
}

void rk_pipe_order_free_p(struct rk_pipe_order *o)
{
	for (uint32_t i = 0; o->entries && i < o->n; i++)
		free(o->entries[i].room);
	free(o->entries);
	*o = (struct rk_pipe_order){ 0 };
}

/* Gives an entry this much room; what it holds is lost. */
static int room_get(struct rk_pipe_order *o, struct rk_pipe_entry *e, size_t len)
{
	size_t size = e->size ? e->size : ROOM_LEAST;
	char *room;

	if (len <= e->size)
		return 0;
	while (size < len)
		size *= 2;
	room = malloc(size);
	if (!room)
		return -ENOMEM;
	free(e->room);
	o->held += size - e->size;
	e->room = room;
	e->size = size;
	return 0;
}

bool rk_pipe_order_has_room(const struct rk_pipe_order *o)
{
	/* Of none under way there is no answer that would make room. */
	return o->is_ordered ? o->tail - o->head < o->n && (o->held <= o->held_max || o->head == o->tail)
			     : o->free_head && (o->held <= o->held_max || o->n_used == 0);
}

int rk_pipe_order_begin(struct rk_pipe_order *o, const struct rk_pipe_job *job, struct rk_pipe_entry **ret)
{
	struct rk_pipe_entry *e = o->is_ordered ? &o->entries[o->tail % o->n] : &o->entries[o->free_head - 1];

	assert(e->state == RK_PIPE_FREE);
	if (room_get(o, e, job->key_len + job->len) < 0)
		return -ENOMEM;
	if (!o->is_ordered)
		o->free_head = e->next;
	o->tail++;
	o->n_used++;
	o->n_again++;
	e->state = RK_PIPE_AGAIN;
	e->partition = job->partition;
	e->number = job->number;
	e->key_len = (uint32_t)job->key_len;
	e->len = (uint32_t)job->len;
	if (job->key_len)
		memcpy(e->room, job->key, job->key_len);
	if (job->len)
		memcpy(e->room + job->key_len, job->body, job->len);
	*ret = e;
	return 0;
}

struct rk_pipe_entry *rk_pipe_order_next(struct rk_pipe_order *o)
{
	struct rk_pipe_entry *oldest = NULL;

	if (!o->n_again)
		return NULL;
	for (uint32_t i = 0; i < o->n; i++) {
		struct rk_pipe_entry *e = &o->entries[i];

		if (e->state == RK_PIPE_AGAIN && (!oldest || e->number < oldest->number))
			oldest = e;
	}
	return oldest;
}

void rk_pipe_order_sent(struct rk_pipe_order *o, struct rk_pipe_entry *e)
{
	assert(e->state == RK_PIPE_AGAIN);
	e->state = RK_PIPE_SENT;
	o->n_again--;
}

void rk_pipe_order_again(struct rk_pipe_order *o, struct rk_pipe_entry *e)
{
	assert(e->state == RK_PIPE_SENT);
	e->state = RK_PIPE_AGAIN;
	o->n_again++;
}

static void release(struct rk_pipe_order *o, struct rk_pipe_entry *e)
{
	if (e->size > ROOM_KEPT) {
		free(e->room);
		o->held -= e->size;
		e->room = NULL;
		e->size = 0;
	}
	e->state = RK_PIPE_FREE;
	o->n_used--;
	if (o->is_ordered)
		return;
	e->next = o->free_head;
	o->free_head = (uint32_t)(e - o->entries) + 1;
}

/* Puts out what the oldest one held up. */
static void advance(struct rk_pipe_order *o)
{
	for (; o->head != o->tail; o->head++) {
		struct rk_pipe_entry *e = &o->entries[o->head % o->n];

		if (e->state != RK_PIPE_ANSWERED && e->state != RK_PIPE_GONE)
			break;
		if (e->state == RK_PIPE_ANSWERED)
			o->put(o->arg, e->room, e->len);
		release(o, e);
	}
}

static bool is_next(const struct rk_pipe_order *o, const struct rk_pipe_entry *e)
{
	return !o->is_ordered || e == &o->entries[o->head % o->n];
}

/* Of the one whose turn it is: nothing is kept. */
static void conclude(struct rk_pipe_order *o, struct rk_pipe_entry *e)
{
	release(o, e);
	if (!o->is_ordered)
		return;
	o->head++;
	advance(o);
}

int rk_pipe_order_answer(struct rk_pipe_order *o, struct rk_pipe_entry *e, const char *bytes, size_t len)
{
	assert(e->state == RK_PIPE_SENT);
	if (is_next(o, e)) {
		o->put(o->arg, bytes, len);
		conclude(o, e);
		return 0;
	}
	if (room_get(o, e, len) < 0) {
		rk_pipe_order_fail(o, e);
		return -ENOMEM;
	}
	if (len)
		memcpy(e->room, bytes, len);
	e->len = (uint32_t)len;
	e->state = RK_PIPE_ANSWERED;
	return 0;
}

void rk_pipe_order_fail(struct rk_pipe_order *o, struct rk_pipe_entry *e)
{
	o->n_again -= e->state == RK_PIPE_AGAIN;
	e->state = RK_PIPE_GONE;
	if (is_next(o, e))
		conclude(o, e);
}

uint64_t rk_pipe_order_tag(const struct rk_pipe_order *o, const struct rk_pipe_entry *e)
{
	return (uint64_t)(e - o->entries);
}

struct rk_pipe_entry *rk_pipe_order_find(struct rk_pipe_order *o, uint64_t tag)
{
	return tag < o->n && o->entries[tag].state == RK_PIPE_SENT ? &o->entries[tag] : NULL;
}
