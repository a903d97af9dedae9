/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/value.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "shm/rundir.h"

#define SCALAR_MAX 80u     /* bytes of a value that is one word */
#define WORDS_MAX 1024u    /* words of a list or command */
#define COMMANDS_MAX 32u   /* commands of a key */
#define ACCOUNT_ROOM 16384 /* bytes of an entry of passwd or group */
#define SIGNALS 32         /* those with a name, beyond the last */

typedef int parse_fn(const struct rk_key *k, const char *text, void *at, struct rk_err *err);
typedef void print_fn(const struct rk_key *k, const void *at, FILE *to);
typedef void free_fn(void *at);

/* ---- numbers ---- */

static int number_check(const struct rk_key *k, uint64_t v, struct rk_err *err)
{
	if (k->is_power && (v & (v - 1)) != 0)
		return rk_err_set(err, -EINVAL,
				  "%" PRIu64 " is no power of two, such as 64, 128 or 256", v);
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

static bool is_infinity(const char *text)
{
	return strcmp(text, "infinity") == 0;
}

static int size_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	if (k->is_infinite && is_infinity(text)) {
		*(uint64_t *)at = RK_INFINITE;
		return 0;
	}
	return rk_num_parse_size(text, k->min, k->max, at, err);
}

static int time_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	if (k->is_infinite && is_infinity(text)) {
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

static void size_write(uint64_t v, FILE *to)
{
	static const char *const units[] = { "", "K", "M", "G", "T", NULL };
	static const uint64_t factors[] = { 1, 1u << 10, 1u << 20, 1u << 30, UINT64_C(1) << 40 };

	unit_print(v, units, factors, to);
}

static void size_print(const struct rk_key *k, const void *at, FILE *to)
{
	(void)k;
	size_write(*(const uint64_t *)at, to);
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
	return strchr(k->words, '|')
		       ? rk_err_set(err, -EINVAL, "'%s' is none of %s", text, k->words)
		       : rk_err_set(err, -EINVAL, "'%s': this release knows only %s", text,
				    k->words);
}

static void enum_print(const struct rk_key *k, const void *at, FILE *to)
{
	const char *w = k->words;

	for (uint32_t i = 0; i < *(const uint32_t *)at && strchr(w, '|'); i++)
		w = strchr(w, '|') + 1;
	(void)fprintf(to, "%.*s", (int)strcspn(w, "|"), w);
}

/* ---- signals, statuses, CPUs, modes, limits ---- */

/* 0 if there is no such signal. */
static uint32_t signal_of(const char *text)
{
	const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;

	for (int sig = 1; sig < SIGNALS; sig++) {
		const char *known = sigabbrev_np(sig);

		if (known && strcmp(known, name) == 0)
			return (uint32_t)sig;
	}
	return 0;
}

static int signal_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	uint32_t sig = signal_of(text);

	(void)k;
	if (sig == 0)
		return rk_err_set(err, -EINVAL, "'%s' is no signal such as SIGTERM or SIGINT",
				  text);
	if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGCONT || sig == SIGCHLD)
		return rk_err_set(err, -EINVAL, "%s asks no process to end: use SIGTERM or SIGINT",
				  text);
	*(uint32_t *)at = sig;
	return 0;
}

static void signal_print(const struct rk_key *k, const void *at, FILE *to)
{
	const char *name = sigabbrev_np((int)*(const uint32_t *)at);

	(void)k;
	(void)fprintf(to, "SIG%s", name ? name : "?");
}

static int status_add(struct rk_statuses *s, const char *word, struct rk_err *err)
{
	uint32_t sig = signal_of(word);
	uint64_t status;

	if (sig) {
		s->signals |= UINT64_C(1) << sig;
		return 0;
	}
	if (rk_num_parse(word, 0, 255, &status, NULL) < 0)
		return rk_err_set(err, -EINVAL,
				  "'%s' is neither an exit status from 0 to 255 nor a signal "
				  "such as SIGHUP: separate several by blanks",
				  word);
	s->exit[status / 64] |= UINT64_C(1) << status % 64;
	return 0;
}

