/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value's types that the system knows: signals, CPUs, modes, limits, users and groups.
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "supervisor/value.h"
#include "supervisor/value_types.h"

#define ACCOUNT_ROOM 16384 /* bytes of an entry of passwd or group */
#define SIGNALS 32         /* those with a name, beyond the last */

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

int rk_value_signal_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
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

void rk_value_signal_print(const struct rk_key *k, const void *at, FILE *to)
{
	const char *name = sigabbrev_np((int)*(const uint32_t *)at);

	(void)k;
	(void)fprintf(to, "SIG%s", name ? name : "?");
}

/*
 * What the kernel sends for a fault would be taken for one; what stops or kills cannot be caught.
 * SIGTERM and SIGINT have librekindle's handler in every worker, which ends it: that somebody
 * catches them is no sign there (rk_proc_catches()) that the job will be interrupted and go on.
 */
int rk_value_catchable_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	uint32_t sig = signal_of(text);

	(void)k;
	if (sig == 0)
		return rk_err_set(err, -EINVAL, "'%s' is no signal such as SIGUSR1 or SIGUSR2",
				  text);
	if (sig == SIGKILL || sig == SIGSTOP)
		return rk_err_set(err, -EINVAL, "%s cannot be caught: use SIGUSR1 or SIGUSR2",
				  text);
	if (sig == SIGTERM || sig == SIGINT)
		return rk_err_set(err, -EINVAL,
				  "%s asks a worker to end, and it would: use SIGUSR1 or SIGUSR2",
				  text);
	if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP ||
	    sig == SIGSYS || sig == SIGABRT || sig == SIGCHLD || sig == SIGCONT || sig == SIGPIPE)
		return rk_err_set(err, -EINVAL,
				  "%s means something else to a process: use SIGUSR1 or SIGUSR2",
				  text);
	*(uint32_t *)at = sig;
	return 0;
}

void rk_value_catchable_print(const struct rk_key *k, const void *at, FILE *to)
{
	if (*(const uint32_t *)at)
		rk_value_signal_print(k, at, to);
}

static int status_add(struct rk_restart_exits *s, const char *word, struct rk_err *err)
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
	s->statuses[status / 64] |= UINT64_C(1) << status % 64;
	return 0;
}

int rk_value_statuses_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	struct rk_restart_exits s = *(struct rk_restart_exits *)at;
	int r = rk_wordlist_split(&w, text, RK_VALUE_WORDS_MAX, err);

	(void)k;
	for (uint32_t i = 0; r == 0 && i < w.n; i++)
		r = status_add(&s, w.at[i], err);
	if (r == 0)
		*(struct rk_restart_exits *)at = s;
	return r;
}

void rk_value_statuses_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_restart_exits *s = at;
	const char *between = "";

	(void)k;
	for (unsigned int i = 0; i < 256; i++) {
		if (!(s->statuses[i / 64] >> i % 64 & 1))
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

int rk_value_cpus_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
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

void rk_value_cpus_print(const struct rk_key *k, const void *at, FILE *to)
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

int rk_value_mode_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	size_t len = strlen(text);

	(void)k;
	if (len < 1 || len > 4 || strspn(text, "01234567") != len || (len == 4 && *text != '0'))
		return rk_err_set(err, -EINVAL, "'%s' is no mode of three octal digits such as 027",
				  text);
	*(struct rk_mode *)at = (struct rk_mode){ true, (uint32_t)strtoul(text, NULL, 8) };
	return 0;
}

void rk_value_mode_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_mode *m = at;

	(void)k;
	if (m->is_set)
		(void)fprintf(to, "%04o", m->bits);
}

static int limit_half(const struct rk_key *k, const char *text, uint64_t *ret, struct rk_err *err)
{
	if (rk_value_is_infinity(text)) {
		*ret = RK_INFINITE;
		return 0;
	}
	return k->type == RK_VALUE_LIMIT ? rk_num_parse(text, 0, INT64_MAX, ret, err)
					 : rk_num_parse_size(text, 0, INT64_MAX, ret, err);
}

/* The caller bounds the length. */
int rk_value_limit_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	struct rk_limit l = { .is_set = true };
	char soft[RK_VALUE_SCALAR_MAX + 1];
	const char *colon = strchr(text, ':');
	int r;

	(void)snprintf(soft, sizeof(soft), "%.*s",
		       colon ? (int)(colon - text) : (int)RK_VALUE_SCALAR_MAX, text);
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

void rk_value_limit_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_limit *l = at;
	const uint64_t half[2] = { l->soft, l->hard };

	for (size_t i = 0; l->is_set && i < (l->soft == l->hard ? 1 : 2); i++) {
		if (i)
			(void)fputc(':', to);
		if (k->type == RK_VALUE_LIMIT && half[i] != RK_INFINITE)
			(void)fprintf(to, "%" PRIu64, half[i]);
		else
			rk_value_size_write(half[i], to);
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

int rk_value_who_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
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

void rk_value_who_print(const struct rk_key *k, const void *at, FILE *to)
{
	(void)k;
	(void)fputs(((const struct rk_who *)at)->name, to);
}
