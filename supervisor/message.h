/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message: the ids under which systemd's journal knows what rekindle tells (MESSAGE_ID), so that
 * `journalctl MESSAGE_ID=…` finds every case and `journalctl -x` explains it: what happened and
 * what to do stands in systemd/rekindle.catalog, which has each id of the table here, and no other
 * (tests/check/messages). An id is never given to another message.
 *
 * Who       any process of rekindled.
 * Blocking  as base/log.h says.
 */
#ifndef RK_SUPERVISOR_MESSAGE_H
#define RK_SUPERVISOR_MESSAGE_H

#include "base/log.h"
#include "base/macro.h"
#include "shm/abi.h"

enum rk_message {
	RK_MESSAGE_OF_KIND, /* the one that all records of a kind have, unless they have their own
			     */
	RK_MESSAGE_SUPERVISOR_STARTED,
	RK_MESSAGE_FLEET_READY,
	RK_MESSAGE_FLEET_STOPS,
	RK_MESSAGE_FLEET_FAILED, /* every worker stays down */
	RK_MESSAGE_WORKER_STARTED,
	RK_MESSAGE_WORKER_NOT_STARTED,  /* its command or what comes before it failed */
	RK_MESSAGE_WORKER_NOT_ATTACHED, /* it runs, but is no worker, or hangs in its start */
	RK_MESSAGE_WORKER_DIED,
	RK_MESSAGE_DEATH_OUTCOME, /* what came of a death, as 'rekindle run' prints it */
	RK_MESSAGE_WORKER_STAYS_DOWN,
	RK_MESSAGE_VERDICT,
	RK_MESSAGE_RESPONSE,
	RK_MESSAGE_EVIDENCE,
	RK_MESSAGE_JOB_QUARANTINED,
	RK_MESSAGE_LETTER_HANDLED, /* an operator sent a dead letter again, or dropped it */
	RK_MESSAGE_PARTITIONS_MOVE,
	RK_MESSAGE_PARTITIONS_WAIT, /* nowhere to copy them to */
	RK_MESSAGE_SCALE,
	RK_MESSAGE_ROLLING,
	RK_MESSAGE_ROLLING_HELD, /* its successor did not become ready */
	RK_MESSAGE_RELOAD,
	RK_MESSAGE_CONFIG_WRONG,
	RK_MESSAGE_FAULT_INJECTED,
	RK_MESSAGE_CLIENT,
	RK_MESSAGE_STANDBY,
	RK_MESSAGE_LIMITS_FAIL,         /* of the control group */
	RK_MESSAGE_HOOK_FAILED,         /* a command beside a worker */
	RK_MESSAGE_RECORDER_LOST,       /* the flight recorder cannot be written */
	RK_MESSAGE_FLEET_KILLED,        /* keeper's */
	RK_MESSAGE_SUPERVISOR_DIED,     /* its workers go on */
	RK_MESSAGE_UPGRADE,             /* to another rekindled */
	RK_MESSAGE_UPGRADE_FAILED,      /* the old one is back, or keeper stayed what it was */
	RK_MESSAGE_ADOPTED,             /* by the supervisor that follows a dead one */
	RK_MESSAGE_SUPERVISOR_GIVEN_UP, /* no supervisor becomes ready */
	RK_MESSAGE_SUPERVISOR_HUNG,     /* it makes no progress, keeper replaces it */
	RK_MESSAGE_KEEPER_BACK,         /* with what systemd had kept of a dead one */
	RK_MESSAGE_STORE_FAILS,         /* systemd does not keep a descriptor */
	RK_MESSAGE_COUNT
};

/* 32 lower-case hexadecimal digits; NULL for one without. */
const char *rk_message_id(enum rk_message message);

/* What a record of this kind is; RK_MESSAGE_OF_KIND: nothing that needs to be explained. */
enum rk_message rk_message_of_kind(enum rk_flight_kind kind);

/* A line of the log with its id, for what is in no flight recorder. */
RK_PRINTF(3, 4)
void rk_message_log(enum rk_message message, enum rk_log_level level, const char *fmt, ...);

#endif
