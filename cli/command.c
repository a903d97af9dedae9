/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/near.h"
#include "cli/cli.h"
#include "cli/demo_hog.h"
#include "cli/demo_poison.h"
#include "shm/abi.h"

#define DAY_NS (24 * 3600 * RK_NS_PER_S)

#define FLEET_OPTION                                                                               \
	{                                                                                          \
		"name", 0, RK_OPTION_FLEET, "NAME",                                                \
			"the fleet ($REKINDLE_NAME, else the only one running)", 0, 0              \
	}
#define OUTPUT_OPTION                                                                              \
	{                                                                                          \
		"output", 'o', RK_OPTION_CHOICE, "text|json", "how to print (text)", 0, 0          \
	}
#define TIMEOUT_OPTION(help)                                                                       \
	{                                                                                          \
		"timeout", 0, RK_OPTION_TIME, "TIME", help, RK_NS_PER_MS, DAY_NS                   \
	}

#define ROOT_OPTION                                                                                \
	{                                                                                          \
		"root", 0, RK_OPTION_TEXT, "DIR",                                                  \
			"where configurations are looked for by name (/)", 0, 0                    \
	}

#define OPTIONS(table) .options = table, .n_options = rk_countof(table)
#define MEMBERS(table) .members = table, .n_members = rk_countof(table)

/* Values of run's options are rekindled's to judge. */
static const struct rk_option run_options[] = {
	{ "name", 0, RK_OPTION_NAME, "NAME",
	  "what the fleet is called ($REKINDLE_NAME, else the command's name)", 0, 0 },
	{ "workers", 'n', RK_OPTION_COUNT, "N", "workers to run (4)", 0, 0 },
	{ "standby", 0, RK_OPTION_COUNT, "N", "parked processes that take over at once from dead workers (0)", 0,
	  0 },
	{ "partitions", 0, RK_OPTION_COUNT, "N",
	  "partitions of the key space, a power of two (256)", 0, 0 },
	{ "ring", 0, RK_OPTION_COUNT, "N", "places in a partition's queue, a power of two (512)", 0,
	  0 },
	{ "max-clients", 0, RK_OPTION_COUNT, "N", "clients at one time (128)", 0, 0 },
	{ "slots", 0, RK_OPTION_COUNT, "N", "outstanding calls per client (16)", 0, 0 },
	{ "dedup", 0, RK_OPTION_COUNT, "N", "unread replies kept per partition (64)", 0, 0 },
	{ "max-request", 0, RK_OPTION_SIZE, "SIZE", "bytes of key and body together (1K)", 0, 0 },
	{ "max-reply", 0, RK_OPTION_SIZE, "SIZE", "bytes of a reply (1K)", 0, 0 },
	{ "max-state", 0, RK_OPTION_SIZE, "SIZE", "bytes of state per partition (64K)", 0, 0 },
	{ "undo", 0, RK_OPTION_COUNT, "N", "changes that one job or batch may make (512)", 0, 0 },
	{ "undo-data", 0, RK_OPTION_SIZE, "SIZE",
	  "bytes kept for changes longer than 24 bytes (16K)", 0, 0 },
	{ "batch", 0, RK_OPTION_COUNT, "N", "jobs per commit (the worker's own choice)", 0, 0 },
	{ "stop-timeout", 0, RK_OPTION_TIME, "TIME", "from SIGTERM to SIGKILL at the end (5s)", 0,
	  0 },
	{ "set", 0, RK_OPTION_REPEATED, "KEY=VALUE",
	  "any key of rekindle.conf(5), such as StopTimeout=2s; may be repeated", 0, 0 },
	{ "config", 0, RK_OPTION_TEXT, "NAME|FILE",
	  "run what this configuration says, see rekindle.conf(5), instead of COMMAND", 0, 0 },
	ROOT_OPTION,
	{ "quiet", 'q', RK_OPTION_FLAG, NULL, "no event lines on standard output", 0, 0 },
	{ "debug", 0, RK_OPTION_FLAG, NULL, "every transition on standard error", 0, 0 },
};

static const struct rk_option check_options[] = { ROOT_OPTION };
static const struct rk_option cat_options[] = {
	ROOT_OPTION,
	{ "defaults", 0, RK_OPTION_FLAG, NULL, "every key with its default and what it does", 0,
	  0 },
};

#define UTC_OPTION                                                                                 \
	{                                                                                          \
		"utc", 0, RK_OPTION_FLAG, NULL, "times in UTC, not those of here", 0, 0            \
	}

static const struct rk_option status_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	{ "internals", 0, RK_OPTION_FLAG, NULL,
	  "also views, readers, segments, clients and busy partitions", 0, 0 },
	{ "wait", 0, RK_OPTION_MAY_TIME, "TIME",
	  "until the fleet is there, all its workers are ready and all partitions served, so long at most (30s)",
	  RK_NS_PER_MS, DAY_NS },
	{ "check", 0, RK_OPTION_FLAG, NULL,
	  "exit status 0 if all workers are ready and all partitions served, 2 some, 1 none, 3 no fleet runs",
	  0, 0 },
	UTC_OPTION,
};

static const struct rk_option events_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	{ "follow", 'f', RK_OPTION_FLAG, NULL,
	  "go on with what happens, until the fleet is stopped", 0, 0 },
	{ "lines", 'n', RK_OPTION_COUNT, "N", "only the last N (all; with -f: 10)", 0, UINT32_MAX },
	{ "worker", 0, RK_OPTION_COUNT, "WORKER", "only of this slot", 0, 0 },
	{ "kind", 0, RK_OPTION_TEXT, "KIND[,KIND...]", "only of these kinds", 0, 0 },
	{ "all", 'a', RK_OPTION_FLAG, NULL, "also each transition, start and client", 0, 0 },
	UTC_OPTION,
	{ "since", 0, RK_OPTION_TIME, "TIME", "only what is not older, such as 10min", 1,
	  366 * DAY_NS },
};

