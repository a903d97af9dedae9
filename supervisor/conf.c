/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "shm/owner.h"
#include "shm/rundir.h"

#define STOP_TIMEOUT_DEFAULT (5 * RK_NS_PER_S)
#define STOP_TIMEOUT_MAX (24 * 3600 * RK_NS_PER_S)
#define WORKERS_ROOM 64u  /* slots a fleet gets at least, so that it can be scaled up later */
#define READERS_ROOM 128u /* reader lines beside those of the clients: status, top, key */

enum kind { FLAG, COUNT, POWER, SIZE, TIME, NAME }; /* POWER: a count that is a power of two */

struct option {
	const char *name;
	char letter; /* 0 = none */
	enum kind kind;
	size_t at; /* in struct rk_conf */
	uint64_t min, max;
};

#define AT(member) offsetof(struct rk_conf, member)

/* What one option may say by itself; rk_geometry_check() judges what they come to together. */
static const struct option options[] = {
	{ "name", 0, NAME, AT(name), 0, 0 },
	{ "workers", 'n', COUNT, AT(n_workers), 1, RK_WORKERS_MAX },
	{ "partitions", 0, POWER, AT(geometry.n_partitions), 1, RK_PARTITIONS_MAX },
	{ "ring", 0, POWER, AT(geometry.n_ring), RK_RING_MIN, RK_RING_MAX },
	{ "max-clients", 0, COUNT, AT(geometry.n_clients), 1, RK_CLIENTS_MAX },
	{ "slots", 0, COUNT, AT(geometry.n_slots), 1, RK_SLOTS_MAX },
	{ "dedup", 0, COUNT, AT(geometry.n_dedup), 1, 65534 },
	{ "max-request", 0, SIZE, AT(geometry.request_max), 8, RK_BODY_MAX },
	{ "max-reply", 0, SIZE, AT(geometry.reply_max), 8, RK_BODY_MAX },
	{ "max-state", 0, SIZE, AT(geometry.state_max), 8, 1u << 31 },
	{ "undo", 0, COUNT, AT(geometry.n_log), 8, RK_LOG_ENTRIES_MAX },
	{ "undo-data", 0, SIZE, AT(geometry.log_data_len), 0, 1u << 30 },
	{ "batch", 0, COUNT, AT(batch), 1, RK_BATCH_MAX },
	{ "stop-timeout", 0, TIME, AT(stop_timeout_ns), 0, STOP_TIMEOUT_MAX },
	{ "quiet", 'q', FLAG, AT(quiet), 0, 0 },
	{ "debug", 0, FLAG, AT(debug), 0, 0 },
};

const char *rk_conf_usage(void)
{
	return "usage: rekindled --name NAME [OPTION...] -- COMMAND [ARGUMENT...]\n"
	       "\n"
	       "Keeps a fleet of workers running COMMAND alive. Options:\n"
	       "  --name NAME           what the fleet is called\n"
	       "  -n, --workers N       workers to run (4)\n"
	       "  --partitions N        partitions of the key space, a power of two (256)\n"
	       "  --ring N              places in a partition's queue, a power of two (512)\n"
	       "  --max-clients N       clients at one time (128)\n"
	       "  --slots N             outstanding calls per client (16)\n"
	       "  --dedup N             unread replies kept per partition (64)\n"
	       "  --max-request SIZE    bytes of key and body together (1K)\n"
	       "  --max-reply SIZE      bytes of a reply (1K)\n"
	       "  --max-state SIZE      bytes of state per partition (64K)\n"
	       "  --undo N              changes that one job or batch may make (512)\n"
	       "  --undo-data SIZE      bytes kept for changes longer than 24 bytes (16K)\n"
	       "  --batch N             jobs per commit (the worker's own choice)\n"
	       "  --stop-timeout TIME   from SIGTERM to SIGKILL, such as 500ms (5s)\n"
	       "  -q, --quiet           nothing on standard output\n"
	       "  --debug               every transition in the log\n"
	       "  --help, --version\n";
}

static void conf_default(struct rk_conf *c)
{
	*c = (struct rk_conf){ .n_workers = 4, .stop_timeout_ns = STOP_TIMEOUT_DEFAULT };
	rk_geometry_default(&c->geometry);
}

/* The option that arg names; *ret_value is what stands behind its '=' or letter, or NULL. */
static const struct option *option_find(const char *arg, const char **ret_value)
{
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);

	for (size_t i = 0; i < rk_countof(options); i++) {
		const struct option *o = &options[i];

		if (arg[1] != '-') {
			if (o->letter == 0 || arg[1] != o->letter)
				continue;
			*ret_value = arg[2] ? arg + 2 : NULL;
			return o;
		}
		if (strlen(o->name) != len - 2 || memcmp(o->name, arg + 2, len - 2) != 0)
			continue;
		*ret_value = equals ? equals + 1 : NULL;
		return o;
	}
	return NULL;
}

