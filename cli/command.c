/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/near.h"
#include "cli/cli.h"
#include "cli/demo_hog.h"
#include "cli/demo_poison.h"
#include "cli/members.h"
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

/* Values of run's options are rekindled's to judge. */
static const struct rk_option run_options[] = {
	{ "name", 0, RK_OPTION_NAME, "NAME",
	  "what the fleet is called ($REKINDLE_NAME, else the command's name)", 0, 0 },
	{ "workers", 'n', RK_OPTION_COUNT, "N", "workers to run (4)", 0, 0 },
	{ "standby", 0, RK_OPTION_COUNT, "N", "parked processes that take over at once from dead workers (0)", 0,
	  0 },
	{ "kind", 0, RK_OPTION_TEXT, "KIND", "how workers get their jobs (native)", 0, 0 },
	{ "preset", 0, RK_OPTION_TEXT, "NAME", "defaults for a program that is known", 0, 0 },
	{ "key", 0, RK_OPTION_TEXT, "FIELD|.json.path|N|whole",
	  "in a pipeline: what of a line is its key (whole)", 0, 0 },
	{ "unordered", 0, RK_OPTION_FLAG, NULL, "in a pipeline: print answers as they come", 0, 0 },
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
	{ "quiet", 'q', RK_OPTION_FLAG, NULL, "no event lines on standard output; in a pipeline: no sum at the end", 0,
	  0 },
	{ "debug", 0, RK_OPTION_FLAG, NULL, "every transition on standard error", 0, 0 },
};

static const struct rk_option check_options[] = {
	ROOT_OPTION,
	{ "try", 0, RK_OPTION_FLAG, NULL, "start one worker, send it one job or probe, and name what is to be mended", 0, 0 },
	{ "try-line", 0, RK_OPTION_TEXT, "TEXT", "of --try: the job, a line (rekindle; for jq {\"hello\":\"rekindle\"})", 0, 0 },
	{ "timeout", 0, RK_OPTION_TIME, "TIME", "of --try: how long to wait until it is ready, and for an answer (10s)",
	  RK_NS_PER_MS, DAY_NS },
	{ "kind", 0, RK_OPTION_TEXT, "KIND", "of the worker that COMMAND is", 0, 0 },
	{ "preset", 0, RK_OPTION_TEXT, "NAME", "defaults for a COMMAND that is known", 0, 0 },
	{ "set", 0, RK_OPTION_REPEATED, "KEY=VALUE", "any key of rekindle.conf(5), for COMMAND; may be repeated", 0, 0 },
};
static const struct rk_option service_options[] = {
	{ "now", 0, RK_OPTION_FLAG, NULL, "start or stop it now, too", 0, 0 },
	{ "root", 0, RK_OPTION_TEXT, "DIR", "of a machine that does not run, not of this one", 0, 0 },
};

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
	  "exit status 0 if all workers are ready, all partitions served, and keeper and supervisor go on; 2 some, 1 none, 3 no fleet runs",
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

static const struct rk_option key_options[] = {
	FLEET_OPTION,
	OUTPUT_OPTION,
	{ "address", 0, RK_OPTION_FLAG, NULL, "print nothing but where to connect to, a line per KEY", 0, 0 },
	{ "wait", 0, RK_OPTION_MAY_TIME, "TIME", "until the owner of each KEY is ready, so long at most (30s)",
	  RK_NS_PER_MS, DAY_NS },
};

static const struct rk_option map_options[] = {
	FLEET_OPTION,
	{ "file", 0, RK_OPTION_TEXT, "FILE", "write there, not to standard output: it is replaced as a whole, and only when something has changed", 0, 0 },
	{ "follow", 'f', RK_OPTION_FLAG, NULL, "keep FILE up to date, until the fleet ends", 0, 0 },
};

static const struct rk_option why_options[] = { FLEET_OPTION, OUTPUT_OPTION, UTC_OPTION };
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
		TIMEOUT_OPTION("how long to wait for the supervisor (5s), and for it to be over (for ever); it goes on then"),  \
	{                                                                                          \
		"no-wait", 0, RK_OPTION_FLAG, NULL, "only begin it", 0, 0                          \
	}

static const struct rk_option operation_options[] = { FOLLOW_OPTIONS };

static const struct rk_option reload_options[] = {
	FOLLOW_OPTIONS,
	{ "check", 0, RK_OPTION_FLAG, NULL, "only say what would be done", 0, 0 },
	{ "remove", 0, RK_OPTION_TEXT, "FLEET[,FLEET...]", "fleets that may go, with their states and queued jobs", 0, 0 },
};