static int statuses_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	struct rk_statuses s = *(struct rk_statuses *)at;
	int r = rk_wordlist_split(&w, text, WORDS_MAX, err);

	(void)k;
	for (uint32_t i = 0; r == 0 && i < w.n; i++)
		r = status_add(&s, w.at[i], err);
	if (r == 0)
		*(struct rk_statuses *)at = s;
	return r;
}

static void statuses_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_statuses *s = at;
	const char *between = "";

	(void)k;
	for (unsigned int i = 0; i < 256; i++) {
		if (!(s->exit[i / 64] >> i % 64 & 1))
			continue;
		(void)fprintf(to, "%s%u", between, i);
		between = " ";
	}
	for (int sig = 1; sig < SIGNALS; sig++) {
		if (!(s->signals >> sig & 1))
			continue;
		(void)fprintf(to, "%sSIG%s", between, sigabbrev_np(sig));
		between = " ";
	}
}

/* "3" or "0-3"; ends at a comma or at the end. */
static int cpus_add(cpu_set_t *set, const char *word, struct rk_err *err)
{
	char first[8], last[8] = "";
	uint64_t from, to;
	int end = 0;

	if (sscanf(word, "%7[0-9]%n-%7[0-9]%n", first, &end, last, &end) < 1 || word[end] ||
	    rk_num_parse(first, 0, CPU_SETSIZE - 1, &from, NULL) < 0 ||
	    rk_num_parse(*last ? last : first, from, CPU_SETSIZE - 1, &to, NULL) < 0)
		return rk_err_set(err, -EINVAL,
				  "'%s' is no CPU from 0 to %d and no range such as 0-3", word,
				  CPU_SETSIZE - 1);
	for (; from <= to; from++)
		CPU_SET(from, set);
	return 0;
}

static int cpus_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *copy = strdup(text);
	struct rk_cpus c = *(struct rk_cpus *)at;
	char *rest = NULL;
	int r = copy ? 0 : rk_err_set(err, -ENOMEM, "no memory");

	(void)k;
	for (char *word = copy ? strtok_r(copy, ", \t", &rest) : NULL; r == 0 && word;
	     word = strtok_r(NULL, ", \t", &rest)) {
		r = cpus_add(&c.set, word, err);
		c.is_set = true;
	}
	if (r == 0)
		*(struct rk_cpus *)at = c;
	return r;
}

static void cpus_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_cpus *c = at;
	const char *between = "";

	(void)k;
	for (int i = 0; c->is_set && i < CPU_SETSIZE; i++) {
		int last = i;

		if (!CPU_ISSET(i, &c->set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &c->set))
			last++;
		(void)fprintf(to, last > i ? "%s%d-%d" : "%s%d", between, i, last);
		between = ",";
		i = last;
	}
}

static int mode_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	size_t len = strlen(text);

	(void)k;
	if (len < 1 || len > 4 || strspn(text, "01234567") != len || (len == 4 && *text != '0'))
		return rk_err_set(err, -EINVAL, "'%s' is no mode of three octal digits such as 027",
				  text);
	*(struct rk_mode *)at = (struct rk_mode){ true, (uint32_t)strtoul(text, NULL, 8) };
	return 0;
}

static void mode_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_mode *m = at;

	(void)k;
	if (m->is_set)
		(void)fprintf(to, "%04o", m->bits);
}

static int limit_half(const struct rk_key *k, const char *text, uint64_t *ret, struct rk_err *err)
{
	if (is_infinity(text)) {
		*ret = RK_INFINITE;
		return 0;
	}
	return k->type == RK_VALUE_LIMIT ? rk_num_parse(text, 0, INT64_MAX, ret, err)
					 : rk_num_parse_size(text, 0, INT64_MAX, ret, err);
}