static const struct rk_option logs_options[] = {
	FLEET_OPTION,
	{ "follow", 'f', RK_OPTION_FLAG, NULL, "go on with what comes, until the fleet ends", 0, 0 },
	{ "lines", 'n', RK_OPTION_COUNT, "N", "begin with the last N of each file (10)", 0, UINT32_MAX },
	{ "worker", 0, RK_OPTION_COUNT, "WORKER", "only of this slot", 0, 0 },
};

static const struct rk_option get_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	{ "watch", 'w', RK_OPTION_FLAG, NULL,
	  "go on with a line for each change, until the fleet ends", 0, 0 },
};

static const struct rk_option why_options[] = { FLEET_OPTION, OUTPUT_OPTION, UTC_OPTION };
static const struct rk_option common_options[] = { FLEET_OPTION, OUTPUT_OPTION };
static const struct rk_option output_options[] = { OUTPUT_OPTION };

static const struct rk_option call_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	TIMEOUT_OPTION("how long to wait for the fleet and its reply (10s)"),
	{ "retry", 0, RK_OPTION_FLAG, NULL,
	  "until the time-out, begin again when it was certainly not applied", 0, 0 },
	{ "named", 0, RK_OPTION_NAME, "CLIENT",
	  "be this client: a later call of the same name gets what this one left", 0, 0 },
};

static const struct rk_option dead_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	TIMEOUT_OPTION("with retry: how long to wait for each (60s)"),
	{ "all", 0, RK_OPTION_FLAG, NULL, "with retry and drop: every letter there is", 0, 0 },
	{ "body", 0, RK_OPTION_FLAG, NULL, "with show: print the job's body as it is, and nothing else", 0, 0 },
	UTC_OPTION,
};

static const struct rk_option put_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	TIMEOUT_OPTION("how long to wait for the fleet, for room, and at the end for the workers (10s)"),
};

static const struct rk_option stop_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	TIMEOUT_OPTION("how long to wait for its end (30s)"),
};

static const struct rk_option fault_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	{ "any", 0, RK_OPTION_FLAG, NULL, "instead of WORKER: one that is ready, drawn by chance", 0, 0 },
	{ "rate", 0, RK_OPTION_COUNT, "PER_S", "not once, but so many times per second", 1, 1000 },
	{ "for", 0, RK_OPTION_TIME, "TIME", "with --rate: how long to go on (10s); else how long stop stops (1s)",
	  RK_NS_PER_MS, DAY_NS },
	{ "each", 0, RK_OPTION_TIME, "TIME",
	  "how much longer a slow job takes, or how long each stop of --rate stops (100ms)", RK_NS_PER_MS, DAY_NS },
	{ "jobs", 0, RK_OPTION_COUNT, "N", "how many jobs are slow (10)", 1, RK_ORDER_JOBS_MAX },
};

#define FOLLOW_OPTIONS                                                                             \
	FLEET_OPTION, OUTPUT_OPTION,                                                               \
		TIMEOUT_OPTION("how long to wait for it to be over (for ever); it goes on then"),  \
	{                                                                                          \
		"no-wait", 0, RK_OPTION_FLAG, NULL, "only begin it", 0, 0                          \
	}

static const struct rk_option operation_options[] = { FOLLOW_OPTIONS };

static const struct rk_option fleet_options[] = { FLEET_OPTION };

static const struct rk_option restart_options[] = {
	FOLLOW_OPTIONS,
	{ "all", 0, RK_OPTION_FLAG, NULL, "all workers, as without a WORKER", 0, 0 },
	{ "max-unavailable", 0, RK_OPTION_COUNT, "N", "workers that may be away at once (1); 0: standbys take over, one by one", 0,
	  RK_WORKERS_MAX },
	{ "resume", 0, RK_OPTION_FLAG, NULL, "one that is held goes on", 0, 0 },
	{ "cancel", 0, RK_OPTION_FLAG, NULL, "one that is under way touches no further worker", 0,
	  0 },
};

static const struct rk_option demo_options[] = {
	{ "seconds", 0, RK_OPTION_COUNT, "N",
	  "how long to count the text's words, over and over (10; with --text: once)", 1, 86400 },
	{ "text", 0, RK_OPTION_TEXT, "PATH",
	  "count the words of this file, and of any PATH (Debian's licence texts)", 0, 0 },
	{ "workers", 'n', RK_OPTION_COUNT, "N", "workers of the fleet (4)", 1, 64 },
	{ "standby", 0, RK_OPTION_COUNT, "N", "parked processes that take over from killed workers (0)", 0, 64 },
	{ "clients", 0, RK_OPTION_COUNT, "N",
	  "clients that send words, every other one with a name (4)", 1, 64 },
	{ "in-flight", 0, RK_OPTION_COUNT, "N", "calls that a client has in flight (8)", 1, 64 },
	{ "timeout", 0, RK_OPTION_TIME, "TIME",
	  "of one call; what was not applied then is sent again (50ms)", RK_NS_PER_MS,
	  10 * RK_NS_PER_S },
	{ "batch", 0, RK_OPTION_COUNT, "N", "jobs per commit (1)", 1, 256 },
	{ "kill-workers", 0, RK_OPTION_COUNT, "PER_S", "workers to SIGKILL per second (5)", 0,
	  1000 },
	{ "kill-clients", 0, RK_OPTION_COUNT, "PER_S", "clients to SIGKILL per second (2)", 0,
	  1000 },
	{ "stop-workers", 0, RK_OPTION_COUNT, "PER_S",
	  "workers to SIGSTOP for a while per second (2)", 0, 1000 },
	{ "stop-clients", 0, RK_OPTION_COUNT, "PER_S",
	  "clients to SIGSTOP for a while per second (1)", 0, 1000 },
	{ "kill-readers", 0, RK_OPTION_COUNT, "PER_S",
	  "readers of the board to SIGKILL per second, and as many to SIGSTOP (0: none looks)", 0,
	  1000 },
	{ "poison", 0, RK_OPTION_COUNT, "N",
	  "jobs to send that crash or hang every worker that takes them, until they are quarantined (0)", 0,
	  RK_DEMO_POISONS_MAX },
	{ "hogs", 0, RK_OPTION_COUNT, "N", "processes to start that burn CPU meanwhile (0)", 0, RK_DEMO_HOGS_MAX },
	{ "kill-standbys", 0, RK_OPTION_COUNT, "PER_S", "standbys to SIGKILL per second (0)", 0,
	  1000 },
	{ "named", 0, RK_OPTION_FLAG, NULL,
	  "all clients have names, so that each word is answered whoever is killed", 0, 0 },
	{ "seed", 0, RK_OPTION_COUNT, "N", "of whom it strikes and when (from the clock)", 0,
	  UINT64_MAX },
	{ "counts", 0, RK_OPTION_TEXT, "FILE",
	  "write the final count of each word there, as 'uniq -c' would", 0, 0 },
	{ "keep", 0, RK_OPTION_FLAG, NULL,
	  "leave the fleet running behind the verdict, until Ctrl-C, and print its workers' pids", 0,
	  0 },
	OUTPUT_OPTION,
};

