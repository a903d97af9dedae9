/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A call with a body of 64 bytes takes at most 0.7 us and 2.5 times a
 *         raw round trip when both sides spin; at most 2 us warm (both poll for
 *         a while); parked, at most 1.25 times a raw futex round trip. With 64
 *         calls in flight one client and one worker do at least 5 million jobs
 *         a second, each replied to and read; 10 million with up to 16 or 64 a
 *         commit.
 * Method  A real fleet of one worker on processor 1, the client on processor 0.
 *         The floors are two processes on the same processors: one line each
 *         way with spinning or a futex, or 64 slots of a line each way. Fleet and
 *         floor take turns in blocks; whoever's turn it is not is stopped. Each
 *         call is timed by itself; a rate is that of a block.
 */
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/fleet.h"

#define BODY 64u
#define N_FLIGHT 64u
#define N_BLOCKS 20u
#define NAP_NS (150 * RK_NS_PER_US) /* long enough for the other side to fall asleep */
#define CHANGE_NS (2 * RK_NS_PER_MS)

/* ---- the floor: a peer without rekindle ---- */

enum order { SPIN, FUTEX, SLOTS };

struct slot {
	_Atomic uint64_t word __attribute__((aligned(64))); /* rises with each message */
	char bytes[BODY] __attribute__((aligned(64)));
};

