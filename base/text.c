/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <string.h>

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

const char *rk_text_clean(char *to, size_t size, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0, n = strnlen(text, len);

	for (size_t i = 0; i < n;) {
		if (s[i] >= 0x20 && s[i] < 0x7f && at + 1 < size) { /* nearly always */
			to[at++] = text[i++];
			continue;
		}
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

bool rk_text_is_utf8(const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;

	for (size_t i = 0, c; i < len; i += c) {
		c = utf8_len(s + i, len - i);
		if (c == 0)
			return false;
	}
	return true;
}

size_t rk_text_cut(const char *text, size_t len, size_t max)
{
	size_t n = max;

	if (len <= max)
		return len;
	/* Back over the bytes that only continue a character; text that is none is cut anywhere. */
	while (n > 0 && max - n < 3 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n > 0 && ((unsigned char)text[n] & 0xc0) != 0x80 ? n : max;
}
