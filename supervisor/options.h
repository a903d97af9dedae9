/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: what can be chosen for the supervisor and for a fleet. One member per key of
 * supervisor/keys.c, where its meaning, bounds and default stand.
 *
 * Units     sizes in bytes, times in ns; RK_INFINITE where "infinity" was written.
 */
#ifndef RK_SUPERVISOR_OPTIONS_H
#define RK_SUPERVISOR_OPTIONS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/wordlist.h"
#include "supervisor/restart.h"
#include "supervisor/strategy.h"

#define RK_INFINITE UINT64_MAX

/* The order is that of the words in the key's table. */
enum rk_kind {
	RK_KIND_NATIVE,
	RK_KIND_LINES,
	RK_KIND_HTTP,
	RK_KIND_TCP,
	RK_KIND_NOTIFY,
	RK_KIND_EXEC,
	RK_KINDS
};
enum rk_level { RK_LEVEL_ERROR, RK_LEVEL_WARNING, RK_LEVEL_NOTICE, RK_LEVEL_INFO, RK_LEVEL_DEBUG };
enum rk_output_to { RK_OUTPUT_INHERIT, RK_OUTPUT_JOURNAL, RK_OUTPUT_NULL, RK_OUTPUT_FILE };

struct rk_output {
	enum rk_output_to to;
	char *path; /* of RK_OUTPUT_FILE, else NULL */
};

/* Several commands in their order. The first word may begin with '-': it may fail. */
struct rk_commands {
	uint32_t n;
	struct rk_wordlist *at;
};

struct rk_cpus {
	bool is_set;
	cpu_set_t set;
};

/* A user or group. */
struct rk_who {
	bool is_set;
	uint32_t id;
	uint32_t gid;  /* of a user: its own group */
	char name[33]; /* as it was written */
};

struct rk_mode {
	bool is_set;
	uint32_t bits;
};

struct rk_limit {
	bool is_set;
	uint64_t soft, hard;
};

enum rk_limit_of {
	RK_LIMIT_NOFILE,
	RK_LIMIT_CORE,
	RK_LIMIT_AS,
	RK_LIMIT_NPROC,
	RK_LIMIT_MEMLOCK,
	RK_LIMIT_STACK,
	RK_LIMIT_DATA,
	RK_LIMIT_FSIZE,
	RK_LIMITS
};

struct rk_supervisor_options {
	uint32_t strategy; /* enum rk_strategy, between the fleets */
	bool real_time;
	uint32_t n_flight_records;
	uint32_t log_level; /* enum rk_level */
};

struct rk_fleet_options {
	/* what runs */
	struct rk_wordlist exec;
	struct rk_commands exec_start_pre, exec_start_post, on_failure;
	uint32_t kind; /* enum rk_kind */
	char *preset;  /* its name, NULL for none; what it says is among the settings */
	uint32_t n_workers, n_standby;
	bool is_disabled;
	struct rk_wordlist after, requires; /* names of fleets; requires implies after */

	/* sizes, of shared memory */
	uint32_t n_partitions, n_ring, n_slots, n_dedup, n_clients, n_undo, n_dead_letters;
	uint64_t max_request, max_reply, max_state, undo_data;
	uint32_t batch; /* 0: the worker's own choice */

	/* what a worker starts with */
	struct rk_wordlist environment;       /* NAME=VALUE */
	struct rk_wordlist environment_files; /* paths; one that begins with '-' may be missing */
	char *working_directory;              /* NULL: the supervisor's */
	struct rk_who user, group;
	struct rk_mode umask;
	struct rk_limit limit[RK_LIMITS];
	int32_t nice; /* RK_NICE_KEEP: the supervisor's */
	struct rk_cpus cpus;
	struct rk_output output;

	/* cgroup, where one is delegated */
	uint64_t memory_high, memory_max;
	uint32_t cpu_weight, n_tasks_max; /* 0: not set */

	/* time */
	uint64_t start_timeout_ns, stop_timeout_ns, job_timeout_ns;
	uint32_t job_timeout_signal; /* 0: none */
	uint64_t hang_after_ns;      /* checked against Blocking: 100 ms where workers never wait */
	bool is_blocking;
	uint64_t core_timeout_ns; /* 0: no core is wanted */
	uint32_t kill_signal;
	uint32_t on_hang, on_paused; /* enum rk_policy, of respond.h */

	/* restarts */
	uint32_t restart;  /* enum rk_restart_when */
	uint32_t strategy; /* enum rk_strategy, between the workers */
	struct rk_restart_exits success, restart_prevent;
	uint32_t restart_burst;
	uint64_t restart_window_ns, restart_backoff_ns, restart_backoff_max_ns, healthy_after_ns;
	uint64_t move_after_ns, max_rss;
	uint64_t orphan_timeout_ns; /* RK_INFINITE = never */
	uint32_t n_jobs_max;        /* of one process; 0: no bound */
	uint32_t dead_letter_after; /* attempts */

	/* clients */
	struct rk_who client_user, client_group;
	struct rk_mode socket_mode;
	uint32_t n_quota; /* calls one client may have outstanding; 0: all its slots */
	bool allow_faults;

	/*
	 * Wrapped programs, by their bridge (workers/bridge/options.h). Texts are NULL where nothing
	 * was said; specifiers in them are not expanded: the bridge knows its slot.
	 */
	uint32_t framing, terminal, http_answer, listen_as; /* which of the key's words */
	char *answer_id;
	uint32_t n_window;
	uint32_t port; /* of slot 0; 0: none */
	char *socket, *address, *state_directory;
	char *send, *expect; /* without escapes */
	char *health_path, *http_path, *key_header;
	struct rk_wordlist probe_exec;
	uint64_t probe_interval_ns, probe_timeout_ns;
	uint32_t n_probe_failures;
	struct rk_wordlist listen; /* addresses */
	uint32_t n_descriptors_kept;
	struct rk_wordlist checkpoint_exec, restore_exec;
	char *checkpoint_line, *checkpoint_path;
	uint64_t checkpoint_interval_ns; /* 0: on stop alone */
};

/* Whether a bridge is between us and the program. */
static inline bool rk_kind_is_wrapped(uint32_t kind)
{
	return kind != RK_KIND_NATIVE;
}

/* Whether WorkingDirectory= has specifiers: the bridge goes there, which knows the slot, and makes what is %d. */
static inline bool rk_directory_is_of_slot(const struct rk_fleet_options *o)
{
	return rk_kind_is_wrapped(o->kind) && o->working_directory && strchr(o->working_directory, '%');
}

#define RK_NICE_KEEP INT32_MIN

#endif
