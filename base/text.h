/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that came from somebody else, made harmless: what is no UTF-8 or drives a terminal never
 * reaches a file, a log or a screen.
 *
 * Who       any process, any thread; pure.
 * Blocking  never; no allocation, no system call.
 */
#ifndef RK_BASE_TEXT_H
#define RK_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Copies len bytes of somebody's text, up to a NUL in it, into to[size], cutting what does not
 * fit. Control characters (C1 too) and what is no UTF-8 become '?'. Returns to.
 */
const char *rk_text_clean(char *to, size_t size, const char *text, size_t len);

/* Whether all of it is well-formed UTF-8. */
bool rk_text_is_utf8(const char *bytes, size_t len);

/* The most bytes of the text, max or fewer, that do not end inside a character. */
size_t rk_text_cut(const char *text, size_t len, size_t max);

#endif
