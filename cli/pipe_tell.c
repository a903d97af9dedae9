/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe_tell.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"

#define TOLD_MOST 20u

void rk_pipe_tell_failed(struct rk_pipe_tally *t, uint64_t line, const char *fmt, ...)
{
	char text[200];
	va_list args;

	t->n_failed++;
	if (t->n_told++ >= TOLD_MOST) {
		if (t->n_told == TOLD_MOST + 1)
			(void)rk_cli_complain(0, "further lines without an answer are only counted");
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)rk_cli_complain(0, "line %llu has no answer: %s", (unsigned long long)line, text);
}

static const char *seconds(uint64_t ns, char *text, size_t size)
{
	(void)snprintf(text, size, "%llu.%02llu", (unsigned long long)(ns / RK_NS_PER_S),
		       (unsigned long long)(ns % RK_NS_PER_S / (10 * RK_NS_PER_MS)));
	return text;
}

void rk_pipe_tell_sum(const struct rk_pipe_tally *t, const char *key)
{
	char lines[RK_NUM_TEXT], answers[RK_NUM_TEXT], other[RK_NUM_TEXT], per_s[RK_NUM_TEXT], time[32];
	uint64_t us = rk_max_u64(t->ns / RK_NS_PER_US, 1);

	(void)rk_cli_complain(0, "%s line%s in, %s answer%s, %s without one; %s s, %s lines per second; %llu worker%s died",
			      rk_num_format(lines, t->n_lines), rk_num_plural(t->n_lines),
			      rk_num_format(answers, t->n_answers), rk_num_plural(t->n_answers),
			      rk_num_format(other, t->n_failed), seconds(t->ns, time, sizeof(time)),
			      rk_num_format(per_s, (uint64_t)((double)t->n_lines * 1e6 / (double)us)),
			      (unsigned long long)t->n_deaths, rk_num_plural(t->n_deaths));
	if (t->n_keyless)
		(void)rk_cli_complain(0, "%s line%s no key '%.40s', the first is line %llu: the whole line was its key",
				      rk_num_format(other, t->n_keyless), t->n_keyless == 1 ? " has" : "s have", key,
				      (unsigned long long)t->first_keyless);
	if (t->n_again)
		(void)rk_cli_complain(0, "%s line%s sent again, since other clients' unread replies left no room; lines of "
				      "the same key may have passed them",
				      rk_num_format(other, t->n_again), t->n_again == 1 ? " was" : "s were");
}
