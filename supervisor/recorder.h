/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorder: where the supervisor tells what happens: the same sentence goes to the log (or to
 * people, say.h) and to the flight recorder, shm/flight.h, which is there when nobody is.
 *
 *	rk_recorder_note(r, &(struct rk_note){ .kind = RK_FLIGHT_SPAWN, .level = RK_LOG_DEBUG,
 *		.fleet = name, .slot = 2, .pid = 812, .incarnation = 7 }, "worker started");
 *
 * The text says what happened and then key=value; slot, pid and incarnation are the note's and
 * are not repeated in it: the log's line gets them appended, and systemd's journal each as a field
 * (doc/man/rekindled.8 lists them). Records that belong together (a
 * verdict, its evidence, the response, the death) carry the group that the first one returned.
 *
 * Who       the supervisor's loop; not its other threads.
 * Crash     as shm/flight.h says: what was noted is there. What was noted for later is lost when
 *           this process is killed before the release; the journal is what a successor goes by.
 * Blocking  never waits; a note costs a few µs. A file that cannot be written is warned of once.
 */
#ifndef RK_SUPERVISOR_RECORDER_H
#define RK_SUPERVISOR_RECORDER_H

#include "base/log.h"
#include "shm/flight.h"
#include "shm/rundir.h"
#include "supervisor/message.h"
#include "supervisor/say.h"

#define RK_RECORDER_LATER 12u       /* notes; more are written at once */
#define RK_RECORDER_LATER_TEXT 192u /* bytes with the NUL: only short sentences are for later */

/* A note that is written when somebody has time for it. */
struct rk_recorder_later {
	struct rk_flight_event event;
	char text[RK_RECORDER_LATER_TEXT];
};

struct rk_recorder {
	struct rk_flight flight;
	uint32_t n_holds, n_later;
	struct rk_recorder_later later[RK_RECORDER_LATER];
	char path[RK_PATH_MAX];
	bool has_warned;
};

/* What a note is about. */
struct rk_note {
	enum rk_flight_kind kind;
	enum rk_log_level level;
	bool is_quiet; /* stderr has it only with --debug: people are told otherwise, or need not
			  be; the journal has it, with its fields */
	enum rk_message message; /* 0 = its kind's */
	const char *fleet; /* NULL = the supervisor itself */
	uint32_t slot;     /* RK_FLIGHT_NOBODY = none */
	int32_t pid;       /* 0 = none */
	uint64_t incarnation;
	uint64_t group; /* what the group's first note returned; 0 = none yet */
};

/*
 * Begins a file in the directory of this name, which is locked; a stale one is replaced. A file
 * that cannot be made is logged, and the notes go to the log alone. n_records as
 * rk_flight_create() takes it.
 */
void rk_recorder_open(struct rk_recorder *r, const char *name, uint32_t n_records);

/* As a dead supervisor's successor: goes on in its file; begins one where that is not to be had. */
void rk_recorder_adopt(struct rk_recorder *r, const char *name, uint32_t n_records);

/* Returns the record's sequence, for the group of others; 0 if there is no file. */
RK_PRINTF(3, 4)
uint64_t rk_recorder_note(struct rk_recorder *r, const struct rk_note *note, const char *fmt, ...);

/*
 * For what a dead worker's successor would have to wait for: between hold and release, which may be
 * nested, a note for later is kept with its time and written at the last release, or before the
 * next rk_recorder_note(), so that the order is true. The note's fleet has to stay valid for as
 * long. Outside of them it is written at once.
 */
void rk_recorder_hold(struct rk_recorder *r);
void rk_recorder_release(struct rk_recorder *r);
RK_PRINTF(3, 4)
void rk_recorder_note_later(struct rk_recorder *r, const struct rk_note *note, const char *fmt,
			    ...);

/* Whether the supervisor of this pid has recorded its start, among the last RK_RECORDER_LOOK_BACK records. */
#define RK_RECORDER_LOOK_BACK 64u
bool rk_recorder_has_started(const struct rk_recorder *r, int32_t pid);

/* Ends the file and removes it: the fleet was stopped, or never began; nothing is left to be asked. */
void rk_recorder_end(struct rk_recorder *r);

/* Leaves the file for whoever wants to know why. */
void rk_recorder_close(struct rk_recorder *r);

#endif
