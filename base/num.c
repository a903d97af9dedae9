/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit plain_units[] = { { "", 1 } };
static const struct unit size_units[] = {
	{ "B", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
};
static const struct unit time_units[] = {
	{ "ns", 1 },          { "us", RK_NS_PER_US },      { "ms", RK_NS_PER_MS },
	{ "s", RK_NS_PER_S }, { "min", 60 * RK_NS_PER_S }, { "h", 3600 * RK_NS_PER_S },
};

/* One way of writing numbers, and how an error names it. */
struct form {
	const struct unit *units;
	size_t n_units;
	const char *what;
	bool any_case;    /* "1k" is "1K" */
	const char *noun; /* what a number without a unit is not; with the two units to propose */
	const char *proposed[2];
};

static const struct form plain_form = { .units = plain_units,
					.n_units = rk_countof(plain_units),
					.what = "a number" };
static const struct form size_form = { .units = size_units,
				       .n_units = rk_countof(size_units),
				       .what = "a size such as 64K or 1M (B, K, M, G, T)",
				       .any_case = true,
				       .noun = "a size",
				       .proposed = { "B", "K" } };
static const struct form time_form = { .units = time_units,
				       .n_units = rk_countof(time_units),
				       .what = "a duration such as 500ms or 2s: a unit is needed "
					       "(ns, us, ms, s, min, h)",
				       .noun = "a duration",
				       .proposed = { "s", "ms" } };

/* Returns the end of the digits at text (text itself if none), or NULL on overflow. */
static const char *digits_read(const char *text, uint64_t *ret_v)
{
	uint64_t v = 0;

	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return NULL;
	}
	*ret_v = v;
	return text;
}

static uint64_t unit_factor(const struct form *f, const char *name)
{
	for (size_t i = 0; i < f->n_units; i++)
		if ((f->any_case ? strcasecmp : strcmp)(f->units[i].name, name) == 0)
			return f->units[i].factor;
	return 0;
}

static int parse(const struct form *f, const char *text, uint64_t *ret_v, struct rk_err *err)
{
	uint64_t v, factor;
	const char *end = digits_read(text, &v);

	if (!end)
		return rk_err_set(err, -ERANGE, "'%s' is too large", text);
	if (end == text)
		return rk_err_set(err, -EINVAL, "'%s' is not %s", text, f->what);
	factor = unit_factor(f, end);
	if (factor == 0 && v == 0 && *end == '\0')
		factor = 1; /* zero needs no unit */
	if (factor == 0 && *end == '\0')
		return rk_err_set(err, -EINVAL, "'%s' is not %s; give a unit: %s%s or %s%s", text,
				  f->noun, text, f->proposed[0], text, f->proposed[1]);
	if (factor == 0)
		return rk_err_set(err, -EINVAL, "'%s' is not %s", text, f->what);
	if (__builtin_mul_overflow(v, factor, ret_v))
		return rk_err_set(err, -ERANGE, "'%s' is too large", text);
	return 0;
}

/* Writes v with the largest unit that divides it, so that a bound reads as it was meant. */
static void bound_format(const struct form *f, uint64_t v, char *text, size_t size)
{
	const struct unit *u = &f->units[0];

	for (size_t i = 1; i < f->n_units; i++)
		if (v != 0 && v % f->units[i].factor == 0)
			u = &f->units[i];
	(void)snprintf(text, size, "%" PRIu64 "%s", v / u->factor, u->name);
}

static int bounds_say(const struct form *f, const char *text, uint64_t min, uint64_t max,
		      struct rk_err *err)
{
	char lo[32], hi[32];

	bound_format(f, min, lo, sizeof(lo));
	bound_format(f, max, hi, sizeof(hi));
	return rk_err_set(err, -ERANGE, "%s: must be %s..%s", text, lo, hi);
}

/* A number that is right but for its sign: out of every range. */
static bool is_negative(const struct form *f, const char *text)
{
	uint64_t v;

	return text[0] == '-' && parse(f, text + 1, &v, NULL) == 0;
}

static int parse_within(const struct form *f, const char *text, uint64_t min, uint64_t max,
			uint64_t *ret_v, struct rk_err *err)
{
	uint64_t v = 0;
	int r;

	if (is_negative(f, text))
		return bounds_say(f, text, min, max, err);
	r = parse(f, text, &v, err);
	if (r < 0)
		return r;
	if (v < min || v > max)
		return bounds_say(f, text, min, max, err);
	*ret_v = v;
	return 0;
}

int rk_num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v, struct rk_err *err)
{
	return parse_within(&plain_form, text, min, max, ret_v, err);
}

int rk_num_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v,
		      struct rk_err *err)
{
	return parse_within(&size_form, text, min, max, ret_v, err);
}

int rk_num_parse_ns(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v,
		    struct rk_err *err)
{
	return parse_within(&time_form, text, min, max, ret_v, err);
}

const char *rk_num_format(char text[static RK_NUM_TEXT], uint64_t v)
{
	char digits[21];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, v);
	char *out = text;

	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return text;
}

const char *rk_num_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}
