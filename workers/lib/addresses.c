/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/addresses.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/board.h"
#include "shm/route.h"
#include "shm/rundir.h"
#include "shm/words.h"
#include "workers/lib/attach.h"
#include "workers/lib/client.h"
#include "workers/lib/question.h"

#define NEVER 1u /* no epoch: those are even */
#define KEY_SHORT 16u /* bytes; XXH3 takes those without a loop */

/* ---- opening ---- */

static int alive_make(struct rk_addresses *a)
{
	a->alive = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (a->alive == MAP_FAILED || madvise(a->alive, 4096, MADV_WIPEONFORK) < 0)
		return -ENOMEM;
	*a->alive = 1;
	return 0;
}

int rk_addresses_make(struct rk_addresses **ret, const struct rk_shm *m, struct rk_endpoints *endpoints)
{
	struct rk_addresses *a = calloc(1, sizeof(*a));

	if (!a) {
		rk_endpoints_free_p(endpoints);
		return -ENOMEM;
	}
	a->m = *m;
	a->is_lent = true;
	a->endpoints = *endpoints;
	*endpoints = (struct rk_endpoints){ 0 };
	(void)pthread_mutex_init(&a->lock, NULL);
	a->epoch = &a->m.board->epoch;
	a->routes = rk_shm_routes(&a->m);
	a->slots = calloc(m->g.n_workers + 1u, sizeof(*a->slots));
	a->view = calloc(1, m->l.view_stride);
	if (alive_make(a) < 0 || !a->slots || !a->view) {
		rk_addresses_close(a);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < m->g.n_workers; i++)
		a->slots[i].text = rk_endpoints_of(&a->endpoints, i);
	atomic_store_explicit(&a->slots[m->g.n_workers].state, RK_ADDRESS_NONE, memory_order_relaxed);
	atomic_store_explicit(&a->seen, NEVER, memory_order_relaxed); /* nobody else has it yet */
	*ret = a;
	return 0;
}

/* The supervisor's answer: the board, and what makes the addresses. No connection stays. */
static int ask(const char *fleet, const char *part, struct rk_shm *m, struct rk_endpoints *e, struct rk_err *err)
{
	struct rk_question q = { .fleet = fleet, .deadline_ns = rk_clock_ns() + RK_CONNECT_TIMEOUT_MS * RK_NS_PER_MS };
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	rk_cleanup(rk_close_p) int sock = -1;
	char request[64 + RK_NAME_MAX];
	struct json_object *answer;
	int r;

	(void)snprintf(request, sizeof(request), "{\"verb\":\"address\",\"abi\":%u%s%s%s}", RK_ABI_VERSION,
		       part ? ",\"fleet\":\"" : "", part ? part : "", part ? "\"" : "");
	q.request = request;
	r = rk_question_ask(&q, &sock, &answer, &fds, err);
	if (r < 0)
		return r;
	if (fds.n != 1)
		r = rk_err_set(err, -EPROTO, "the supervisor passed %u descriptors instead of 1", fds.n);
	if (r == 0)
		r = rk_attach(m, fds.fd[0], NULL, 0, err);
	if (r == 0)
		r = rk_endpoints_read(e, answer, m->g.n_workers, err);
	json_object_put(answer);
	return r;
}

static int open_addresses(struct rk_addresses **ret, const char *fleet, struct rk_err *err)
{
	struct rk_endpoints endpoints = { 0 };
	struct rk_shm m = { 0 };
	char name[RK_NAME_MAX];
	int r = rk_rundir_choose(fleet, name, err);

	if (r == 0)
		r = ask(name, rk_fleet_part(fleet), &m, &endpoints, err);
	if (r == 0 && endpoints.n == 0)
		r = rk_endpoints_missing(fleet ? fleet : name, err);
	if (r == 0)
		r = rk_addresses_make(ret, &m, &endpoints);
	if (r == 0)
		(*ret)->is_lent = false;
	else
		rk_detach(&m);
	rk_endpoints_free_p(&endpoints);
	return r;
}

int rk_addresses_open(struct rk_addresses **ret, const char *fleet)
{
	struct rk_err err = { 0 };
	int r = open_addresses(ret, fleet, &err);

	rk_client_error_set(r < 0 ? (err.text[0] ? err.text : strerror(-r)) : "");
	return r;
}

void rk_addresses_close(struct rk_addresses *a)
{
	if (!a)
		return;
	/* In a forked child the board is not mapped. */
	if (!a->is_lent && *a->alive)
		rk_detach(&a->m);
	if (a->alive != MAP_FAILED && a->alive)
		(void)munmap(a->alive, 4096);
	(void)pthread_mutex_destroy(&a->lock);
	rk_endpoints_free_p(&a->endpoints);
	free(a->view);
	free(a->slots);
	free(a);
}

