/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shm/part.h"
#include "shm/queue.h"
#include "shm/words.h"

#define GUARD 4096ull

struct rk_geometry fixture_geometry(void)
{
	return (struct rk_geometry){
		.n_partitions = 4,
		.n_ring = 64,
		.n_workers = 4,
		.n_clients = 3,
		.n_slots = 2,
		.n_cells = 4,
		.n_dedup = 4,
		.n_log = 32,
		.log_data_len = 256,
		.request_max = 64,
		.reply_max = 64,
		.state_max = 4096, /* whole pages: a bank ends where its mapping ends */
		.n_banks = 1,
		.n_dead = 4,
		.n_readers = 63, /* with the head one page, so that this segment ends where its mapping does */
	};
}

static char *map_guarded(uint64_t len)
{
	char *all = mmap(NULL, len + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(all, MAP_FAILED);
	ck_assert_uint_eq(len % GUARD, 0);
	ck_assert_int_eq(mprotect(all + GUARD, len, PROT_READ | PROT_WRITE), 0);
	return all + GUARD;
}

static void point_at_maps(struct fixture *f)
{
	f->m.board = (struct rk_board *)(void *)f->maps[RK_SEGMENT_BOARD].at;
	f->m.beats = f->maps[RK_SEGMENT_BEATS].at;
	f->m.calls = f->maps[RK_SEGMENT_CALLS].at;
	f->m.queues = f->maps[RK_SEGMENT_QUEUES].at;
	f->m.parts = f->maps[RK_SEGMENT_PARTS].at;
	f->m.readers = f->maps[RK_SEGMENT_READERS].at;
	f->m.dead = f->maps[RK_SEGMENT_DEAD].at;
	f->m.journal = (struct rk_journal *)(void *)f->maps[RK_SEGMENT_JOURNAL].at;
}

struct fixture *fixture_new(const struct rk_geometry *g, uint64_t first)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct rk_err err = { 0 };

	ck_assert_ptr_nonnull(f);
	f->m.g = g ? *g : fixture_geometry();
	ck_assert_msg(rk_geometry_check(&f->m.g, &err) == 0, "%s", err.text);
	ck_assert_uint_le(f->m.g.n_partitions, FIXTURE_BANKS);
	rk_layout_init(&f->m.g, &f->m.l);
	for (uint32_t i = 1; i < RK_SEGMENT_KINDS + f->m.g.n_partitions; i++) {
		struct fixture_map *map = &f->maps[i];
		bool is_bank = i >= RK_SEGMENT_KINDS;

		if (i == RK_SEGMENT_STATE)
			continue; /* its banks are mapped one by one */
		map->name = is_bank ? "bank" : rk_segment_name((enum rk_segment_kind)i);
		map->len = is_bank ? f->m.l.bank_stride : rk_layout_segment_len(&f->m.l, (enum rk_segment_kind)i);
		map->at = map_guarded(map->len);
	}
	point_at_maps(f);
	f->m.board->geometry = f->m.g;
	for (uint32_t p = 0; p < f->m.g.n_partitions; p++) {
		rk_queue_init(&f->m, p, first);
		rk_part_init(&f->m, p, first);
		rk_part_route(&f->m, p, RK_WORKER_NONE, 0);
	}
	return f;
}

void fixture_free(struct fixture *f)
{
	for (uint32_t i = 0; i < FIXTURE_MAPS; i++)
		if (f->maps[i].at)
			(void)munmap(f->maps[i].at - GUARD, f->maps[i].len + 2 * GUARD);
	free(f);
}

char *fixture_bank(struct fixture *f, uint32_t partition)
{
	return f->maps[RK_SEGMENT_KINDS + partition].at;
}

void fixture_own(struct fixture *f, struct fixture_owner *w, uint32_t partition, uint32_t worker)
{
	w->room = malloc(rk_owner_room(&f->m));
	ck_assert_ptr_nonnull(w->room);
	ck_assert_int_gt(rk_part_assign(&f->m, partition, worker), 0);
	rk_part_route(&f->m, partition, worker, RK_ROUTE_UP);
	ck_assert_int_eq(
		rk_owner_open(&w->o, &f->m, partition, worker, 0, fixture_bank(f, partition), w->room), 0);
}

void fixture_disown(struct fixture_owner *w)
{
	free(w->room);
	w->room = NULL;
}

int fixture_add(struct rk_owner_job *job, void *arg)
{
	uint8_t body = job->len ? *(const uint8_t *)job->body : 0;
	void *state = job->owner->bank.state;
	uint64_t sum;
	int r;

	(void)arg;
	r = rk_owner_touch(job, state, sizeof(sum));
	if (r < 0)
		return r;
	memcpy(&sum, state, sizeof(sum));
	sum += body;
	memcpy(state, &sum, sizeof(sum));
	r = rk_owner_reply(job, &sum, sizeof(sum));
	return body == 0xff ? -EDOM : r;
}

uint64_t fixture_sum(struct fixture *f, uint32_t partition)
{
	struct rk_bank b;
	uint64_t sum;

	rk_bank_view(&b, &f->m, fixture_bank(f, partition));
	memcpy(&sum, b.state, sizeof(sum));
	return sum;
}

struct rk_caller fixture_caller(struct fixture *f, uint32_t page, uint64_t id)
{
	atomic_store_explicit(&rk_shm_client_ids(&f->m)[page], id, memory_order_release);
	return (struct rk_caller){ .m = &f->m, .page = page, .id = id };
}

enum rk_call_start fixture_start(struct rk_caller *c, uint32_t slot, uint32_t partition, uint8_t body,
				 struct rk_call *ret)
{
	return rk_call_start(c, slot,
			     &(struct rk_call_request){
				     .key = "key", .key_len = 3, .body = &body, .len = 1, .partition = partition },
			     ret);
}

void fixture_expect(struct rk_caller *c, struct rk_call *call, int error, uint64_t sum)
{
	struct rk_call_reply reply;
	uint64_t got;

	ck_assert_int_eq(rk_call_look(c, call), RK_CALL_DONE);
	rk_call_reply(c, call, &reply);
	ck_assert_int_eq(reply.error, error);
	ck_assert_uint_eq(reply.len, error ? 0 : sizeof(got));
	if (!error) {
		memcpy(&got, reply.bytes, sizeof(got));
		ck_assert_uint_eq(got, sum);
	}
	rk_call_release(c, call);
}

uint64_t fixture_call(struct rk_caller *c, struct fixture_owner *w, uint8_t body)
{
	struct rk_call_reply reply;
	struct rk_call call;
	uint64_t sum;

	ck_assert_int_eq(fixture_start(c, 0, w->o.partition, body, &call), RK_CALL_STARTED);
	ck_assert_int_eq(rk_owner_step(&w->o, fixture_add, NULL), 1);
	ck_assert_int_eq(rk_call_look(c, &call), RK_CALL_DONE);
	rk_call_reply(c, &call, &reply);
	ck_assert_uint_eq(reply.len, sizeof(sum));
	memcpy(&sum, reply.bytes, sizeof(sum));
	rk_call_release(c, &call);
	return sum;
}

uint64_t fixture_place(const struct fixture *f, uint32_t partition, uint64_t position)
{
	return atomic_load_explicit(rk_ring_place(&f->m, rk_shm_ring(&f->m, partition), position),
				    memory_order_acquire);
}