static int name_set(char *to, const char *value, struct rk_err *err)
{
	int r = rk_name_check(value, err);

	if (r < 0)
		return r;
	memcpy(to, value, strlen(value) + 1); /* rk_name_check() bounds it */
	return 0;
}

static int u32_set(uint32_t *to, const char *value, const struct option *o, struct rk_err *err)
{
	uint64_t v;
	int r = o->kind == SIZE ? rk_num_parse_size(value, o->min, o->max, &v, err)
				: rk_num_parse(value, o->min, o->max, &v, err);

	if (r < 0)
		return r;
	if (o->kind == POWER && (v & (v - 1)))
		return rk_err_set(err, -ERANGE, "%s: must be a power of two, %llu..%llu", value,
				  (unsigned long long)o->min, (unsigned long long)o->max);
	*to = (uint32_t)v; /* no option's max is larger */
	return 0;
}

static int value_set(struct rk_conf *c, const struct option *o, const char *value,
		     struct rk_err *err)
{
	void *at = (char *)c + o->at;

	switch (o->kind) {
	case FLAG:
		*(bool *)at = true;
		return 0;
	case NAME:
		return name_set(at, value, err);
	case TIME:
		return rk_num_parse_ns(value, o->min, o->max, at, err);
	case COUNT:
	case POWER:
	case SIZE:
		return u32_set(at, value, o, err);
	}
	return -EINVAL;
}

/* Reads the option at argv[*i] and leaves *i at the last argument it took. */
static int option_read(struct rk_conf *c, int argc, char *const *argv, int *i, struct rk_err *err)
{
	const char *arg = argv[*i], *value = NULL;
	const struct option *o = option_find(arg, &value);
	char what[64];
	int r;

	if (!o)
		return rk_err_set(err, -EINVAL, "'%s' is not an option: see rekindled --help", arg);
	(void)snprintf(what, sizeof(what), "--%s", o->name);
	if (o->kind == FLAG && value)
		return rk_err_set(err, -EINVAL, "%s takes no value", what);
	if (o->kind != FLAG && !value) {
		if (*i + 1 >= argc)
			return rk_err_set(err, -EINVAL, "%s needs a value", what);
		value = argv[++*i];
	}
	r = value_set(c, o, value, err);
	return r < 0 ? rk_err_prefix(err, -EINVAL, what) : 0;
}

/* What follows from what was given, and whether a fleet can have these sizes. */
static int conf_finish(struct rk_conf *c, struct rk_err *err)
{
	struct rk_geometry *g = &c->geometry;

	if (c->name[0] == '\0')
		return rk_err_set(err, -EINVAL, "the fleet has no name: give it one with --name");
	if (!c->command || !c->command[0])
		return rk_err_set(err, -EINVAL,
				  "no command: what the workers run goes behind '--'");
	g->n_workers = rk_max_u32(c->n_workers, WORKERS_ROOM);
	g->n_cells = g->n_slots + rk_max_u32(g->n_slots / 2, 4);
	g->n_readers = (uint32_t)rk_min_u64((uint64_t)g->n_clients + READERS_ROOM, RK_READERS_MAX);
	return rk_geometry_check(g, err) < 0 ? -ERANGE : 0;
}

int rk_conf_parse(struct rk_conf *ret, int argc, char *const *argv, struct rk_err *err)
{
	struct rk_conf c;
	int r;

	conf_default(&c);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return RK_CONF_HELP;
		if (strcmp(argv[i], "--version") == 0)
			return RK_CONF_VERSION;
		if (strcmp(argv[i], "--") == 0) {
			c.command = argv + i + 1;
			break;
		}
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			c.command = argv + i; /* the '--' may be left out */
			break;
		}
		r = option_read(&c, argc, argv, &i, err);
		if (r < 0)
			return r;
	}
	r = conf_finish(&c, err);
	if (r == 0)
		*ret = c;
	return r;
}

const char *rk_conf_doubt(const struct rk_conf *c, char *text, size_t size)
{
	uint32_t n = c->geometry.n_partitions, enough = n;

	if (c->n_workers <= n)
		return NULL;
	while (enough < c->n_workers)
		enough *= 2;
	(void)snprintf(text, size,
		       "%u workers share %u partition%s: %u of them can never own anything; give "
		       "--partitions %u or more, or fewer workers",
		       c->n_workers, n, n == 1 ? "" : "s", c->n_workers - n,
		       enough);
	return text;
}