static const struct rk_option upgrade_options[] = {
	FOLLOW_OPTIONS,
	{ "binary", 0, RK_OPTION_TEXT, "PATH", "the new rekindled (where the running one was started from)", 0, 0 },
	{ "check", 0, RK_OPTION_FLAG, NULL, "only say whether it could take over", 0, 0 },
};

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
	{ "kind", 0, RK_OPTION_CHOICE, "native|lines", "of workers: those of wordcount, or a filter as it is (native)", 0, 0 },
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
	{ "kill-supervisor", 0, RK_OPTION_COUNT, "PER_S", "times to SIGKILL the supervisor per second (0)", 0,
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
			"In a pipeline it is a filter: each line of standard input is a job, and its answer a line "
			"of standard output. That is so with --key or --unordered, and with --kind=lines (or a "
			"preset of that kind) also where standard input is a pipe or a file. The fleet is its child, has a "
			"name of its own (COMMAND-PID unless --name gives one), says only warnings, and ends with "
			"the input. --kind=native will do too: what a worker replies is the answer, and its state "
			"ends with the pipeline.\n\n"
			"Answers come in the order of the lines, with --unordered as they come. Lines of the same "
			"key go to the same worker in their order; other lines are worked on side by side. What a "
			"killed worker had not answered its successor gets again: no line is left out, and one may "
			"reach the program twice. The key is FIELD: the member of a JSON object, or of any other "
			"line the word FIELD=VALUE; .json.path as in .user.id, .tags[0] or .[\"a b\"]; N: the N-th "
			"of the fields that blanks separate; or the whole line. A line without that key has "
			"itself as key, which is counted.\n\n"
			"A line may have 64 KiB, as may an answer; --max-request and --max-reply say otherwise. "
			"With its key a line must fit --max-request; a key that is longer than 64 bytes, or does not fit, is "
			"replaced by its hash of 16 digits. A longer line is passed over. The last line need not end "
			"in a newline, all answers do; empty lines are jobs as well; whatever else a line holds stays as "
			"it is.\n\n"
			"Lines without an answer are named on standard error, the first 20 of them, and counted in the sum that "
			"stands there at the end: refused by the worker, too long, or put aside since they ended "
			"their worker three times (DeadLetterAfter=). Then the exit status is 2, or 1 if no line has "
			"an answer. When nobody reads the answers it ends at once, by SIGPIPE. After Ctrl-C or "
			"SIGTERM it reads no further and waits for what is under way, for StopTimeout= at most "
			"(exit status 130 or 143); the second one ends it at once.\n\n"
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
			"--wait it is 4 when the time was up, also for a supervisor that does not answer, 3 if no fleet came; a "
			"suspended worker is not ready.",
		OPTIONS(status_options),
		.members = &rk_members_status,
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
		.members = &rk_members_get,
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
			"time, the kind, the worker's slot, the pid, and what happened; where it tells of several fleets, also "
			"which one, before the slot, unless NAME/FLEET chooses.\n\n"
			"Left out is what is of severity debug: each transition of a slot, each start of a "
			"process, clients that come and go. --all prints all of it, --kind "
			"whatever is of the kinds. Times are those of here, as in the log; --utc, or TZ "
			"in the environment, for others. JSON has UTC.\n\n"
			"KIND is note, start, stop, ready, spawn, transition, death, obituary, "
			"verdict, response, evidence, quarantine, move, scale, rolling, reload, upgrade, "
			"config, fault, client or standby. JSON is one object per line.\n\n"
			"With -f it sleeps until the next event, goes on when a killed fleet is "
			"started again, and ends when the fleet is stopped.",
		OPTIONS(events_options),
		.members = &rk_members_events,
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
			"recorder the exit status is 3. Where it tells of several fleets NAME/FLEET chooses one; without, "
			"their names are told, and the exit status is 64.",
		OPTIONS(why_options),
		.members = &rk_members_why,
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
			"slot; restarting a worker moves no key. STATE is as in status.\n\n"
			"ENDPOINT is where clients connect to the owner, in a fleet that has Port=, Socket= or "
			"Address= (rekindle.conf(5)). While the owner is restarted, stopped, suspected or paused nobody may "
			"answer there: --wait sleeps until it is ready; the exit status is 4 when the time was up.",
		OPTIONS(key_options),
		.members = &rk_members_key,
		.n_min = 1,
		.n_max = -1,
		.rest_help = "at least one KEY",
		.run = rk_cli_key,
	},
	{
		.name = "map",
		.summary = "print where each key lives, or keep that up to date in a file",
		.arguments = "[NAME]",
		.text = "For clients that connect to the workers themselves, in any language. Behind lines that begin "
			"with '#' and say how a key is hashed stands a line per range of hashes: FIRST-LAST ENDPOINT "
			"STATE. STATE is ready; wait, while the worker is restarted, stopped, suspected or paused; none, where "
			"nobody has the keys; or gone, when the fleet has ended. A restart changes the STATE of the worker's lines and "
			"nothing else. doc/address.md shows the lookup.\n\n"
			"With -f it sleeps until something changes, goes on while the supervisor is replaced, and ends with the fleet, "
			"behind a last map whose lines are all gone. FILE is never seen half written. Killed, it leaves the map "
			"as it was: run it where it is restarted, as a service of its own.",
		OPTIONS(map_options),
		.n_max = 1,
		.run = rk_cli_map,
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
		.members = &rk_members_call,
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
			"were refused or left out, the exit status is 2; when the fleet ended meanwhile, 3.",
		OPTIONS(put_options),
		.members = &rk_members_put,
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
		.members = &rk_members_dead,
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
		.members = &rk_members_events,
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
		.members = &rk_members_events,
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
		.members = &rk_members_events,
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
		.members = &rk_members_events,
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
		.members = &rk_members_events,
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
		.members = &rk_members_stop,
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
		.members = &rk_members_fault,
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
			"longer. What cannot be done now, as a rolling restart while another one is under way or held, "
			"is told, and the exit status is 2. SIGHUP to the fleet's keeper does the same, and logs it.\n\n"
			"A running fleet that the configuration has no more, since its section was renamed, "
			"misspelt or left out, would lose its states and queued jobs. That is a mistake as "
			"well, unless --remove names it; SIGHUP and 'systemctl reload' never remove one. "
			"Disabled= in its section needs no such word. --check changes nothing: it prints what "
			"would be done, or what is wrong. Where keeper does not "
			"confirm within 3 s that it holds the new configuration, since it is stopped, nothing "
			"changes, and the exit status is 69. Who waits for less than that does not hear of it.",
		OPTIONS(reload_options),
		.members = &rk_members_reload,
		.n_max = 1,
		.run = rk_cli_reload,
	},
	{
		.name = "upgrade",
		.summary = "let another rekindled take a running fleet over",
		.arguments = "[NAME]",
		.text = "The binary of --binary, or what stands now where the running one was started from, takes over as "
			"keeper and supervisor. Workers and clients that are connected go on meanwhile.\n\n"
			"First it is asked what it can adopt, and whether it understands the configuration in force; where it "
			"does not, nothing changes, and the exit status is 78. Then it supervises in the old one's place. If "
			"it is not ready after 10 s, or dies before, the old one, which is kept, supervises again: then the exit "
			"status is 1, and until then no worker was replaced and no client could connect. At last keeper becomes "
			"it, too, with the same pid; where that fails, it goes on as it was beside the new supervisor, and the exit "
			"status is 2. 'rekindle list -o json' tells the release that "
			"supervises.\n\n"
			"The workers' own program is another matter: 'rekindle restart' gives them a new one.\n\n"
			"With --check JSON is one object of fleet, from, release and path.",
		OPTIONS(upgrade_options),
		.members = &rk_members_events,
		.n_max = 1,
		.run = rk_cli_upgrade,
	},
	{
		.name = "list",
		.summary = "list the fleets that run now, and what others have left",
		.arguments = "",
		.text = "One line per fleet of this user's runtime directory: its name and the "
			"pid of its keeper; where keeper or supervisor is stopped or being replaced, that, and the way on. "
			"Below them those that do not run, and did not end in order: keeper was killed, or gave up. Without "
			"systemd all of a fleet ends with its keeper; its flight recorder is left, for 'rekindle events' and "
			"'rekindle why', until the next start of its name.",
		OPTIONS(output_options),
		.members = &rk_members_list,
		.run = rk_cli_list,
	},
	{
		.name = "check",
		.summary = "find what is wrong with a configuration",
		.arguments = "[NAME|FILE | -- COMMAND [ARGUMENT...]]",
		.text = "Reads /etc/rekindle/NAME.conf with its drop-ins, or a FILE (with a '/' in "
			"it), and prints every mistake with its file and line; the exit status is "
			"then 78. Without a mistake it prints one line that sums the configuration "
			"up. Without NAME it checks all that there are.\n\n"
			"With --try it starts one worker of each fleet of NAME or FILE, one after the other, or of COMMAND, which "
			"--kind, --preset or --set makes a fleet of: with a runtime directory and a state directory of its own, "
			"which go again. It prints a line for each step: the program is found, it is ready (its probe has "
			"succeeded), it has answered a line twice, with one line each, it has stopped. At the first one "
			"that fails it prints what is wrong and the one thing to do about it, and the exit status is 1; 78 where "
			"the configuration is wrong or the program is not there.",
		OPTIONS(check_options),
		.n_max = -1,
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
		.name = "enable",
		.summary = "have systemd start a fleet with the machine",
		.arguments = "NAME",
		.text = "Looks for mistakes in /etc/rekindle/NAME.conf, as 'rekindle check' does, and enables "
			"rekindle@NAME.service if there are none (exit status 78 if there are): systemd starts the fleet when the machine "
			"starts, and again whenever it ends without having been stopped. With --now it is started at once, too; the command then waits "
			"until all of it is ready. It executes systemctl, so it takes root's rights, or what polkit lets you (77), "
			"and a systemd that runs (69). With --root neither is needed.\n\n"
			"The fleet is the same as that of 'rekindle run --config NAME', and every command works on it by its "
			"name. doc/systemd.md tells what the unit does for it.",
		OPTIONS(service_options),
		.n_min = 1,
		.n_max = 1,
		.rest_help = "the NAME of a configuration",
		.run = rk_cli_enable,
	},
	{
		.name = "disable",
		.summary = "have systemd start a fleet with the machine no more",
		.arguments = "NAME",
		.text = "A fleet that runs goes on, unless --now ends it, too, as 'systemctl stop' does. Whether its "
			"configuration is any good, or there at all, does not matter; but a NAME that has neither a configuration, "
			"nor is enabled, nor runs, is told, and the exit status is 1.",
		OPTIONS(service_options),
		.n_min = 1,
		.n_max = 1,
		.rest_help = "the NAME of a configuration",
		.run = rk_cli_disable,
	},
	{
		.name = "demo",
		.summary = "kill workers and clients under load and check the result",
		.arguments = "[PATH... | --kind=lines [-- COMMAND...]]",
		.text = "Starts a fleet that counts words, kills its workers and clients while "
			"they work, and ends with the verdict of a checker that shares no code "
			"with it. The exit status is 0 only if nothing was lost, nothing counted "
			"twice, and every surviving client got its answers.\n\n"
			"With --poison it also sends jobs that no worker survives, half of which "
			"crash and half hang; each must end with the answer that it was quarantined, "
			"and be a dead letter of the fleet, and nothing else may. The run goes on "
			"until the last one is, a minute longer at most.\n\n"
			"With --kind=lines the workers are COMMAND, a filter that answers each line with a line "
			"(without one jq --unbuffered -c . or, where that is not installed, sed -u s/x/x/). Each line "
			"that is sent has an id, which the answer has to hold. Programs and bridges are killed; a "
			"process of demo's before each COMMAND notes what it is given. The exit status is 0 only if each "
			"line got one answer, its own, in the order of its key; how many lines a program was given more "
			"than once, as at least once allows, is told as well (\"redelivered\" in JSON, beside lost, "
			"doubled, wrong, out_of_order, refused, unread and strange, which have to be 0). Of the options "
			"it takes --seconds, --workers, --clients, --in-flight, --kill-workers, --seed and --output.",
		OPTIONS(demo_options),
		.members = &rk_members_demo,
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
		.members = &rk_members_version,
		.run = rk_cli_version,
	},
};

/* What people write who come from elsewhere. */
static const struct {
	const char *written, *meant;
} synonyms[] = {
	{ "ps", "status" },     { "where", "key" }, { "address", "key" }, { "route", "map" }, { "send", "call" },
	{ "submit", "put" }, { "kill", "stop" },     { "ls", "list" },   { "fleets", "list" },
	{ "top", "status" }, { "shutdown", "stop" },  { "watch", "get" }, { "explain", "why" },
	{ "history", "events" }, { "log", "logs" },   { "tail", "logs" }, { "verify", "check" },
	{ "resize", "scale" }, { "hup", "reload" },   { "suspend", "pause" }, { "continue", "resume" },
	{ "cordon", "drain" }, { "install", "enable" }, { "autostart", "enable" }, { "rolling-restart", "restart" },
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
