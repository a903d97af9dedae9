/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/bell.h"
#include "shm/epoch.h"
#include "shm/fault.h"
#include "shm/route.h"
#include "shm/rundir.h"
#include "shm/words.h"
#include "workers/lib/attach.h"
#include "workers/lib/question.h"

#define SPIN_DEFAULT_NS (50 * RK_NS_PER_US)
#define REQUEST_MAX (128u + 2u * RK_NAME_MAX)
#define CLOSE_NS (250 * RK_NS_PER_MS) /* for a word of farewell that a broken connection does not say */

/* Why this thread's last open failed; per thread, so that nobody waits for anybody. */
static _Thread_local char open_error[256];

const char *rk_client_error(void)
{
	return open_error;
}

void rk_client_error_set(const char *text)
{
	(void)snprintf(open_error, sizeof(open_error), "%s", text);
}

const char *rk_outcome_text(int outcome)
{
	static const char *const texts[] = {
		"done",          "the handler refused", "not applied",  "unknown: a worker has it",
		"too large",     "queue full",          "no worker",    "stale: open again",
		"used in a forked child", "no free slot", "nothing outstanding",
		"the fleet has ended or was removed",
	};

	static_assert(rk_countof(texts) == RK_ENDED + 1, "a text for every outcome");
	if (outcome < 0)
		return strerror(-outcome);
	return outcome <= RK_ENDED ? texts[outcome] : "?";
}

static int check_segment_order(const struct rk_fds *fds, struct rk_err *err)
{
	return fds->n == 4 ? 0 : rk_err_set(err, -EPROTO, "the supervisor passed %u descriptors instead of 4", fds->n);
}

/* A request about this client: its verb and version, whatever more, its fleet. The names have been checked. */
static void request_write(char text[static REQUEST_MAX], const struct rk_client *c, const char *verb, const char *more)
{
	(void)snprintf(text, REQUEST_MAX, "{\"verb\":\"%s\",\"abi\":%u%s%s%s%s}", verb, RK_ABI_VERSION, more,
		       c->part[0] ? ",\"fleet\":\"" : "", c->part, c->part[0] ? "\"" : "");
}

static int ask(struct rk_client *c, const char *request, struct json_object **ret_answer, struct rk_fds *ret_fds,
	       struct rk_err *err)
{
	struct rk_question q = { .fleet = c->fleet, .request = request };

	q.deadline_ns = rk_clock_ns() + RK_CONNECT_TIMEOUT_MS * RK_NS_PER_MS;
	for (int pause_ms = 1;; pause_ms = 2 * pause_ms) {
		int r = rk_question_ask(&q, &c->sock, ret_answer, ret_fds, err);

		/* In use by us: an answer was lost with a place, which is free when its connection's end is noticed. */
		if (r != -EBUSY || !q.n_lost || rk_clock_ns() >= q.deadline_ns)
			return r;
		(void)poll(NULL, 0, pause_ms);
	}
}

static int ask_for_place(struct rk_client *c, const char *name, struct rk_err *err)
{
	char request[REQUEST_MAX], more[16 + RK_NAME_MAX] = "";
	struct json_object *answer;
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	int64_t page, id, reader, quota;
	int r;

	if (name)
		(void)snprintf(more, sizeof(more), ",\"name\":\"%s\"", name);
	request_write(request, c, "open", more);
	r = ask(c, request, &answer, &fds, err);
	if (r < 0)
		return r;
	page = rk_connect_int(answer, "page");
	id = rk_connect_int(answer, "id");
	reader = rk_connect_int(answer, "reader");
	quota = rk_connect_int(answer, "quota");
	json_object_put(answer);
	r = check_segment_order(&fds, err);
	if (r < 0)
		return r;
	const struct rk_attach_segment segments[] = {
		{ RK_SEGMENT_CALLS, fds.fd[1], true, &c->m.calls },
		{ RK_SEGMENT_QUEUES, fds.fd[2], true, &c->m.queues },
		{ RK_SEGMENT_READERS, fds.fd[3], true, &c->m.readers },
	};
	r = rk_attach(&c->m, fds.fd[0], segments, rk_countof(segments), err);
	if (r < 0)
		return r;
	if (page < 0 || page >= c->m.g.n_clients || id <= 0 || reader < 0 || reader >= c->m.g.n_readers)
		return rk_err_set(err, -EPROTO, "the supervisor gave a place that does not exist");
	c->caller = (struct rk_caller){ .m = &c->m, .page = (uint32_t)page, .id = (uint64_t)id };
	c->reader = rk_shm_reader(&c->m, (uint32_t)reader);
	c->reader_line = (uint32_t)reader;
	c->n_usable = quota > 0 && quota < c->m.g.n_slots ? (uint32_t)quota : c->m.g.n_slots;
	return 0;
}

