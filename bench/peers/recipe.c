/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peers' recipes. Each gets the tiny worker with nothing between: a service directory's run
 * is a link to it, no shell starts it. Logs are off where they can be.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/peers/peer.h"
#include "bench/peers/roll.h"

#define SYSTEMD "/lib/systemd/systemd"
#define CGROUPS "/sys/fs/cgroup"
#define NUMBER_LEN 16

/* ---- writing ---- */

static void path_in(char ret[static PATH_MAX], const struct peer_place *place, const char *name)
{
	(void)snprintf(ret, PATH_MAX, "%s/%s", place->dir, name);
}

static FILE *file_open(const struct peer_place *place, const char *name)
{
	char path[PATH_MAX];
	FILE *f;

	path_in(path, place, name);
	f = fopen(path, "we");
	bench_need(f != NULL, "a file for a peer");
	return f;
}

static __attribute__((format(printf, 3, 4))) void file_write(const struct peer_place *place, const char *name,
							     const char *format, ...)
{
	FILE *f = file_open(place, name);
	va_list args;

	va_start(args, format);
	(void)vfprintf(f, format, args);
	va_end(args);
	bench_need(fclose(f) == 0, "a file for a peer");
}

static void folder_make(const struct peer_place *place, const char *name)
{
	char path[PATH_MAX];

	path_in(path, place, name);
	bench_need(mkdir(path, 0700) == 0, "a folder for a peer");
}

static _Noreturn void exec_or_say(char *const *argv)
{
	(void)execvp(argv[0], argv);
	(void)fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(1);
}

/* ---- where a program lies ---- */

static const char *not_installed(const struct peer *self, const struct peer_place *place)
{
	char path[PATH_MAX], *rest = NULL, *folders = strdup(getenv("PATH") ? getenv("PATH") : "");
	const char *why = "not installed: scripts/install-deps --peers";

	(void)place;
	bench_need(folders != NULL, "memory");
	for (char *folder = strtok_r(folders, ":", &rest); folder; folder = strtok_r(NULL, ":", &rest)) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, self->program);
		if (access(path, X_OK) == 0)
			why = NULL;
	}
	free(folders);
	return why;
}

/* ---- rekindle ---- */

static void lay_nothing(const struct peer *self, const struct peer_place *place)
{
	(void)self;
	(void)place;
}

static _Noreturn void exec_rekindle(const struct peer_place *place)
{
	char daemon[PATH_MAX], workers[NUMBER_LEN + 16], *worker = strdup(place->worker);

	(void)snprintf(daemon, sizeof(daemon), "%s/rekindled", place->build);
	(void)snprintf(workers, sizeof(workers), "--workers=%u", place->n_workers);
	(void)setenv("REKINDLE_RUNTIME_DIR", place->dir, 1);
	exec_or_say((char *[]){ daemon, (char[]){ "--name=" PEER_FLEET }, (char[]){ "--quiet" }, workers,
				(char[]){ "--" }, worker, NULL });
}

/* ---- s6 and runit: a folder per service ---- */

static void lay_services(const struct peer_place *place, bool tells_ready)
{
	char name[64], path[PATH_MAX];

	folder_make(place, "services");
	for (uint32_t i = 0; i < place->n_workers; i++) {
		(void)snprintf(name, sizeof(name), "services/w%u", i);
		folder_make(place, name);
		(void)snprintf(name, sizeof(name), "services/w%u/run", i);
		path_in(path, place, name);
		bench_need(symlink(place->worker, path) == 0, "a service for a peer");
		(void)snprintf(name, sizeof(name), "services/w%u/notification-fd", i);
		if (tells_ready)
			file_write(place, name, "3\n");
	}
}

static void lay_directory(const struct peer *self, const struct peer_place *place)
{
	lay_services(place, self->is_fastest);
}

static _Noreturn void exec_scanner(const char *program, const struct peer_place *place)
{
	char path[PATH_MAX], *name = strdup(program);

	path_in(path, place, "services");
	exec_or_say((char *[]){ name, path, NULL });
}