/* The caller bounds the length. */
static int limit_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	struct rk_limit l = { .is_set = true };
	char soft[SCALAR_MAX + 1];
	const char *colon = strchr(text, ':');
	int r;

	(void)snprintf(soft, sizeof(soft), "%.*s", colon ? (int)(colon - text) : (int)SCALAR_MAX,
		       text);
	r = limit_half(k, soft, &l.soft, err);
	if (r == 0)
		r = limit_half(k, colon ? colon + 1 : soft, &l.hard, err);
	if (r < 0)
		return rk_err_prefix(err, r, "a limit is one value or SOFT:HARD, or infinity");
	if (l.soft > l.hard)
		return rk_err_set(err, -EINVAL, "'%s': the soft limit is above the hard one", text);
	*(struct rk_limit *)at = l;
	return 0;
}

static void limit_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_limit *l = at;
	const uint64_t half[2] = { l->soft, l->hard };

	for (size_t i = 0; l->is_set && i < (l->soft == l->hard ? 1 : 2); i++) {
		if (i)
			(void)fputc(':', to);
		if (k->type == RK_VALUE_LIMIT && half[i] != RK_INFINITE)
			(void)fprintf(to, "%" PRIu64, half[i]);
		else
			size_write(half[i], to);
	}
}

int rk_limit_resource(enum rk_limit_of limit)
{
	static const int resources[] = {
		[RK_LIMIT_NOFILE] = RLIMIT_NOFILE,   [RK_LIMIT_CORE] = RLIMIT_CORE,
		[RK_LIMIT_AS] = RLIMIT_AS,           [RK_LIMIT_NPROC] = RLIMIT_NPROC,
		[RK_LIMIT_MEMLOCK] = RLIMIT_MEMLOCK, [RK_LIMIT_STACK] = RLIMIT_STACK,
		[RK_LIMIT_DATA] = RLIMIT_DATA,       [RK_LIMIT_FSIZE] = RLIMIT_FSIZE,
	};

	_Static_assert(rk_countof(resources) == RK_LIMITS, "a resource for every limit");
	return resources[limit];
}

/* ---- users and groups ---- */

static int user_find(const char *text, struct rk_who *w, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *room = malloc(ACCOUNT_ROOM);
	struct passwd entry, *found = NULL;
	uint64_t id;
	bool is_number = rk_num_parse(text, 0, UINT32_MAX - 1, &id, NULL) == 0;

	if (!room)
		return rk_err_set(err, -ENOMEM, "no memory");
	if (is_number)
		(void)getpwuid_r((uid_t)id, &entry, room, ACCOUNT_ROOM, &found);
	else
		(void)getpwnam_r(text, &entry, room, ACCOUNT_ROOM, &found);
	if (!found && !is_number)
		return rk_err_set(err, -EINVAL, "there is no user '%s' on this machine", text);
	w->id = found ? found->pw_uid : (uint32_t)id;
	w->gid = found ? found->pw_gid : (uint32_t)id;
	return 0;
}

static int group_find(const char *text, struct rk_who *w, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *room = malloc(ACCOUNT_ROOM);
	struct group entry, *found = NULL;
	uint64_t id;

	if (!room)
		return rk_err_set(err, -ENOMEM, "no memory");
	if (rk_num_parse(text, 0, UINT32_MAX - 1, &id, NULL) == 0) {
		w->id = w->gid = (uint32_t)id;
		return 0;
	}
	(void)getgrnam_r(text, &entry, room, ACCOUNT_ROOM, &found);
	if (!found)
		return rk_err_set(err, -EINVAL, "there is no group '%s' on this machine", text);
	w->id = w->gid = found->gr_gid;
	return 0;
}

static int who_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	struct rk_who w = { .is_set = true };
	size_t len = strlen(text);
	int r;

	if (len >= sizeof(w.name))
		return rk_err_set(err, -EINVAL, "'%s' is too long for a name", text);
	memcpy(w.name, text, len + 1);
	r = k->type == RK_VALUE_USER ? user_find(text, &w, err) : group_find(text, &w, err);
	if (r == 0)
		*(struct rk_who *)at = w;
	return r;
}

