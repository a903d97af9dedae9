/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rundir: where a fleet's sockets are, and which fleets there are.
 *
 * Who       supervisor, library, CLI. Blocking: file system calls; a lock that
 *           is held is given up after 50 ms.
 */
#ifndef RK_SHM_RUNDIR_H
#define RK_SHM_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "shm/abi.h"

#define RK_RUNDIR_FLIGHT "flight" /* the file of flight.h */
#define RK_RUNDIR_BOARD "board"   /* the socket of board_socket.h */
#define RK_PATH_MAX 100u /* a unix socket's path has 108 bytes */

/* 0, or -EINVAL with what a name may be: 1 to 63 of letters, digits, '.', '_', '-', '@', not beginning with '.'. */
RK_MUST_USE int rk_name_check(const char *name, struct rk_err *err);

/* The directory that holds all of this user's fleets. 0; -ENAMETOOLONG. */
RK_MUST_USE int rk_rundir_base(char ret[static RK_PATH_MAX], struct rk_err *err);

/* BASE/NAME/FILE, or BASE/NAME when file is NULL. The name has been checked. 0; -ENAMETOOLONG. */
RK_MUST_USE int rk_rundir_path(const char *name, const char *file, char ret[static RK_PATH_MAX], struct rk_err *err);

/*
 * Whether a fleet of this name, which has been checked, runs: its directory is locked, also while
 * its supervisor is dead and the next one is on its way.
 */
enum rk_rundir_life {
	RK_RUNDIR_NOBODY, /* none */
	RK_RUNDIR_HELD,   /* it does */
	RK_RUNDIR_HIDDEN  /* the directory is there, and only its owner may see more */
};
enum rk_rundir_life rk_rundir_look(const char *name);

/*
 * Names of the fleets that run now (their directory is locked), at most n_max,
 * sorted. Returns how many there are, or -errno.
 */
int rk_rundir_list(char names[][RK_NAME_MAX], size_t n_max, struct rk_err *err);

/* The same of those that do not run, and have not ended in order: their flight recorder or board is left. */
int rk_rundir_list_left(char names[][RK_NAME_MAX], size_t n_max, struct rk_err *err);

/* Whether a fleet of this name, which has been checked, has left its flight recorder. */
bool rk_rundir_has_left(const char *name);

/*
 * One rekindled has one directory and may run several fleets in it: people write
 * NAME, or NAME/FLEET. rk_fleet_name_check() accepts both. 0 or -EINVAL.
 */
RK_MUST_USE int rk_fleet_name_check(const char *name, struct rk_err *err);

/* The FLEET of `name`, or of $REKINDLE_NAME when that is NULL; NULL when it names none. Points into it. */
const char *rk_fleet_part(const char *name);

/*
 * Chooses the directory: the NAME of `name` if not NULL, else of $REKINDLE_NAME,
 * else the only one running. 0; -ENOENT none runs, -E2BIG several do (their names in the text),
 * -EINVAL a bad name.
 */
RK_MUST_USE int rk_rundir_choose(const char *name, char ret[static RK_NAME_MAX], struct rk_err *err);

/* The same; when none runs, the only one that has left a flight recorder behind. */
RK_MUST_USE int rk_rundir_choose_left(const char *name, char ret[static RK_NAME_MAX], struct rk_err *err);

/*
 * Supervisor: makes BASE and BASE/NAME (0700, ours), locks the latter. Returns
 * the descriptor that holds the lock; -EBUSY when a fleet of this name runs;
 * -EPERM when a directory is not ours. BASE may be root's, and root's is 0711.
 */
RK_MUST_USE int rk_rundir_lock(const char *name, struct rk_err *err);

/*
 * Supervisor, holding the lock: lets others come as far as the socket: those of the group gid,
 * unless that is (gid_t)-1, and everybody if is_for_all; the socket's own mode says who may use
 * it. Nobody can list the directories. 0 or -errno.
 */
RK_MUST_USE int rk_rundir_admit(const char *name, gid_t gid, bool is_for_all, struct rk_err *err);

/*
 * Removes a fleet's sockets, and its directory if nothing is left in it: a flight recorder stays
 * when the fleet did not end in order. What is not there does not matter.
 */
void rk_rundir_close(const char *name);

/*
 * The same for a fleet whose control socket is systemd's: it stays, and so does the directory.
 */
void rk_rundir_leave(const char *name);

/* Removes the flight recorder too. */
void rk_rundir_remove(const char *name);

#endif
