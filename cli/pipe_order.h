/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe order: the lines that are under way, and their answers until all before them are there.
 *
 *	begin --> SENT --answer--> ANSWERED --> put out, in the order they began --> free
 *	           |  ^                ^
 *	           v  |                |
 *	          AGAIN              GONE (no answer: fail)
 *
 * An entry keeps its request until it is answered, since it may have to be sent again: AGAIN. Who
 * sends takes those first, the oldest first, and nothing behind them meanwhile: so lines of one key
 * keep their order.
 *
 * Without an order answers are put out as they come, and entries are free at once.
 *
 * Who       rekindle, one thread. Pure.
 * Blocking  never; allocates when an entry's text is longer than what it had room for.
 * Units     bytes.
 */
#ifndef RK_CLI_PIPE_ORDER_H
#define RK_CLI_PIPE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

enum rk_pipe_state { RK_PIPE_FREE, RK_PIPE_SENT, RK_PIPE_AGAIN, RK_PIPE_ANSWERED, RK_PIPE_GONE, RK_PIPE_STATES };

struct rk_pipe_entry {
	enum rk_pipe_state state;
	uint32_t partition; /* the sender's own */
	uint32_t key_len;   /* of the request: the key, then the body */
	uint32_t len;       /* of the body, or of the answer */
	uint64_t number;    /* of the line */
	char *room;
	size_t size;
	uint32_t next; /* of those that are free; entry + 1 */
};

/* Where answers go, each in the order of its line; bytes are good until it returns. */
typedef void (*rk_pipe_put)(void *arg, const char *bytes, size_t len);

struct rk_pipe_order {
	bool is_ordered;
	uint32_t n;
	struct rk_pipe_entry *entries; /* ordered: of position p the entry is p % n */
	uint64_t head, tail;           /* positions: the oldest under way, and that of the next */
	uint32_t free_head;            /* unordered; entry + 1 */
	uint32_t n_used, n_again;
	size_t held, held_max; /* in all their rooms */
	rk_pipe_put put;
	void *arg;
};

struct rk_pipe_job {
	uint64_t number;
	uint32_t partition;
	const char *key;
	size_t key_len;
	const char *body;
	size_t len;
};

/* n entries. Beyond held_max bytes of texts none begins. Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_pipe_order_init(struct rk_pipe_order *o, uint32_t n, size_t held_max, bool is_ordered);
void rk_pipe_order_free_p(struct rk_pipe_order *o);

/* Whether another line may begin. */
bool rk_pipe_order_has_room(const struct rk_pipe_order *o);

/* Takes a line in, as AGAIN: it has yet to be sent. There is room. Returns 0; -ENOMEM. */
RK_MUST_USE int rk_pipe_order_begin(struct rk_pipe_order *o, const struct rk_pipe_job *job,
				    struct rk_pipe_entry **ret);

/* The oldest line that has to be sent, or NULL. */
struct rk_pipe_entry *rk_pipe_order_next(struct rk_pipe_order *o);

void rk_pipe_order_sent(struct rk_pipe_order *o, struct rk_pipe_entry *e);

/* It was not applied, and has to be sent again. */
void rk_pipe_order_again(struct rk_pipe_order *o, struct rk_pipe_entry *e);

/* Its answer: put out now, or kept. Returns 0; -ENOMEM: it could not be kept, and counts as gone. */
RK_MUST_USE int rk_pipe_order_answer(struct rk_pipe_order *o, struct rk_pipe_entry *e, const char *bytes, size_t len);

/* There will be no answer. */
void rk_pipe_order_fail(struct rk_pipe_order *o, struct rk_pipe_entry *e);

/* A name of the entry, and the entry of a name; NULL if it has not been sent. */
uint64_t rk_pipe_order_tag(const struct rk_pipe_order *o, const struct rk_pipe_entry *e);
struct rk_pipe_entry *rk_pipe_order_find(struct rk_pipe_order *o, uint64_t tag);

#endif
