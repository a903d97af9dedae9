/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: jobs as the program reads them and answers as it writes them: lines, or netstrings
 * (LENGTH ':' BYTES ',').
 *
 * Source of the netstring: D. J. Bernstein, "Netstrings", 1997.
 *
 * Who       pure. The bridge's one thread owns the structs.
 * Blocking  never; buffers grow to a frame's longest length and stay.
 */
#ifndef RK_BRIDGE_FRAMES_H
#define RK_BRIDGE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

/* ---- to the program ---- */

/* Bytes on their way: at + from, len of them. Zero is the empty value; rk_frames_out_free() frees at. */
struct rk_frames_out {
	char *at;
	size_t from, len, room;
};

/*
 * Appends one frame. Returns 0; -EBADMSG: a line with a newline in it, which would be two; -ENOMEM.
 * Nothing is appended then.
 */
RK_MUST_USE int rk_frames_put(struct rk_frames_out *o, bool is_netstring, const void *body, size_t len);

/* So many bytes from its beginning have been written. */
void rk_frames_written(struct rk_frames_out *o, size_t n);
void rk_frames_out_free(struct rk_frames_out *o);

/* ---- from the program ---- */

/* What has been read and not taken yet. */
struct rk_frames_in {
	char *at;
	size_t from, len, room;
	size_t max; /* of a frame; longer ones are skipped */
	bool is_netstring;
	bool is_skipping; /* inside a line that is too long */
	size_t n_to_skip; /* of a netstring that is too long: bytes, the comma among them */
};

/* max: bytes of the longest frame. Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_frames_in_open(struct rk_frames_in *i, bool is_netstring, size_t max);
void rk_frames_in_free(struct rk_frames_in *i);

/* Where to read into, and how much there is room for: at least one byte, or 0 when frames have to be taken first. */
char *rk_frames_space(struct rk_frames_in *i, size_t *ret_n);
void rk_frames_filled(struct rk_frames_in *i, size_t n);

/*
 * The next frame, valid until more is read. Returns 1; 0 when there is no whole one; -EMSGSIZE: there
 * was one, too long; -EBADMSG: what follows is no netstring, and nothing behind it can be understood.
 */
int rk_frames_next(struct rk_frames_in *i, const char **ret, size_t *ret_len);

#endif
