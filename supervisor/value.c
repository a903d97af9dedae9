/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "supervisor/value_types.h"

/* ---- numbers ---- */

static int number_check(const struct rk_key *k, uint64_t v, struct rk_err *err)
{
	if (k->is_power && (v & (v - 1)) != 0)
		return rk_err_set(err, -EINVAL,
				  "%" PRIu64 ": must be a power of two, %" PRIu64 "..%" PRIu64, v, k->min,
				  k->max);
	return 0;
}

static int count_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	uint64_t v;
	int r = rk_num_parse(text, k->min, rk_min_u64(k->max, UINT32_MAX), &v, err);

	if (r == 0)
		r = number_check(k, v, err);
	if (r == 0)
		*(uint32_t *)at = (uint32_t)v;
	return r;
}

static void count_print(const struct rk_key *k, const void *at, FILE *to)
{
	uint32_t v = *(const uint32_t *)at;

	if (v != 0 || *k->normal) /* a count without a default is 0 when it is not set */
		(void)fprintf(to, "%u", v);
}

static int nice_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	uint64_t v;
	bool is_negative = *text == '-';
	int r;

	if (!*text) {
		*(int32_t *)at = RK_NICE_KEEP;
		return 0;
	}
	(void)k;
	r = rk_num_parse(text + (is_negative ? 1 : 0), 0, is_negative ? 20 : 19, &v, err);
	if (r < 0)
		return rk_err_set(err, r, "'%s' is no number from -20 to 19", text);
	*(int32_t *)at = is_negative ? -(int32_t)v : (int32_t)v;
	return 0;
}

static void nice_print(const struct rk_key *k, const void *at, FILE *to)
{
	int32_t v = *(const int32_t *)at;

	(void)k;
	if (v != RK_NICE_KEEP)
		(void)fprintf(to, "%d", v);
}

bool rk_value_is_infinity(const char *text)
{
	return strcmp(text, "infinity") == 0;
}

static int size_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	if (k->is_infinite && rk_value_is_infinity(text)) {
		*(uint64_t *)at = RK_INFINITE;
		return 0;
	}
	return rk_num_parse_size(text, k->min, k->max, at, err);
}

static int time_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	if (k->is_infinite && rk_value_is_infinity(text)) {
		*(uint64_t *)at = RK_INFINITE;
		return 0;
	}
	return rk_num_parse_ns(text, k->min, k->max, at, err);
}

/* With the largest unit that divides it. */
static void unit_print(uint64_t v, const char *const *units, const uint64_t *factors, FILE *to)
{
	size_t best = 0;

	if (v == RK_INFINITE) {
		(void)fputs("infinity", to);
		return;
	}
	for (size_t i = 1; units[i]; i++)
		if (v != 0 && v % factors[i] == 0)
			best = i;
	(void)fprintf(to, "%" PRIu64 "%s", v / factors[best], v ? units[best] : "");
}

void rk_value_size_write(uint64_t v, FILE *to)
{
	static const char *const units[] = { "B", "K", "M", "G", "T", NULL };
	static const uint64_t factors[] = { 1, 1u << 10, 1u << 20, 1u << 30, UINT64_C(1) << 40 };

	unit_print(v, units, factors, to);
}

static void size_print(const struct rk_key *k, const void *at, FILE *to)
{
	(void)k;
	rk_value_size_write(*(const uint64_t *)at, to);
}

static void time_print(const struct rk_key *k, const void *at, FILE *to)
{
	static const char *const units[] = { "ns", "us", "ms", "s", "min", "h", NULL };
	static const uint64_t factors[] = {
		1, 1000, 1000000, 1000000000, 60 * UINT64_C(1000000000), 3600 * UINT64_C(1000000000)
	};

	(void)k;
	unit_print(*(const uint64_t *)at, units, factors, to);
}

static int bool_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	(void)k;
	for (size_t i = 0; i < rk_countof(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*(bool *)at = i % 2 == 1;
			return 0;
		}
	}
	return rk_err_set(err, -EINVAL, "'%s' is neither yes nor no", text);
}

static void bool_print(const struct rk_key *k, const void *at, FILE *to)
{
	(void)k;
	(void)fputs(*(const bool *)at ? "yes" : "no", to);
}

static int enum_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	size_t len = strlen(text);
	uint32_t i = 0;

	for (const char *w = k->words; w; i++) {
		size_t word_len = strcspn(w, "|");

		if (word_len == len && strncmp(w, text, len) == 0) {
			*(uint32_t *)at = i;
			return 0;
		}
		w = w[word_len] ? w + word_len + 1 : NULL;
	}
	return rk_err_set(err, -EINVAL, "'%s' is none of %s", text, k->words);
}

static void enum_print(const struct rk_key *k, const void *at, FILE *to)
{
	const char *w = k->words;

	for (uint32_t i = 0; i < *(const uint32_t *)at && strchr(w, '|'); i++)
		w = strchr(w, '|') + 1;
	(void)fprintf(to, "%.*s", (int)strcspn(w, "|"), w);
}

/* ---- types ---- */

struct type {
	rk_value_parse_fn *parse;
	rk_value_print_fn *print;
	rk_value_free_fn *free; /* NULL: owns nothing */
	size_t size;
	bool is_long; /* may be longer than one word */
};

