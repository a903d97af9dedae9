/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/reload.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

void rk_reload_say(struct rk_reloaded *r, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (rk_wordlist_add(&r->lines, text) < 0)
		return; /* what was done stands in the flight recorder too */
}

void rk_reload_free_p(struct rk_reloaded *r)
{
	rk_wordlist_free_p(&r->lines);
	*r = (struct rk_reloaded){ .is_applied = false };
}
