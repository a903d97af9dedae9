/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kit: the descriptors that are held for a slot over its processes: the sockets of Listen=, and what a process has
 * sent to be kept for the next one (FDSTORE=1 of sd_notify(3)). Keeper has each too (RK_LINK_DESCRIPTOR), and systemd
 * where fleets outlive keeper, so that they last as long as the fleet.
 *
 * A process asks over its line, a socket pair of which it has one end and nobody else (StoreFd= of REKINDLE_BRIDGE): messages of
 * SOCK_SEQPACKET; the other end is held like the rest, so that what is asked while there is no supervisor waits
 * there. An answer is "N ok", or "N CODE A sentence", CODE the name of an errno.
 *
 *   N keep NAME, and one descriptor    kept behind those of this name; one of the same open file is there once
 *   N unkeep NAME                      all of this name are closed
 *
 * N is a number that comes back with the answer. If none comes within a second, it is asked again, with another number: a
 * supervisor may have died in between.
 *
 * Who       a crew, in the supervisor's loop. The other end of a line: hostile input.
 * Crash     what is answered "ok" is keeper's. A socket that was bound and not given to keeper is bound anew.
 * Blocking  never; allocates.
 */
#ifndef RK_SUPERVISOR_KIT_H
#define RK_SUPERVISOR_KIT_H

#include <systemd/sd-event.h>

#include "supervisor/inherit.h"
#include "supervisor/options.h"
#include "supervisor/spawn.h"

#define RK_KIT_NAME_MAX 56u /* bytes of a name with its NUL; keeper calls it so with two letters before */
#define RK_KIT_MAX 4096u    /* descriptors of a fleet */

struct rk_kit;

struct rk_kit_conf {
	sd_event *event;
	const struct rk_fleet_options *o; /* borrowed */
	const char *name;                 /* of the fleet, borrowed */
	uint32_t fleet;                   /* its number, for keeper */
	int link;
};

/* 0 or -ENOMEM. */
RK_MUST_USE int rk_kit_open(const struct rk_kit_conf *conf, struct rk_kit **ret);

/* Closes what is ours; keeper keeps it. Takes NULL. */
void rk_kit_close(struct rk_kit *k);

/* Other options, from the next start on. */
void rk_kit_configure(struct rk_kit *k, const struct rk_fleet_options *o, const char *name);

/* Takes what keeper had for a dead supervisor. What is older than the fleet's other processes is there with its slot. */
void rk_kit_adopt(struct rk_kit *k, struct rk_inherit *in);

/* What a slot's next process gets; valid until the next call on this kit. */
struct rk_kit_given {
	int listen[RK_SPAWN_LISTEN_MAX];
	struct rk_spawn_kept kept[RK_SPAWN_KEPT_MAX];
	struct rk_spawn_more more;
};

/*
 * Before a process: binds what Listen= says and is not bound yet, closes what it says no more, makes the line. 0; -errno with
 * a sentence: no process can be made now.
 */
RK_MUST_USE int rk_kit_give(struct rk_kit *k, uint32_t slot, struct rk_kit_given *ret, struct rk_err *err);

/* The process has been made, or could not be: its end of the line is closed here. */
void rk_kit_given(struct rk_kit *k);

/* A slot's process is dead: what it has asked for last is done, and its line ends. */
void rk_kit_hang_up(struct rk_kit *k, uint32_t slot);

/* Closes all that is held for a slot that is wanted no more; of every slot, at the fleet's end: UINT32_MAX. */
void rk_kit_release(struct rk_kit *k, uint32_t slot);

/* Keeper, at its end: removes the paths of a unix socket by which it was known. Of anything else nothing. */
void rk_kit_farewell(const char *name, int fd);

/* Whether a descriptor may be called so. Pure. */
bool rk_kit_is_name(const char *name);

#endif
