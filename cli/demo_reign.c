/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_reign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/rundir.h"

int rk_demo_reign_begin(struct rk_demo_reign *r, const char *fleet, struct rk_err *err)
{
	char path[RK_PATH_MAX];
	int code = rk_rundir_path(fleet, RK_RUNDIR_FLIGHT, path, err);

	if (code == 0)
		code = rk_flight_reader_open(&r->reader, path, err);
	if (code < 0)
		return code;
	r->gaps_ns = calloc(RK_DEMO_REIGNS_MAX, sizeof(*r->gaps_ns));
	if (!r->gaps_ns)
		return rk_err_set(err, -ENOMEM, "no memory for %u figures", RK_DEMO_REIGNS_MAX);
	rk_demo_reign_look(r); /* what is past is not ours */
	return 0;
}

void rk_demo_reign_killed(struct rk_demo_reign *r, uint64_t killed_ns)
{
	r->n_unmeasured += r->killed_ns != 0;
	r->killed_ns = killed_ns;
}

static void begun(struct rk_demo_reign *r, uint64_t now_ns)
{
	if (r->killed_ns == 0 || now_ns < r->killed_ns)
		return;
	r->last_ns = now_ns - r->killed_ns;
	r->killed_ns = 0;
	if (r->n_gaps < RK_DEMO_REIGNS_MAX)
		r->gaps_ns[r->n_gaps++] = r->last_ns;
}

void rk_demo_reign_look(struct rk_demo_reign *r)
{
	struct rk_flight_entry e;

	while (r->reader.fd >= 0 && rk_flight_reader_next(&r->reader, true, &e) == 0)
		if (e.record.kind == RK_FLIGHT_START)
			begun(r, e.record.now_ns);
}

void rk_demo_reign_free(struct rk_demo_reign *r)
{
	rk_flight_reader_close_p(&r->reader);
	free(r->gaps_ns);
	r->gaps_ns = NULL;
}
