/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flight reader: the records of a flight recorder (flight.h) in their order, while its writer
 * goes on, stops, is killed or long dead.
 *
 * The file is input: whatever it holds, a read ends, and what is no whole record is skipped. It
 * may be shrunk or overwritten meanwhile; nothing is read through a mapping.
 *
 * Who       any process that may open the file, read-only; one thread per reader.
 * Blocking  never; waiting for a change is a futex wait on `changes` with the word that
 *           rk_flight_reader_look() gave.
 */
#ifndef RK_SHM_FLIGHT_READER_H
#define RK_SHM_FLIGHT_READER_H

#include "shm/flight.h"

struct rk_flight_reader {
	int fd;
	const void *changes; /* address of the futex; never read */
	uint32_t n;          /* records of the ring */
	uint64_t next;       /* sequence */
	uint64_t n_missed;   /* records overwritten before they were read, or damaged */
	char name[RK_NAME_MAX];
	bool is_this_boot; /* its monotonic times are comparable with ours */
};

/* An event: the first of its records, and the text of all. */
struct rk_flight_entry {
	struct rk_flight_record record;
	bool is_cut; /* a part of the text is missing */
	char text[RK_FLIGHT_TEXT_MAX + 1];
};

/*
 * Opens the file at its oldest record. Returns 0; -ENOENT; -EBADMSG, -EPROTO for a file that is
 * no flight recorder of this release; else -errno. rk_flight_reader_close_p() in any case.
 */
RK_MUST_USE int rk_flight_reader_open(struct rk_flight_reader *r, const char *path,
				      struct rk_err *err);
void rk_flight_reader_close_p(struct rk_flight_reader *r);

#define RK_FLIGHT_NONE 1

/*
 * The next event. Returns 0 or RK_FLIGHT_NONE: there is no newer one. is_following: only what
 * the writer has announced, so that an event of several records comes whole; otherwise also
 * what it was killed over. Fleet and text are ended by a NUL, and may hold any other byte.
 */
RK_MUST_USE int rk_flight_reader_next(struct rk_flight_reader *r, bool is_following,
				      struct rk_flight_entry *ret);

/*
 * What the writer says now: enum rk_flight_state, and the word to wait on in *ret_word; -EIO when
 * the file has no head any more. Look, then read on until RK_FLIGHT_NONE, then wait: what is
 * written after the look changes the word. In another state than RK_FLIGHT_OPEN the last record
 * is there, but may not be announced: read without is_following.
 */
RK_MUST_USE int rk_flight_reader_look(const struct rk_flight_reader *r, uint32_t *ret_word);

#endif
