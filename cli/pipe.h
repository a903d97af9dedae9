/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe: 'rekindle run' as a filter. Lines of standard input become jobs of a fleet of its own,
 * their answers standard output, in the same order.
 *
 * Who       rekindle run, one thread.
 * Crash     killed, its fleet ends (PDEATHSIG); lines without an answer on standard output may have
 *           been worked on.
 * Blocking  until input and answers are at an end.
 */
#ifndef RK_CLI_PIPE_H
#define RK_CLI_PIPE_H

#include "cli/pipe_plan.h"

/* Runs it. Returns the exit status; does not return from a closed standard output: dies of SIGPIPE as a filter does. */
int rk_pipe_run(struct rk_pipe_plan *plan);

#endif