static int set_up(struct rk_client *c, struct rk_err *err)
{
	if (c->m.board->epoch_mode == RK_EPOCH_PLAIN) {
		int r = rk_epoch_register();

		if (r < 0)
			return rk_err_set(err, r, "membarrier: %s", strerror(-r));
	}
	c->slots = calloc(c->m.g.n_slots, sizeof(*c->slots));
	c->alive = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!c->slots || c->alive == MAP_FAILED || madvise(c->alive, 4096, MADV_WIPEONFORK) < 0)
		return rk_err_set(err, -ENOMEM, "no memory for a client");
	*c->alive = 1;
	for (uint32_t s = c->m.g.n_slots; s-- > 0;)
		rk_client_free_slot(c, s);
	return 0;
}

static int open_client(struct rk_client *c, const char *fleet, const char *name, struct rk_err *err)
{
	const char *part = rk_fleet_part(fleet);
	int r = rk_rundir_choose(fleet, c->fleet, err);

	if (r == 0 && part) /* no longer than a name: just checked */
		(void)snprintf(c->part, sizeof(c->part), "%s", part);
	if (r == 0 && name)
		r = rk_name_check(name, err);
	if (r < 0)
		return r;
	if (rk_fault_from_environment() < 0)
		return rk_err_set(err, -ENOTSUP,
				  "REKINDLE_BREAK, _FAULT or _DELAY is set, which only a build with fault points obeys, or not understood");
	r = ask_for_place(c, name, err);
	return r < 0 ? r : set_up(c, err);
}

int rk_client_open(struct rk_client **ret, const char *fleet, const char *name)
{
	struct rk_client *c = calloc(1, sizeof(*c));
	struct rk_err err = { 0 };
	int r;

	rk_client_error_set("");
	if (!c)
		return -ENOMEM;
	c->sock = -1;
	c->event = -1;
	c->alive = MAP_FAILED;
	c->spin_ns = SPIN_DEFAULT_NS;
	c->random = rk_clock_ns();
	(void)pthread_mutex_init(&c->lock, NULL);
	r = open_client(c, fleet, name, &err);
	if (r < 0) {
		rk_client_error_set(err.text[0] ? err.text : strerror(-r));
		rk_client_close(c);
		return r;
	}
	rk_client_resume(c);
	*ret = c;
	return 0;
}

/*
 * Our connection's end says that page and line are free again. When it has been cut, as by keeper's
 * death under systemd, the supervisor knows us by our process alone: without a word both would be
 * ours until that ends. Whoever is not there to hear it within a moment never will.
 */
static void say_farewell(struct rk_client *c)
{
	struct rk_question q = { .fleet = c->fleet };
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	char request[REQUEST_MAX], more[96];
	struct json_object *answer = NULL;

	if (!c->reader || !rk_connect_is_cut(c->sock) || rk_client_has_ended(c))
		return;
	(void)snprintf(more, sizeof(more), ",\"page\":%u,\"id\":%llu,\"reader\":%u", c->caller.page,
		       (unsigned long long)c->caller.id, c->reader_line);
	request_write(request, c, "close", more);
	q.request = request;
	q.deadline_ns = rk_clock_ns() + CLOSE_NS;
	rk_close_p(&c->sock);
	if (rk_question_ask(&q, &c->sock, &answer, &fds, NULL) == 0)
		json_object_put(answer);
}

