/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME_ENTRY(name, what) #name,
#define WHAT_ENTRY(name, what) what,

static const char *const point_names[] = { RK_KILL_POINTS(NAME_ENTRY) };
static const char *const point_whats[] = { RK_KILL_POINTS(WHAT_ENTRY) };
static const char *const break_names[] = { "NONE", RK_BREAKS(NAME_ENTRY) };
static const char *const break_whats[] = { "nothing", RK_BREAKS(WHAT_ENTRY) };

const char *rk_kill_point_name(enum rk_kill_point point)
{
	return point < RK_KILL_POINT_COUNT ? point_names[point] : "?";
}

const char *rk_kill_point_what(enum rk_kill_point point)
{
	return point < RK_KILL_POINT_COUNT ? point_whats[point] : "?";
}

const char *rk_break_name(enum rk_break which)
{
	return which < RK_BREAK_COUNT ? break_names[which] : "?";
}

const char *rk_break_what(enum rk_break which)
{
	return which < RK_BREAK_COUNT ? break_whats[which] : "?";
}

#ifdef RK_FAULT_POINTS

/* One per process, like the process itself; exists in test builds only. */
static struct {
	enum rk_break broken;
	enum rk_kill_point point;
	unsigned int nth; /* 0 = not armed */
	int signal;
	unsigned int mean; /* 0 = not armed at random */
	unsigned long long seed;
	long left;
	unsigned int counts[RK_KILL_POINT_COUNT];
	enum rk_kill_point delay_point;
	unsigned int delay_us; /* 0 = no delay */
} fault;

static unsigned long long next_random(void)
{
	unsigned long long x = fault.seed += 0x9e3779b97f4a7c15ull; /* splitmix64 (Steele, Lea, Flood 2014) */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void rk_fault_reach(enum rk_kill_point point)
{
	/* The compiler must not move shared stores across the place where we die. */
	__asm__ volatile("" ::: "memory");
	fault.counts[point]++;
	if (fault.delay_us && point == fault.delay_point) {
		const struct timespec pause = { .tv_sec = fault.delay_us / 1000000, .tv_nsec = fault.delay_us % 1000000 * 1000L };

		(void)nanosleep(&pause, NULL);
	}
	if (fault.nth && point == fault.point && fault.counts[point] == fault.nth)
		(void)kill(getpid(), fault.signal);
	if (fault.mean && --fault.left <= 0) {
		fault.left = 1 + (long)(next_random() % (2ull * fault.mean));
		(void)kill(getpid(), next_random() & 1 ? SIGKILL : SIGSTOP);
	}
}

int rk_fault_is_broken(enum rk_break which)
{
	return fault.broken == which;
}

void rk_fault_arm(enum rk_kill_point point, unsigned int nth, int sig)
{
	memset(fault.counts, 0, sizeof(fault.counts));
	fault.point = point;
	fault.nth = nth;
	fault.signal = sig;
}

void rk_fault_arm_random(unsigned int mean, unsigned long long seed)
{
	fault.mean = mean;
	fault.seed = seed;
	fault.left = mean ? 1 + (long)(next_random() % (2ull * mean)) : 0;
}

void rk_fault_break(enum rk_break which)
{
	fault.broken = which;
}

unsigned int rk_fault_count(enum rk_kill_point point)
{
	return fault.counts[point];
}

void rk_fault_delay(enum rk_kill_point point, unsigned int us)
{
	fault.delay_point = point;
	fault.delay_us = us;
}

/* POINT:US */
static int delay_from(const char *text)
{
	const char *colon = strchr(text, ':');
	char *end;
	unsigned long us = colon ? strtoul(colon + 1, &end, 10) : 0;

	if (!colon || *end || us > 10000000)
		return -EINVAL;
	for (int i = 0; i < RK_KILL_POINT_COUNT; i++)
		if (strlen(point_names[i]) == (size_t)(colon - text) &&
		    strncmp(point_names[i], text, (size_t)(colon - text)) == 0) {
			rk_fault_delay((enum rk_kill_point)i, (unsigned int)us);
			return 0;
		}
	return -EINVAL;
}

int rk_fault_from_environment(void)
{
	const char *which = getenv("REKINDLE_BREAK");
	const char *random = getenv("REKINDLE_FAULT");
	const char *delay = getenv("REKINDLE_DELAY");

	if (which) {
		int i = 0;

		while (i < RK_BREAK_COUNT && strcmp(break_names[i], which) != 0)
			i++;
		if (i == RK_BREAK_COUNT)
			return -EINVAL;
		fault.broken = (enum rk_break)i;
	}
	if (random) {
		char *end;
		unsigned long mean = strtoul(random, &end, 10);
		unsigned long long seed = *end == ':' ? strtoull(end + 1, &end, 10) : 1;

		if (*end || mean > 1000000000)
			return -EINVAL;
		rk_fault_arm_random((unsigned int)mean, seed ^ (unsigned long long)getpid() << 32);
	}
	return delay ? delay_from(delay) : 0;
}

#else

void rk_fault_arm(enum rk_kill_point point, unsigned int nth, int sig)
{
	(void)point;
	(void)nth;
	(void)sig;
}

void rk_fault_arm_random(unsigned int mean, unsigned long long seed)
{
	(void)mean;
	(void)seed;
}

void rk_fault_break(enum rk_break which)
{
	(void)which;
}

unsigned int rk_fault_count(enum rk_kill_point point)
{
	(void)point;
	return 0;
}

void rk_fault_delay(enum rk_kill_point point, unsigned int us)
{
	(void)point;
	(void)us;
}

int rk_fault_from_environment(void)
{
	return getenv("REKINDLE_BREAK") || getenv("REKINDLE_FAULT") || getenv("REKINDLE_DELAY") ? -ENOTSUP : 0;
}

#endif
