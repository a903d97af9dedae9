/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out: what rekindle prints: text that may come from workers and clients made harmless, times as
 * people read them, colors, and JSON through json-c.
 *
 * Who       rekindle, one thread.
 * Units     bytes; ns.
 */
#ifndef RK_CLI_OUT_H
#define RK_CLI_OUT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* rk_text_clean() and rk_text_is_utf8() under the names that the commands use. */
const char *rk_out_clean(char *to, size_t size, const char *text, size_t len);
bool rk_out_is_utf8(const char *bytes, size_t len);

#define RK_OUT_TIME 32u

/* Writes "840 us", "1.6 ms", "12 s", "3 min 12 s", "2 d 4 h". Returns text. Pure. */
const char *rk_out_time(char text[static RK_OUT_TIME], uint64_t ns);

/* The same in a column's width: "840ms", "12s", "3m12s", "2h4m", "2d4h", "120d". Returns text. Pure. */
const char *rk_out_span(char text[static RK_OUT_TIME], uint64_t ns);

/* Milliseconds from then to now, 0 if that is in the future. Pure. */
int64_t rk_out_ms_since(uint64_t then_ns, uint64_t now_ns);

enum rk_out_color {
	RK_OUT_PLAIN,
	RK_OUT_BOLD,
	RK_OUT_RED,
	RK_OUT_GREEN,
	RK_OUT_YELLOW,
	RK_OUT_COLORS
};

/* Prints text padded to width (negative: to the left), colored if standard output is a terminal. */
void rk_out_color(enum rk_out_color color, int width, const char *text);

/*
 * Adds bytes to an object: as a string where they are UTF-8, else in base64, and a member
 * NAME_encoding that says which. bytes NULL: both null.
 */
void rk_out_json_bytes(struct json_object *to, const char *name, const void *bytes, size_t len);

/* Adds a number, or null. */
void rk_out_json_int(struct json_object *to, const char *name, int64_t v);
void rk_out_json_int_or_null(struct json_object *to, const char *name, bool is_there, int64_t v);

/* Adds a string that is UTF-8; NULL: null. */
void rk_out_json_text(struct json_object *to, const char *name, const char *text);

/* Prints the object on one line, on a terminal on several, and puts it. */
void rk_out_json(struct json_object *object);

/* The same, on one line in any case: of many objects, one per line. */
void rk_out_json_line(struct json_object *object);

#endif
