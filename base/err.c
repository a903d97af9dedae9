/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void err_store(struct rk_err *err, int code, char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	err->code = code;
	memcpy(err->text, text, strlen(text) + 1);
}

int rk_err_set(struct rk_err *err, int code, const char *fmt, ...)
{
	char text[sizeof(err->text)] = "";
	va_list args;

	if (!err)
		return code;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	err_store(err, code, text);
	return code;
}

int rk_err_prefix(struct rk_err *err, int code, const char *context)
{
	if (!err)
		return code;
	return rk_err_set(err, code, "%s: %s", context, err->text);
}
