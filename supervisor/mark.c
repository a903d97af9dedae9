/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/mark.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "base/process.h"
#include "base/rand.h"

#define SLOT_BITS 12
#define IS_MARK (UINT64_C(1) << 62) /* set in every one; bit 63 is not, so that none is RLIM_INFINITY */
#define CHUNK 16384u /* of an environment at a time */
#define LIMITS_TEXT 4096u

static const char name[] = RK_MARK_VARIABLE;

#define NAME_LEN (sizeof(name) - 1)

struct rk_mark rk_mark_of(const uint64_t fleet[2])
{
	struct rk_rand hash = rk_rand_init(fleet[0]);
	uint64_t h = rk_rand_u64(&hash) ^ fleet[1];

	hash = rk_rand_init(h);
	return (struct rk_mark){ .fleet = { fleet[0], fleet[1] },
				 .limit = (rk_rand_u64(&hash) >> 2 | IS_MARK) >> SLOT_BITS << SLOT_BITS };
}

const char *rk_mark_variable(const struct rk_mark *m, uint32_t slot, char text[static RK_MARK_TEXT])
{
	(void)snprintf(text, RK_MARK_TEXT, "%s%016" PRIx64 "%016" PRIx64 ".%u", name, m->fleet[0], m->fleet[1],
		       rk_min_u32(slot, RK_MARK_SLOTS));
	return text;
}

uint64_t rk_mark_limit(const struct rk_mark *m, uint32_t slot)
{
	return m->limit | rk_min_u32(slot, RK_MARK_SLOTS);
}

void rk_mark_give(uint64_t limit)
{
	struct rlimit now;
	const struct rlimit mark = { .rlim_cur = limit, .rlim_max = limit };

	/* A bound that somebody wants is left alone, as is the mark of a supervisor above us. */
	if (getrlimit(RLIMIT_RTTIME, &now) == 0 && now.rlim_cur == RLIM_INFINITY && now.rlim_max == RLIM_INFINITY)
		(void)setrlimit(RLIMIT_RTTIME, &mark);
}

static enum rk_mark_whose ours(uint64_t slot, uint32_t *ret_slot)
{
	if (slot >= RK_MARK_SLOTS)
		return RK_MARK_OTHER;
	*ret_slot = (uint32_t)slot;
	return RK_MARK_OURS;
}

enum rk_mark_whose rk_mark_by_limit(const struct rk_mark *m, uint64_t limit, uint32_t *ret_slot)
{
	if ((limit >> 62) != 1)
		return RK_MARK_NOBODY;
	if (limit >> SLOT_BITS != m->limit >> SLOT_BITS)
		return RK_MARK_OTHER;
	return ours(limit & ((1u << SLOT_BITS) - 1), ret_slot);
}

/* What stands behind "REKINDLE_TREE=". */
static enum rk_mark_whose value_read(const struct rk_mark *m, const char *text, uint32_t *ret_slot)
{
	char fleet[RK_MARK_TEXT];
	uint64_t slot;
	int n = snprintf(fleet, sizeof(fleet), "%016" PRIx64 "%016" PRIx64 ".", m->fleet[0], m->fleet[1]);

	if (strncmp(text, fleet, (size_t)n) != 0 || rk_num_parse(text + n, 0, RK_MARK_SLOTS, &slot, NULL) < 0)
		return RK_MARK_OTHER;
	return ours(slot, ret_slot);
}

enum rk_mark_whose rk_mark_by_environment(const struct rk_mark *m, const char *text, size_t len, uint32_t *ret_slot)
{
	const char *end = text + len;

	while (text < end) {
		size_t line = strnlen(text, (size_t)(end - text));

		if (line == (size_t)(end - text))
			break; /* cut off */
		if (strncmp(text, name, NAME_LEN) == 0)
			return value_read(m, text + NAME_LEN, ret_slot);
		text += line + 1;
	}
	return RK_MARK_NOBODY;
}

uint64_t rk_mark_parse_limits(const char *text)
{
	static const char title[] = "Max realtime timeout";
	const char *at = strstr(text, title);
	char *end;
	uint64_t hard;

	if (!at)
		return RLIM_INFINITY;
	at += sizeof(title) - 1;
	at += strspn(at, " ");
	at += strcspn(at, " \n"); /* the soft one */
	at += strspn(at, " ");
	hard = strtoull(at, &end, 10);
	return end == at ? RLIM_INFINITY : hard; /* "unlimited" */
}

/* Piece by piece, each with the rest of a line that was cut off: some environments are large. */
static enum rk_mark_whose environment_look(const struct rk_mark *m, pid_t pid, uint32_t *ret_slot)
{
	char text[CHUNK + 1], path[32];
	rk_cleanup(rk_close_p) int fd = -1;
	size_t kept = 0;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, text + kept, CHUNK - kept)) > 0) {
		size_t len = kept + (size_t)n;
		enum rk_mark_whose whose = rk_mark_by_environment(m, text, len, ret_slot);
		const char *last = memrchr(text, '\0', len);

		if (whose != RK_MARK_NOBODY)
			return whose;
		kept = last ? len - (size_t)(last + 1 - text) : 0; /* no line of ours is so long */
		if (last)
			memmove(text, last + 1, kept);
	}
	return RK_MARK_NOBODY;
}

enum rk_mark_whose rk_mark_look(const struct rk_mark *m, pid_t pid, uint32_t *ret_slot)
{
	char limits[LIMITS_TEXT];
	enum rk_mark_whose by_limit, by_environment;

	(void)rk_process_read(pid, "limits", limits, sizeof(limits));
	by_limit = rk_mark_by_limit(m, rk_mark_parse_limits(limits), ret_slot);
	if (by_limit == RK_MARK_OURS)
		return by_limit;
	by_environment = environment_look(m, pid, ret_slot); /* ours below another one's: the limit was taken */
	return by_environment != RK_MARK_NOBODY ? by_environment : by_limit;
}
