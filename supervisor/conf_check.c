/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/conf_check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/conf_wrap.h"
#include "supervisor/segments.h"
#include "supervisor/spawn.h"

#define MIB (1024.0 * 1024.0)

/* Whoever is checked, and where to complain. */
struct check {
	const struct rk_conf *conf;
	const struct rk_conf_fleet *fleet;
	struct rk_complaints *complaints;
};

static bool is_bad(const struct check *k, const char *key)
{
	const struct rk_key *found = rk_key_find(RK_INI_FLEET, key);

	return found && rk_conf_is_bad(k->fleet, found);
}

static void complain_at(const struct rk_conf *conf, const struct rk_conf_fleet *f, struct rk_complaints *c,
			const char *key, const char *text)
{
	const struct rk_setting *s = rk_ini_last(&conf->ini, RK_INI_FLEET, f->name, key);
	const char *file = s ? s->file : NULL;
	uint32_t line = s ? s->line : 0;

	for (uint32_t i = 0; !s && i < conf->ini.n_fleets; i++) {
		const struct rk_ini_head *h = &conf->ini.fleets[i];

		if (strcmp(h->argument, f->name) != 0)
			continue;
		file = h->file;
		line = h->line;
	}
	rk_complain(c, file, line, "%s", text);
}

void rk_conf_complain(const struct rk_conf *conf, const struct rk_conf_fleet *f, struct rk_complaints *c, const char *key,
		      const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	complain_at(conf, f, c, key, text);
}

static RK_PRINTF(3, 4) void complain(const struct check *k, const char *key, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	complain_at(k->conf, k->fleet, k->complaints, key, text);
}

/* ---- the shape ---- */

static void exec_check(const struct check *k)
{
	if (k->fleet->o.exec.n == 0 && !is_bad(k, "Exec"))
		complain(
			k, "Exec",
			"fleet '%s' has no command: Exec= says what its workers run, on a command line it goes behind '--'",
			k->fleet->name);
}

static void restart_check(const struct check *k)
{
	const struct rk_fleet_options *o = &k->fleet->o;

	if (o->restart_burst > 0 && o->restart_window_ns == 0)
		complain(
			k, "RestartWindow",
			"RestartBurst=%u has no window to be counted in: give RestartWindow= a time such as 10s, or set RestartBurst=0",
			o->restart_burst);
	if (o->restart_backoff_ns > o->restart_backoff_max_ns)
		complain(
			k, "RestartBackoff",
			"RestartBackoff= is longer than RestartBackoffMax=: lower it or raise that");
}

/* One signal cannot mean both: whoever ends for the one would end for every late job. */
static void signals_check(const struct check *k)
{
	const struct rk_fleet_options *o = &k->fleet->o;

	if (o->job_timeout_signal && o->job_timeout_signal == o->kill_signal)
		complain(
			k, "JobTimeoutSignal",
			"JobTimeoutSignal=SIG%s is the fleet's KillSignal= too, which asks a process to end: use another one, SIGUSR1 or SIGUSR2",
			sigabbrev_np((int)o->job_timeout_signal));
}

static void memory_check(const struct check *k)
{
	const struct rk_fleet_options *o = &k->fleet->o;

	if (o->memory_max != RK_INFINITE && o->memory_high != RK_INFINITE &&
	    o->memory_high > o->memory_max)
		complain(
			k, "MemoryHigh",
			"MemoryHigh= is above MemoryMax=: workers would be killed before they are slowed down; lower it");
}

static void clients_check(const struct check *k)
{
	const struct rk_fleet_options *o = &k->fleet->o;

	if (o->n_quota > o->n_slots && !is_bad(k, "Slots"))
		complain(
			k, "QuotaPerClient",
			"QuotaPerClient=%u is more than a client's Slots=%u: lower it or raise that",
			o->n_quota, o->n_slots);
	if (o->socket_mode.bits & ~0777u)
		complain(k, "SocketMode", "SocketMode=%04o: only 0000 to 0777 make sense",
			 o->socket_mode.bits);
	if (o->client_group.is_set && !(o->socket_mode.bits & 0020))
		complain(
			k, "ClientGroup",
			"ClientGroup= has no effect while SocketMode=%04o lets no group in: set SocketMode=0660",
			o->socket_mode.bits);
}

