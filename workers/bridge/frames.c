/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

#define OUT_ROOM 65536u
#define IN_ROOM 65536u
#define HEAD_MAX 12u /* of a netstring: its length, and the colon */

/* ---- to the program ---- */

static bool out_room(struct rk_frames_out *o, size_t n)
{
	size_t room = o->room ? o->room : OUT_ROOM;
	char *larger;

	if (o->from + o->len + n <= o->room)
		return true;
	if (o->from) {
		memmove(o->at, o->at + o->from, o->len);
		o->from = 0;
	}
	while (room < o->len + n)
		room *= 2;
	if (room == o->room)
		return true;
	larger = realloc(o->at, room);
	if (!larger)
		return false;
	o->at = larger;
	o->room = room;
	return true;
}

static void out_add(struct rk_frames_out *o, const void *bytes, size_t n)
{
	if (n)
		memcpy(o->at + o->from + o->len, bytes, n);
	o->len += n;
}

int rk_frames_put(struct rk_frames_out *o, bool is_netstring, const void *body, size_t len)
{
	char head[HEAD_MAX + 12];
	int n = is_netstring ? snprintf(head, sizeof(head), "%zu:", len) : 0;

	if (!is_netstring && memchr(body, '\n', len))
		return -EBADMSG;
	if (!out_room(o, (size_t)n + len + 1))
		return -ENOMEM;
	out_add(o, head, (size_t)n);
	out_add(o, body, len);
	out_add(o, is_netstring ? "," : "\n", 1);
	return 0;
}

void rk_frames_written(struct rk_frames_out *o, size_t n)
{
	o->len -= n;
	o->from = o->len ? o->from + n : 0;
}

void rk_frames_out_free(struct rk_frames_out *o)
{
	free(o->at);
	*o = (struct rk_frames_out){ 0 };
}

/* ---- from the program ---- */

int rk_frames_in_open(struct rk_frames_in *i, bool is_netstring, size_t max)
{
	*i = (struct rk_frames_in){ .is_netstring = is_netstring, .max = max };
	i->room = rk_max_size(IN_ROOM, max + HEAD_MAX + 2);
	i->at = malloc(i->room);
	return i->at ? 0 : -ENOMEM;
}

void rk_frames_in_free(struct rk_frames_in *i)
{
	free(i->at);
	*i = (struct rk_frames_in){ 0 };
}

char *rk_frames_space(struct rk_frames_in *i, size_t *ret_n)
{
	if (i->from && i->from + i->len == i->room) {
		memmove(i->at, i->at + i->from, i->len);
		i->from = 0;
	}
	*ret_n = i->room - i->from - i->len;
	return i->at + i->from + i->len;
}

void rk_frames_filled(struct rk_frames_in *i, size_t n)
{
	i->len += n;
}

static void consume(struct rk_frames_in *i, size_t n)
{
	i->len -= n;
	i->from = i->len ? i->from + n : 0;
}

static int next_line(struct rk_frames_in *i, const char **ret, size_t *ret_len)
{
	const char *at = i->at + i->from, *end = memchr(at, '\n', i->len);
	size_t len = end ? (size_t)(end - at) : i->len;
	bool was_skipping = i->is_skipping;

	if (!end) {
		if (i->len > i->max || i->is_skipping) {
			i->is_skipping = true;
			consume(i, i->len);
		}
		return 0;
	}
	i->is_skipping = false;
	consume(i, len + 1);
	if (was_skipping || len > i->max)
		return -EMSGSIZE;
	*ret = at;
	*ret_len = len;
	return 1;
}

/* The length that the head says, and the head's own; 0: it is not all there; -EBADMSG. */
static int head_read(const struct rk_frames_in *i, size_t *ret_len)
{
	const char *at = i->at + i->from;
	size_t len = 0, n = 0;

	while (n < i->len && at[n] >= '0' && at[n] <= '9' && n < HEAD_MAX - 1)
		len = len * 10 + (size_t)(at[n++] - '0');
	if (n == i->len)
		return n < HEAD_MAX - 1 ? 0 : -EBADMSG;
	if (n == 0 || at[n] != ':' || (n > 1 && at[0] == '0'))
		return -EBADMSG;
	*ret_len = len;
	return (int)n + 1;
}

/* Goes on with one that is too long. Returns 0 when more has to come, else as rk_frames_next(). */
static int skip(struct rk_frames_in *i)
{
	size_t n = rk_min_size(i->n_to_skip, i->len);
	bool is_end = n == i->n_to_skip && n > 0, is_sound = is_end && i->at[i->from + n - 1] == ',';

	i->n_to_skip -= n;
	consume(i, n);
	if (!is_end)
		return 0;
	return is_sound ? -EMSGSIZE : -EBADMSG;
}

static int next_netstring(struct rk_frames_in *i, const char **ret, size_t *ret_len)
{
	size_t len = 0;
	int head;

	if (i->n_to_skip)
		return skip(i);
	head = head_read(i, &len);
	if (head <= 0)
		return head;
	if (len > i->max) {
		consume(i, (size_t)head);
		i->n_to_skip = len + 1;
		return skip(i);
	}
	if (i->len < (size_t)head + len + 1) {
		if (i->from) { /* it may not fit behind what was taken */
			memmove(i->at, i->at + i->from, i->len);
			i->from = 0;
		}
		return 0;
	}
	*ret = i->at + i->from + head;
	*ret_len = len;
	if ((*ret)[len] != ',')
		return -EBADMSG;
	consume(i, (size_t)head + len + 1);
	return 1;
}

int rk_frames_next(struct rk_frames_in *i, const char **ret, size_t *ret_len)
{
	if (!i->len)
		return 0;
	return i->is_netstring ? next_netstring(i, ret, ret_len) : next_line(i, ret, ret_len);
}