static _Noreturn void exec_s6(const struct peer_place *place)
{
	exec_scanner("s6-svscan", place);
}

static _Noreturn void exec_s6_ready(const struct peer_place *place)
{
	(void)setenv(ROLL_READY, "3", 1);
	exec_scanner("s6-svscan", place);
}

static _Noreturn void exec_runit(const struct peer_place *place)
{
	exec_scanner("runsvdir", place);
}

/* ---- supervisor ---- */

static void lay_supervisor(const struct peer *self, const struct peer_place *place)
{
	file_write(place, "supervisord.conf",
		   "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%s/pid\n"
		   "loglevel=error\n[program:w]\ncommand=%s\nnumprocs=%u\nprocess_name=w%%(process_num)d\n"
		   "autorestart=true\nstdout_logfile=NONE\nstderr_logfile=NONE\n%s",
		   place->dir, place->worker, place->n_workers, self->is_fastest ? "startsecs=0\n" : "");
}

static _Noreturn void exec_supervisor(const struct peer_place *place)
{
	char path[PATH_MAX];

	path_in(path, place, "supervisord.conf");
	exec_or_say((char *[]){ (char[]){ "supervisord" }, (char[]){ "-c" }, path, NULL });
}

/* ---- Erlang/OTP ---- */

/* A supervisor of processes that each hold a port and end when its program does; compiled before it starts. */
static void lay_erlang(const struct peer *self, const struct peer_place *place)
{
	char source[PATH_MAX], *dir = strdup(place->dir);
	pid_t pid;
	int status;

	(void)self;
	file_write(place, "peers.erl",
		   "-module(peers).\n"
		   "-behaviour(supervisor).\n"
		   "-export([main/1, init/1, start_worker/1]).\n"
		   "main([Worker, N]) ->\n"
		   "    {ok, _} = supervisor:start_link(?MODULE, {Worker, list_to_integer(N)}),\n"
		   "    receive stop -> ok end.\n"
		   "init({Worker, N}) ->\n"
		   "    {ok, {#{strategy => one_for_one, intensity => 1000, period => 1},\n"
		   "          [#{id => I, start => {?MODULE, start_worker, [Worker]}} || I <- lists:seq(1, N)]}}.\n"
		   "start_worker(Worker) ->\n"
		   "    {ok, proc_lib:spawn_link(fun() ->\n"
		   "        Port = open_port({spawn_executable, Worker}, [exit_status]),\n"
		   "        receive {Port, {exit_status, _}} -> exit(shutdown) end\n"
		   "    end)}.\n");
	path_in(source, place, "peers.erl");
	pid = bench_fork();
	if (pid == 0)
		exec_or_say((char *[]){ (char[]){ "erlc" }, (char[]){ "-o" }, dir, source, NULL });
	bench_need(waitpid(pid, &status, 0) == pid && status == 0, "erlc, which compiles Erlang's supervisor");
	free(dir);
}

static _Noreturn void exec_erlang(const struct peer_place *place)
{
	char workers[NUMBER_LEN], *dir = strdup(place->dir), *worker = strdup(place->worker);

	(void)snprintf(workers, sizeof(workers), "%u", place->n_workers);
	exec_or_say((char *[]){ (char[]){ "erl" }, (char[]){ "-noinput" }, (char[]){ "-pa" }, dir, (char[]){ "-run" },
				(char[]){ "peers" }, (char[]){ "main" }, worker, workers, NULL });
}

/* ---- systemd: a user's manager of its own, under a root of cgroups of its own ---- */

static const char *systemd_missing(const struct peer *self, const struct peer_place *place)
{
	(void)self;
	if (access(SYSTEMD, X_OK) < 0)
		return "not installed";
	if (geteuid() != 0 || !*place->cgroup)
		return "needs root and cgroup version 2 for a manager of its own";
	return NULL;
}

