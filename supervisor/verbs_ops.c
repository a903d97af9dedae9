/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/rundir.h"
#include "supervisor/keeper.h"
#include "supervisor/program.h"
#include "supervisor/verb.h"

#define LINES_SIZE 12000u /* bytes of a reload's lines in one answer */

/* ---- arguments ---- */

/* A number from 0 to max. */
static int number_get(const struct rk_verb_request *q, const char *member, uint32_t max,
		      uint32_t *ret, struct rk_err *err)
{
	struct json_object *value;
	int64_t v = -1;

	if (json_object_object_get_ex(q->in, member, &value) &&
	    json_object_is_type(value, json_type_int))
		v = json_object_get_int64(value);
	if (v < 0 || v > max)
		return rk_err_set(err, -EINVAL, "\"%s\" must be a number from 0 to %u", member,
				  max);
	*ret = (uint32_t)v;
	return 0;
}

static bool flag_get(const struct rk_verb_request *q, const char *member)
{
	struct json_object *value;

	return json_object_object_get_ex(q->in, member, &value) && json_object_get_boolean(value);
}

/* Of one that ends nothing is changed any more: it would be begun, and never be over. */
static int fleet_get(const struct rk_verb_request *q, struct rk_fleet **ret, struct rk_err *err)
{
	struct json_object *value;
	const char *name = NULL;
	int r;

	if (json_object_object_get_ex(q->in, "fleet", &value) && value) {
		if (!json_object_is_type(value, json_type_string))
			return rk_err_set(err, -EINVAL, "\"fleet\" must be a string");
		name = json_object_get_string(value);
	}
	r = rk_control_fleet(q->c, name, ret, err);
	if (r == 0 && rk_crew_is_stopping((*ret)->crew))
		return rk_err_set(err, -EBUSY, "%s stops: nothing of it is changed any more", (*ret)->conf->name);
	return r;
}

static int worker_get(const struct rk_verb_request *q, struct rk_crew **ret, uint32_t *ret_worker,
		      struct rk_err *err)
{
	struct rk_fleet *f = NULL;
	int r = fleet_get(q, &f, err);

	if (r == 0)
		r = number_get(q, "worker", UINT32_MAX, ret_worker, err); /* the crew knows the bounds */
	if (r == 0)
		*ret = f->crew;
	return r;
}

static int operation_put(struct rk_verb_request *q, int r, uint64_t group)
{
	if (r == 0)
		json_object_object_add(q->out, "operation", json_object_new_uint64(group));
	return r;
}

/* ---- one worker ---- */

/* What a change of a worker came to: RK_CREW_ALREADY is a success with a sentence. */
static int already_put(struct rk_verb_request *q, int r, uint32_t worker, const char *state)
{
	char text[64];

	if (r != RK_CREW_ALREADY)
		return r;
	(void)snprintf(text, sizeof(text), "worker %u is %s already", worker, state);
	json_object_object_add(q->out, "already", json_object_new_string(text));
	return 0;
}

static int worker_change(struct rk_verb_request *q, struct rk_err *err,
			 int (*change)(struct rk_crew *, uint32_t, uint64_t *, struct rk_err *))
{
	struct rk_crew *crew = NULL;
	uint64_t group = 0;
	uint32_t worker = 0;
	int r = worker_get(q, &crew, &worker, err);

	if (r == 0)
		r = change(crew, worker, &group, err);
	if (r == RK_CREW_ALREADY)
		return already_put(q, r, worker, "running");
	return operation_put(q, r, group);
}

static int verb_drain(struct rk_verb_request *q, struct rk_err *err)
{
	return worker_change(q, err, rk_crew_drain);
}

static int verb_undrain(struct rk_verb_request *q, struct rk_err *err)
{
	return worker_change(q, err, rk_crew_undrain);
}

static int verb_start(struct rk_verb_request *q, struct rk_err *err)
{
	return worker_change(q, err, rk_crew_start_worker);
}

static int verb_stop(struct rk_verb_request *q, struct rk_err *err)
{
	return worker_change(q, err, rk_crew_stop_worker);
}

static int verb_pause(struct rk_verb_request *q, struct rk_err *err)
{
	struct rk_crew *crew = NULL;
	uint32_t worker;
	int r = worker_get(q, &crew, &worker, err);

	return r < 0 ? r : already_put(q, rk_crew_pause(crew, worker, err), worker, "paused");
}

static int verb_resume(struct rk_verb_request *q, struct rk_err *err)
{
	struct rk_crew *crew = NULL;
	uint32_t worker;
	int r = worker_get(q, &crew, &worker, err);

	return r < 0 ? r : already_put(q, rk_crew_resume(crew, worker, err), worker, "running");
}

/* ---- a fleet ---- */