static const struct rk_option help_options[] = {
	{ "man", 0, RK_OPTION_FLAG, NULL, "print rekindle(1) as its roff source", 0, 0 },
	{ "completion", 0, RK_OPTION_CHOICE, "bash", "print the completion script of a shell", 0,
	  0 },
};

#define EVENT_MEMBERS(prefix)                                                                      \
	{ prefix "sequence", "its number; counts from 1" },                                        \
		{ prefix "group", "sequence of the first event that this one belongs with" },      \
		{ prefix "time", "when, in UTC" },                                                 \
		{ prefix "monotonic_ns", "the same on the machine's CLOCK_MONOTONIC" },            \
		{ prefix "kind", "see above" },                                                    \
		{ prefix "severity", "error, warning, notice, info or debug" },                    \
		{ prefix "fleet", "that it is about, or null" },                                   \
		{ prefix "worker", "slot that it is about, or null" },                             \
		{ prefix "pid", "of the process that it is about, or null" },                      \
		{ prefix "incarnation", "of that process, or null" },                              \
		{ prefix "text", "what happened, then key=value" },                                \
		{ prefix "cut", "whether a part of the text is missing" },                         \
	{                                                                                          \
		prefix "fields", "the pairs key=value of the text, as strings"                     \
	}

static const struct rk_member events_members[] = { EVENT_MEMBERS("") };

static const struct rk_member why_members[] = {
	{ "name", "name of the fleet" },
	{ "worker", "its slot" },
	{ "incident", "the last one: verdicts, evidence, responses, the death and what came of it" },
	EVENT_MEMBERS("incident[]."),
	{ "history", "the last transitions, starts and moves; members as those of incident" },
};

static const struct rk_member get_members[] = {
	{ "worker", "its slot" },
	{ "state",
	  "of the slot: starting, ready, suspect, paused, suspended, stopping, down, drained, stopped, empty" },
	{ "pid", "null without a process" },
	{ "incarnation", "of the process" },
	{ "restarts", "since the fleet started" },
	{ "partitions", "that it owns" },
};

static const struct rk_member status_members[] = {
	{ "name", "name of the fleet" },
	{ "fleet", "of a configuration with several, the one that was asked for; else null" },
	{ "command", "what its workers run" },
	{ "keeper_pid", "its root process" },
	{ "supervisor_pid", "its control plane" },
	{ "uptime_ms", "since the fleet started" },
	{ "partitions", "of the key space" },
	{ "clients", "that hold a place now" },
	{ "ready_workers", "that are ready and not suspended" },
	{ "queued_jobs", "published and neither committed nor withdrawn, in all partitions" },
	{ "finished_jobs",
	  "committed since the fleet started; duplicates and withdrawn ones count too" },
	{ "dead_letters", "jobs that were put aside, see 'rekindle dead'" },
	{ "dead_letters_room", "how many it can keep" },
	{ "blocked_partitions", "how many stand still until a dead letter is dropped" },
	{ "unserved_partitions",
	  "how many belong to workers that do not work: stopped, paused, suspended, down" },
	{ "workers", "one object per slot that is in use, or was until it was drained or stopped" },
	{ "workers[].slot", "its place in the fleet, stable over restarts" },
	{ "workers[].state",
	  "of the slot: starting, ready, suspect, paused, suspended, stopping, down, drained, stopped, empty" },
	{ "workers[].declared",
	  "what the process says of itself: starting, ready, running, calling, parked or "
	  "stopping; null before it attached" },
	{ "workers[].suspended", "whether a signal or a debugger has stopped its process" },
	{ "workers[].pid", "null without a process" },
	{ "workers[].incarnation", "of the process" },
	{ "workers[].uptime_ms", "of the process; null without one" },
	{ "workers[].restarts", "since the fleet started" },
	{ "workers[].partitions", "that it owns" },
	{ "workers[].queued_jobs", "in those partitions, published and neither committed nor withdrawn" },
	{ "workers[].jobs", "committed by this process" },
	{ "workers[].errors", "of those, answered with the handler's error" },
	{ "workers[].refused", "jobs that found no room for their reply (--dedup)" },
	{ "workers[].last_words", "a line the process left before it gave up, or null" },
	{ "workers[].last_death", "of the process before this one; null if there was none" },
	{ "workers[].last_death.pid", "of the dead process" },
	{ "workers[].last_death.cause", "exit, signal, core (a signal, core dumped) or unknown" },
	{ "workers[].last_death.status", "exit status or number of the signal; null if unknown" },
	{ "workers[].last_death.signal", "name of the signal, such as SIGKILL, or null" },
	{ "workers[].last_death.verdict",
	  "by which it was killed, as 'rekindle why' has it; null if by none, or the flight recorder does not know it any more" },
	{ "workers[].last_death.ago_ms", "since the death was noticed" },
	{ "standbys", "one object per process that is parked and may become any slot's" },
	{ "standbys[].pid", "of the process" },
	{ "standbys[].uptime_ms", "of the process" },
	{ "events", "only with WORKER: its last five, as 'rekindle events' prints them" },
	{ "internals", "only with --internals" },
	{ "internals.view_version", "of the board's view all of this was read from" },
	{ "internals.view_age_ms", "since it was published" },
	{ "internals.grace_periods", "waited for so far" },
	{ "internals.coalesced_views", "merged since no buffer was free" },
	{ "internals.stalled_readers", "how many held up the last attempt" },
	{ "internals.stalled_pids", "who they are, at most seven" },
	{ "internals.epoch_mode", "plain or exchange" },
	{ "internals.segments", "one object per segment of shared memory" },
	{ "internals.segments[].name",
	  "board, beats, calls, queues, parts, readers, state, journal or dead" },
	{ "internals.segments[].size_bytes", "its size" },
	{ "internals.clients", "one object per named client; anonymous ones have no name to show" },
	{ "internals.clients[].name", "as it was given at open" },
	{ "internals.clients[].id", "never used twice" },
	{ "internals.clients[].pid", "null when it is not there" },
	{ "internals.clients[].alive", "whether a process holds this name now" },
	{ "internals.clients[].has_calls",
	  "of one that is gone: whether it left calls whose replies wait for the next client of this "
	  "name; null while it lives" },
	{ "internals.busy_partitions", "one object per partition with something unfinished" },
	{ "internals.busy_partitions[].partition", "its number" },
	{ "internals.busy_partitions[].worker", "slot of its owner, or null" },
	{ "internals.busy_partitions[].cursor", "next job not committed" },
	{ "internals.busy_partitions[].freed", "jobs below are delivered and their places free" },
	{ "internals.busy_partitions[].released", "replies of jobs below may be delivered" },
	{ "internals.busy_partitions[].queued_jobs",
	  "published and neither committed nor withdrawn" },
};

