/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address: kinds that take no jobs: clients ask where a key lives (`rekindle key`) and go there
 * themselves. What is seen of the program are probes and what it tells (sd_notify).
 *
 * Who       the bridge's one thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "workers/bridge/bridge.h"
#include "workers/bridge/signs.h"
#include "workers/bridge/sockets.h"

int rk_bridge_launch(struct rk_bridge *b, struct rk_err *err)
{
	struct rk_sockets_told told = { 0 };
	char *variables[RK_SOCKETS_VARIABLES_MAX + RK_SIGNS_VARIABLES];
	uint32_t n = 0;
	struct rk_program_plan plan = { .argv = b->argv, .in = RK_STREAM_INHERITED, .out = RK_STREAM_INHERITED };
	char **envp;
	int r = b->port && !b->o.n_listen ? rk_sockets_port_is_free(b->port, err) : 0;

	if (r == 0)
		r = rk_signs_open(b, err);
	if (r == 0)
		r = rk_sockets_tell(&b->o, &told, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < told.n_variables; i++)
		variables[n++] = told.variables[i];
	for (unsigned int i = 0; i < RK_SIGNS_VARIABLES; i++)
		if (rk_signs_variable(b, i))
			variables[n++] = (char *)(uintptr_t)rk_signs_variable(b, i);
	envp = rk_bridge_environment(variables, n);
	plan.envp = envp;
	plan.fds = told.fds;
	plan.n_fds = told.n_fds;
	plan.pid_variable = told.pid_variable;
	r = envp ? rk_program_start(&plan, &b->program, err) : rk_err_set(err, -ENOMEM, "no memory for an environment");
	free(envp);
	rk_sockets_told_free(&told);
	if (r == 0)
		rk_signs_begin(b);
	return r;
}

void rk_bridge_ask_to_end(struct rk_bridge *b)
{
	rk_signs_end(b);
	if (b->program.pid)
		(void)kill(b->program.pid, b->o.kill_signal);
}

void rk_bridge_land(struct rk_bridge *b)
{
	rk_signs_close(b);
}

const struct rk_bridge_kind_ops rk_bridge_address = {
	.start = rk_bridge_launch, .stop = rk_bridge_ask_to_end, .close = rk_bridge_land
};
