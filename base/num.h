/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as people write and read them.
 *
 * Parsing takes the whole text or nothing: no sign, no blanks, no fractions, no rest. All
 * parsers return 0 and fill *ret_v, or return -EINVAL (not such a number) or -ERANGE
 * (outside min..max, or too large for 64 bits), set err and leave *ret_v alone.
 *
 * Who       any process, any thread.
 * Blocking  never; no allocation, no system call.
 */
#ifndef RK_BASE_NUM_H
#define RK_BASE_NUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"

/* A plain decimal number. */
RK_MUST_USE int rk_num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v,
			     struct rk_err *err);

/*
 * Bytes: "1500B", "64K", "1M", "2G", "1T" or "0"; powers of 1024; small letters do too. A unit is
 * required.
 */
RK_MUST_USE int rk_num_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v,
				  struct rk_err *err);

/* Nanoseconds from "20us", "500ms", "2s", "5min", "1h" or "0"; a unit is required. */
RK_MUST_USE int rk_num_parse_ns(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v,
				struct rk_err *err);

/* Room for any number with separators and its NUL. */
#define RK_NUM_TEXT 27

/* Writes 10233 as "10,233". Returns text. */
const char *rk_num_format(char text[static RK_NUM_TEXT], uint64_t v);

/* What stands behind a noun that is counted: "" for one, else "s". */
const char *rk_num_plural(uint64_t n);

#endif
