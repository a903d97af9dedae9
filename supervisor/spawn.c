/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beside.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "shm/words.h"
#include "supervisor/bridge_options.h"
#include "supervisor/output.h"

/* ---- finding the program ---- */

static int is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return access(path, X_OK) < 0 ? -errno : 0;
}

static int along_path(const char *command, char ret[static PATH_MAX])
{
	const char *at = getenv("PATH");
	int r = -ENOENT;

	for (at = at ? at : "/usr/local/bin:/usr/bin:/bin"; r != 0 && at;) {
		size_t len = strcspn(at, ":");
		int n = snprintf(ret, PATH_MAX, "%.*s%s%s", (int)len, at, len ? "/" : "", command);
		int found = n < PATH_MAX ? is_program(ret) : -ENAMETOOLONG;

		if (found == 0 || found == -EACCES)
			r = found; /* one that may not be executed is worth telling */
		at = at[len] ? at + len + 1 : NULL;
	}
	return r;
}

int rk_spawn_find(const char *command, char ret[static PATH_MAX], struct rk_err *err)
{
	int r;

	if (strchr(command, '/')) {
		if (strlen(command) >= PATH_MAX)
			return rk_err_set(err, -ENAMETOOLONG, "the command's path is too long");
		memcpy(ret, command, strlen(command) + 1);
		r = is_program(ret);
	} else {
		r = along_path(command, ret);
	}
	if (r == -EACCES)
		return rk_err_set(err, r, "'%s' cannot be executed: make it an executable file",
				  command);
	if (r == -ENOENT && !strchr(command, '/'))
		return rk_err_set(err, r,
				  "'%s' is not found along PATH: install it or give its path",
				  command);
	if (r < 0)
		return rk_err_set(err, r, "cannot run '%s': %s", command, strerror(-r));
	return 0;
}

int rk_spawn_find_bridge(char ret[static PATH_MAX], struct rk_err *err)
{
	return rk_beside_find(ret, "workers/bridge/" RK_BRIDGE_PROGRAM, RK_PKGLIBEXECDIR "/" RK_BRIDGE_PROGRAM, err);
}

/* ---- preparing ---- */

static int environment_init(struct rk_spawn *s, struct rk_err *err)
{
	char batch[32];
	int r = rk_environment_init(&s->environment, s->o, err);

	if (r < 0 || s->o->batch == 0)
		return r;
	(void)snprintf(batch, sizeof(batch), "REKINDLE_BATCH=%u", s->o->batch);
	return rk_environment_set(&s->environment, batch, err);
}

/* What may be wrong today and right tomorrow. */
static int look(struct rk_spawn *s, struct rk_err *err)
{
	int r = rk_spawn_find(s->o->exec.at[0], s->path, err);

	s->bridge[0] = '\0';
	if (r == 0 && rk_kind_is_wrapped(s->o->kind))
		r = rk_spawn_find_bridge(s->bridge, err);
	if (r == 0)
		r = rk_setup_init(&s->setup, s->o, s->outlives_keeper, err);
	if (r == 0)
		r = environment_init(s, err);
	s->is_ready = r == 0;
	if (r < 0) {
		rk_setup_free(&s->setup);
		rk_environment_free_p(&s->environment);
	}
	return r;
}

int rk_spawn_init(struct rk_spawn *s, const char *name, const char *fleet, const struct rk_fleet_options *o,
		  const int fds[RK_SPAWN_FDS], bool outlives_keeper, struct rk_err *err)
{
	*s = (struct rk_spawn){
		.name = name, .fleet = fleet, .o = o, .null = -1, .outlives_keeper = outlives_keeper
	};
	memset(s->fds, 0xff, sizeof(s->fds));
	s->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (s->null < 0)
		return rk_err_set(err, -errno, "cannot prepare for workers: %s", strerror(errno));
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++) {
		s->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, RK_CHILD_FLOOR);
		if (s->fds[i] < 0)
			return rk_err_set(err, -errno, "cannot duplicate a descriptor: %s",
					  strerror(errno));
	}
	return look(s, err);
}

