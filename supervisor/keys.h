/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: the one table of what a configuration can say. Reading, checking, printing, the man
 * page, the command line and a reload are all made from it; a new key is one entry here and its
 * member in options.h.
 *
 * Who       the supervisor; constant.
 */
#ifndef RK_SUPERVISOR_KEYS_H
#define RK_SUPERVISOR_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/ini.h"
#include "supervisor/options.h"

enum rk_value_type {
	RK_VALUE_COUNT,       /* uint32_t */
	RK_VALUE_NICE,        /* int32_t */
	RK_VALUE_SIZE,        /* uint64_t */
	RK_VALUE_TIME,        /* uint64_t */
	RK_VALUE_BOOL,        /* bool */
	RK_VALUE_ENUM,        /* uint32_t: which of the words */
	RK_VALUE_PATH,        /* char *: an absolute path */
	RK_VALUE_COMMAND,     /* struct rk_wordlist */
	RK_VALUE_COMMANDS,    /* struct rk_commands; a list */
	RK_VALUE_ENVIRONMENT, /* struct rk_wordlist; a list of NAME=VALUE */
	RK_VALUE_PATHS,      /* struct rk_wordlist; a list of absolute paths, '-' may precede one */
	RK_VALUE_FLEETS,     /* struct rk_wordlist; a list of names */
	RK_VALUE_SIGNAL,     /* uint32_t */
	RK_VALUE_CATCHABLE,  /* uint32_t: a signal that a process goes on after; 0 = none */
	RK_VALUE_STATUSES,   /* struct rk_restart_exits; a list */
	RK_VALUE_CPUS,       /* struct rk_cpus; a list */
	RK_VALUE_USER,       /* struct rk_who */
	RK_VALUE_GROUP,      /* struct rk_who */
	RK_VALUE_MODE,       /* struct rk_mode */
	RK_VALUE_LIMIT,      /* struct rk_limit of plain numbers */
	RK_VALUE_LIMIT_SIZE, /* struct rk_limit of sizes */
	RK_VALUE_OUTPUT,     /* struct rk_output */
	RK_VALUE_NAME,       /* char *: as rk_name_check() has it */
	RK_VALUE_TEXT,       /* char *: as it stands */
	RK_VALUE_ESCAPED,    /* char *: \r \n \t \\ \xHH are what they mean */
	RK_VALUE_PATTERN,    /* char *: an absolute path with specifiers */
	RK_VALUE_URL_PATH,   /* char *: a URL's path */
	RK_VALUE_HEADER,     /* char *: the name of an HTTP header */
	RK_VALUE_FIELD,      /* char *: a field's number from 1, or .json.path */
	RK_VALUE_ADDRESSES,  /* struct rk_wordlist; a list of HOST:PORT, [V6]:PORT and paths of unix sockets */
	RK_VALUE_TYPES
};

/* What a reload does with a key that changed. */
enum rk_reload {
	RK_RELOAD_NOW,   /* holds at once */
	RK_RELOAD_SPAWN, /* holds for a worker from its next start: a rolling restart follows */
	RK_RELOAD_NEVER, /* refused: the fleet has to be stopped and started */
	RK_RELOADS
};

/* Headings of the man page. */
enum rk_key_group {
	RK_GROUP_SUPERVISOR,
	RK_GROUP_RUN,
	RK_GROUP_SIZES,
	RK_GROUP_PROCESS,
	RK_GROUP_CGROUP,
	RK_GROUP_TIME,
	RK_GROUP_RESTART,
	RK_GROUP_CLIENTS,
	RK_GROUP_WRAP,
	RK_GROUPS
};

struct rk_key {
	const char *name;
	enum rk_key_group group;
	enum rk_value_type type;
	enum rk_reload reload;
	size_t at;           /* in the section's options */
	uint64_t min, max;   /* of a number */
	bool is_infinite;    /* "infinity" may stand for a number */
	bool is_power;       /* a power of two */
	const char *words;   /* of an enum, between '|' */
	const char *normal;  /* the default as it would be written; "" = none */
	const char *systemd; /* its name there, a remark behind it; NULL = it has none */
	const char *supervisord;
	const char *help; /* one sentence or two */
	uint32_t kinds;   /* bit i: enum rk_kind i knows it; 0 = all */
	char letter;      /* of the command line; 0 = none */
};

#define RK_KEYS_MAX 192u /* room for one bit per key; a multiple of 64 */

#define RK_LISTEN_MAX 16u      /* addresses of Listen= */
#define RK_DESCRIPTORS_MAX 64u /* of FileDescriptorStoreMax= */

/* The table, by group. */
const struct rk_key *rk_keys(size_t *ret_n);

/* The section that a key belongs to. */
enum rk_ini_section rk_key_section(const struct rk_key *k);

/* Whether a repeated key appends. */
bool rk_key_is_list(const struct rk_key *k);

/* NULL if the section has no such key. */
const struct rk_key *rk_key_find(enum rk_ini_section section, const char *name);

/*
 * The key that somebody who wrote `name` probably meant: another case, the name that systemd or
 * supervisord has for it, or a misspelling; NULL if there is none. *ret_whose says "systemd" or
 * "supervisord" when it is their name, else NULL.
 */
const struct rk_key *rk_key_nearest(enum rk_ini_section section, const char *name,
				    const char **ret_whose);

/*
 * A key's long option without its dashes: a dash before each capital that begins a word, all in
 * lower case. HangAfter -> hang-after, LimitNOFILE -> limit-nofile, MaxRSS -> max-rss.
 */
void rk_key_option(const struct rk_key *k, char ret[static RK_INI_KEY_MAX]);

/* "lines", as Kind= has it. */
const char *rk_kind_name(uint32_t kind);

/* The kinds that know the key: "Kind=lines or http", "any Kind= but native"; "" for all. Returns text. */
const char *rk_key_kinds(const struct rk_key *k, char *text, size_t size);

/* What the value looks like: "NUMBER", "SIZE", "TIME", … for help and man page. */
const char *rk_value_type_name(enum rk_value_type type);

/* "now", "next start" or "never". */
const char *rk_reload_name(enum rk_reload reload);

#endif