static void umask_check(const struct check *k)
{
	if (k->fleet->o.umask.bits & ~0777u)
		complain(k, "UMask", "UMask=%04o: only 0000 to 0777 make sense",
			 k->fleet->o.umask.bits);
}

/* The key that a sentence of rk_geometry_check() is about: what every bound left over depends on.
 */
static void geometry_check(const struct check *k, struct rk_conf_fleet *f)
{
	struct rk_layout l;
	struct rk_err err = { 0 };
	bool is_cells;

	if ((uint64_t)f->o.n_workers + f->o.n_standby > RK_WORKERS_MAX) {
		complain(k, "Standby", "Workers=%u and Standby=%u are together more than %u",
			 f->o.n_workers, f->o.n_standby, RK_WORKERS_MAX);
		return;
	}
	if (rk_geometry_check(&f->geometry, &err) < 0) {
		is_cells = strncmp(err.text, "clients", 7) == 0;
		complain(k, is_cells ? "MaxClients" : "MaxState", "%s: lower %s", err.text,
			 is_cells ? "MaxClients= or Slots="
				  : "MaxState=, Dedup=, MaxReply= or UndoData=");
		return;
	}
	rk_layout_init(&f->geometry, &l);
	f->reserved = l.total_len;
}

static void names_check(const struct check *k, const char *key, const struct rk_wordlist *names)
{
	for (uint32_t i = 0; i < names->n; i++) {
		if (strcmp(names->at[i], k->fleet->name) == 0)
			complain(k, key, "%s=%s: a fleet cannot wait for itself", key,
				 names->at[i]);
		else if (!rk_conf_fleet(k->conf, names->at[i]))
			complain(k, key, "%s=%s: there is no [Fleet %s] in this configuration", key,
				 names->at[i], names->at[i]);
	}
}

/* They share one control socket. */
static void socket_check(const struct check *k, const char *key, const struct rk_who *who,
			 const struct rk_who *first, const char *first_fleet)
{
	if (who->is_set && first->is_set && who->id != first->id)
		complain(
			k, key,
			"%s=%s: fleet '%s' says %s, and all fleets of a configuration share one control socket: make them equal",
			key, who->name, first_fleet, first->name);
}

static void sockets_check(const struct rk_conf *conf, struct rk_complaints *c)
{
	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		const struct rk_conf_fleet *f = &conf->fleets[i];
		struct check k = { conf, f, c };

		for (uint32_t j = 0; j < i; j++) {
			const struct rk_conf_fleet *g = &conf->fleets[j];

			socket_check(&k, "ClientUser", &f->o.client_user, &g->o.client_user, g->name);
			socket_check(&k, "ClientGroup", &f->o.client_group, &g->o.client_group, g->name);
		}
	}
}

/* ---- cycles ---- */

/* A walk along After= and Requires=, at most once into each fleet. */
struct walk {
	const struct rk_conf *conf;
	uint8_t state[RK_FLEETS_MAX]; /* 0 new, 1 on the path, 2 done */
	uint32_t path[RK_FLEETS_MAX + 1];
	uint32_t depth;
};

static bool waits_for(const struct rk_conf_fleet *f, const struct rk_conf_fleet *other)
{
	return rk_wordlist_has(&f->o.after, other->name) ||
	       rk_wordlist_has(&f->o.requires, other->name);
}

/* Returns the fleet in which a cycle closes, whose members then are on the path; else n_fleets. */
static uint32_t cycle_from(struct walk *w, uint32_t at)
{
	const struct rk_conf *conf = w->conf;

	w->state[at] = 1;
	w->path[w->depth++] = at;
	for (uint32_t next = 0; next < conf->n_fleets; next++) {
		uint32_t closed = conf->n_fleets;

		if (next == at || !waits_for(&conf->fleets[at], &conf->fleets[next]))
			continue; /* waiting for oneself has been said */
		if (w->state[next] == 1)
			return next;
		if (w->state[next] == 0)
			closed = cycle_from(w, next);
		if (closed != conf->n_fleets)
			return closed;
	}
	w->state[at] = 2;
	w->depth--;
	return conf->n_fleets;
}