void rk_spawn_mark(struct rk_spawn *s, const uint64_t fleet[2])
{
	s->mark = rk_mark_of(fleet);
}

void rk_spawn_borrow(struct rk_spawn *s, const char *fleet, const struct rk_fleet_options *o)
{
	s->fleet = fleet;
	s->o = s->setup.o = o;
}

void rk_spawn_close(struct rk_spawn *s)
{
	rk_environment_free_p(&s->environment);
	rk_setup_free(&s->setup);
	rk_close_p(&s->null);
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++)
		rk_close_p(&s->fds[i]);
}

/* ---- a process ---- */

int rk_spawn_output(struct rk_spawn *s, uint32_t slot, int *ret_fd, struct rk_err *err)
{
	int r = rk_output_open(&s->o->output, s->fleet, slot, ret_fd, err);

	if (r == 0 || s->o->output.to != RK_OUTPUT_JOURNAL)
		return r;
	if (!s->has_warned)
		rk_log(RK_LOG_WARNING, "%s; the workers' output goes where ours goes fleet=%s",
		       err->text, s->fleet);
	s->has_warned = true;
	*ret_fd = -1;
	return 0;
}

/* environ of the next worker: ours, or one with what the files say now. */
static int environment_take(struct rk_spawn *s, struct rk_environment *now, char ***ret,
			    struct rk_err *err)
{
	struct rk_environment *e = &s->environment;
	uint32_t n;
	int r = 0;

	if (s->o->environment_files.n > 0) {
		r = rk_environment_read(now, e, s->o, err);
		e = now;
	}
	if (r < 0)
		return r;
	*ret = e->at;
	n = e->n;
	e->at[n++] = s->worker; /* borrowed: beyond what is freed */
	if (rk_kind_is_wrapped(s->o->kind))
		e->at[n++] = s->tree;
	e->at[n] = NULL;
	return 0;
}

char *rk_spawn_state_directory(const struct rk_spawn *s)
{
	return s->o->state_directory ? strdup(s->o->state_directory)
				     : rk_bridge_state_directory(s->name, s->setup.uid == 0, s->environment.at);
}

/* What only a bridge gets; owned. */
struct bridge {
	char **argv; /* the words of Exec= are borrowed */
	char *variable;
};

static void bridge_free_p(struct bridge *b)
{
	free(b->argv);
	free(b->variable);
}

/* Behind those of REKINDLE_WORKER, in this order: the sockets of Listen=, what is kept, the line. Returns how many in all. */
static uint32_t more_put(const struct rk_spawn_more *more, int fds[static RK_CHILD_FDS_MAX])
{
	uint32_t n = RK_SPAWN_FDS;

	for (uint32_t i = 0; i < more->n_listen; i++)
		fds[n++] = more->listen[i];
	for (uint32_t i = 0; i < more->n_kept; i++)
		fds[n++] = more->kept[i].fd;
	if (more->line >= 0)
		fds[n++] = more->line;
	return n;
}

/* The variable goes behind REKINDLE_WORKER in envp: there is room. */
static int bridge_make(const struct rk_spawn *s, const struct rk_spawn_more *more, char **envp, struct bridge *ret)
{
	const struct rk_wordlist *exec = &s->o->exec;
	rk_cleanup(rk_free_p) char *state = rk_bridge_state_directory(s->name, s->setup.uid == 0, envp);
	struct rk_bridge_plan_fd kept[RK_SPAWN_KEPT_MAX];
	int number = RK_CHILD_FIRST + RK_SPAWN_FDS, listen[RK_SPAWN_LISTEN_MAX];
	struct rk_bridge_plan p = { .name = s->name, .fleet = s->fleet, .o = s->o, .state_directory = state,
				    .listen = listen, .n_listen = more->n_listen, .kept = kept, .n_kept = more->n_kept };
	uint32_t n = 0;

	for (uint32_t i = 0; i < more->n_listen; i++)
		listen[i] = number++;
	for (uint32_t i = 0; i < more->n_kept; i++)
		kept[i] = (struct rk_bridge_plan_fd){ number++, more->kept[i].name };
	p.line = more->line < 0 ? 0 : number;
	ret->argv = calloc((size_t)exec->n + 2, sizeof(*ret->argv));
	ret->variable = rk_bridge_options_text(&p);
	if (!state || !ret->argv || !ret->variable)
		return -ENOMEM;
	ret->argv[0] = (char *)(uintptr_t)RK_BRIDGE_PROGRAM; /* exec changes nothing in it */
	memcpy(ret->argv + 1, exec->at, exec->n * sizeof(*ret->argv));
	while (envp[n])
		n++;
	envp[n] = ret->variable;
	envp[n + 1] = NULL;
	return 0;
}

