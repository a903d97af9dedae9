/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/members.h"

#include "base/macro.h"

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

static const struct rk_member events[] = { EVENT_MEMBERS("") };

static const struct rk_member why[] = {
	{ "name", "name of the fleet" },
	{ "fleet", "as in status" },
	{ "worker", "its slot" },
	{ "incident", "the last one: verdicts, evidence, responses, the death and what came of it" },
	EVENT_MEMBERS("incident[]."),
	{ "history", "the last transitions, starts and moves; members as those of incident" },
};

static const struct rk_member get[] = {
	{ "worker", "its slot" },
	{ "state",
	  "of the slot: starting, ready, suspect, paused, suspended, stopping, down, drained, stopped, empty" },
	{ "pid", "null without a process" },
	{ "incarnation", "of the process" },
	{ "restarts", "since the fleet started" },
	{ "partitions", "that it owns" },
};

static const struct rk_member status[] = {
	{ "name", "name of the fleet" },
	{ "fleet", "of a configuration with several, the one that was asked for; else null" },
	{ "command", "what its workers run" },
	{ "keeper_pid", "its root process" },
	{ "keeper", "runs, or stopped: by a signal or a debugger" },
	{ "supervisor_pid", "its control plane; null while there is none" },
	{ "supervisor", "answers; else replaced, stopped or silent: then keeper showed what was published last" },
	{ "supervisor_uptime_ms", "of that process; null without one" },
	{ "supervisor_replaced", "how often another one took its place since the fleet started, by death or upgrade" },
	{ "supervisor_deaths", "of supervisors that nobody had asked to end, as keeper has counted them since its own start" },
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

static const struct rk_member key[] = {
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
	{ "keys[].endpoint", "where clients connect to the owner; null if the fleet has no addresses" },
	{ "keys[].endpoint_state",
	  "ready; wait, while the owner is restarted, stopped, suspected or paused; none if nobody owns it" },
};

static const struct rk_member call[] = {
	{ "outcome",
	  "done, failed, not-applied, unknown, too-large, full, no-worker, stale, no-slot, ended (the fleet has, or was removed) or error" },
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

static const struct rk_member dead[] = {
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

static const struct rk_member put[] = {
	{ "submitted", "jobs queued" },
	{ "applied", "of those, finished without an error; null if the time was up" },
	{ "refused", "of those, known to be answered with an error or found no room" },
	{ "bad_lines", "of standard input, left out: no KEY, or too long" },
	{ "finished", "whether all of them were finished in time" },
};

static const struct rk_member stop[] = {
	{ "name", "name of the fleet" },
	{ "keeper_pid", "of the process whose end was awaited" },
	{ "stopped", "false: the time was up" },
	{ "workers", "processes that the fleet had; null if its board could not be read, as below" },
	{ "killed", "of those, that did not end in time; null if the time was up" },
	{ "dropped_jobs", "queued and not done when the last worker ended; null if the time was up" },
};

static const struct rk_member fault[] = {
	{ "name", "name of the fleet" },
	{ "what", "kill, stop, hang, loop or slow" },
	{ "injected", "faults that were injected" },
	{ "missed", "of --rate: times that no worker, or not this one, was ready for it" },
	{ "unsure", "of --rate: times that the supervisor was replaced before it answered" },
	{ "worker", "slot of the last one; null if there was none, as below" },
	{ "pid", "of the process it went to" },
	{ "incarnation", "of that process" },
};

static const struct rk_member reload[] = {
	{ "ok", "true: the supervisor has answered" },
	{ "applied", "whether anything may have changed" },
	{ "good", "whether nothing is wrong; with --check nothing is applied" },
	{ "lines", "what was done, or would be, or everything that is wrong" },
	{ "pending", "how many changes take longer" },
	{ "undone", "how many could not be done now, as lines say; the exit status is 2 then" },
	{ "operation", "group of their events, which follow as 'rekindle events' prints them" },
};

static const struct rk_member list[] = {
	{ "fleets", "one object per running fleet, by name" },
	{ "fleets[].name", "its name" },
	{ "fleets[].keeper_pid", "null when neither it nor its supervisor answers" },
	{ "fleets[].keeper", "runs, stopped (by a signal or a debugger), silent, or gone: systemd is to start the next one" },
	{ "fleets[].supervisor_pid", "null when there is none just now, or it is not known" },
	{ "fleets[].supervisor", "answers, replaced, stopped or silent" },
	{ "fleets[].upgrading", "whether another rekindled is about to take it over, see 'rekindle events --kind upgrade'" },
	{ "fleets[].release", "of its rekindled; null when it does not answer" },
	{ "left", "one object per fleet that does not run, and did not end in order" },
	{ "left[].name", "its name" },
	{ "left[].keeper_pid", "that it had; null if its flight recorder does not know" },
	{ "left[].last_event", "when the flight recorder's last one was, in UTC; null without any" },
	{ "left[].directory", "where it is; the next start of its name replaces it" },
};

static const struct rk_member version[] = {
	{ "release", "of this program" },
	{ "abi", "version of the shared memory it speaks" },
};

static const struct rk_member demo[] = {
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
	{ "kills.supervisors", "of the supervisor" },
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
	{ "supervisor_ms", "from the supervisor's SIGKILL until the next one had adopted everybody" },
	{ "supervisor_ms.n", "how many were measured" },
	{ "supervisor_ms.unmeasured", "whose successor was killed before it could say so" },
	{ "supervisor_ms.p50", "median; null if none was measured, as below" },
	{ "supervisor_ms.p99", "99 of 100 took no longer" },
	{ "supervisor_ms.max", "the longest" },
	{ "duplicates", "living processes of a slot that had a living one: must be 0; these four with --kill-supervisor" },
	{ "orphans", "processes of the fleet at the end that the board does not know: must be 0" },
	{ "changed", "workers replaced although nobody had killed them: must be 0; not judged with poison" },
	{ "same", "workers that are the same process before and after" },
	{ "jobs_per_s", "acknowledged" },
	{ "elapsed_ms", "from the first client's start to the end of the load" },
	{ "words", "different words of the text" },
	{ "words_exact",
	  "of those, whose final count had to be, and was, the number of acknowledgements" },
	{ "seed", "for --seed" },
};

#define TABLE(name) const struct rk_members rk_members_##name = { name, rk_countof(name) }

TABLE(events);
TABLE(why);
TABLE(get);
TABLE(status);
TABLE(key);
TABLE(call);
TABLE(dead);
TABLE(put);
TABLE(stop);
TABLE(fault);
TABLE(reload);
TABLE(list);
TABLE(version);
TABLE(demo);