/* clang-format off */
static const struct type types[] = {
	[RK_VALUE_COUNT] = { count_parse, count_print, NULL, sizeof(uint32_t), false },
	[RK_VALUE_NICE] = { nice_parse, nice_print, NULL, sizeof(int32_t), false },
	[RK_VALUE_SIZE] = { size_parse, size_print, NULL, sizeof(uint64_t), false },
	[RK_VALUE_TIME] = { time_parse, time_print, NULL, sizeof(uint64_t), false },
	[RK_VALUE_BOOL] = { bool_parse, bool_print, NULL, sizeof(bool), false },
	[RK_VALUE_ENUM] = { enum_parse, enum_print, NULL, sizeof(uint32_t), false },
	[RK_VALUE_PATH] = { rk_value_path_parse, rk_value_path_print, rk_value_path_free, sizeof(char *), true },
	[RK_VALUE_COMMAND] = { rk_value_command_parse, rk_value_words_print, rk_value_words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_COMMANDS] = { rk_value_commands_parse, rk_value_commands_print, rk_value_commands_free, sizeof(struct rk_commands), true },
	[RK_VALUE_ENVIRONMENT] = { rk_value_environment_parse, rk_value_words_print, rk_value_words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_PATHS] = { rk_value_paths_parse, rk_value_words_print, rk_value_words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_FLEETS] = { rk_value_fleets_parse, rk_value_words_print, rk_value_words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_SIGNAL] = { rk_value_signal_parse, rk_value_signal_print, NULL, sizeof(uint32_t), false },
	[RK_VALUE_CATCHABLE] = { rk_value_catchable_parse, rk_value_catchable_print, NULL, sizeof(uint32_t), false },
	[RK_VALUE_STATUSES] = { rk_value_statuses_parse, rk_value_statuses_print, NULL, sizeof(struct rk_restart_exits), true },
	[RK_VALUE_CPUS] = { rk_value_cpus_parse, rk_value_cpus_print, NULL, sizeof(struct rk_cpus), true },
	[RK_VALUE_USER] = { rk_value_who_parse, rk_value_who_print, NULL, sizeof(struct rk_who), false },
	[RK_VALUE_GROUP] = { rk_value_who_parse, rk_value_who_print, NULL, sizeof(struct rk_who), false },
	[RK_VALUE_MODE] = { rk_value_mode_parse, rk_value_mode_print, NULL, sizeof(struct rk_mode), false },
	[RK_VALUE_LIMIT] = { rk_value_limit_parse, rk_value_limit_print, NULL, sizeof(struct rk_limit), false },
	[RK_VALUE_LIMIT_SIZE] = { rk_value_limit_parse, rk_value_limit_print, NULL, sizeof(struct rk_limit), false },
	[RK_VALUE_OUTPUT] = { rk_value_output_parse, rk_value_output_print, rk_value_output_free, sizeof(struct rk_output), true },
	[RK_VALUE_NAME] = { rk_value_name_parse, rk_value_path_print, rk_value_path_free, sizeof(char *), true },
	[RK_VALUE_TEXT] = { rk_value_text_parse, rk_value_path_print, rk_value_path_free, sizeof(char *), true },
	[RK_VALUE_ESCAPED] = { rk_value_escaped_parse, rk_value_escaped_print, rk_value_path_free, sizeof(char *), true },
	[RK_VALUE_PATTERN] = { rk_value_pattern_parse, rk_value_path_print, rk_value_path_free, sizeof(char *), true },
	[RK_VALUE_URL_PATH] = { rk_value_url_path_parse, rk_value_path_print, rk_value_path_free, sizeof(char *), true },
	[RK_VALUE_HEADER] = { rk_value_header_parse, rk_value_path_print, rk_value_path_free, sizeof(char *), false },
	[RK_VALUE_FIELD] = { rk_value_field_parse, rk_value_path_print, rk_value_path_free, sizeof(char *), true },
	[RK_VALUE_ADDRESSES] = { rk_value_addresses_parse, rk_value_words_print, rk_value_words_free, sizeof(struct rk_wordlist), true },
};
/* clang-format on */
_Static_assert(rk_countof(types) == RK_VALUE_TYPES, "every type is known");

void rk_value_free(const struct rk_key *k, void *options)
{
	const struct type *t = &types[k->type];
	void *at = (char *)options + k->at;

	if (t->free)
		t->free(at);
	memset(at, 0, t->size);
}

/* Back to the default; what has none is zero, and Nice knows what that means. */
static int reset(const struct rk_key *k, void *options, struct rk_err *err)
{
	rk_value_free(k, options);
	if (!*k->normal && k->type != RK_VALUE_NICE)
		return 0;
	return types[k->type].parse(k, k->normal, (char *)options + k->at, err);
}

int rk_value_parse(const struct rk_key *k, const char *text, void *options, struct rk_err *err)
{
	const struct type *t = &types[k->type];

	if (!*text)
		return reset(k, options, err);
	if (!t->is_long && strlen(text) > RK_VALUE_SCALAR_MAX)
		return rk_err_set(err, -EINVAL, "'%.40s...' is too long for a %s", text,
				  rk_value_type_name(k->type));
	return t->parse(k, text, (char *)options + k->at, err);
}

void rk_value_print(const struct rk_key *k, const void *options, FILE *to)
{
	types[k->type].print(k, (const char *)options + k->at, to);
}

char *rk_value_text(const struct rk_key *k, const void *options)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	rk_value_print(k, options, to);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

int rk_options_init(enum rk_ini_section section, void *options)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	memset(options, 0,
	       section == RK_INI_FLEET ? sizeof(struct rk_fleet_options)
				       : sizeof(struct rk_supervisor_options));
	for (size_t i = 0; i < n; i++) {
		int r = rk_key_section(&k[i]) == section ? reset(&k[i], options, NULL) : 0;

		if (r < 0)
			return r; /* the table's own defaults are good: test_keys */
	}
	return 0;
}

void rk_options_free(enum rk_ini_section section, void *options)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	for (size_t i = 0; i < n; i++)
		if (rk_key_section(&k[i]) == section)
			rk_value_free(&k[i], options);
}
