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

/* Length of the well-formed UTF-8 character at s, of which n bytes are there; 0 = none is. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	/* First byte, and what the second may be (RFC 3629): no overlong form, no surrogate. */
	static const struct {
		unsigned char first, last, low, high;
		size_t len;
	} forms[] = {
		{ 0x00, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; n > 0 && i < rk_countof(forms); i++) {
		size_t len = forms[i].len;

		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		if (n < len || (len > 1 && (s[1] < forms[i].low || s[1] > forms[i].high)))
			return 0;
		for (size_t k = 2; k < len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return len;
	}
	return 0;
}

static bool is_control(const unsigned char *s, size_t len)
{
	return (len == 1 && (s[0] < 0x20 || s[0] == 0x7f)) ||
	       (len == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

const char *rk_out_clean(char *to, size_t size, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0, n = strnlen(text, len);

	for (size_t i = 0; i < n;) {
		size_t c = utf8_len(s + i, n - i);
		bool is_bad = c == 0 || is_control(s + i, c);

		if (at + (is_bad ? 1 : c) >= size)
			break;
		if (is_bad)
			to[at++] = '?';
		else
			for (size_t k = 0; k < c; k++)
				to[at++] = text[i + k];
		i += c ? c : 1;
	}
	to[at] = '\0';
	return to;
}

bool rk_out_is_utf8(const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;

	for (size_t i = 0, c; i < len; i += c) {
		c = utf8_len(s + i, len - i);
		if (c == 0)
			return false;
	}
	return true;
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

void rk_out_json(struct json_object *object)
{
	int how = JSON_C_TO_STRING_NOSLASHESCAPE |
		  (isatty(STDOUT_FILENO) ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
					 : JSON_C_TO_STRING_PLAIN);

	(void)puts(json_object_to_json_string_ext(object, how));
	json_object_put(object);
}