static const struct rk_member key_members[] = {
	{ "name", "name of the fleet" },
	{ "fleet", "as in status" },
	{ "keys", "one object per KEY, in their order" },
	{ "keys[].key", "the key" },
	{ "keys[].key_encoding", "utf-8, or base64 if the key is no UTF-8" },
	{ "keys[].partition", "that it belongs to" },
	{ "keys[].worker", "slot of the owner, or null" },
	{ "keys[].pid", "null when the owner is down" },
	{ "keys[].state", "of the owner's slot, as in status; null if nobody owns it" },
	{ "keys[].declared", "what the owner says of itself, as in status" },
	{ "keys[].suspended", "whether a signal or a debugger has stopped the owner's process" },
};

static const struct rk_member call_members[] = {
	{ "outcome",
	  "done, failed, not-applied, unknown, too-large, full, no-worker, stale, no-slot or error" },
	{ "reply", "of the handler; null unless the outcome is done or failed" },
	{ "reply_encoding", "utf-8, or base64 if the reply is no UTF-8; null without a reply" },
	{ "partition", "of the key" },
	{ "job", "the job's number within the partition; null unless it was applied" },
	{ "sequence", "the client's number for the call; null if it was never begun" },
	{ "error", "name of the errno that the handler answered with, such as EINVAL, or null" },
	{ "message", "a sentence on what went wrong, or null" },
	{ "timed_out", "whether the time was up" },
	{ "resumed",
	  "with --named: calls that an earlier client of this name left, as objects like this one" },
};

static const struct rk_member dead_members[] = {
	{ "name", "name of the fleet" },
	{ "room", "with list: how many letters it can keep" },
	{ "blocked_partitions", "with list: those that stand still until a letter is dropped" },
	{ "letters", "one object per letter, the oldest first; in the order of the command otherwise" },
	{ "letters[].letter", "how it is called: PARTITION.JOB" },
	{ "letters[].partition", "of its key" },
	{ "letters[].job", "the job's number within the partition" },
	{ "letters[].worker", "slot of the worker that put it aside, and had died of it mostly" },
	{ "letters[].verdict", "of the last attempt: crashed, hung, looping, late, memory, retry or unknown" },
	{ "letters[].end", "of its process: a signal's name or exit N; null if it did not end, or nobody knows" },
	{ "letters[].attempts", "that were charged to it" },
	{ "letters[].time", "when it was put aside, in UTC" },
	{ "letters[].age_ms", "since then" },
	{ "letters[].client_id", "of the client that sent it, never used twice" },
	{ "letters[].sequence", "that client's number for the call" },
	{ "letters[].retrying", "whether it is being sent again" },
	{ "letters[].key", "the job's key" },
	{ "letters[].key_encoding", "utf-8, or base64 if it is no UTF-8" },
	{ "letters[].size_bytes", "of its body" },
	{ "letters[].body", "with show: the body" },
	{ "letters[].body_encoding", "utf-8, or base64 if it is no UTF-8" },
	{ "letters[].deadline_ns", "with show: until when its client waited, CLOCK_MONOTONIC; null = for ever" },
	{ "letters[].history", "with show: events about its attempts, as 'rekindle events' prints them" },
	{ "letters[].outcome",
	  "with retry: done, quarantined (again), failed, not-applied, unknown (yet), unsettled (finished, and "
	  "the supervisor did not answer), or gone" },
	{ "letters[].reply", "with retry: of the handler; null unless the outcome is done" },
	{ "letters[].reply_encoding", "utf-8 or base64; null without a reply" },
	{ "letters[].now", "with retry and drop: dropped, kept, or retrying while that is not settled" },
	{ "letters[].became", "with retry: the letter that its job is now, if it was quarantined again" },
	{ "letters[].resumed", "with retry: whether an earlier retry, which did not come to its end, had sent it" },
	{ "letters[].message", "with retry and drop: a sentence, or null" },
};

