/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/keys.h"
#include "supervisor/value.h"

#define ACCOUNT_ROOM 16384 /* bytes of an entry of passwd */
#define GROUPS_FIRST 32
#define GROUPS_MAX 65536 /* the kernel's NGROUPS_MAX */

/* ---- in the supervisor ---- */

/* The groups that the user's account has beside gid. A user without an account has none. */
static int groups_find(struct rk_setup *s, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *room = malloc(ACCOUNT_ROOM);
	struct passwd entry, *found = NULL;
	int n = GROUPS_FIRST;

	if (!room)
		return rk_err_set(err, -ENOMEM, "no memory for the workers' user");
	(void)getpwuid_r(s->uid, &entry, room, ACCOUNT_ROOM, &found);
	for (;;) {
		int had = n;

		free(s->groups);
		s->groups = calloc((size_t)n, sizeof(*s->groups));
		if (!s->groups)
			return rk_err_set(err, -ENOMEM, "no memory for the workers' groups");
		s->groups[0] = s->gid;
		if (!found || !s->o->user.is_set)
			break;
		if (getgrouplist(found->pw_name, s->gid, s->groups, &n) >= 0) {
			s->n_groups = (uint32_t)n;
			return 0;
		}
		if (n <= had || n > GROUPS_MAX)
			return rk_err_set(err, -E2BIG, "User=%s is in too many groups",
					  s->o->user.name);
	}
	s->n_groups = 1;
	return 0;
}

/* Of descriptors, as keeper was given it. */
static struct rlimit given;
static bool is_allowed;