/* s->worker stands. order: a standby's socket, or -1. */
static int hold(struct rk_spawn *s, const struct rk_spawn_slot *of, int order, struct rk_spawned *ret, struct rk_err *err)
{
	static const struct rk_spawn_more nothing = { .line = -1 };
	const struct rk_spawn_more *more = of->more ? of->more : &nothing;
	rk_cleanup(rk_environment_free_p) struct rk_environment now = { 0 };
	rk_cleanup(bridge_free_p) struct bridge bridge = { 0 };
	rk_cleanup(rk_close_p) int out = -1;
	bool is_wrapped = rk_kind_is_wrapped(s->o->kind);
	int fds[RK_CHILD_FDS_MAX];
	char **envp = NULL;
	uint32_t n_fds;
	int r = s->is_ready ? 0 : look(s, err);

	if (r == 0)
		r = rk_spawn_output(s, of->number, &out, err);
	(void)rk_mark_variable(&s->mark, of->number, s->tree);
	if (r == 0)
		r = environment_take(s, &now, &envp, err);
	if (r == 0 && *s->bridge && bridge_make(s, more, envp, &bridge) < 0)
		r = rk_err_set(err, -ENOMEM, "no memory for what the bridge is told");
	if (r < 0)
		return r;
	memcpy(fds, s->fds, sizeof(s->fds));
	n_fds = more_put(more, fds);
	if (order >= 0)
		fds[n_fds++] = order;
	const struct rk_child_plan plan = { .path = *s->bridge ? s->bridge : s->path,
					    .argv = *s->bridge ? bridge.argv : s->o->exec.at,
					    .envp = envp,
					    .fds = fds,
					    .n_fds = n_fds,
					    .in = s->null,
					    .out = out,
					    .cgroup = of->cgroup,
					    .mark = is_wrapped ? rk_mark_limit(&s->mark, of->number) : 0,
					    .setup = &s->setup };
	r = rk_child_hold(&plan, ret);
	return r < 0 ? rk_err_set(err, r, "cannot make a process: %s", strerror(-r)) : 0;
}

int rk_spawn_hold(struct rk_spawn *s, const struct rk_spawn_slot *of, struct rk_spawned *ret, struct rk_err *err)
{
	(void)snprintf(s->worker, sizeof(s->worker),
		       "REKINDLE_WORKER=abi=%u worker=%u incarnation=%llu fds=3:4:5:6:7:8:9:10:11",
		       RK_ABI_VERSION, of->number, (unsigned long long)of->incarnation);
	return hold(s, of, -1, ret, err);
}

int rk_spawn_hold_standby(struct rk_spawn *s, int order, int cgroup, struct rk_spawned *ret,
			  struct rk_err *err)
{
	(void)snprintf(s->worker, sizeof(s->worker),
		       "REKINDLE_WORKER=abi=%u standby=12 fds=3:4:5:6:7:8:9:10:11", RK_ABI_VERSION);
	return hold(s, &(struct rk_spawn_slot){ .number = RK_WORKER_NONE, .cgroup = cgroup }, order, ret, err);
}