void rk_client_close(struct rk_client *c)
{
	if (!c)
		return;
	/* In a forked child the mappings are not there; only what is private is freed. */
	if (c->alive != MAP_FAILED && *c->alive) {
		rk_client_stop_thread(c);
		say_farewell(c);
		rk_detach(&c->m);
	}
	if (c->alive != MAP_FAILED)
		(void)munmap(c->alive, 4096);
	if (c->event >= 0)
		(void)close(c->event);
	if (c->sock >= 0)
		(void)close(c->sock); /* tells the supervisor */
	(void)pthread_mutex_destroy(&c->lock);
	free(c->slots);
	free(c);
}

void rk_client_spin(struct rk_client *c, uint32_t us)
{
	c->spin_ns = us == RK_SPIN_FOREVER ? UINT64_MAX : us * RK_NS_PER_US;
}

int rk_client_usable(struct rk_client *c)
{
	uint64_t id;

	if (rk_unlikely(!*c->alive))
		return RK_FORKED;
	/* Acquire: a changed id says that the page is somebody else's now. */
	id = atomic_load_explicit(&rk_shm_client_ids(&c->m)[c->caller.page], memory_order_acquire);
	if (rk_unlikely(id != c->caller.id))
		return id == RK_CLIENT_ENDED ? RK_ENDED : RK_STALE;
	return 0;
}

int rk_client_collectable(struct rk_client *c)
{
	int r = rk_client_usable(c);

	return r == RK_ENDED ? 0 : r;
}

int rk_client_has_ended(const struct rk_client *c)
{
	/* Z2: seq_cst, behind the park, so that no wake-up is missed; pairs with Z1 in rk_board_end(). */
	return atomic_load_explicit(&rk_shm_client_ids(&c->m)[c->caller.page], memory_order_seq_cst) == RK_CLIENT_ENDED;
}

uint64_t rk_client_deadline(uint32_t timeout_ms)
{
	if (timeout_ms == RK_TIMEOUT_NONE)
		return 0;
	return rk_clock_ns() + (timeout_ms ? timeout_ms : RK_TIMEOUT_DEFAULT_MS) * RK_NS_PER_MS;
}

void rk_client_free_slot(struct rk_client *c, uint32_t slot)
{
	c->slots[slot] = (struct rk_client_slot){ .use = RK_USE_FREE };
	if (slot >= c->n_usable)
		return; /* beyond QuotaPerClient: only a call of an earlier time was there */
	c->slots[slot].next = c->free_head;
	c->free_head = slot + 1;
}

int rk_client_begin(struct rk_client *c, const struct rk_request *request, uint64_t deadline_ns, enum rk_use use,
		    uint32_t *ret_slot)
{
	size_t key_len = request->key_len || !request->key ? request->key_len : strlen(request->key);
	struct rk_call_request r = { .key = request->key, .key_len = (uint32_t)key_len, .body = request->body,
				     .len = (uint32_t)request->len, .tag = request->tag, .deadline_ns = deadline_ns };
	struct rk_client_slot *s;
	uint32_t slot;

	if (!request->key || (!request->body && request->len))
		return -EINVAL;
	if (key_len > c->m.g.request_max || request->len > c->m.g.request_max - key_len)
		return RK_TOO_LARGE;
	if (!c->free_head)
		rk_client_sweep_unattended(c);
	if (!c->free_head)
		return RK_NO_SLOT;
	slot = c->free_head - 1;
	s = &c->slots[slot];
	r.partition = rk_route_partition(&c->m.g, request->key, key_len);
	switch (rk_call_start(&c->caller, slot, &r, &s->call)) {
	case RK_CALL_STARTED:
		break;
	case RK_CALL_FULL:
	case RK_CALL_NO_CELL:
		return RK_FULL;
	case RK_CALL_WORN_OUT:
		return RK_STALE;
	}
	c->free_head = s->next;
	s->use = use;
	s->deadline_ns = deadline_ns;
	s->next = 0;
	s->resumed = false;
	c->n_submitted += use == RK_USE_SUBMITTED;
	*ret_slot = slot;
	return 0;
}