void rk_setup_descriptors_allow(void)
{
	struct rlimit limit;

	if (is_allowed || getrlimit(RLIMIT_NOFILE, &given) < 0)
		return;
	is_allowed = true;
	limit = given;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

void rk_setup_descriptors_reserve(uint32_t n)
{
	struct rlimit limit;
	int one, top;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	one = open("/dev/null", O_RDONLY | O_CLOEXEC);
	top = one < 0 ? -1 : fcntl(one, F_DUPFD_CLOEXEC, (int)rk_min_u64(n, limit.rlim_cur - 1));
	if (top >= 0)
		(void)close(top);
	if (one >= 0)
		(void)close(one);
}

int rk_setup_init(struct rk_setup *s, const struct rk_fleet_options *o, bool outlives_keeper,
		  struct rk_err *err)
{
	*s = (struct rk_setup){ .o = o, .keeper = getppid(), .outlives_keeper = outlives_keeper, .uid = geteuid(), .gid = getegid() };
	s->nofile = given;
	if (!is_allowed && getrlimit(RLIMIT_NOFILE, &s->nofile) < 0)
		return rk_err_set(err, -errno, "getrlimit: %s", strerror(errno));
	if (o->user.is_set) {
		s->uid = o->user.id;
		s->gid = o->user.gid;
	}
	if (o->group.is_set)
		s->gid = o->group.id;
	/* Our own user without root: there is nothing to change, and nothing we might. */
	s->has_ids = (o->user.is_set || o->group.is_set) &&
		     (geteuid() == 0 || s->uid != geteuid() || s->gid != getegid());
	return s->has_ids ? groups_find(s, err) : 0;
}

void rk_setup_free(struct rk_setup *s)
{
	free(s->groups);
	s->groups = NULL;
	s->n_groups = 0;
}

/* A key's name, for a limit. */
static const char *limit_name(uint32_t limit)
{
	static const char *const names[] = {
		[RK_LIMIT_NOFILE] = "LimitNOFILE",   [RK_LIMIT_CORE] = "LimitCORE",
		[RK_LIMIT_AS] = "LimitAS",           [RK_LIMIT_NPROC] = "LimitNPROC",
		[RK_LIMIT_MEMLOCK] = "LimitMEMLOCK", [RK_LIMIT_STACK] = "LimitSTACK",
		[RK_LIMIT_DATA] = "LimitDATA",       [RK_LIMIT_FSIZE] = "LimitFSIZE",
	};

	_Static_assert(rk_countof(names) == RK_LIMITS, "a name for every limit");
	return limit < RK_LIMITS ? names[limit] : "?";
}

static void step_describe(const struct rk_setup *s, const struct rk_setup_failure *f, char *text,
			  size_t size)
{
	const struct rk_fleet_options *o = s->o;

	switch ((enum rk_setup_step)f->step) {
	case RK_SETUP_DESCRIPTORS:
		(void)snprintf(text, size, "its descriptors");
		return;
	case RK_SETUP_UMASK:
		(void)snprintf(text, size, "umask %04o", o->umask.bits);
		return;
	case RK_SETUP_LIMIT:
		(void)snprintf(text, size, "%s", limit_name(f->detail));
		return;
	case RK_SETUP_NICE:
		(void)snprintf(text, size, "nice level %d", o->nice);
		return;
	case RK_SETUP_CPUS:
		(void)snprintf(text, size, "CPUAffinity");
		return;
	case RK_SETUP_GROUPS:
		(void)snprintf(text, size, "setgroups");
		return;
	case RK_SETUP_GID:
		(void)snprintf(text, size, "setgid to '%s'",
			       o->group.is_set ? o->group.name : o->user.name);
		return;
	case RK_SETUP_UID:
		(void)snprintf(text, size, "setuid to '%s'", o->user.name);
		return;
	case RK_SETUP_PARENT:
		(void)snprintf(text, size, "PR_SET_PDEATHSIG");
		return;
	case RK_SETUP_DIRECTORY:
		(void)snprintf(text, size, "chdir to '%.120s'", o->working_directory);
		return;
	case RK_SETUP_EXEC:
		(void)snprintf(text, size, "exec");
		return;
	case RK_SETUP_STEPS:
		break;
	}
	(void)snprintf(text, size, "an unknown step");
}

const char *rk_setup_explain(const struct rk_setup *s, const struct rk_setup_failure *f, char *text,
			     size_t size)
{
	char step[160];

	step_describe(s, f, step, sizeof(step));
	(void)snprintf(text, size, "%s: %s", step, strerror(f->error));
	return text;
}

/* ---- in the child: async-signal-safe calls only ---- */

bool rk_setup_parent(const struct rk_setup *s)
{
	/* Set, then check: keeper may have died in between. */
	return (s->outlives_keeper || prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) && getppid() == s->keeper;
}

static bool failed(struct rk_setup_failure *ret, enum rk_setup_step step, uint32_t detail)
{
	*ret = (struct rk_setup_failure){ .step = step, .detail = detail, .error = errno };
	return false;
}

static bool limits_apply(const struct rk_setup *s, struct rk_setup_failure *ret)
{
	(void)setrlimit(RLIMIT_NOFILE, &s->nofile);
	for (uint32_t i = 0; i < RK_LIMITS; i++) {
		const struct rk_limit *l = &s->o->limit[i];
		const struct rlimit to = { .rlim_cur = l->soft, .rlim_max = l->hard };

		if (l->is_set && setrlimit(rk_limit_resource((enum rk_limit_of)i), &to) < 0)
			return failed(ret, RK_SETUP_LIMIT, i);
	}
	return true;
}

/* Groups first: without the user's privileges they could not be changed any more. */
static bool ids_apply(const struct rk_setup *s, struct rk_setup_failure *ret)
{
	if (syscall(SYS_setgroups, (size_t)s->n_groups, s->groups) < 0)
		return failed(ret, RK_SETUP_GROUPS, 0);
	if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
		return failed(ret, RK_SETUP_GID, 0);
	if (syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
		return failed(ret, RK_SETUP_UID, 0);
	/* That has cleared it. */
	return rk_setup_parent(s) ? true : failed(ret, RK_SETUP_PARENT, 0);
}

bool rk_setup_apply(const struct rk_setup *s, struct rk_setup_failure *ret)
{
	const struct rk_fleet_options *o = s->o;

	if (o->umask.is_set)
		(void)umask((mode_t)o->umask.bits);
	if (!limits_apply(s, ret))
		return false;
	if (o->nice != RK_NICE_KEEP && setpriority(PRIO_PROCESS, 0, o->nice) < 0)
		return failed(ret, RK_SETUP_NICE, 0);
	if (o->cpus.is_set && sched_setaffinity(0, sizeof(o->cpus.set), &o->cpus.set) < 0)
		return failed(ret, RK_SETUP_CPUS, 0);
	if (s->has_ids && !ids_apply(s, ret))
		return false;
	if (o->working_directory && !rk_directory_is_of_slot(o) && chdir(o->working_directory) < 0)
		return failed(ret, RK_SETUP_DIRECTORY, 0); /* as the user: it may be its alone */
	return true;
}