static void who_print(const struct rk_key *k, const void *at, FILE *to)
{
	(void)k;
	(void)fputs(((const struct rk_who *)at)->name, to);
}

/* ---- paths and output ---- */

static int path_check(const char *path, struct rk_err *err)
{
	return *path == '/' ? 0
			    : rk_err_set(err, -EINVAL,
					 "'%.60s' is no absolute path: begin it with '/'", path);
}

static int path_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	int r = path_check(text, err);
	char *copy = r < 0 ? NULL : strdup(text);

	(void)k;
	if (r < 0)
		return r;
	if (!copy)
		return rk_err_set(err, -ENOMEM, "no memory");
	free(*(char **)at);
	*(char **)at = copy;
	return 0;
}

static void path_print(const struct rk_key *k, const void *at, FILE *to)
{
	const char *path = *(char *const *)at;

	(void)k;
	(void)fputs(path ? path : "", to);
}

static void path_free(void *at)
{
	free(*(char **)at);
}

static const char *const outputs[] = { "inherit", "journal", "null", "file:" };

static int output_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	struct rk_output o = { 0 };
	uint32_t to = 0;
	int r = 0;

	while (to < RK_OUTPUT_FILE && strcmp(text, outputs[to]) != 0)
		to++;
	if (to == RK_OUTPUT_FILE && strncmp(text, "file:", 5) != 0)
		return rk_err_set(err, -EINVAL,
				  "'%.60s' is none of inherit, journal, null and file:PATH", text);
	o.to = (enum rk_output_to)to;
	if (to == RK_OUTPUT_FILE)
		r = path_parse(k, text + 5, &o.path, err);
	if (r < 0)
		return r;
	free(((struct rk_output *)at)->path);
	*(struct rk_output *)at = o;
	return 0;
}

static void output_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_output *o = at;

	(void)k;
	(void)fprintf(to, "%s%s", outputs[o->to], o->path ? o->path : "");
}

static void output_free(void *at)
{
	free(((struct rk_output *)at)->path);
}

/* ---- words ---- */

/* Splits text, checks every word, and appends all or none. */
static int list_parse(const char *text, int (*check)(const char *word, struct rk_err *err),
		      struct rk_wordlist *to, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	int r = rk_wordlist_split(&w, text, WORDS_MAX, err);

	for (uint32_t i = 0; r == 0 && i < w.n; i++)
		r = check(w.at[i], err);
	if (r == 0 && to->n + w.n > WORDS_MAX)
		r = rk_err_set(err, -E2BIG, "has more than %u words", WORDS_MAX);
	return r < 0 ? r : rk_wordlist_split(to, text, WORDS_MAX, err);
}

static int variable_check(const char *word, struct rk_err *err)
{
	size_t len = strcspn(word, "=");

	if (word[len] == '=' && len && !isdigit((unsigned char)*word)) {
		size_t i = 0;

		while (i < len && (isalnum((unsigned char)word[i]) || word[i] == '_'))
			i++;
		if (i == len)
			return 0;
	}
	return rk_err_set(err, -EINVAL,
			  "'%.60s' is no NAME=VALUE: put a value that holds blanks in quotes",
			  word);
}

static int environment_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	return list_parse(text, variable_check, at, err);
}

static int optional_path_check(const char *word, struct rk_err *err)
{
	return path_check(word + (*word == '-'), err);
}

static int paths_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	return list_parse(text, optional_path_check, at, err);
}

static int fleets_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	return list_parse(text, rk_name_check, at, err);
}

static void words_print(const struct rk_key *k, const void *at, FILE *to)
{
	(void)k;
	rk_wordlist_print(at, to);
}

static void words_free(void *at)
{
	rk_wordlist_free_p(at);
}

