/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link: what keeper and the supervisor say to each other over their socket pair: whole,
 * fixed-size messages, at most one descriptor each.
 *
 * Who       rk_link_*: the supervisor's loop; keeper uses the message alone.
 * Crash     a message is received whole or not at all; keeper drains what a dead supervisor sent.
 * Blocking  a stopped keeper (Ctrl-Z stops it alone) must not stop supervision: a send waits
 *           at most RK_LINK_WAIT_MS for room and then gives the message up with an error.
 */
#ifndef RK_SUPERVISOR_LINK_H
#define RK_SUPERVISOR_LINK_H

#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"
#include "shm/abi.h"

#define RK_LINK_ENVIRONMENT "REKINDLE_KEEPER_FD"
#define RK_LINK_WAIT_MS 50

enum rk_link_op {
	/* supervisor -> keeper */
	/* name: whose sockets to remove; value: stop timeout in ns; code: whether SIGHUP reloads */
	RK_LINK_FLEET = 1,
	RK_LINK_KEEP,      /* one descriptor; pid 0: memory or the lock, else a worker's pidfd */
	RK_LINK_FORGET,    /* tag: the worker is buried, close its pidfd */
	RK_LINK_STOPPING,  /* the fleet stops: what is left after the timeout is yours */
	RK_LINK_DROP,      /* tag: of memory that is needed no more */
	RK_LINK_RETAG,     /* value: tag so far; tag: the one from now on, also of an end not yet told */
	/* keeper -> supervisor */
	RK_LINK_EXITED, /* tag, pid, code, status of a child that KEEP named */
	RK_LINK_STOP,   /* value: the signal that asks for the end of the fleet */
	RK_LINK_RELOAD, /* SIGHUP, where it does not ask for the end */
};

struct rk_link_msg {
	uint32_t op; /* enum rk_link_op */
	int32_t pid;
	int32_t code;   /* CLD_EXITED, CLD_KILLED, … */
	int32_t status; /* exit status or signal */
	uint64_t tag;   /* the supervisor's; keeper only gives it back */
	uint64_t value;
	char name[RK_NAME_MAX];
};

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

static inline int rk_link_tag_is_hook(uint64_t tag)
{
	return (int)(tag >> 63);
}

/* What it calls the memory of one fleet; workers are told apart from it by their pid. */
static inline uint64_t rk_link_memory_tag(uint32_t fleet)
{
	return (uint64_t)fleet + 1; /* 0 is the lock's */
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

/* Sends a message, with a descriptor unless fd is negative. Returns 0 or -errno. */
RK_MUST_USE int rk_link_send(int link, const struct rk_link_msg *msg, int fd);

/* Receives a message. 0; -EAGAIN: none is there; -EPIPE: keeper closed its end. */
RK_MUST_USE int rk_link_recv(int link, struct rk_link_msg *ret);

#endif
