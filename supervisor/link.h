/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link: what keeper and the supervisor say to each other over their socket pair: whole,
 * fixed-size messages, at most one descriptor each.
 *
 * Who       rk_link_*: the supervisor's loop; keeper uses the message alone.
 * Crash     a message is received whole or not at all; keeper drains what a dead supervisor sent,
 *           and tells its successor of all that it holds.
 * Upgrade   keeper and supervisor may be of different releases: no number and no member here ever changes its
 *           meaning, and whoever does not know a message leaves it alone. What cannot be had that way is another
 *           RK_KEEPER_TABLE.
 * Blocking  a stopped keeper (Ctrl-Z stops it alone) must not stop supervision: a send waits
 *           at most RK_LINK_WAIT_MS for room and then gives the message up with an error.
 */
#ifndef RK_SUPERVISOR_LINK_H
#define RK_SUPERVISOR_LINK_H

#include <stdint.h>
#include <sys/types.h>

#include "base/fd.h"
#include "base/macro.h"
#include "shm/abi.h"

#define RK_LINK_ENVIRONMENT "REKINDLE_KEEPER_FD"
#define RK_LINK_WAIT_MS 50

/* What keeper holds: what a descriptor is, and how it is found again. */
enum rk_link_kind {
	RK_LINK_MEMORY = 1, /* by tag and name; another one of both takes its place */
	RK_LINK_PROCESS,    /* a pidfd, by tag; value 1: no child of keeper's, who will not hear of its end */
	RK_LINK_PEER,       /* a client's connection, by tag; another one of it takes its place */
	RK_LINK_DESCRIPTOR  /* a slot's, over its processes, by tag; name is the supervisor's (kit.h) */
};

enum rk_link_op {
	/* supervisor -> keeper */
	/* name: whose sockets to remove; value: stop timeout in ns; code: whether SIGHUP reloads */
	RK_LINK_FLEET = 1,
	RK_LINK_KEEP = 2,      /* kind, tag, name; one descriptor */
	RK_LINK_FORGET = 3,    /* kind, tag, of a DESCRIPTOR the name too: close it */
	RK_LINK_STOPPING = 4,  /* the fleet stops: what is left after the timeout is yours */
	RK_LINK_DROP = 5,      /* tag: of memory that is needed no more, and value: its fleet's peers and descriptors */
	RK_LINK_RETAG = 6,     /* value: tag so far; tag: the one from now on, also of an end not yet told */
	/* all that was there is adopted, new clients are served; value: RK_KEEPER_TABLE of our binary */
	RK_LINK_READY = 7,
	RK_LINK_UP = 8,        /* code: the workers are ready as well, or will not be; name: a line for people */
	RK_LINK_SYNC = 9,      /* answer when what you hold is safe from your own death */
	RK_LINK_PROGRESS = 10, /* the loop goes round, as BEGIN has asked to be told */
	RK_LINK_UPGRADE = 11,  /* one descriptor, another binary, and value, a group of records: we end, it is to be next */
	RK_LINK_NOTED = 12,    /* value: the group that UPGRADED told of; that stands in the records now */
	/* keeper -> supervisor, at its start: first one of these, then value of those */
	/*
	 * its predecessor: pid, 0 = we had none; code, status: how it ended; name: why we killed it;
	 * kind: enum rk_link_begin; tag: ns between two PROGRESS, 0 = none is wanted; count: supervisors that have died
	 * so far and were not asked to
	 */
	RK_LINK_BEGIN = 64,
	RK_LINK_HELD = 65,     /* as KEEP; of a process that has ended also code, status. Up to RK_LINK_BATCH together */
	/* keeper -> supervisor */
	RK_LINK_EXITED = 66,   /* tag, pid, code, status of a child that KEEP named */
	RK_LINK_STOP = 67,     /* value: the signal that asks for the end of the fleet */
	RK_LINK_RELOAD = 68,   /* SIGHUP, where it does not ask for the end */
	RK_LINK_SYNCED = 69,   /* to SYNC */
	RK_LINK_UPGRADED = 70, /* value: the group; code: enum rk_link_upgraded; name: why, if not 0; told until NOTED */
};

/* What BEGIN says of keeper: its kind. */
enum rk_link_begin {
	RK_LINK_OUTLIVED = 1, /* systemd keeps the memory too: workers are to outlive keeper */
	RK_LINK_TELLS = 2,    /* it tells systemd what we say with UP */
	RK_LINK_UPGRADES = 4, /* an upgrade is under way: UPGRADED is to come */
	RK_LINK_SERVED = 8,   /* a supervisor of this keeper was ready: what there is of memory, keeper has */
	RK_LINK_UNREADY = 16  /* the predecessor never was */
};