static void lay_systemd(const struct peer *self, const struct peer_place *place)
{
	FILE *f;

	folder_make(place, "units");
	folder_make(place, "run");
	file_write(place, "units/w@.service",
		   "[Unit]\nDefaultDependencies=no\n" /* this manager knows no basic.target */
		   "[Service]\nExecStart=%s\nEnvironment=" ROLL_PATH "=%s " ROLL_SUBJECT "=%u\nRestart=always\n%s",
		   place->worker, place->roll, place->subject, self->is_fastest ? "RestartSec=0\n" : "");
	f = file_open(place, "units/peers.target");
	(void)fprintf(f, "[Unit]\n");
	for (uint32_t i = 0; i < place->n_workers; i++)
		(void)fprintf(f, "Wants=w@%u.service\n", i);
	bench_need(fclose(f) == 0, "a file for a peer");
}

/*
 * In mounts of its own it finds what it asks for: a machine that systemd has booted, and cgroups
 * of version 2 that are its own from the root on.
 */
static bool systemd_scene(const struct peer_place *place)
{
	char dir[PATH_MAX], procs[PATH_MAX + 16];
	FILE *f;

	(void)snprintf(dir, sizeof(dir), "%s/p%u", place->cgroup, place->subject);
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	if (mkdir(dir, 0755) < 0)
		return false;
	f = fopen(procs, "we");
	if (!f || fprintf(f, "0\n") < 0 || fclose(f) != 0)
		return false;
	return unshare(CLONE_NEWNS | CLONE_NEWCGROUP) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) == 0 &&
	       mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0 && mkdir("/run/systemd", 0755) == 0 &&
	       mkdir("/run/systemd/system", 0755) == 0;
}

static _Noreturn void exec_systemd(const struct peer_place *place)
{
	char units[PATH_MAX], run[PATH_MAX];

	if (!systemd_scene(place)) {
		(void)fprintf(stderr, "no cgroups and mounts of its own: %s\n", strerror(errno));
		_exit(1);
	}
	path_in(units, place, "units");
	path_in(run, place, "run");
	(void)setenv("SYSTEMD_UNIT_PATH", units, 1);
	(void)setenv("XDG_RUNTIME_DIR", run, 1);
	(void)setenv("SYSTEMD_LOG_LEVEL", "err", 1);
	(void)unsetenv("DBUS_SESSION_BUS_ADDRESS");
	exec_or_say((char *[]){ (char[]){ SYSTEMD }, (char[]){ "--user" }, (char[]){ "--log-target=console" },
				(char[]){ "--unit=peers.target" }, NULL });
}

/* ---- the table ---- */

static const char *never_missing(const struct peer *self, const struct peer_place *place)
{
	(void)self;
	(void)place;
	return NULL;
}

static _Noreturn void exec_bare(const struct peer_place *place)
{
	char *worker = strdup(place->worker);

	exec_or_say((char *[]){ worker, NULL });
}

const struct peer peer_bare = { "no supervisor", false, "peer_worker", never_missing, lay_nothing, exec_bare };

const struct peer peers[] = {
	{ "rekindle", false, "rekindled", never_missing, lay_nothing, exec_rekindle },
	{ "s6", false, "s6-svscan", not_installed, lay_directory, exec_s6 },
	{ "s6, notification-fd", true, "s6-svscan", not_installed, lay_directory, exec_s6_ready },
	{ "runit", false, "runsvdir", not_installed, lay_directory, exec_runit },
	{ "supervisor", false, "supervisord", not_installed, lay_supervisor, exec_supervisor },
	{ "supervisor, startsecs=0", true, "supervisord", not_installed, lay_supervisor, exec_supervisor },
	{ "Erlang/OTP", false, "erl", not_installed, lay_erlang, exec_erlang },
	{ "systemd", false, "systemd", systemd_missing, lay_systemd, exec_systemd },
	{ "systemd, RestartSec=0", true, "systemd", systemd_missing, lay_systemd, exec_systemd },
};
const uint32_t n_peers = sizeof(peers) / sizeof(*peers);
