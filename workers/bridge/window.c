/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/words.h"

int rk_window_open(struct rk_window *w, uint32_t n_max, uint32_t n_partitions, size_t answer_max)
{
	*w = (struct rk_window){ .n_max = n_max,
				 .n_partitions = n_partitions,
				 .answer_max = answer_max,
				 .first = RK_WINDOW_NONE,
				 .last = RK_WINDOW_NONE,
				 .oldest_waiting = RK_WINDOW_NONE };
	w->at = calloc(n_max, sizeof(*w->at));
	w->first_of = malloc(n_partitions * sizeof(*w->first_of));
	w->last_of = malloc(n_partitions * sizeof(*w->last_of));
	if (!w->at || !w->first_of || !w->last_of)
		return -ENOMEM;
	memset(w->first_of, 0xff, n_partitions * sizeof(*w->first_of));
	memset(w->last_of, 0xff, n_partitions * sizeof(*w->last_of));
	for (uint32_t i = 0; i < n_max; i++)
		w->at[i].next = i + 1 < n_max ? i + 1 : RK_WINDOW_NONE;
	w->free = n_max ? 0 : RK_WINDOW_NONE;
	return 0;
}

void rk_window_close(struct rk_window *w)
{
	for (uint32_t i = 0; w->at && i < w->n_max; i++) {
		free(w->at[i].answer);
		free(w->at[i].id);
	}
	free(w->at);
	free(w->first_of);
	free(w->last_of);
	*w = (struct rk_window){ 0 };
}

uint32_t rk_window_add(struct rk_window *w, uint32_t partition, uint64_t number, enum rk_window_state state,
		       uint64_t now_ns, uint64_t deadline_ns)
{
	uint32_t place = w->free;
	struct rk_window_job *j;

	if (place == RK_WINDOW_NONE || partition >= w->n_partitions)
		return RK_WINDOW_NONE;
	j = &w->at[place];
	w->free = j->next;
	j->state = state;
	j->partition = partition;
	j->number = number;
	j->shown_ns = now_ns;
	j->deadline_ns = deadline_ns;
	j->error = 0;
	j->len = 0;
	j->id_len = 0;
	j->next = j->next_of_partition = RK_WINDOW_NONE;
	j->previous = w->last;
	if (w->last == RK_WINDOW_NONE)
		w->first = place;
	else
		w->at[w->last].next = place;
	w->last = place;
	if (w->last_of[partition] == RK_WINDOW_NONE)
		w->first_of[partition] = place;
	else
		w->at[w->last_of[partition]].next_of_partition = place;
	w->last_of[partition] = place;
	w->n++;
	if (state == RK_WINDOW_WAITING) {
		w->n_waiting++;
		if (w->oldest_waiting == RK_WINDOW_NONE)
			w->oldest_waiting = place;
	}
	return place;
}

/* Makes *text hold size bytes. */
static bool grow(char **text, size_t *room, size_t size)
{
	char *larger;

	if (size <= *room)
		return true;
	larger = realloc(*text, size);
	if (!larger)
		return false;
	*text = larger;
	*room = size;
	return true;
}

int rk_window_name(struct rk_window *w, uint32_t place, const char *id, size_t len)
{
	struct rk_window_job *j = &w->at[place];

	if (!grow(&j->id, &j->id_room, len))
		return -ENOMEM;
	memcpy(j->id, id, len);
	j->id_len = len;
	return 0;
}

uint32_t rk_window_find_id(const struct rk_window *w, const char *id, size_t len)
{
	for (uint32_t i = w->oldest_waiting; i != RK_WINDOW_NONE; i = w->at[i].next) {
		const struct rk_window_job *j = &w->at[i];

		if (j->state == RK_WINDOW_WAITING && j->id_len == len && memcmp(j->id, id, len) == 0)
			return i;
	}
	return RK_WINDOW_NONE;
}

uint32_t rk_window_find(const struct rk_window *w, uint32_t partition, uint64_t number)
{
	uint32_t i = partition < w->n_partitions ? w->first_of[partition] : RK_WINDOW_NONE;

	while (i != RK_WINDOW_NONE && w->at[i].number != number)
		i = w->at[i].next_of_partition;
	return i;
}

static void find_oldest(struct rk_window *w, uint32_t from)
{
	while (from != RK_WINDOW_NONE && w->at[from].state != RK_WINDOW_WAITING)
		from = w->at[from].next;
	w->oldest_waiting = from;
}

void rk_window_answer(struct rk_window *w, uint32_t place, int error, const char *answer, size_t len)
{
	struct rk_window_job *j = &w->at[place];

	j->error = error;
	j->len = 0;
	if (error == 0 && len > w->answer_max)
		j->error = -EMSGSIZE;
	else if (error == 0 && !grow(&j->answer, &j->room, len))
		j->error = -ENOMEM;
	else if (error == 0 && len) {
		memcpy(j->answer, answer, len);
		j->len = len;
	}
	j->state = RK_WINDOW_ANSWERED;
	w->n_waiting--;
	if (w->oldest_waiting == place)
		find_oldest(w, j->next);
}

bool rk_window_ready(const struct rk_window *w, uint32_t partition, uint64_t *ret_number)
{
	bool any = false;

	for (uint32_t i = w->first_of[partition]; i != RK_WINDOW_NONE; i = w->at[i].next_of_partition) {
		if (w->at[i].state == RK_WINDOW_WAITING)
			break;
		*ret_number = w->at[i].number;
		any = true;
	}
	return any;
}

/* The first of its partition leaves. */
static void take_first(struct rk_window *w, uint32_t partition)
{
	uint32_t place = w->first_of[partition];
	struct rk_window_job *j = &w->at[place];

	w->first_of[partition] = j->next_of_partition;
	if (j->next_of_partition == RK_WINDOW_NONE)
		w->last_of[partition] = RK_WINDOW_NONE;
	if (j->previous == RK_WINDOW_NONE)
		w->first = j->next;
	else
		w->at[j->previous].next = j->next;
	if (j->next == RK_WINDOW_NONE)
		w->last = j->previous;
	else
		w->at[j->next].previous = j->previous;
	if (j->state == RK_WINDOW_WAITING)
		w->n_waiting--;
	if (w->oldest_waiting == place)
		find_oldest(w, j->next);
	j->state = RK_WINDOW_FREE;
	j->next = w->free;
	w->free = place;
	w->n--;
}

void rk_window_drop(struct rk_window *w, uint32_t partition, uint64_t number)
{
	while (w->first_of[partition] != RK_WINDOW_NONE &&
	       !rk_pos_before(number, w->at[w->first_of[partition]].number))
		take_first(w, partition);
}