static const struct rk_member put_members[] = {
	{ "submitted", "jobs queued" },
	{ "applied", "of those, finished without an error; null if the time was up" },
	{ "refused", "of those, known to be answered with an error or found no room" },
	{ "bad_lines", "of standard input, left out: no KEY, or too long" },
	{ "finished", "whether all of them were finished in time" },
};

static const struct rk_member stop_members[] = {
	{ "name", "name of the fleet" },
	{ "keeper_pid", "of the process whose end was awaited" },
	{ "stopped", "false: the time was up" },
	{ "workers", "processes that the fleet had; null if its board could not be read, as below" },
	{ "killed", "of those, that did not end in time; null if the time was up" },
	{ "dropped_jobs", "queued and not done when the last worker ended; null if the time was up" },
};

static const struct rk_member fault_members[] = {
	{ "name", "name of the fleet" },
	{ "what", "kill, stop, hang, loop or slow" },
	{ "injected", "faults that were injected" },
	{ "missed", "of --rate: times that no worker, or not this one, was ready for it" },
	{ "worker", "slot of the last one; null if there was none, as below" },
	{ "pid", "of the process it went to" },
	{ "incarnation", "of that process" },
};

static const struct rk_member reload_members[] = {
	{ "ok", "true: the supervisor has answered" },
	{ "applied", "whether anything may have changed" },
	{ "lines", "what was done, or everything that is wrong" },
	{ "pending", "how many changes take longer" },
	{ "operation", "group of their events, which follow as 'rekindle events' prints them" },
};

static const struct rk_member list_members[] = {
	{ "fleets", "one object per running fleet, by name" },
	{ "fleets[].name", "its name" },
	{ "fleets[].keeper_pid", "null when its supervisor does not answer" },
	{ "fleets[].supervisor_pid", "null when it does not answer" },
	{ "fleets[].release", "of its rekindled; null when it does not answer" },
};

static const struct rk_member version_members[] = {
	{ "release", "of this program" },
	{ "abi", "version of the shared memory it speaks" },
};

static const struct rk_member demo_members[] = {
	{ "ok", "whether the exit status is 0" },
	{ "sent", "words that clients meant to send" },
	{ "acknowledged", "of those, answered with a count" },
	{ "applied", "sum of the final counts" },
	{ "lost", "acknowledged, yet not in the final counts: must be 0" },
	{ "doubled", "counted, yet sent by nobody: must be 0 (a word left open by a killed anonymous client may hide one)" },
	{ "unresolved", "in flight in anonymous clients that were killed" },
	{ "unresolved_applied", "of those, counted" },
	{ "poison", "jobs sent that crash or hang every worker" },
	{ "quarantined", "of those, answered so: must be all" },
	{ "dead_letters", "of those, that the fleet keeps as dead letters: must be all" },
	{ "innocents_quarantined", "words that were quarantined: must be 0" },
	{ "hogs", "processes that burned CPU meanwhile" },
	{ "unanswered", "without an answer, their client alive: must be 0" },
	{ "contradicted", "answered twice, and not with the same count: must be 0" },
	{ "refused", "that wordcount had no room for" },
	{ "invalid", "records of the ledger that make no sense: must be 0" },
	{ "left_out", "words of the text that are too long for wordcount" },
	{ "sent_again", "words that were certainly not applied in time and sent once more" },
	{ "resumed", "answers that came to the successor of a killed client" },
	{ "clients_failed", "ended by themselves without all their answers: must be 0" },
	{ "readers_failed", "readers that saw a published view change: must be 0" },
	{ "kills", "SIGKILLs" },
	{ "kills.workers", "of workers" },
	{ "kills.clients", "of clients" },
	{ "kills.readers", "of readers of the board" },
	{ "kills.standbys", "of standbys, before they were needed" },
	{ "kills.inside_a_job", "times a worker was caught there to be killed or stopped" },
	{ "kills.inside_a_reply", "the same, inside the writing of a reply" },
	{ "stops", "processes that stood still for a while" },
	{ "stops.workers", "of them, workers" },
	{ "stops.clients", "of them, clients" },
	{ "stops.readers", "of them, readers" },
	{ "recovery_ms", "from a worker's SIGKILL to its successor's first commit" },
	{ "recovery_ms.n", "how many were measured" },
	{ "recovery_ms.unmeasured", "whose successor died, or fell idle, before it could be seen" },
	{ "recovery_ms.p50", "median; null if none was measured, as below" },
	{ "recovery_ms.p99", "99 of 100 took no longer" },
	{ "recovery_ms.max", "the longest" },
	{ "jobs_per_s", "acknowledged" },
	{ "elapsed_ms", "from the first client's start to the end of the load" },
	{ "words", "different words of the text" },
	{ "words_exact",
	  "of those, whose final count had to be, and was, the number of acknowledgements" },
	{ "seed", "for --seed" },
};

