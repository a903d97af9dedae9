/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeper: the root process of a fleet. It starts the supervisor, holds a copy of every memfd
 * and pidfd, reaps every process of the fleet and tells the supervisor how each ended, passes
 * signals on, and sees to it that nothing is left at the end. It parses nothing and decides
 * nothing else.
 *
 * Who       one process, one thread.
 * Crash     when keeper is killed, the kernel kills the supervisor and every worker
 *           (PDEATHSIG), stopped ones too; what stays is a dead socket that the next start
 *           replaces. When the supervisor dies, keeper kills every child until none is left.
 * Blocking  only in poll(); no timer but after a stop was asked for.
 *
 *   signal or STOPPING      supervisor ends        no child left
 *   ------------------> stop asked -----------> sweep ----------> sockets removed, exit
 *                           | timeout + 1 s, second signal: SIGKILL to the supervisor
 */
#ifndef RK_SUPERVISOR_KEEPER_H
#define RK_SUPERVISOR_KEEPER_H

/*
 * Runs the fleet to its end; argv is what the supervisor is started with. Returns the exit
 * status: the supervisor's own (0 after a stop), 1 when it was killed.
 */
int rk_keeper_run(char *const *argv);

#endif
