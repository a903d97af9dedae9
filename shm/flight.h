/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flight recorder: what happened to a fleet, in a file of fixed size that is there when the
 * processes are not. A ring of records of 1 KiB behind a page of head; how many is said when
 * the file is made and stands in its head. The newest overwrites the oldest.
 *
 * The writer stores records with pwrite() and readers load them with pread(): through a mapping,
 * whoever shrinks the file would kill the supervisor with SIGBUS, and a file in a directory
 * cannot be sealed. Only the head's page is mapped, for the address of the futex `changes`; no
 * byte is read or written through it. Each record carries a checksum, so that one that is torn,
 * being overwritten or damaged is no record (flight_reader.h skips it).
 *
 * Who       writing: one process at a time, the supervisor's loop. The fleet's directory is
 *           locked by whoever creates or opens.
 * Crash     killed at any instruction: readers see every record that was complete, whole, and
 *           nothing of the other one. Killed before the wake-up: sleepers wake at the next
 *           record, or when a successor opens the file.
 * Blocking  never waits for anybody; a record is two writes to the page cache and a wake-up.
 *           A write that fails is counted and forgotten.
 * Units     ns.
 */
#ifndef RK_SHM_FLIGHT_H
#define RK_SHM_FLIGHT_H

#include <stdarg.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"
#include "shm/abi.h"

#define RK_FLIGHT_PARTS_MAX 8u /* records that one text may take */
#define RK_FLIGHT_TEXT_MAX (RK_FLIGHT_PARTS_MAX * RK_FLIGHT_TEXT)

struct rk_flight {
	int fd;          /* -1 = nothing is recorded */
	void *page;      /* the head, mapped for its futex; never read or written through */
	uint32_t n;      /* records of the ring */
	uint64_t next;   /* sequence */
	uint64_t n_lost; /* records that could not be written */
};

/* What a record is about. */
struct rk_flight_event {
	enum rk_flight_kind kind;
	uint32_t severity; /* as enum rk_log_level */
	const char *fleet; /* NULL = none */
	uint32_t slot;     /* RK_FLIGHT_NOBODY = none */
	int32_t pid;
	uint64_t incarnation;
	uint64_t group; /* what the first record of the group returned; 0 = alone, or begins one */
	uint64_t now_ns, wall_ns;
};

/*
 * Makes a new file of n records at path; n is a power of two from RK_FLIGHT_RECORDS_MIN to
 * RK_FLIGHT_RECORDS_MAX, name is the fleet's. One that is there is replaced by a rename, so
 * that no half-made file is ever seen; whoever follows the old one is told. Returns 0 or -errno:
 * f is empty then, and writing to it does nothing.
 */
RK_MUST_USE int rk_flight_create(struct rk_flight *f, const char *path, const char *name,
				 uint32_t n, struct rk_err *err);

/*
 * Goes on in a predecessor's file, behind its newest record, after checking that it is one of
 * this fleet and this boot; its ring is as large as it was made. Returns 0; -ENOENT; -EBADMSG or
 * -EPROTO for a file that is none of ours: the caller creates a new one. f as above.
 */
RK_MUST_USE int rk_flight_open(struct rk_flight *f, const char *path, const char *name,
			       struct rk_err *err);

/*
 * Writes one event and wakes who follows. What is no printable UTF-8 in the text becomes '?'; a
 * text longer than a record takes several, one longer than RK_FLIGHT_TEXT_MAX is cut. Returns the
 * sequence of the first record, for the `group` of those that belong to it; 0 = nothing written.
 */
RK_PRINTF(3, 4)
uint64_t rk_flight_note(struct rk_flight *f, const struct rk_flight_event *e, const char *fmt, ...);
uint64_t rk_flight_write(struct rk_flight *f, const struct rk_flight_event *e, const char *text);

/*
 * The two halves of rk_flight_write(), for several events at once: the first writes one and wakes
 * nobody, the second wakes who follows once all are there.
 */
void rk_flight_put(struct rk_flight *f, const struct rk_flight_event *e, const char *text);
void rk_flight_announce(struct rk_flight *f);

/* A clean stop: writes the last event, wakes who follows it, and removes the file. */
void rk_flight_end(struct rk_flight *f, const char *path, const struct rk_flight_event *last,
		   const char *text);

/* Leaves the file where it is. */
void rk_flight_close_p(struct rk_flight *f);

/* ---- for both sides ---- */

/* Name of a kind, "?" outside; and back, RK_FLIGHT_KINDS when there is none. */
const char *rk_flight_kind_name(uint32_t kind);
enum rk_flight_kind rk_flight_kind_find(const char *name);

/* "error" … "debug", "?" outside. */
const char *rk_flight_severity_name(uint32_t severity);

/* Reads and checks the head and the file's size. 0; -EBADMSG, -EPROTO with what to do. */
RK_MUST_USE int rk_flight_head_read(int fd, const char *path, struct rk_flight_head *ret,
				    struct rk_err *err);

/* Reads the record at a place of a ring of n. True if it is whole, and belongs there. */
bool rk_flight_record_read(int fd, uint32_t n, uint32_t place, struct rk_flight_record *ret);

/* Sequences of the oldest and newest records of a ring of n. Returns how many there are. */
uint32_t rk_flight_scan(int fd, uint32_t n, uint64_t *ret_oldest, uint64_t *ret_newest);

#endif
