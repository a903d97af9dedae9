/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/reload.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

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

void rk_reload_log(const struct rk_reloaded *r)
{
	for (uint32_t i = 0; i < r->lines.n; i++)
		rk_log(r->is_applied ? RK_LOG_INFO : RK_LOG_ERROR, "%s", r->lines.at[i]);
	if (r->n_undone)
		rk_log(RK_LOG_WARNING, "not all of the reload could be done, see above n=%u", r->n_undone);
	if (r->err.code)
		rk_log(RK_LOG_ERROR, "%s", r->err.text);
	if (!r->is_applied)
		rk_log(RK_LOG_ERROR, "nothing was reloaded: the configuration in force is the old one");
}

void rk_reload_free_p(struct rk_reloaded *r)
{
	rk_wordlist_free_p(&r->lines);
	*r = (struct rk_reloaded){ .is_applied = false };
}
