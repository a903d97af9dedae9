/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/brake.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

#define BUCKET_NS (RK_NS_PER_S / RK_BRAKE_BUCKETS)
#define STEP_NS (2 * RK_NS_PER_MS)       /* per restart beyond the free ones, no pressure */
#define STEP_FULL_NS (50 * RK_NS_PER_MS) /* the same at 100 % */

/* ---- pressure ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "12.34" up to a blank, in hundredths. At most three digits before the point, two behind it. */
static int parse_percent(const char *at, const char *end, uint32_t *ret)
{
	uint32_t v = 0;
	int n = 0;

	for (; at < end && is_digit(*at) && n < 3; at++, n++)
		v = 10 * v + (uint32_t)(*at - '0');
	if (n == 0 || end - at < 4 || at[0] != '.' || !is_digit(at[1]) || !is_digit(at[2]) ||
	    at[3] != ' ')
		return -EINVAL;
	*ret = 100 * v + 10 * (uint32_t)(at[1] - '0') + (uint32_t)(at[2] - '0');
	return 0;
}

int rk_brake_parse(const char *text, size_t len, uint32_t *ret_pressure, struct rk_err *err)
{
	static const char head[] = "some avg10=";
	uint32_t v;

	if (len < sizeof(head) - 1 || memcmp(text, head, sizeof(head) - 1) != 0)
		return rk_err_set(err, -EINVAL, "a pressure file begins with '%s'", head);
	if (parse_percent(text + sizeof(head) - 1, text + len, &v) < 0 || v > RK_BRAKE_PRESSURE_MAX)
		return rk_err_set(err, -EINVAL, "avg10 is a percentage with two decimals");
	*ret_pressure = v;
	return 0;
}

void rk_brake_on_pressure(struct rk_brake *b, enum rk_brake_kind kind, uint32_t pressure,
			  uint64_t now_ns)
{
	if ((unsigned int)kind >= RK_BRAKE_KINDS)
		return;
	b->pressure[kind] = rk_min_u32(pressure, RK_BRAKE_PRESSURE_MAX);
	b->read_ns[kind] = now_ns;
}

static uint32_t fresh_pressure(const struct rk_brake *b, enum rk_brake_kind kind, uint64_t now_ns)
{
	uint64_t read_ns = b->read_ns[kind];

	if (read_ns == 0 || now_ns > read_ns + RK_BRAKE_FRESH_NS)
		return 0;
	return b->pressure[kind];
}

uint32_t rk_brake_pressure(const struct rk_brake *b, uint64_t now_ns, enum rk_brake_kind *ret_kind)
{
	uint32_t worst = 0;

	*ret_kind = RK_BRAKE_CPU;
	for (int i = 0; i < RK_BRAKE_KINDS; i++) {
		uint32_t v = fresh_pressure(b, (enum rk_brake_kind)i, now_ns);

		if (v <= worst)
			continue;
		worst = v;
		*ret_kind = (enum rk_brake_kind)i;
	}
	return worst;
}

bool rk_brake_is_memory_short(const struct rk_brake *b, uint64_t now_ns)
{
	return fresh_pressure(b, RK_BRAKE_MEMORY, now_ns) >= RK_BRAKE_SHORT;
}

const char *rk_brake_kind_name(enum rk_brake_kind kind)
{
	static const char *const names[] = { "cpu", "memory", "io" };

	_Static_assert(rk_countof(names) == RK_BRAKE_KINDS, "a name for every kind");
	return (unsigned int)kind < RK_BRAKE_KINDS ? names[kind] : "?";
}

/* ---- restarts ---- */

void rk_brake_on_restart(struct rk_brake *b, uint64_t now_ns)
{
	uint64_t bucket = now_ns / BUCKET_NS;

	if (bucket >= b->newest + RK_BRAKE_BUCKETS) {
		memset(b->buckets, 0, sizeof(b->buckets));
		b->newest = bucket;
	}
	for (; b->newest < bucket; b->newest++)
		b->buckets[(b->newest + 1) % RK_BRAKE_BUCKETS] = 0;
	b->buckets[bucket % RK_BRAKE_BUCKETS]++; /* a clock that stepped back: an older bucket */
}

uint32_t rk_brake_n_restarts(const struct rk_brake *b, uint64_t now_ns)
{
	uint64_t bucket = now_ns / BUCKET_NS;
	uint32_t n = 0;

	for (uint64_t i = 0; i < RK_BRAKE_BUCKETS && i <= b->newest; i++)
		if (b->newest - i + RK_BRAKE_BUCKETS > bucket)
			n += b->buckets[(b->newest - i) % RK_BRAKE_BUCKETS];
	return n;
}

uint64_t rk_brake_wait_ns(const struct rk_brake *b, uint64_t now_ns)
{
	uint32_t n = rk_brake_n_restarts(b, now_ns);
	enum rk_brake_kind kind;
	uint64_t step_ns;

	if (n < RK_BRAKE_FREE)
		return 0;
	step_ns = STEP_NS + (STEP_FULL_NS - STEP_NS) * rk_brake_pressure(b, now_ns, &kind) /
				    RK_BRAKE_PRESSURE_MAX;
	return rk_min_u64((n - RK_BRAKE_FREE + 1) * step_ns, RK_BRAKE_WAIT_MAX_NS);
}
