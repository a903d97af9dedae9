/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real fleet for a test: rekindled with a worker, in a runtime directory of its own.
 *
 * The fleet dies with the test process (PDEATHSIG reaches keeper, keeper's death everybody
 * else), so a failed assertion leaves nothing behind but a directory of dead sockets in /tmp.
 * Every wait has a bound.
 */
#ifndef RK_TESTS_SYSTEM_FLEET_H
#define RK_TESTS_SYSTEM_FLEET_H

#include <json-c/json.h>
#include <stdint.h>
#include <sys/types.h>

#include "workers/lib/rekindle.h"

#define FLEET_WORKERS_MAX 256
#define FLEET_WAIT_MS 20000u /* machines are slow and noisy; nothing waits this long that works */

struct fleet {
	pid_t keeper;
	int out; /* rekindled's standard output */
	int n_workers;
	pid_t worker[FLEET_WORKERS_MAX]; /* as they were when the fleet was ready */
	char directory[64];
	char line[4096]; /* the last line read */
};

/*
 * Starts a fleet named "test" of n workers; options (NULL-terminated, may be NULL) go to
 * rekindled, worker (NULL: tests/system/test_worker) is the program, of the build directory unless
 * it begins with '/'. Asserts that it gets ready.
 */
void fleet_start(struct fleet *f, int n_workers, const char *const *options, const char *worker);

/* The same, without waiting until its workers are ready, which some never are. */
void fleet_launch(struct fleet *f, int n_workers, const char *const *options, const char *worker);

/*
 * The same of a configuration, whose text is in test.conf of f->directory, with one fleet
 * "test"; with others, whose lines are to be awaited, clients and commands have to name one of them.
 */
void fleet_start_file(struct fleet *f, int n_workers, const char *text);

/* Writes it anew; nobody is told. */
void fleet_write_file(const struct fleet *f, const char *text);

/* Reads standard output up to a line that contains text, which is then in f->line. */
void fleet_await_line(struct fleet *f, const char *text);

/* Asks it to end and asserts that it does, with exit status 0 and nothing left. */
void fleet_stop(struct fleet *f);

/* Starts another one in the directory of one that ended: what is left there is replaced. */
void fleet_start_again(struct fleet *f);

/* Waits for keeper's end, and for everybody's who holds its standard output; returns keeper's wait status. */
int fleet_await_end(struct fleet *f);

/* Behind that: what a fleet leaves in its directory, and that itself. */
void fleet_remove(struct fleet *f);

/* The same, and removes the directory. */
int fleet_reap(struct fleet *f);

/* Opens a client of the fleet, asserting success. name NULL: anonymous. */
struct rk_client *fleet_client(const char *name);

/* What 'rekindle status --internals -o json' prints. The caller puts it. */
struct json_object *fleet_status(void);

/* A member of a member of … of an object, its names NULL-terminated. Asserts that it is there; borrowed. */
struct json_object *fleet_member(struct json_object *o, ...) __attribute__((sentinel));

/* SIGKILLs the worker that owns a key, held by a pidfd so that it is nobody else. Returns whether there was one. */
int fleet_kill_owner(struct rk_client *c, const char *key);

/* Forks a child that dies with the test. */
pid_t fleet_fork(void);

/* The supervisor's pid, as soon as one answers. */
pid_t fleet_supervisor(void);

/* SIGKILLs the supervisor, held by a pidfd, and waits until it is dead. Returns its pid. */
pid_t fleet_kill_supervisor(void);

/* The pid of the supervisor that came behind this one, as soon as it answers. */
pid_t fleet_await_supervisor(pid_t dead);

/*
 * Between the two nobody supervises: keeper is stopped, and the supervisor killed. Orphan returns
 * the dead one's pid, adopt its successor's.
 */
pid_t fleet_orphan(const struct fleet *f);
pid_t fleet_adopt(const struct fleet *f, pid_t dead);

/* Path of a program of the build directory, or of $RK_TEST_BUILD, e.g. "rekindled". Static storage per call site's buffer. */
void fleet_path(char ret[static 4096], const char *program);

/* Waits until a process is in this state of /proc/PID/stat ('T' stopped, 'Z', 'X' gone counts as 'Z'). */
void fleet_await_state(pid_t pid, char state);

/* Whether this process exists (a zombie does not count). */
int fleet_lives(pid_t pid);

#endif