/* The words of one command. prefixes are what systemd would take apart and we do not. */
static int command_split(const char *text, const char *prefixes, struct rk_wordlist *ret,
			 struct rk_err *err)
{
	int r = rk_wordlist_split(ret, text, WORDS_MAX, err);

	if (r < 0)
		return r;
	if (ret->n == 0 || !*ret->at[0])
		return rk_err_set(err, -EINVAL, "the command is empty");
	if (strchr(prefixes, ret->at[0][0]))
		return rk_err_set(err, -EINVAL,
				  "'%.60s': a '%c' before a command has no meaning here",
				  ret->at[0], ret->at[0][0]);
	return 0;
}

static int command_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	int r = command_split(text, "-@:+!|", &w, err);

	(void)k;
	if (r < 0)
		return r;
	rk_wordlist_free_p(at);
	*(struct rk_wordlist *)at = w;
	w = (struct rk_wordlist){ 0 };
	return 0;
}

static int commands_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	struct rk_commands *c = at;
	int r = command_split(text, "@:+!|", &w, err);
	struct rk_wordlist *grown;

	(void)k;
	if (r < 0)
		return r;
	if (c->n == COMMANDS_MAX)
		return rk_err_set(err, -E2BIG, "there are more than %u commands", COMMANDS_MAX);
	grown = realloc(c->at, (c->n + 1) * sizeof(*grown));
	if (!grown)
		return rk_err_set(err, -ENOMEM, "no memory");
	c->at = grown;
	c->at[c->n++] = w;
	w = (struct rk_wordlist){ 0 };
	return 0;
}

static void commands_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_commands *c = at;

	(void)k;
	for (uint32_t i = 0; i < c->n; i++) {
		if (i > 0)
			(void)fputs("; ", to); /* for people: in a file each has its own line */
		rk_wordlist_print(&c->at[i], to);
	}
}

static void commands_free(void *at)
{
	struct rk_commands *c = at;

	for (uint32_t i = 0; i < c->n; i++)
		rk_wordlist_free_p(&c->at[i]);
	free(c->at);
}

/* ---- types ---- */

struct type {
	parse_fn *parse;
	print_fn *print;
	free_fn *free; /* NULL: owns nothing */
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
	[RK_VALUE_PATH] = { path_parse, path_print, path_free, sizeof(char *), true },
	[RK_VALUE_COMMAND] = { command_parse, words_print, words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_COMMANDS] = { commands_parse, commands_print, commands_free, sizeof(struct rk_commands), true },
	[RK_VALUE_ENVIRONMENT] = { environment_parse, words_print, words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_PATHS] = { paths_parse, words_print, words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_FLEETS] = { fleets_parse, words_print, words_free, sizeof(struct rk_wordlist), true },
	[RK_VALUE_SIGNAL] = { signal_parse, signal_print, NULL, sizeof(uint32_t), false },
	[RK_VALUE_STATUSES] = { statuses_parse, statuses_print, NULL, sizeof(struct rk_statuses), true },
	[RK_VALUE_CPUS] = { cpus_parse, cpus_print, NULL, sizeof(struct rk_cpus), true },
	[RK_VALUE_USER] = { who_parse, who_print, NULL, sizeof(struct rk_who), false },
	[RK_VALUE_GROUP] = { who_parse, who_print, NULL, sizeof(struct rk_who), false },
	[RK_VALUE_MODE] = { mode_parse, mode_print, NULL, sizeof(struct rk_mode), false },
	[RK_VALUE_LIMIT] = { limit_parse, limit_print, NULL, sizeof(struct rk_limit), false },
	[RK_VALUE_LIMIT_SIZE] = { limit_parse, limit_print, NULL, sizeof(struct rk_limit), false },
	[RK_VALUE_OUTPUT] = { output_parse, output_print, output_free, sizeof(struct rk_output), true },
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
	if (!t->is_long && strlen(text) > SCALAR_MAX)
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
