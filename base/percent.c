/* SPDX-License-Identifier: Apache-2.0 */
#include "base/percent.h"

#include <errno.h>
#include <string.h>

static const char *text_of(const struct rk_percent *with, char letter)
{
	for (; with->letter; with++)
		if (with->letter == letter)
			return with->text;
	return letter == '%' ? "%" : NULL;
}

int rk_percent_expand(const char *pattern, const struct rk_percent *with, char *ret, size_t size,
		      struct rk_err *err)
{
	size_t at = 0;

	for (const char *c = pattern; *c; c++) {
		const char plain[2] = { *c, '\0' };
		const char *text = *c == '%' ? text_of(with, c[1]) : plain;
		size_t len = text ? strlen(text) : 0;

		if (!text)
			return rk_err_set(
				err, -EINVAL,
				"'%.120s': '%%%.1s' stands for nothing; a '%%' is written %%%%",
				pattern, c + 1);
		if (len >= size - at)
			return rk_err_set(err, -ENAMETOOLONG, "'%.120s' is too long", pattern);
		memcpy(ret + at, text, len);
		at += len;
		c += *c == '%';
	}
	ret[at] = '\0';
	return 0;
}

bool rk_percent_has(const char *pattern, char letter)
{
	for (const char *c = pattern; (c = strchr(c, '%')) != NULL; c += c[1] ? 2 : 1)
		if (c[1] == letter)
			return true;
	return false;
}
