/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/out.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/text.h"

const char *rk_out_clean(char *to, size_t size, const char *text, size_t len)
{
	return rk_text_clean(to, size, text, len);
}

bool rk_out_is_utf8(const char *bytes, size_t len)
{
	return rk_text_is_utf8(bytes, len);
}

const char *rk_out_time(char text[static RK_OUT_TIME], uint64_t ns)
{
	uint64_t s = ns / RK_NS_PER_S;

	if (ns < RK_NS_PER_MS)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 " us", ns / RK_NS_PER_US);
	else if (ns < 100 * RK_NS_PER_MS)
		(void)snprintf(text, RK_OUT_TIME, "%.1f ms", (double)ns / (double)RK_NS_PER_MS);
	else if (s == 0)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 " ms", ns / RK_NS_PER_MS);
	else if (s < 60)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 " s", s);
	else if (s < 3600)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 " h %" PRIu64 " min", s / 3600,
			       s / 60 % 60);
	else
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 " d %" PRIu64 " h", s / 86400,
			       s / 3600 % 24);
	return text;
}

const char *rk_out_span(char text[static RK_OUT_TIME], uint64_t ns)
{
	uint64_t s = ns / RK_NS_PER_S;

	if (s == 0)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 "ms", ns / RK_NS_PER_MS);
	else if (s < 60)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 "s", s);
	else if (s < 3600)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 "h%" PRIu64 "m", s / 3600,
			       s / 60 % 60);
	else if (s < 100 * 86400)
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 "d%" PRIu64 "h", s / 86400,
			       s / 3600 % 24);
	else
		(void)snprintf(text, RK_OUT_TIME, "%" PRIu64 "d", s / 86400);
	return text;
}

int64_t rk_out_ms_since(uint64_t then_ns, uint64_t now_ns)
{
	return then_ns < now_ns ? (int64_t)((now_ns - then_ns) / RK_NS_PER_MS) : 0;
}

static bool wants_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}

void rk_out_color(enum rk_out_color color, int width, const char *text)
{
	static const char *const codes[] = { "", "1", "31", "32", "33" };

	static_assert(rk_countof(codes) == RK_OUT_COLORS, "a code for every color");
	if (color == RK_OUT_PLAIN || !wants_color())
		(void)printf("%*s", width, text);
	else
		(void)printf("\033[%sm%*s\033[0m", codes[color], width, text);
}

/* RFC 4648. Returns a text the caller frees, or NULL. */
static char *base64(const unsigned char *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((len + 2) / 3 * 4 + 1), *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
			     (n > 2 ? bytes[i + 2] : 0);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = n > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[v & 63] : '=';
	}
	*out = '\0';
	return text;
}

void rk_out_json_bytes(struct json_object *to, const char *name, const void *bytes, size_t len)
{
	bool is_text = bytes && rk_out_is_utf8(bytes, len);
	char *coded = bytes && !is_text ? base64(bytes, len) : NULL;
	char encoding[64];

	(void)snprintf(encoding, sizeof(encoding), "%s_encoding", name);
	if (is_text)
		json_object_object_add(to, name, json_object_new_string_len(bytes, (int)len));
	else
		rk_out_json_text(to, name, coded);
	rk_out_json_text(to, encoding, is_text ? "utf-8" : coded ? "base64" : NULL);
	free(coded);
}

void rk_out_json_int(struct json_object *to, const char *name, int64_t v)
{
	json_object_object_add(to, name, json_object_new_int64(v));
}

void rk_out_json_int_or_null(struct json_object *to, const char *name, bool is_there, int64_t v)
{
	json_object_object_add(to, name, is_there ? json_object_new_int64(v) : NULL);
}

void rk_out_json_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, text ? json_object_new_string(text) : NULL);
}

static void json_print(struct json_object *object, int how)
{
	(void)puts(json_object_to_json_string_ext(object, how | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void rk_out_json(struct json_object *object)
{
	json_print(object, isatty(STDOUT_FILENO) ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
						 : JSON_C_TO_STRING_PLAIN);
}

void rk_out_json_line(struct json_object *object)
{
	json_print(object, JSON_C_TO_STRING_PLAIN);
}