static void cycle_tell(const struct walk *w, uint32_t closed, struct rk_complaints *c)
{
	char names[512] = "";
	uint32_t first = 0;
	size_t len = 0;
	struct check k = { w->conf, &w->conf->fleets[closed], c };

	while (w->path[first] != closed)
		first++;
	for (uint32_t i = first; i < w->depth && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s -> ",
					w->conf->fleets[w->path[i]].name);
	complain(&k, k.fleet->o.after.n ? "After" : "Requires",
		 "the fleets form a cycle: %s%s; take one of them out of After= or Requires=",
		 names, k.fleet->name);
}

static void cycles_check(const struct rk_conf *conf, struct rk_complaints *c)
{
	struct walk w = { .conf = conf };

	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		uint32_t closed = w.state[i] == 0 ? cycle_from(&w, i) : conf->n_fleets;

		if (closed == conf->n_fleets)
			continue;
		cycle_tell(&w, closed, c);
		return; /* the others may be part of it */
	}
}

void rk_conf_check_shape(struct rk_conf *conf, struct rk_complaints *c)
{
	if (conf->n_fleets == 0)
		rk_complain(c, conf->ini.files.n ? conf->ini.files.at[0] : NULL, 0,
			    "there is no fleet: write [Fleet NAME] and Exec=COMMAND below it");
	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		struct check k = { conf, &conf->fleets[i], c };

		exec_check(&k);
		restart_check(&k);
		signals_check(&k);
		memory_check(&k);
		clients_check(&k);
		umask_check(&k);
		geometry_check(&k, &conf->fleets[i]);
		names_check(&k, "After", &k.fleet->o.after);
		names_check(&k, "Requires", &k.fleet->o.requires);
		rk_conf_wrap_check(conf, k.fleet, c);
	}
	sockets_check(conf, c);
	cycles_check(conf, c);
}

/* ---- the machine ---- */

static void user_check(const struct check *k, const struct rk_conf_world *w)
{
	const struct rk_fleet_options *o = &k->fleet->o;

	if (w->euid == 0)
		return;
	if (o->user.is_set && o->user.id != w->euid)
		complain(k, "User", "User=%s needs root: start rekindled as root or take it out",
			 o->user.name);
	if (o->group.is_set && o->group.id != w->egid)
		complain(k, "Group", "Group=%s needs root: start rekindled as root or take it out",
			 o->group.name);
	if (o->client_user.is_set && o->client_user.id != w->euid)
		complain(k, "ClientUser",
			 "ClientUser=%s needs root: start rekindled as root or take it out",
			 o->client_user.name);
}

static void program_check(const struct check *k, const struct rk_conf_world *w, const char *key,
			  const char *program)
{
	struct rk_err err = { 0 };

	if (w->find(program, &err) < 0)
		complain(k, key, "%s=%s", key, err.text);
}

static void commands_check(const struct check *k, const struct rk_conf_world *w, const char *key,
			   const struct rk_commands *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const char *program = c->at[i].at[0];

		if (*program != '-') /* then it may fail */
			program_check(k, w, key, program);
	}
}

/* Once, at the first fleet that wants it. */
static void bridge_check(const struct rk_conf *conf, const struct rk_conf_world *w, struct rk_complaints *c)
{
	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		struct check k = { conf, &conf->fleets[i], c };
		struct rk_err err = { 0 };

		if (!rk_kind_is_wrapped(k.fleet->o.kind) || k.fleet->o.is_disabled)
			continue;
		if (w->find_bridge(&err) < 0)
			complain(&k, "Kind", "Kind=%s: %s", rk_kind_name(k.fleet->o.kind), err.text);
		return;
	}
}