static int verb_scale(struct rk_verb_request *q, struct rk_err *err)
{
	struct rk_fleet *f = NULL;
	uint64_t group = 0;
	uint32_t n;
	int r = fleet_get(q, &f, err);

	if (r == 0)
		r = number_get(q, "workers", UINT32_MAX, &n, err); /* the crew knows the bounds */
	if (r == 0)
		r = rk_crew_scale(f->crew, n, &group, err);
	return operation_put(q, r, group);
}

/* The numbers of "workers"; without it none, which means all. */
static int workers_get(const struct rk_verb_request *q, uint32_t workers[RK_WORKERS_MAX],
		       uint32_t *ret_n, struct rk_err *err)
{
	struct json_object *list;
	size_t n;

	*ret_n = 0;
	if (!json_object_object_get_ex(q->in, "workers", &list))
		return 0;
	if (!json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) > RK_WORKERS_MAX)
		return rk_err_set(err, -EINVAL, "\"workers\" must be a list of workers");
	n = json_object_array_length(list);
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		int64_t v =
			json_object_is_type(one, json_type_int) ? json_object_get_int64(one) : -1;

		if (v < 0 || v >= RK_WORKERS_MAX)
			return rk_err_set(err, -EINVAL, "\"workers\" must be a list of workers");
		workers[(*ret_n)++] = (uint32_t)v;
	}
	return 0;
}

static int restart_begin(struct rk_verb_request *q, struct rk_crew *crew, uint64_t *ret_group,
			 struct rk_err *err)
{
	uint32_t workers[RK_WORKERS_MAX];
	struct rk_crew_restart what = { .workers = workers, .max_unavailable = 1 };
	int r = workers_get(q, workers, &what.n, err);

	if (r == 0 && json_object_object_get(q->in, "max_unavailable"))
		r = number_get(q, "max_unavailable", RK_WORKERS_MAX, &what.max_unavailable, err);
	return r < 0 ? r : rk_crew_restart(crew, &what, ret_group, err);
}

static int verb_restart(struct rk_verb_request *q, struct rk_err *err)
{
	struct rk_fleet *f = NULL;
	uint64_t group = 0;
	int r = fleet_get(q, &f, err);

	if (r == 0 && flag_get(q, "resume"))
		r = rk_crew_restart_resume(f->crew, &group, err);
	else if (r == 0 && flag_get(q, "cancel"))
		r = rk_crew_restart_cancel(f->crew, &group, err);
	else if (r == 0)
		r = restart_begin(q, f->crew, &group, err);
	return operation_put(q, r, group);
}

/* ---- all fleets ---- */

static void lines_put(struct json_object *out, const struct rk_wordlist *lines)
{
	struct json_object *list = json_object_new_array();
	size_t size = 0;
	uint32_t i = 0;
	char more[64];

	for (; i < lines->n && size + 2 * strlen(lines->at[i]) < LINES_SIZE; i++) {
		size += 2 * strlen(lines->at[i]) + 4; /* some characters become two */
		json_object_array_add(list, json_object_new_string(lines->at[i]));
	}
	if (i < lines->n) {
		(void)snprintf(more, sizeof(more), "and %u lines more: 'rekindle events' has them",
			       lines->n - i);
		json_object_array_add(list, json_object_new_string(more));
	}
	json_object_object_add(out, "lines", list);
}

void rk_verb_reload_put(struct json_object *out, const struct rk_reloaded *r)
{
	json_object_object_add(out, "applied", json_object_new_boolean(r->is_applied));
	json_object_object_add(out, "good", json_object_new_boolean(r->is_applied || r->is_checked));
	lines_put(out, &r->lines);
	json_object_object_add(out, "pending", json_object_new_uint64(r->n_pending));
	json_object_object_add(out, "undone", json_object_new_uint64(r->n_undone));
	json_object_object_add(out, "operation", json_object_new_uint64(r->group));
}

static void request_free_p(struct rk_reload_request *what)
{
	rk_wordlist_free_p(&what->remove);
}

/* "remove": names of fleets. */
static int remove_get(const struct rk_verb_request *q, struct rk_wordlist *ret, struct rk_err *err)
{
	struct json_object *list;
	size_t n;

	if (!json_object_object_get_ex(q->in, "remove", &list))
		return 0;
	n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : SIZE_MAX;
	if (n > RK_FLEETS_MAX)
		return rk_err_set(err, -EINVAL, "\"remove\" must be a list of at most %u names of fleets", RK_FLEETS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *name = json_object_is_type(one, json_type_string) ? json_object_get_string(one) : "";
		int r = rk_name_check(name, err);

		if (r == 0)
			r = rk_wordlist_add(ret, name);
		if (r < 0)
			return r == -ENOMEM ? rk_err_set(err, r, "no memory") : rk_err_prefix(err, r, "\"remove\"");
	}
	return 0;
}

