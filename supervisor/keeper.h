/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeper: the root process of a fleet. It starts the supervisor, and the next one at once when
 * that dies; it holds a copy of every memfd, pidfd and client's connection and hands them to each
 * supervisor, reaps every process of the fleet and tells how each ended, passes signals on, and
 * sees to it that nothing is left at the end, and that who still waits for the fleet hears of it
 * (farewell.h). It parses nothing and decides nothing else.
 *
 * Who       one process, one thread.
 * Crash     when keeper is killed, the kernel kills the supervisor and every worker
 *           (PDEATHSIG), stopped ones too; what stays is a dead socket that the next start
 *           replaces. Where systemd keeps the memory too (store.h) it is the supervisor alone
 *           that dies: the next keeper's supervisor adopts the workers.
 * Blocking  only in poll(); no timer but after a stop was asked for, before a supervisor that died
 *           again and again is started once more, in an upgrade, and for WatchdogSec=.
 *
 *              died                 BEGIN, HELD…            READY
 *   supervisor ----> none (backoff) ------------> adopting ------> supervisor
 *
 *   signal or STOPPING      supervisor ends        no child left
 *   ------------------> stop asked -----------> sweep ----------> sockets removed, exit
 *                           | timeout + 1 s, second signal: SIGKILL to the supervisor
 */
#ifndef RK_SUPERVISOR_KEEPER_H
#define RK_SUPERVISOR_KEEPER_H

#define RK_KEEPER_TABLE 2u /* version of what keeper hands to itself as another binary */
#define RK_KEEPER_WAY 75 /* exit status: the next keeper is to come, the fleet goes on (SIGUSR1) */

/*
 * Runs the fleet to its end; argv is what the supervisor is started with. Returns the exit
 * status: the supervisor's own (0 after a stop), 1 when it was killed for good.
 */
int rk_keeper_run(char *const *argv);

#endif