struct floor_shared {
	enum order order;
	struct slot request[N_FLIGHT], reply[N_FLIGHT];
	_Atomic uint32_t bell[2] __attribute__((aligned(64)));
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load_explicit(word, memory_order_acquire) == value)
		(void)syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_raise(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void await_word(const struct slot *s, uint64_t value)
{
	struct slot *at = (struct slot *)(uintptr_t)s;

	while (atomic_load_explicit(&at->word, memory_order_acquire) != value)
		rk_relax();
}

static void send_slot(struct slot *to, const char *bytes, uint64_t value)
{
	memcpy(to->bytes, bytes, BODY);
	atomic_store_explicit(&to->word, value, memory_order_release);
}

static _Noreturn void floor_peer(struct floor_shared *s)
{
	bench_pin(1);
	if (s->order == FUTEX)
		for (uint32_t i = 1;; i++) {
			futex_wait(&s->bell[0], i - 1);
			futex_raise(&s->bell[1], i);
		}
	for (uint64_t i = 0;; i++) {
		uint32_t k = s->order == SPIN ? 0 : i % N_FLIGHT;
		uint64_t value = s->order == SPIN ? i + 1 : i / N_FLIGHT + 1;

		await_word(&s->request[k], value);
		send_slot(&s->reply[k], s->request[k].bytes, value);
	}
}

/* ---- one set-up: a fleet, a client, a floor ---- */

struct call_bench {
	struct bench_fleet fleet;
	struct rk_client *client;
	pid_t worker, peer;
	struct floor_shared *shared;
	uint64_t n_floor; /* messages the peer has answered */
	bool naps;
	struct rk_reply reply;
};

static void start(struct call_bench *b, enum order order, const char *const *worker_options, uint32_t spin_us)
{
	static const char *const options[] = { "--workers=1", "--partitions=1", "--slots=66", "--dedup=256", NULL };

	*b = (struct call_bench){ .shared = bench_shared(sizeof(*b->shared)), .naps = order == FUTEX };
	bench_fleet_start(&b->fleet, options, worker_options);
	b->client = bench_fleet_client();
	rk_client_spin(b->client, spin_us);
	b->worker = bench_fleet_worker(b->client);
	b->shared->order = order;
	b->peer = bench_fork();
	if (b->peer == 0)
		floor_peer(b->shared);
	(void)kill(b->peer, SIGSTOP);
	bench_pin(0);
}

static void stop(struct call_bench *b)
{
	rk_client_close(b->client);
	bench_kill(b->peer);
	bench_fleet_stop(&b->fleet);
}

/* From the fleet's turn to the floor's, or back. */
static void change(const struct call_bench *b, bool floor)
{
	(void)kill(floor ? b->worker : b->peer, SIGSTOP);
	(void)kill(floor ? b->peer : b->worker, SIGCONT);
	bench_nap(CHANGE_NS);
}

/* ---- round trips ---- */

static double call_ns(struct call_bench *b)
{
	static const char body[BODY];
	const struct rk_request request = { .key = "key", .key_len = 3, .body = body, .len = BODY };
	uint64_t start_ns;

	if (b->naps)
		bench_nap(NAP_NS);
	start_ns = rk_clock_ns();
	bench_need(rk_call(b->client, &request, &b->reply) == RK_DONE && b->reply.len == BODY, "a reply");
	return (double)(rk_clock_ns() - start_ns);
}

static double floor_ns(struct call_bench *b)
{
	static const char body[BODY];
	char copy[BODY];
	uint64_t start_ns, i = ++b->n_floor;

	if (b->naps)
		bench_nap(NAP_NS);
	start_ns = rk_clock_ns();
	if (b->naps) {
		futex_raise(&b->shared->bell[0], (uint32_t)i);
		futex_wait(&b->shared->bell[1], (uint32_t)i - 1);
	} else {
		send_slot(&b->shared->request[0], body, i);
		await_word(&b->shared->reply[0], i);
		memcpy(copy, b->shared->reply[0].bytes, BODY);
		__asm__ volatile("" : : "r"(copy) : "memory");
	}
	return (double)(rk_clock_ns() - start_ns);
}

static void round_trips(struct bench_case what, enum order order, const char *const *worker_options, uint32_t spin_us,
			uint32_t n_block)
{
	double *took = calloc((uint64_t)N_BLOCKS * n_block, sizeof(*took));
	double *floor = calloc((uint64_t)N_BLOCKS * n_block, sizeof(*floor));
	struct call_bench b;

	bench_need(took && floor, "memory");
	start(&b, order, worker_options, spin_us);
	for (uint32_t i = 0; i < N_BLOCKS * n_block; i++) {
		if (i % n_block == 0) {
			change(&b, false);
			for (uint32_t k = 0; k < n_block / 16; k++)
				(void)call_ns(&b);
		}
		took[i] = call_ns(&b) / 1000;
		if (i % n_block != n_block - 1)
			continue;
		change(&b, true);
		for (uint32_t k = 0; k < n_block; k++)
			floor[i - k] = floor_ns(&b) / 1000;
	}
	change(&b, false);
	stop(&b);
	what.bench = "call";
	what.unit = "us";
	what.n_runs = N_BLOCKS * n_block;
	bench_print(&what, took, floor);
	free(took);
	free(floor);
}

/* ---- 64 in flight ---- */

/* Without a time-out: a caller of that many knows its own time. */
static double call_rate(struct call_bench *b, uint32_t n)
{
	static const char body[BODY];
	const struct rk_request request = { .key = "key", .key_len = 3, .body = body, .len = BODY,
					    .timeout_ms = RK_TIMEOUT_NONE };
	uint64_t start_ns = rk_clock_ns();
	uint32_t n_begun = 0;

	for (uint32_t n_read = 0; n_read < n; n_read++) {
		for (; n_begun < n && n_begun - n_read < N_FLIGHT; n_begun++)
			bench_need(rk_call_async(b->client, &request) == 0, "room for a call");
		bench_need(rk_next(b->client, RK_TIMEOUT_NONE, &b->reply) == RK_DONE && b->reply.len == BODY, "a reply");
	}
	return n * 1e3 / (double)(rk_clock_ns() - start_ns);
}

static double floor_rate(struct call_bench *b, uint32_t n)
{
	static const char body[BODY];
	char copy[BODY];
	uint64_t start_ns = rk_clock_ns();

	for (uint64_t i = b->n_floor; i < b->n_floor + n + N_FLIGHT; i++) {
		uint32_t k = i % N_FLIGHT;

		if (i >= b->n_floor + N_FLIGHT) {
			await_word(&b->shared->reply[k], i / N_FLIGHT);
			memcpy(copy, b->shared->reply[k].bytes, BODY);
			__asm__ volatile("" : : "r"(copy) : "memory");
		}
		if (i < b->n_floor + n)
			send_slot(&b->shared->request[k], body, i / N_FLIGHT + 1);
	}
	b->n_floor += n;
	return n * 1e3 / (double)(rk_clock_ns() - start_ns);
}

static void rates(struct bench_case what, const char *const *worker_options, uint32_t n_runs, uint32_t n)
{
	double *took = calloc(n_runs, sizeof(*took)), *floor = calloc(n_runs, sizeof(*floor));
	struct call_bench b;

	bench_need(took && floor, "memory");
	start(&b, SLOTS, worker_options, RK_SPIN_FOREVER);
	for (uint32_t i = 0; i < n_runs; i++) {
		change(&b, false);
		(void)call_rate(&b, n / 16);
		took[i] = call_rate(&b, n);
		change(&b, true);
		floor[i] = floor_rate(&b, n);
	}
	change(&b, false);
	stop(&b);
	what.bench = "call";
	what.unit = "M jobs/s";
	what.n_runs = n_runs;
	what.more = true;
	bench_print(&what, took, floor);
	free(took);
	free(floor);
}

int main(void)
{
	static const char *const spinning[] = { "--cpu=1", "--spin-us=forever", NULL };
	static const char *const warm[] = { "--cpu=1", NULL };
	static const char *const parked[] = { "--cpu=1", "--spin-us=1", NULL };
	static const char *const some[] = { "--cpu=1", "--spin-us=forever", "--batch=16", NULL };
	static const char *const batched[] = { "--cpu=1", "--spin-us=forever", "--batch=64", NULL };
	const char *line = "a line each way, both spin", *slots = "64 slots of a line each way, both spin";

	round_trips((struct bench_case){ .name = "round trip, spinning", .floor_what = line, .aim = 0.7, .aim_ratio = 2.5 },
		    SPIN, spinning, RK_SPIN_FOREVER, bench_scale(5000));
	round_trips((struct bench_case){ .name = "round trip, warm", .floor_what = line, .aim = 2 }, SPIN, warm, 50,
		    bench_scale(5000));
	round_trips((struct bench_case){ .name = "round trip, parked", .floor_what = "two futexes, both sleep",
					 .aim_ratio = 1.25 },
		    FUTEX, parked, 0, bench_scale(100));
	rates((struct bench_case){ .name = "64 in flight", .floor_what = slots, .aim = 5 }, spinning, bench_scale(200),
	      1u << 15);
	rates((struct bench_case){ .name = "64 in flight, 16 a commit", .floor_what = slots, .aim = 10 }, some,
	      bench_scale(200), 1u << 15);
	rates((struct bench_case){ .name = "64 in flight, 64 a commit", .floor_what = slots, .aim = 10 }, batched,
	      bench_scale(200), 1u << 15);
	return 0;
}