static int verb_reload(struct rk_verb_request *q, struct rk_err *err)
{
	rk_cleanup(request_free_p) struct rk_reload_request what = { .is_asked = true, .is_check = flag_get(q, "check") };
	rk_cleanup(rk_reload_free_p) struct rk_reloaded reload = { 0 };
	int r = remove_get(q, &what.remove, err);

	if (r == 0)
		r = q->c->on_reload(&what, &reload, err, q->c->arg);
	if (r == 0)
		rk_verb_reload_put(q->out, &reload);
	return r == RK_RELOAD_LATER ? RK_VERB_LATER : r;
}

/* ---- the supervisor itself ---- */

/* Where this binary was found, and a newer one may stand. */
static int own_path(char path[static PATH_MAX], struct rk_err *err)
{
	if (!rk_program_path()[0])
		return rk_err_set(err, -ENOEXEC, "nobody knows where the running binary came from: say with --binary where the new one is");
	(void)snprintf(path, PATH_MAX, "%s", rk_program_path());
	return 0;
}

/* The one that is meant: the request's, or whatever stands now where this one came from. */
static int path_choose(const struct rk_verb_request *q, char path[static PATH_MAX], struct rk_err *err)
{
	struct json_object *given;
	const char *text;

	if (!json_object_object_get_ex(q->in, "path", &given))
		return own_path(path, err);
	text = json_object_is_type(given, json_type_string) ? json_object_get_string(given) : "";
	if (text[0] != '/' || strlen(text) >= PATH_MAX)
		return rk_err_set(err, -EINVAL, "\"path\" must be a path from the root on");
	memcpy(path, text, strlen(text) + 1);
	return 0;
}

/* A program, at least; whether it is the right one shows when it supervises. The descriptor; -ENOEXEC: it is none. */
static int exe_open(const char *path, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char magic[4];
	struct stat st;

	if (fd < 0)
		return rk_err_set(err, -ENOEXEC, "%s: %s: give the path of a rekindled with --binary", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111) ||
	    pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) || memcmp(magic, "\177ELF", sizeof(magic)) != 0)
		return rk_err_set(err, -ENOEXEC, "%s is no program: give the path of a rekindled with --binary", path);
	return rk_take_fd(&fd);
}

static int upgrade_ask(struct rk_verb_request *q, struct rk_err *err)
{
	const struct {
		const char *name;
		uint32_t version;
	} versions[] = { { "abi", RK_ABI_VERSION }, { "journal", RK_JOURNAL_LAYOUT }, { "keeper", RK_KEEPER_TABLE } };
	rk_cleanup(rk_close_p) int exe = -1;
	char path[PATH_MAX];
	int r = path_choose(q, path, err);

	if (r == 0)
		r = exe = exe_open(path, err);
	if (r < 0)
		return r;
	q->fd = q->c->configuration(q->c->arg);
	if (q->fd < 0)
		return rk_err_set(err, q->fd, "the configuration in force cannot be shown: %s", strerror(-q->fd));
	json_object_object_add(q->out, "release", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(q->out, "path", json_object_new_string(path));
	for (size_t i = 0; i < rk_countof(versions); i++)
		json_object_object_add(q->out, versions[i].name, json_object_new_uint64(versions[i].version));
	return 0;
}

static int upgrade_go(struct rk_verb_request *q, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int exe = -1;
	char path[PATH_MAX];
	uint64_t group = 0;
	int r = path_choose(q, path, err);

	if (r == 0)
		r = exe = exe_open(path, err);
	if (r >= 0)
		r = q->c->on_upgrade(&exe, path, &group, err, q->c->arg);
	return operation_put(q, r, group);
}

static int verb_upgrade(struct rk_verb_request *q, struct rk_err *err)
{
	struct json_object *what;
	const char *word = json_object_object_get_ex(q->in, "do", &what) ? json_object_get_string(what) : NULL;

	if (word && strcmp(word, "ask") == 0)
		return upgrade_ask(q, err);
	if (word && strcmp(word, "go") == 0)
		return upgrade_go(q, err);
	return rk_err_set(err, -EINVAL, "\"do\" must be \"ask\" or \"go\"");
}

static const struct rk_verb verbs[] = {
	{ "restart", RK_VERB_ADMIN, verb_restart },    { "scale", RK_VERB_ADMIN, verb_scale },
	{ "drain", RK_VERB_ADMIN, verb_drain },        { "undrain", RK_VERB_ADMIN, verb_undrain },
	{ "pause", RK_VERB_ADMIN, verb_pause },        { "resume", RK_VERB_ADMIN, verb_resume },
	{ "worker-start", RK_VERB_ADMIN, verb_start }, { "worker-stop", RK_VERB_ADMIN, verb_stop },
	{ "reload", RK_VERB_ADMIN, verb_reload },      { "upgrade", RK_VERB_ADMIN, verb_upgrade },
};

const struct rk_verb *rk_verb_find(const char *name)
{
	for (size_t i = 0; i < rk_countof(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