/* ---- looking ---- */

static void states_store(struct rk_addresses *a, bool has_ended)
{
	const struct rk_view_slot *slot = rk_view_slots(a->view);

	for (uint32_t i = 0; i < a->m.g.n_workers; i++) {
		bool is_none = has_ended || !a->slots[i].text;
		uint32_t state = is_none ? RK_ADDRESS_NONE : rk_endpoint_state(slot[i].state);

		/* Relaxed: `seen` is released behind them; who reads a newer one than he looked for is no worse off. */
		atomic_store_explicit(&a->slots[i].state, state, memory_order_relaxed);
	}
}

/* A view was published, or the fleet has ended. */
static void states_renew(struct rk_addresses *a)
{
	uint64_t epoch;
	bool has_ended;

	(void)pthread_mutex_lock(&a->lock);
	/* Acquire, before all that is looked at: what is published behind it is another epoch's, and looked at again. */
	epoch = atomic_load_explicit(a->epoch, memory_order_acquire);
	/* Acquire; pairs with Z1 in rk_board_end(), which advances the epoch behind it. */
	has_ended = atomic_load_explicit(&rk_shm_client_ids(&a->m)[0], memory_order_acquire) == RK_CLIENT_ENDED;
	/* Views that come too fast to be copied: the states stay, and the next one looks again. */
	if (rk_board_copy(&a->m, a->view) || has_ended) {
		states_store(a, has_ended);
		/* Y1: release, behind the states; pairs with Y2. */
		atomic_store_explicit(&a->seen, epoch, memory_order_release);
	}
	(void)pthread_mutex_unlock(&a->lock);
}

/* Of a key that is at most as long as a short one the compiler knows: no call is left in it then. */
static inline int look_up(const struct rk_addresses *a, const char *key, size_t key_len, struct rk_address *ret)
{
	const uint32_t partition = rk_route_partition(&a->m.g, key, key_len);
	/* Acquire, as everybody who looks at a route. It may be newer than the view: then it is right. */
	const uint64_t route = atomic_load_explicit(&a->routes[partition], memory_order_acquire);
	const uint32_t worker = rk_route_worker(route), is_away = !(rk_route_flags(route) & RK_ROUTE_UP);
	const struct rk_addresses_slot *slot = &a->slots[rk_min_u32(worker, a->m.g.n_workers)];
	/* Relaxed: Y2 is before it. */
	const uint32_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);

	static_assert(RK_ADDRESS_READY == 0 && RK_ADDRESS_WAIT == 1 && RK_ADDRESS_NONE == 2, "the worse is the larger");
	ret->text = slot->text;
	ret->partition = partition;
	ret->worker = worker;
	ret->state = (int)rk_max_u32(state, is_away);
	return 0;
}

/* Whatever may need a call: what the compiler keeps for one would cost the others as much as their lookup. */
static __attribute__((noinline)) int look_up_slowly(struct rk_addresses *a, const char *key, size_t key_len,
						    struct rk_address *ret)
{
	if (!*a->alive)
		return -ECHILD;
	/* Y2, as below. */
	if (atomic_load_explicit(&a->seen, memory_order_acquire) != atomic_load_explicit(a->epoch, memory_order_acquire))
		states_renew(a);
	return look_up(a, key, key_len ? key_len : strlen(key), ret);
}

__attribute__((flatten)) /* the hash, too: of what the length rules out nothing is left */
int rk_addresses_find(struct rk_addresses *a, const char *key, size_t key_len, struct rk_address *ret)
{
	/* Y2: acquire; pairs with Y1: the states are those of this epoch, or newer. */
	if (rk_unlikely(!*a->alive || key_len - 1 >= KEY_SHORT ||
			atomic_load_explicit(&a->seen, memory_order_acquire) !=
				atomic_load_explicit(a->epoch, memory_order_acquire)))
		return look_up_slowly(a, key, key_len, ret);
	return look_up(a, key, key_len, ret);
}

int rk_addresses_wait(struct rk_addresses *a, const char *key, size_t key_len, uint32_t timeout_ms,
		      struct rk_address *ret)
{
	uint64_t deadline_ns = timeout_ms == RK_TIMEOUT_NONE ? 0 : rk_clock_ns() + timeout_ms * RK_NS_PER_MS;

	for (;;) {
		uint32_t mark;
		int r;

		if (rk_unlikely(!*a->alive))
			return -ECHILD;
		mark = rk_board_mark(&a->m); /* before the look: whatever is published behind it wakes us */
		r = rk_addresses_find(a, key, key_len, ret);
		if (r < 0 || ret->state != RK_ADDRESS_WAIT)
			return r;
		if (deadline_ns && rk_clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		rk_board_await(&a->m, mark, deadline_ns);
	}
}
