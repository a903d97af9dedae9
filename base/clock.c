/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

static uint64_t clock_read(clockid_t id)
{
	struct timespec ts;
	int r = clock_gettime(id, &ts);

	assert(r == 0); /* fails only for an unknown clock */
	(void)r;
	return (uint64_t)ts.tv_sec * RK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t rk_clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t rk_clock_boot_ns(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

uint64_t rk_clock_wall_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

const char *rk_clock_wall_text(char text[static RK_CLOCK_TEXT], uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / RK_NS_PER_S);
	char date[RK_CLOCK_TEXT - 8] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		(void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	(void)snprintf(text, RK_CLOCK_TEXT, "%s.%03u", date, (unsigned int)(wall_ns % RK_NS_PER_S / RK_NS_PER_MS));
	return text;
}
