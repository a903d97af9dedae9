/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/say.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define LINE_LEN 2048 /* a pipe that is writable takes PIPE_BUF, 4096, without blocking */

static bool has_room(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) && !(p.revents & (POLLERR | POLLNVAL));
}

/* "2026-11-24 16:20:11.123 carts ", the time of here as in 'rekindle events': where lines are kept,
 * somebody wants to know when and whose. */
static size_t stamp(const char *fleet, char *text, size_t size)
{
	char now[RK_CLOCK_TEXT];

	return (size_t)snprintf(text, size, "%s %s ", rk_clock_wall_text(now, rk_clock_wall_ns()), fleet);
}

void rk_say(struct rk_say *s, const char *fmt, ...)
{
	char line[LINE_LEN];
	size_t len = 0;
	va_list args;
	int r;

	if (s->quiet)
		return;
	if (!has_room()) {
		s->n_dropped++;
		return;
	}
	if (s->n_dropped)
		len = (size_t)snprintf(line, sizeof(line), "(%llu lines left out)\n",
				       (unsigned long long)s->n_dropped);
	s->n_dropped = 0;
	if (s->stamp)
		len += stamp(s->stamp, line + len, sizeof(line) - len);
	va_start(args, fmt);
	(void)vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	va_end(args);
	len = strlen(line);
	line[len++] = '\n';
	r = rk_write_all(STDOUT_FILENO, line, len);
	(void)r; /* whoever read it is gone; the log goes on */
}
