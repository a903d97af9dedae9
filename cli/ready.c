/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ready.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "cli/snapshot.h"
#include "shm/board.h"

/* Not running, or just beginning or ending. */
static bool may_come(int r)
{
	return r == -ENOENT || r == -ECONNRESET || r == -EPIPE;
}

static int await_fleet(struct rk_look *l, const char *name, uint64_t deadline_ns,
		       struct rk_err *err)
{
	for (;;) {
		int r = rk_look_open_until(l, name, deadline_ns, err);
		uint64_t now_ns = rk_clock_ns();

		if (r == 0 || !may_come(r) || now_ns >= deadline_ns)
			return r;
		rk_look_close_p(l);
		(void)poll(NULL, 0,
			   (int)rk_min_u64(RK_READY_LOOK_MS,
					   (deadline_ns - now_ns) / RK_NS_PER_MS + 1));
	}
}

static bool all_ready(const struct rk_look *l)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < l->m.g.n_workers; slot++) {
		struct rk_snapshot_worker w;

		if (!rk_snapshot_is_wanted(rk_look_slot(l, slot)->state))
			continue;
		w = rk_snapshot_worker(l, slot);
		if (!rk_snapshot_is_ready(&w))
			return false;
		n++;
	}
	return n > 0 && rk_snapshot_n_unserved(l) == 0;
}

/* Whether supervisor or keeper has ended, which may mean the fleet has: neither says anything on its own. */
static bool has_ended(const struct rk_look *l)
{
	struct pollfd p = { .fd = rk_look_end_fd(l), .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static int await_workers(struct rk_look *l, uint64_t deadline_ns, struct rk_err *err)
{
	for (;;) {
		uint32_t seen = rk_board_mark(&l->m);
		uint64_t now_ns = rk_clock_ns();

		rk_look_view(l);
		if (all_ready(l))
			return 0;
		if (has_ended(l)) {
			int r = rk_look_go_on(l, deadline_ns, err);

			if (r < 0)
				return r == -ENOENT ? rk_err_set(err, r, "fleet '%s' has ended", l->ask.fleet) : r;
		}
		if (now_ns >= deadline_ns)
			return RK_READY_LATE;
		rk_board_await(&l->m, seen,
			       rk_min_u64(deadline_ns, now_ns + RK_READY_LOOK_MS * RK_NS_PER_MS));
	}
}

int rk_ready_wait(struct rk_look *l, const char *name, uint64_t deadline_ns, struct rk_err *err)
{
	for (;;) {
		int r = await_fleet(l, name, deadline_ns, err);

		if (r < 0 || l->absence.kind == RK_ABSENCE_NONE)
			return r < 0 ? r : await_workers(l, deadline_ns, err);
		if (rk_clock_ns() >= deadline_ns)
			return RK_READY_LATE;
		/* What the board says nobody has looked after: it may be old. */
		rk_look_close_p(l);
		(void)poll(NULL, 0, RK_READY_LOOK_MS);
	}
}