static const struct rk_command commands[] = {
	{
		.name = "run",
		.summary = "start a fleet in the foreground",
		.arguments = "[[--] COMMAND [ARGUMENT...]]",
		.text = "Runs COMMAND in N workers and keeps them alive until Ctrl-C, SIGTERM or "
			"'rekindle stop'. This program executes rekindled, which stays in the "
			"foreground; it prints the fleet's name and pids, and a line for each "
			"event. Nothing else ever starts a fleet.\n\n"
			"With --config the fleet is what a configuration says, and there is no "
			"COMMAND; 'rekindle check' looks for mistakes in it. SIGHUP to rekindled, as "
			"'rekindle reload', reads it again then; without --config SIGHUP ends the "
			"fleet, as when its terminal is closed.\n\n"
			"Every size is fixed while the fleet runs. SIZE is a number of bytes "
			"such as 4096, 64K or 1M, TIME a duration such as 500ms or 2s; a value that an "
			"option cannot have is told with its bounds (exit status 64).",
		OPTIONS(run_options),
		.n_max = -1,
		.stops_at_first = true,
		.run = rk_cli_run,
	},
	{
		.name = "status",
		.summary = "show a fleet, its workers and their last deaths",
		.arguments = "[NAME] [WORKER]",
		.text = "Reads the fleet's board, which the supervisor publishes, and the "
			"counters that workers keep in shared memory. Nobody is interrupted by "
			"it. NAME is the same as --name; with WORKER, the number of a slot, "
			"only that one is shown, in more detail and with the last five events that 'rekindle events' shows of it.\n\n"
			"STATE is the slot's state (starting, ready, suspect, stopping, "
			"down; paused, drained or stopped by an operator) and, behind a slash, what its process says of itself when that is something else "
			"(parked: waits for work; running: is inside a job; calling: waits for "
			"somebody else); or suspended, if a signal, a debugger or the freezer holds it. LAST DEATH says how it ended, "
			"or killed and the verdict, while the flight recorder knows it. QUEUED is "
			"what waits in the worker's partitions. JOBS and ERRORS are those of the "
			"present process.\n\n"
			"Without --check the exit status is 0 whenever the fleet could be looked "
			"at. A partition is not served while its worker is stopped, paused, suspended or down: what "
			"comes for it waits until that one works again, or others have it (MoveAfter). With "
			"--wait it is 4 when the time was up, 3 if no fleet came; a "
			"suspended worker is not ready.",
		OPTIONS(status_options),
		MEMBERS(status_members),
		.n_max = 2,
		.run = rk_cli_status,
	},
	{
		.name = "get",
		.summary = "print a line per worker, and one per change",
		.arguments = "[NAME] [WORKER]",
		.text = "With --watch it sleeps until the supervisor publishes another view, and "
			"prints the workers that changed. Views that follow each other within "
			"microseconds may be merged: 'rekindle events -f' leaves nothing out.",
		OPTIONS(get_options),
		MEMBERS(get_members),
		.n_max = 2,
		.run = rk_cli_get,
	},
	{
		.name = "events",
		.summary = "print what happened to a fleet, and what happens",
		.arguments = "[NAME]",
		.text = "Reads the fleet's flight recorder, a file in its runtime directory that "
			"holds the last thousand events (FlightRecords=), and is there when nobody is alive: only a "
			"clean stop removes it, and the next start replaces it. A line has the "
			"time, the kind, the worker's slot, the pid, and what happened.\n\n"
			"Left out is what is of severity debug: each transition of a slot, each start of a "
			"process, clients that come and go. --all prints all of it, --kind "
			"whatever is of the kinds. Times are those of here, as in the log; --utc, or TZ "
			"in the environment, for others. JSON has UTC.\n\n"
			"KIND is note, start, stop, ready, spawn, transition, death, obituary, "
			"verdict, response, evidence, quarantine, move, scale, rolling, reload, "
			"config, fault, client or standby. JSON is one object per line.\n\n"
			"With -f it sleeps until the next event, goes on when a killed fleet is "
			"started again, and ends when the fleet is stopped.",
		OPTIONS(events_options),
		MEMBERS(events_members),
		.n_max = 1,
		.run = rk_cli_events,
	},
	{
		.name = "logs",
		.summary = "print what workers print",
		.arguments = "[NAME]",
		.text = "Reads it from where the fleet's Output= sends it: the workers' files, or the "
			"journal, for which it executes journalctl with the matches of this fleet's "
			"workers (journalctl -t FLEET/SLOT). With several files each is headed by its "
			"name. Where the output goes where rekindled's goes, or nowhere, it says so.\n\n"
			"With -f it sleeps until something is added. A file that was moved away or cut "
			"is read to its end, and the new one from its beginning.",
		OPTIONS(logs_options),
		.n_max = 1,
		.run = rk_cli_logs,
	},
	{
		.name = "why",
		.summary = "explain what last happened to a worker",
		.arguments = "[NAME] WORKER",
		.text = "Prints, from the flight recorder, the last verdict or death of the worker "
			"in this slot, with what it stands on, what was done and what came of it; "
			"then its last transitions. Needs no living process; without a flight "
			"recorder the exit status is 3.",
		OPTIONS(why_options),
		MEMBERS(why_members),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "a WORKER, the number of a slot",
		.run = rk_cli_why,
	},
	{
		.name = "key",
		.summary = "show which worker owns a key",
		.arguments = "KEY...",
		.text = "A key belongs to a partition for ever; a partition belongs to a worker "
			"slot; restarting a worker moves no key. STATE is as in status.",
		OPTIONS(common_options),
		MEMBERS(key_members),
		.n_min = 1,
		.n_max = -1,
		.rest_help = "at least one KEY",
		.run = rk_cli_key,
	},
	{
		.name = "call",
		.summary = "send one job and print its reply",
		.arguments = "KEY [BODY|-]",
		.text = "BODY '-' is read from standard input; without BODY the job has none. "
			"The reply is printed as it is; on a terminal a newline follows.\n\n"
			"When the time is up and no worker has taken the job, it is withdrawn: "
			"it was not applied and will not be. When a worker has it, the outcome "
			"is unknown; with --named, the next call of the same client name prints "
			"the reply on standard error first. When the fleet's supervisor does not "
			"answer by then, nothing was sent, and the exit status is 69.",
		OPTIONS(call_options),
		MEMBERS(call_members),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "a KEY",
		.run = rk_cli_call,
	},
	{
		.name = "put",
		.summary = "send jobs whose replies nobody awaits",
		.arguments = "KEY [BODY|-]... | -",
		.text = "One job per BODY, in their order; BODY '-' is read from standard input, "
			"and without BODY there is one job without. 'put -' reads lines from "
			"standard input, each KEY, a tab and BODY; a line without a tab is a KEY "
			"alone.\n\n"
			"Waits until the workers have finished all of them and says how many. "
			"A line that cannot be a job is named and left out. When only some "
			"were refused or left out, the exit status is 2.",
		OPTIONS(put_options),
		MEMBERS(put_members),
		.n_min = 1,
		.n_max = -1,
		.rest_help = "a KEY, or '-' for lines on standard input",
		.run = rk_cli_put,
	},
	{
		.name = "dead",
		.summary = "show, send again or drop jobs that were put aside",
		.arguments = "list|show|retry|drop [LETTER...]",
		.words = "list|show|retry|drop",
		.text = "A job that ended DeadLetterAfter workers is quarantined: it becomes a dead letter, "
			"and its client is told so. A LETTER is called PARTITION.JOB, such as 3.17, as events "
			"name the job; no other is ever called so. Root and the owner alone may see them.\n\n"
			"list prints a line for each; show LETTER prints one with its key and body (in "
			"hexadecimal where that is no text) and how its attempts ended.\n\n"
			"retry LETTER... sends the job again, as a new job behind all others of its partition, and "
			"prints its reply; its first client keeps the verdict it got. The letter goes when "
			"the job was applied and stays when it failed or was not applied. If it is "
			"quarantined again it is a letter of its own, with another name. Several are sent "
			"one after the other. A retry that is killed leaves the letter marked: the next one "
			"first brings to its end what was left; nothing is sent twice. The exit status is 4 "
			"when the outcome of one is not known in time.\n\n"
			"drop LETTER... forgets them for good. Where all places are taken (DeadLetters) the partition "
			"of the next job to be quarantined stands still until one is dropped, or a retry "
			"succeeds: 'list' and 'rekindle status' say so.",
		OPTIONS(dead_options),
		MEMBERS(dead_members),
		.n_min = 1,
		.n_max = -1,
		.rest_help = "what to do: list, show, retry or drop",
		.run = rk_cli_dead,
	},
	{
		.name = "restart",
		.summary = "restart workers one by one, each when the last one is ready",
		.arguments = "[NAME] [WORKER...]",
		.text = "Each worker ends between two jobs, its successor goes on, and the next one is "
			"taken once that one is ready and has been for a moment: for a new binary or "
			"a new environment. Jobs wait meanwhile, none is lost. Without a WORKER, all.\n\n"
			"The restart is held when a successor dies at once or is not ready within "
			"StartTimeout, or when a standby that it waits for does not come: then no further "
			"worker is touched, and the exit status is 2. A line tells each step; on a terminal it is written anew. Ctrl-C leaves the restart "
			"running.",
		OPTIONS(restart_options),
		MEMBERS(events_members),
		.n_max = -1,
		.run = rk_cli_restart,
	},
	{
		.name = "scale",
		.summary = "run more or fewer workers",
		.arguments = "[NAME] N",
		.text = "Workers 0 to N-1 run then. As few partitions move as can be, handed over live, "
			"between two jobs, with their states; a worker that is not wanted any more ends "
			"when it owns none. Returns when all are where they belong. There is room for 64 "
			"workers, or for as many as the fleet was started with if those are more.",
		OPTIONS(operation_options),
		MEMBERS(events_members),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "N, how many workers there shall be",
		.run = rk_cli_scale,
	},
	{
		.name = "drain",
		.summary = "hand over what a worker owns, then end it",
		.arguments = "[NAME] WORKER",
		.text = "The others get its partitions, live, and it ends when it has none left. It "
			"stays away until 'rekindle undrain'. The last worker of a fleet cannot be drained.",
		OPTIONS(operation_options),
		MEMBERS(events_members),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "a WORKER, the number of a slot",
		.run = rk_cli_drain,
	},
	{
		.name = "undrain",
		.summary = "bring a drained worker back",
		.arguments = "[NAME] WORKER",
		.text = "It starts, and gets its share of the partitions back. One that has not been drained "
			"is left as it is.",
		OPTIONS(operation_options),
		MEMBERS(events_members),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "a WORKER, the number of a slot",
		.run = rk_cli_undrain,
	},
	{
		.name = "pause",
		.summary = "let a worker run no further job",
		.arguments = "[NAME] WORKER",
		.text = "It finishes the job it is in; what comes for its partitions waits. Its process "
			"stays, and so does each that follows it, until 'rekindle resume'.",
		OPTIONS(fleet_options),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "a WORKER, the number of a slot",
		.run = rk_cli_pause,
	},
	{
		.name = "resume",
		.summary = "let a paused worker go on",
		.arguments = "[NAME] WORKER",
		.text = "The jobs that waited run now. One that is not paused is left as it is.",
		OPTIONS(fleet_options),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "a WORKER, the number of a slot",
		.run = rk_cli_resume,
	},
	{
		.name = "start",
		.summary = "start a worker that was stopped, or stays down",
		.arguments = "[NAME] WORKER",
		.text = "Also one that Restart=no or RestartPreventExitStatus keeps down, or that waits "
			"for its next try: its deaths so far are forgotten. One that runs is left as it is.",
		OPTIONS(operation_options),
		MEMBERS(events_members),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "a WORKER, the number of a slot",
		.run = rk_cli_start,
	},
	{
		.name = "stop",
		.summary = "end a fleet, or one worker, and wait until it is gone",
		.arguments = "[NAME] [WORKER]",
		.text = "Workers finish the job they are in; jobs that are still queued are dropped, "
			"and it says how many. The states of the partitions live as long as the "
			"fleet: they are gone afterwards. NAME is the same as --name.\n\n"
			"With WORKER, the number of a slot, only that one ends. Its partitions stay its "
			"own and their jobs wait, for MoveAfter; then the others get them, until "
			"'rekindle start'.",
		OPTIONS(stop_options),
		MEMBERS(stop_members),
		.n_max = 2,
		.run = rk_cli_stop,
	},
	{
		.name = "fault",
		.summary = "make a worker fail, to see what comes of it",
		.arguments = "kill|stop|hang|loop|slow [WORKER]",
		.text = "kill sends the worker's process SIGKILL. stop sends it SIGSTOP, and SIGCONT when "
			"the time of --for is over. With hang its next job sleeps for ever, as in a "
			"deadlock, with loop it burns CPU for ever, with slow its next jobs take "
			"longer: these three the worker's library does, before the handler is called.\n\n"
			"Refused unless the fleet's AllowFaults=yes says that this may be done to it, and "
			"to anybody but root and the owner of the fleet. Each fault is an event of kind "
			"fault: 'rekindle events' and 'rekindle why WORKER' show that a death was ours.\n\n"
			"A job that is hit by kill or stop is not charged for it. hang and loop are judged "
			"like real ones, by HangAfter and OnHang: the job is charged with one attempt, "
			"and three such faults in the same job quarantine it. Where OnHang=report nobody "
			"ends the worker but another fault, kill.\n\n"
			"With --rate this command goes on until the time of --for is over, and prints "
			"a line for each fault. When not one could be injected the exit status is 1.",
		OPTIONS(fault_options),
		MEMBERS(fault_members),
		.n_min = 1,
		.n_max = 2,
		.rest_help = "one of kill, stop, hang, loop and slow",
		.run = rk_cli_fault,
	},
	{
		.name = "reload",
		.summary = "read a fleet's configuration again and apply what has changed",
		.arguments = "[NAME]",
		.text = "Reads and checks what --config named, with its drop-ins. With any mistake, or a "
			"change that a running fleet cannot make, nothing changes: all of it is printed, "
			"and the exit status is 78. Else each change is printed and applied, one a line: "
			"most hold at once, those of a worker's process by a rolling restart, Workers= by "
			"scaling; new fleets start, those that are gone stop. Then it waits for what takes "
			"longer. SIGHUP to the fleet's keeper does the same, and logs it.",
		OPTIONS(operation_options),
		MEMBERS(reload_members),
		.n_max = 1,
		.run = rk_cli_reload,
	},
	{
		.name = "list",
		.summary = "list the fleets that run now",
		.arguments = "",
		.text = "One line per fleet of this user's runtime directory: its name and the "
			"pid of its keeper.",
		OPTIONS(output_options),
		MEMBERS(list_members),
		.run = rk_cli_list,
	},
	{
		.name = "check",
		.summary = "find what is wrong with a configuration",
		.arguments = "[NAME|FILE]",
		.text = "Reads /etc/rekindle/NAME.conf with its drop-ins, or a FILE (with a '/' in "
			"it), and prints every mistake with its file and line; the exit status is "
			"then 78. Without a mistake it prints one line that sums the configuration "
			"up. Without NAME it checks all that there are.",
		OPTIONS(check_options),
		.n_max = 1,
		.run = rk_cli_check,
	},
	{
		.name = "cat",
		.summary = "print a configuration, merged, with origins",
		.arguments = "[NAME|FILE]",
		.text = "Prints what is in force of a configuration and its drop-ins, each line below "
			"a comment that says where it comes from. Without NAME it prints all that "
			"there are.",
		OPTIONS(cat_options),
		.n_max = 1,
		.run = rk_cli_cat,
	},
	{
		.name = "demo",
		.summary = "kill workers and clients under load and check the result",
		.arguments = "[PATH...]",
		.text = "Starts a fleet that counts words, kills its workers and clients while "
			"they work, and ends with the verdict of a checker that shares no code "
			"with it. The exit status is 0 only if nothing was lost, nothing counted "
			"twice, and every surviving client got its answers.\n\n"
			"With --poison it also sends jobs that no worker survives, half of which "
			"crash and half hang; each must end with the answer that it was quarantined, "
			"and be a dead letter of the fleet, and nothing else may. The run goes on "
			"until the last one is, a minute longer at most.",
		OPTIONS(demo_options),
		MEMBERS(demo_members),
		.n_max = -1,
		.run = rk_cli_demo,
	},
	{
		.name = "help",
		.summary = "explain rekindle or one of its commands",
		.arguments = "[COMMAND]",
		.text = "Without COMMAND it lists the commands, the exit statuses, the environment "
			"and some examples.",
		OPTIONS(help_options),
		.n_max = 1,
		.run = rk_cli_help,
	},
	{
		.name = "version",
		.summary = "print the release",
		.arguments = "",
		.text = "The release is the program's, the ABI that of the shared memory it can read.",
		OPTIONS(output_options),
		MEMBERS(version_members),
		.run = rk_cli_version,
	},
};

