/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rk_check {
	size_t len;
	char copy[];
};

int rk_check_new(struct rk_check **ret, const struct rk_bank *bank, size_t len, struct rk_err *err)
{
	struct rk_check *c = malloc(sizeof(*c) + len);

	if (!c)
		return rk_err_set(err, -ENOMEM, "RK_CHECK: no memory for a copy of the state (%zu bytes)", len);
	c->len = len;
	memcpy(c->copy, bank->state, len);
	*ret = c;
	return 0;
}

void rk_check_free(struct rk_check *c)
{
	free(c);
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
