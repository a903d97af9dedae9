/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that were written without saving them, by right. */
struct fresh {
	size_t from, len;
};

struct rk_check {
	struct fresh *fresh;
	size_t n_fresh, n_room;
	size_t len;
	char copy[];
};

int rk_check_new(struct rk_check **ret, const struct rk_bank *bank, size_t len, struct rk_err *err)
{
	struct rk_check *c = malloc(sizeof(*c) + len);

	if (!c)
		return rk_err_set(err, -ENOMEM, "RK_CHECK: no memory for a copy of the state (%zu bytes)", len);
	*c = (struct rk_check){ .len = len };
	memcpy(c->copy, bank->state, len);
	*ret = c;
	return 0;
}

void rk_check_free(struct rk_check *c)
{
	if (c)
		free(c->fresh);
	free(c);
}

int rk_check_fresh(struct rk_check *c, const struct rk_bank *bank, const void *p, size_t len)
{
	if (c->n_fresh == c->n_room) {
		size_t n = c->n_room ? 2 * c->n_room : 16;
		struct fresh *more = realloc(c->fresh, n * sizeof(*more));

		if (!more)
			return -ENOMEM;
		c->fresh = more;
		c->n_room = n;
	}
	c->fresh[c->n_fresh++] = (struct fresh){ (size_t)((const char *)p - bank->state), len };
	return 0;
}

/* Takes over what was fresh; inside the state, since the arena said so. */
static void take_over_fresh(struct rk_check *c, const struct rk_bank *bank)
{
	while (c->n_fresh > 0) {
		const struct fresh *f = &c->fresh[--c->n_fresh];

		memcpy(c->copy + f->from, bank->state + f->from, f->len);
	}
}

/* Takes over the touched bytes that lie inside the state. */
static void take_over(struct rk_check *c, const struct rk_bank *bank, const struct rk_log_entry *e)
{
	uint64_t state = bank->m->l.guarded_state;
	uint64_t from = atomic_load_explicit(&((struct rk_log_entry *)(uintptr_t)e)->offset, memory_order_relaxed);
	uint64_t to = from + atomic_load_explicit(&((struct rk_log_entry *)(uintptr_t)e)->len, memory_order_relaxed);

	if (from < state || from - state >= c->len)
		return;
	from -= state;
	to = rk_min_u64(to - state, c->len);
	memcpy(c->copy + from, bank->state + from, to - from);
}

int rk_check_job(struct rk_check *c, const struct rk_bank *bank, uint32_t first, struct rk_err *err)
{
	size_t from = 0, to;

	for (uint32_t i = first; i < bank->n_entries; i++)
		take_over(c, bank, &bank->entries[i]);
	take_over_fresh(c, bank);
	if (memcmp(c->copy, bank->state, c->len) == 0)
		return 0;
	while (c->copy[from] == bank->state[from])
		from++;
	for (to = from; to < c->len && c->copy[to] != bank->state[to]; to++)
		;
	return rk_err_set(err, -EINVAL,
			  "RK_CHECK: the handler wrote bytes %zu to %zu of the state (address %p) without rk_touch()", from,
			  to - 1, (void *)(bank->state + from));
}