/* What people write who come from elsewhere. */
static const struct {
	const char *written, *meant;
} synonyms[] = {
	{ "ps", "status" },     { "where", "key" }, { "send", "call" },
	{ "submit", "put" }, { "kill", "stop" },     { "ls", "list" },   { "fleets", "list" },
	{ "top", "status" }, { "shutdown", "stop" },  { "watch", "get" }, { "explain", "why" },
	{ "history", "events" }, { "log", "logs" },   { "tail", "logs" }, { "verify", "check" },
	{ "resize", "scale" }, { "hup", "reload" },   { "suspend", "pause" }, { "continue", "resume" },
	{ "cordon", "drain" }, { "rolling-restart", "restart" },
	{ "letters", "dead" }, { "quarantine", "dead" }, { "retry", "dead" },
};

const struct rk_command *rk_commands(size_t *ret_n)
{
	*ret_n = rk_countof(commands);
	return commands;
}

const struct rk_command *rk_command_find(const char *name)
{
	for (size_t i = 0; i < rk_countof(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

const char *rk_command_nearest(const char *name)
{
	unsigned int best = RK_NEAR_NEVER;
	const char *nearest = NULL;

	for (size_t i = 0; i < rk_countof(synonyms); i++)
		if (strcmp(synonyms[i].written, name) == 0)
			return synonyms[i].meant;
	for (size_t i = 0; i < rk_countof(commands); i++) {
		unsigned int d = rk_near_judge(name, commands[i].name);

		if (d < best) {
			best = d;
			nearest = commands[i].name;
		}
	}
	return nearest;
}