void rk_client_handle(struct rk_client *c, uint32_t slot, struct rk_reply *reply)
{
	const struct rk_client_slot *s = &c->slots[slot];

	*reply = (struct rk_reply){
		.partition = s->call.partition, .tag = rk_call_tag(&c->caller, &s->call),
		.sequence = s->call.sequence, .flags = s->resumed ? RK_RESUMED : 0, .slot = slot + 1,
	};
}

int rk_client_collect(struct rk_client *c, uint32_t slot, struct rk_reply *reply)
{
	struct rk_call_reply r;

	rk_call_reply(&c->caller, &c->slots[slot].call, &r);
	rk_client_handle(c, slot, reply);
	reply->body = r.bytes;
	reply->len = r.len;
	reply->error = r.error;
	reply->job = r.job;
	return r.error ? RK_FAILED : RK_DONE;
}

int rk_client_not_applied(const struct rk_client *c, const struct rk_call *call)
{
	uint64_t route = atomic_load_explicit(&rk_shm_routes(&c->m)[call->partition], memory_order_acquire);

	if (rk_client_has_ended(c))
		return RK_ENDED;
	if (!(rk_route_flags(route) & RK_ROUTE_UP))
		return RK_NO_WORKER;
	/* Nobody withdrew it, yet no ring names it: the owner had no room for its reply. */
	return call->withdrawn ? RK_NOT_APPLIED : RK_FULL;
}

int rk_client_where(struct rk_client *c, const char *key, size_t key_len, uint32_t *ret_partition,
		    uint32_t *ret_worker, int *ret_pid)
{
	uint32_t partition = rk_route_partition(&c->m.g, key, key_len ? key_len : strlen(key)), worker;
	int r = rk_client_usable(c);

	if (r)
		return r == RK_FORKED ? -ECHILD : -ESTALE;
	worker = rk_route_worker(atomic_load_explicit(&rk_shm_routes(&c->m)[partition], memory_order_acquire));
	*ret_partition = partition;
	*ret_worker = worker;
	*ret_pid = -1;
	(void)pthread_mutex_lock(&c->lock); /* one reader line, one section at a time */
	if (worker < c->m.g.n_workers) {
		const struct rk_view *v = rk_epoch_enter(&c->m, c->reader);
		const struct rk_view_slot *slot = &((const struct rk_view_slot *)(v + 1))[worker];

		*ret_pid = slot->pid ? slot->pid : -1;
		rk_epoch_leave(c->reader);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return 0;
}

void rk_client_resume(struct rk_client *c)
{
	struct rk_call *calls = calloc(c->m.g.n_slots, sizeof(*calls));
	uint32_t n = calls ? rk_call_resume(&c->caller, calls) : 0;

	/* The slots that are taken leave the free list; the rest is linked anew, lowest first. */
	c->free_head = 0;
	for (uint32_t s = c->m.g.n_slots; s-- > 0;) {
		uint32_t k = 0;

		while (k < n && calls[k].slot != s)
			k++;
		if (k == n) {
			rk_client_free_slot(c, s);
			continue;
		}
		c->slots[s] = (struct rk_client_slot){ .use = RK_USE_ASYNC, .resumed = true, .call = calls[k],
						       .next = c->async_head };
		c->async_head = s + 1;
		if (!c->async_tail)
			c->async_tail = s + 1;
		c->n_async++;
	}
	free(calls);
}
