/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_reader.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/look.h"
#include "shm/epoch.h"

#define LOOKS 1024u /* in a row; then somebody else gets the CPU for a while */
#define PAUSE_MS 1
#define OPEN_TRIES 500 /* of 10 ms: until the supervisor has freed a predecessor's line */

/* One section. Returns whether the view stayed as it was, and is none older than the last one. */
static bool look(struct rk_look *l)
{
	uint64_t last = l->view->version;
	const struct rk_view *v = rk_epoch_enter(&l->m, l->line);
	bool same;

	memcpy(l->view, v, l->m.l.view_stride);
	atomic_signal_fence(memory_order_seq_cst); /* read again, not remembered */
	same = memcmp(l->view, v, l->m.l.view_stride) == 0;
	rk_epoch_leave(l->line);
	return same && l->view->version >= last;
}

static int open_board(struct rk_look *l, const char *fleet, struct rk_err *err)
{
	int r = -ENOSPC;

	for (int i = 0; i < OPEN_TRIES && r == -ENOSPC; i++) {
		if (i)
			(void)poll(NULL, 0, 10);
		rk_look_close_p(l);
		r = rk_look_open_line(l, fleet, 0, err);
	}
	return r;
}

int rk_demo_reader_main(int argc, char **argv)
{
	rk_cleanup(rk_look_close_p) struct rk_look l = RK_LOOK_NONE;
	struct rk_err err = { 0 };

	if (argc != 2)
		return rk_cli_complain(RK_CLI_USAGE, "%s is for 'rekindle demo' itself", RK_DEMO_READER_ARGUMENT);
	if (open_board(&l, argv[1], &err) < 0)
		return rk_cli_complain(RK_CLI_UNREACHABLE, "%s", err.text);
	for (uint32_t n = 1; look(&l); n++)
		if (n % LOOKS == 0)
			(void)poll(NULL, 0, PAUSE_MS);
	return rk_cli_complain(RK_CLI_FAILED, "a view of the board changed under a reader");
}