static void files_check(const struct check *k, const struct rk_conf_world *w)
{
	const struct rk_fleet_options *o = &k->fleet->o;
	int r = o->working_directory && !rk_directory_is_of_slot(o) ? w->is_dir(o->working_directory) : 0;

	if (r < 0)
		complain(k, "WorkingDirectory", "WorkingDirectory=%s: %s", o->working_directory,
			 strerror(-r));
	for (uint32_t i = 0; i < o->environment_files.n; i++) {
		const char *path = o->environment_files.at[i];

		r = *path == '-' ? 0 : w->is_file(path);
		if (r < 0)
			complain(k, "EnvironmentFile",
				 "EnvironmentFile=%s: %s; with '-' before it, it may be missing",
				 path, strerror(-r));
	}
}

static void cpus_check(const struct check *k, const struct rk_conf_world *w)
{
	cpu_set_t both;

	if (!k->fleet->o.cpus.is_set)
		return;
	CPU_AND(&both, &k->fleet->o.cpus.set, &w->cpus);
	if (CPU_COUNT(&both) == 0)
		complain(k, "CPUAffinity", "CPUAffinity= names no CPU that this machine has");
}

static void room_check(const struct rk_conf *conf, const struct rk_conf_world *w,
		       struct rk_complaints *c)
{
	struct check k = { conf, NULL, c };
	uint64_t sum = 0;

	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		const struct rk_conf_fleet *f = &conf->fleets[i];

		if (f->o.is_disabled)
			continue;
		sum += f->reserved;
		if (!k.fleet || f->reserved > k.fleet->reserved)
			k.fleet = f;
	}
	if (sum > w->memory)
		complain(
			&k, "MaxState",
			"the configuration reserves %.0f MiB of shared memory, of which fleet '%s' %.0f; available are %.0f: lower MaxState=, Partitions=, MaxClients= or MaxReply=",
			(double)sum / MIB, k.fleet->name, (double)k.fleet->reserved / MIB,
			(double)w->memory / MIB);
}

void rk_conf_check_world(const struct rk_conf *conf, const struct rk_conf_world *w,
			 struct rk_complaints *c)
{
	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		struct check k = { conf, &conf->fleets[i], c };
		const struct rk_fleet_options *o = &k.fleet->o;

		user_check(&k, w);
		if (o->exec.n)
			program_check(&k, w, "Exec", o->exec.at[0]);
		if (o->probe_exec.n)
			program_check(&k, w, "ProbeExec", o->probe_exec.at[0]);
		if (o->checkpoint_exec.n)
			program_check(&k, w, "CheckpointExec", o->checkpoint_exec.at[0]);
		if (o->restore_exec.n)
			program_check(&k, w, "RestoreExec", o->restore_exec.at[0]);
		commands_check(&k, w, "ExecStartPre", &o->exec_start_pre);
		commands_check(&k, w, "ExecStartPost", &o->exec_start_post);
		commands_check(&k, w, "OnFailure", &o->on_failure);
		files_check(&k, w);
		cpus_check(&k, w);
	}
	bridge_check(conf, w, c);
	room_check(conf, w, c);
}

static int program_find(const char *program, struct rk_err *err)
{
	char path[PATH_MAX];

	return rk_spawn_find(program, path, err);
}

static int bridge_find(struct rk_err *err)
{
	char path[PATH_MAX];

	return rk_spawn_find_bridge(path, err);
}

static int directory_look(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int file_look(const char *path)
{
	return access(path, R_OK) < 0 ? -errno : 0;
}

void rk_conf_world(struct rk_conf_world *ret)
{
	*ret = (struct rk_conf_world){ .euid = geteuid(),
				       .egid = getegid(),
				       .memory = rk_segments_available(),
				       .find = program_find,
				       .find_bridge = bridge_find,
				       .is_dir = directory_look,
				       .is_file = file_look };
	if (sched_getaffinity(0, sizeof(ret->cpus), &ret->cpus) < 0)
		memset(&ret->cpus, 0xff, sizeof(ret->cpus)); /* it cannot be known: all may be */
}