#define RK_LINK_WAY "an upgrade" /* BEGIN's name: why the predecessor ended, if it made way */

/* How an upgrade has ended. */
enum rk_link_upgraded {
	RK_LINK_UPGRADED_ALL,        /* keeper too */
	RK_LINK_UPGRADED_SUPERVISOR, /* keeper could not become it */
	RK_LINK_UPGRADED_NOT         /* the new supervisor was never ready: the old one is back */
};

struct rk_link_msg {
	uint32_t op;   /* enum rk_link_op */
	uint32_t kind; /* enum rk_link_kind */
	int32_t pid;
	int32_t code;   /* CLD_EXITED, CLD_KILLED, …; 0 = it lives */
	int32_t status; /* exit status or signal */
	uint32_t count; /* of BEGIN, as older releases do not say it: 0 */
	uint64_t tag; /* the supervisor's; keeper only gives it back */
	uint64_t value;
	char name[RK_NAME_MAX];
};
RK_ABI_SIZE(struct rk_link_msg, 104);

/*
 * What the supervisor calls one incarnation towards keeper: 0:1 | fleet:7 | slot:12 | incarnation:44.
 * A standby has no slot, RK_WORKER_NONE, and the fleet's count of them.
 */
static inline uint64_t rk_link_tag(uint32_t fleet, uint32_t slot, uint64_t incarnation)
{
	return (uint64_t)fleet << 56 | (uint64_t)slot << 44 | (incarnation & 0xfffffffffffull);
}

/* The same of a command beside a worker (hook.h); n is the fleet's count of them. */
static inline uint64_t rk_link_tag_hook(uint32_t fleet, uint32_t slot, uint64_t n)
{
	return rk_link_tag(fleet, slot, n) | UINT64_C(1) << 63;
}

/* From where a supervisor counts those two: not what its predecessor, whose processes may be there, counted. */
static inline uint64_t rk_link_count_from(uint64_t generation)
{
	return (generation & 0xffff) << 28;
}

static inline int rk_link_tag_is_hook(uint64_t tag)
{
	return (int)(tag >> 63);
}

/* What it calls the memory of one fleet; workers are told apart from it by their pid. */
static inline uint64_t rk_link_memory_tag(uint32_t fleet)
{
	return (uint64_t)fleet + 1;
}

#define RK_LINK_TAG_COMMON 0u /* the memory of no fleet: lock, control socket, configuration */

/* What it calls the connection that holds a reader line. */
static inline uint64_t rk_link_peer_tag(uint32_t fleet, uint32_t reader)
{
	return rk_link_tag(fleet, 0, reader);
}

static inline uint32_t rk_link_tag_fleet(uint64_t tag)
{
	return (uint32_t)(tag >> 56) & 0x7f;
}

static inline uint32_t rk_link_tag_slot(uint64_t tag)
{
	return (uint32_t)(tag >> 44) & 0xfff;
}

static inline uint64_t rk_link_tag_incarnation(uint64_t tag)
{
	return tag & 0xfffffffffffull;
}

/*
 * Takes the supervisor's end from the environment, makes it close-on-exec and non-blocking and
 * unsets the variable. Returns the descriptor; -ENOENT without the variable; -EBADF.
 */
RK_MUST_USE int rk_link_take(void);

/*
 * Of HELD there may be so many, one behind the other, in one message, with a descriptor for each: a supervisor waits
 * for nothing longer in its first millisecond than for hundreds of messages with a descriptor each.
 */
#define RK_LINK_BATCH ((uint32_t)RK_FDS_MAX)

/* Sends a message, with a descriptor unless fd is negative. Returns 0 or -errno. */
RK_MUST_USE int rk_link_send(int link, const struct rk_link_msg *msg, int fd);

/*
 * Receives a message. 0; -EAGAIN: none is there; -EPIPE: keeper closed its end. ret_fd: the
 * descriptor that came with it, the caller's, or -1; NULL: none is wanted.
 */
RK_MUST_USE int rk_link_recv(int link, struct rk_link_msg *ret, int *ret_fd);

/* The same of a batch: returns how many there are, 1 to RK_LINK_BATCH, with as many descriptors; or as above. */
RK_MUST_USE int rk_link_recv_batch(int link, struct rk_link_msg ret[static RK_LINK_BATCH], struct rk_fds *ret_fds);

#endif
