/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/keys.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/near.h"
#include "shm/abi.h"
#include "shm/owner.h"

#define DAY (24 * 3600 * RK_NS_PER_S)
#define TIB (UINT64_C(1) << 40)
#define STRATEGIES "one-for-one|one-for-all|rest-for-one"
#define VERDICTS "report|move|kill"
#define KIND_WORDS "native|lines|http|tcp|notify|exec"
#define FOR(kind) (1u << RK_KIND_##kind)
#define SERVERS (FOR(HTTP) | FOR(TCP) | FOR(NOTIFY) | FOR(EXEC))
#define WRAPPED (FOR(LINES) | SERVERS)

#define F(member) offsetof(struct rk_fleet_options, member)
#define S(member) offsetof(struct rk_supervisor_options, member)

/* name, group, type, reload, place */
#define KEY(n, g, t, r, a)                                                                         \
	.name = n, .group = RK_GROUP_##g, .type = RK_VALUE_##t, .reload = RK_RELOAD_##r, .at = a
#define RANGE(lo, hi) .min = lo, .max = hi
#define INFINITE .is_infinite = true
#define POWER .is_power = true

/* clang-format off */
static const struct rk_key keys[] = {
	/* ---- [Supervisor] ---- */
	{ KEY("Strategy", SUPERVISOR, ENUM, NOW, S(strategy)), .words = STRATEGIES, .normal = "one-for-one",
	  .help = "Which fleets restart when one of them has failed: itself, all, or itself and those that come "
		  "after it." },
	{ KEY("RealTime", SUPERVISOR, BOOL, NEVER, S(real_time)), .normal = "no",
	  .systemd = "CPUSchedulingPolicy",
	  .help = "Run the watch thread under SCHED_FIFO where that is allowed, so that a busy machine delays no "
		  "verdict." },
	{ KEY("FlightRecords", SUPERVISOR, COUNT, NEVER, S(n_flight_records)),
	  RANGE(RK_FLIGHT_RECORDS_MIN, RK_FLIGHT_RECORDS_MAX), POWER,
	  .normal = "1024",
	  .help = "Events that the flight recorder keeps for the time after a crash, a power of two: 1 KiB of "
		  "the runtime directory each. The newest overwrites the oldest." },
	{ KEY("LogLevel", SUPERVISOR, ENUM, NOW, S(log_level)), .words = "error|warning|notice|info|debug",
	  .normal = "info", .systemd = "LogLevelMax", .supervisord = "loglevel",
	  .help = "The least important messages that are still logged." },

	/* ---- what runs ---- */
	{ KEY("Exec", RUN, COMMAND, SPAWN, F(exec)), .normal = "", .systemd = "ExecStart", .supervisord = "command",
	  .help = "The command that every worker runs, without a shell: quotes keep blanks together, nothing is "
		  "expanded but specifiers, of wrapped programs (rekindle-wrap(7)); of those of Kind=lines only where "
		  "Port, Socket or StateDirectory is given. A program without a '/' is looked for along PATH. The only "
		  "key a fleet cannot do without." },
	{ KEY("ExecStartPre", RUN, COMMANDS, NOW, F(exec_start_pre)), .normal = "", .systemd = "ExecStartPre",
	  .help = "A command to run before a worker starts, for StartTimeout at most; if it fails the worker does not "
		  "start, unless '-' stands before it. The fleet's user, environment and limits hold for it; "
		  "REKINDLE_FLEET and REKINDLE_WORKER_SLOT say for whom it runs. May be repeated." },
	{ KEY("ExecStartPost", RUN, COMMANDS, NOW, F(exec_start_post)), .normal = "", .systemd = "ExecStartPost",
	  .help = "A command to run when a worker is ready, as ExecStartPre is. Its failure is logged, unless '-' stands "
		  "before it; the worker goes on. May be repeated." },
	{ KEY("OnFailure", RUN, COMMANDS, NOW, F(on_failure)), .normal = "", .systemd = "OnFailure",
	  .help = "A command to run when a slot has used up RestartBurst, its starts keep failing, or its exit forbids "
		  "a restart: once until it is healthy again, as ExecStartPre is, with REKINDLE_CAUSE saying "
		  "what happened. systemd names units here. May be repeated." },
	{ KEY("Kind", RUN, ENUM, NEVER, F(kind)), .words = KIND_WORDS, .normal = "native", .systemd = "Type",
	  .help = "How workers get their jobs. native ones use librekindle. All others are programs as they are, "
		  "which a bridge runs: lines gets a job as a line on its standard input and answers with a line, "
		  "http with a request to its Port or Socket; tcp, notify and exec take no jobs from us, but clients "
		  "ask 'rekindle key' for the address that a key belongs to. notify tells with sd_notify(3) how it "
		  "is, of exec ProbeExec finds it out." },
	{ KEY("Preset", RUN, NAME, SPAWN, F(preset)), .normal = "",
	  .help = "Settings for a well-known program: NAME.conf of /etc/rekindle/presets or of those that come with "
		  "rekindle, which is read as if it stood before everything that is said about the fleet: what "
		  "is said wins, and a list grows unless an empty value resets it. 'rekindle cat' shows what came "
		  "from it." },
	{ KEY("Workers", RUN, COUNT, NOW, F(n_workers)), RANGE(1, RK_WORKERS_MAX), .normal = "4",
	  .supervisord = "numprocs", .letter = 'n',
	  .help = "Workers to run. A reload scales, up to the slots that the fleet was started with: Workers and "
		  "Standby together, 64 at least." },
	{ KEY("Standby", RUN, COUNT, NOW, F(n_standby)), RANGE(0, 64), .normal = "0", .kinds = FOR(NATIVE),
	  .help = "Parked processes, started and attached beforehand, that take over at once when a worker dies or is "
		  "replaced: without exec and linking in the way. What a program does before it calls librekindle it "
		  "does for them too, and ExecStartPre runs for each, with REKINDLE_WORKER_SLOT=standby. One whose "
		  "program has meanwhile been replaced is not used." },
	{ KEY("Disabled", RUN, BOOL, NOW, F(is_disabled)), .normal = "no", .supervisord = "autostart (reversed)",
	  .help = "Read and check the fleet, but do not run it." },
	{ KEY("After", RUN, FLEETS, NOW, F(after)), .normal = "", .systemd = "After", .supervisord = "priority",
	  .help = "Fleets of this configuration that start before this one and stop behind it. May be repeated." },
	{ KEY("Requires", RUN, FLEETS, NOW, F(requires)), .normal = "", .systemd = "Requires",
	  .help = "Fleets without which this one does not run; implies After. May be repeated." },

	/* ---- sizes ---- */
	{ KEY("Partitions", SIZES, COUNT, NEVER, F(n_partitions)), RANGE(1, RK_PARTITIONS_MAX), POWER, .normal = "256",
	  .help = "Partitions of the key space, a power of two." },
	{ KEY("Ring", SIZES, COUNT, NEVER, F(n_ring)), RANGE(RK_RING_MIN, RK_RING_MAX), POWER, .normal = "512",
	  .help = "Places in a partition's queue, a power of two." },
	{ KEY("MaxClients", SIZES, COUNT, NEVER, F(n_clients)), RANGE(1, RK_CLIENTS_MAX), .normal = "128",
	  .systemd = "MaxConnections",
	  .help = "Clients at one time." },
	{ KEY("Slots", SIZES, COUNT, NEVER, F(n_slots)), RANGE(1, RK_SLOTS_MAX), .normal = "16",
	  .help = "Outstanding calls per client." },
	{ KEY("Dedup", SIZES, COUNT, NEVER, F(n_dedup)), RANGE(1, 65534), .normal = "64",
	  .help = "Unread replies kept per partition." },
	{ KEY("MaxRequest", SIZES, SIZE, NEVER, F(max_request)), RANGE(8, RK_BODY_MAX), .normal = "1K",
	  .help = "Bytes of a job's key and body together." },
	{ KEY("MaxReply", SIZES, SIZE, NEVER, F(max_reply)), RANGE(8, RK_BODY_MAX), .normal = "1K",
	  .help = "Bytes of a reply." },
	{ KEY("MaxState", SIZES, SIZE, NEVER, F(max_state)), RANGE(8, UINT64_C(1) << 31), .normal = "64K",
	  .help = "Bytes of state per partition." },
	{ KEY("Undo", SIZES, COUNT, NEVER, F(n_undo)), RANGE(8, RK_LOG_ENTRIES_MAX), .normal = "512",
	  .help = "Changes that one job or batch may make." },
	{ KEY("UndoData", SIZES, SIZE, NEVER, F(undo_data)), RANGE(0, 1 << 30), .normal = "16K",
	  .help = "Bytes kept for changes longer than 24 bytes." },
	{ KEY("DeadLetters", SIZES, COUNT, NEVER, F(n_dead_letters)), RANGE(1, 65536), .normal = "64",
	  .help = "Quarantined jobs that are kept; a partition whose next one finds no room is blocked." },
	{ KEY("Batch", SIZES, COUNT, SPAWN, F(batch)), RANGE(1, RK_BATCH_MAX), .normal = "",
	  .help = "Jobs per commit; without it the worker's own choice." },

	/* ---- what a worker starts with ---- */
	{ KEY("Environment", PROCESS, ENVIRONMENT, SPAWN, F(environment)), .normal = "", .systemd = "Environment",
	  .supervisord = "environment",
	  .help = "NAME=VALUE words for the workers' environment, quoted where they hold blanks. May be repeated." },
	{ KEY("EnvironmentFile", PROCESS, PATHS, SPAWN, F(environment_files)), .normal = "",
	  .systemd = "EnvironmentFile",
	  .help = "Files with a NAME=VALUE on each line, read at each start; one with '-' before it may be missing. "
		  "May be repeated." },
	{ KEY("WorkingDirectory", PROCESS, PATTERN, SPAWN, F(working_directory)), .normal = "",
	  .systemd = "WorkingDirectory", .supervisord = "directory",
	  .help = "Where workers run; without it where rekindled was started. For every Kind but native specifiers are "
		  "%p, %i, %d and %f: with %d each slot has its own." },
	{ KEY("User", PROCESS, USER, SPAWN, F(user)), .normal = "", .systemd = "User", .supervisord = "user",
	  .help = "User that workers run as, a name or a number; needs root. HOME, USER and LOGNAME are the user's, "
		  "its groups too." },
	{ KEY("Group", PROCESS, GROUP, SPAWN, F(group)), .normal = "", .systemd = "Group",
	  .help = "Group that workers run as, instead of User's own; needs root." },
	{ KEY("UMask", PROCESS, MODE, SPAWN, F(umask)), .normal = "", .systemd = "UMask", .supervisord = "umask",
	  .help = "File mode bits that workers' new files do not get, in octal; without it those of rekindled." },
	{ KEY("LimitNOFILE", PROCESS, LIMIT, SPAWN, F(limit[RK_LIMIT_NOFILE])), .normal = "",
	  .systemd = "LimitNOFILE", .supervisord = "minfds",
	  .help = "Open descriptors per worker: one number, or SOFT:HARD." },
	{ KEY("LimitCORE", PROCESS, LIMIT_SIZE, SPAWN, F(limit[RK_LIMIT_CORE])), .normal = "",
	  .systemd = "LimitCORE", .help = "Size of a core dump." },
	{ KEY("LimitAS", PROCESS, LIMIT_SIZE, SPAWN, F(limit[RK_LIMIT_AS])), .normal = "", .systemd = "LimitAS",
	  .help = "Address space of a worker, the fleet's shared memory included." },
	{ KEY("LimitNPROC", PROCESS, LIMIT, SPAWN, F(limit[RK_LIMIT_NPROC])), .normal = "",
	  .systemd = "LimitNPROC", .supervisord = "minprocs", .help = "Processes and threads of the worker's user." },
	{ KEY("LimitMEMLOCK", PROCESS, LIMIT_SIZE, SPAWN, F(limit[RK_LIMIT_MEMLOCK])), .normal = "",
	  .systemd = "LimitMEMLOCK", .help = "Memory that a worker may lock." },
	{ KEY("LimitSTACK", PROCESS, LIMIT_SIZE, SPAWN, F(limit[RK_LIMIT_STACK])), .normal = "",
	  .systemd = "LimitSTACK", .help = "Stack of a worker's first thread." },
	{ KEY("LimitDATA", PROCESS, LIMIT_SIZE, SPAWN, F(limit[RK_LIMIT_DATA])), .normal = "",
	  .systemd = "LimitDATA", .help = "Private writable memory of a worker." },
	{ KEY("LimitFSIZE", PROCESS, LIMIT_SIZE, SPAWN, F(limit[RK_LIMIT_FSIZE])), .normal = "",
	  .systemd = "LimitFSIZE", .help = "Size of a file that a worker writes." },
	{ KEY("Nice", PROCESS, NICE, SPAWN, F(nice)), .normal = "", .systemd = "Nice",
	  .help = "Nice level of workers, -20 to 19; below rekindled's own it needs root." },
	{ KEY("CPUAffinity", PROCESS, CPUS, SPAWN, F(cpus)), .normal = "", .systemd = "CPUAffinity",
	  .help = "CPUs that workers may run on, such as 0-3,8. May be repeated." },
	{ KEY("Output", PROCESS, OUTPUT, SPAWN, F(output)), .normal = "inherit", .systemd = "StandardOutput",
	  .supervisord = "stdout_logfile",
	  .help = "Where workers' standard output and error go: inherit (where rekindled's go), journal, null or "
		  "file:PATH, which is appended to and opened anew at each start; in it %f is the fleet's name "
		  "and %i the worker's slot." },

	/* ---- cgroup ---- */
	{ KEY("MemoryHigh", CGROUP, SIZE, NOW, F(memory_high)), RANGE(1 << 20, TIB), INFINITE,
	  .normal = "infinity", .systemd = "MemoryHigh", .help = "Memory of all workers together beyond which they are slowed down." },
	{ KEY("MemoryMax", CGROUP, SIZE, NOW, F(memory_max)), RANGE(1 << 20, TIB), INFINITE, .normal = "infinity",
	  .systemd = "MemoryMax", .help = "Memory of all workers together beyond which one is killed." },
	{ KEY("CPUWeight", CGROUP, COUNT, NOW, F(cpu_weight)), RANGE(1, 10000), .normal = "",
	  .systemd = "CPUWeight", .help = "Share of CPU time against others; 100 is the kernel's normal." },
	{ KEY("TasksMax", CGROUP, COUNT, NOW, F(n_tasks_max)), RANGE(1, 4194304), .normal = "",
	  .systemd = "TasksMax", .help = "Processes and threads of all workers together." },

	/* ---- time ---- */
	{ KEY("StartTimeout", TIME, TIME, NOW, F(start_timeout_ns)), RANGE(RK_NS_PER_MS, DAY), INFINITE,
	  .normal = "1min", .systemd = "TimeoutStartSec",
	  .help = "From a worker's start until it must be ready." },
	{ KEY("StopTimeout", TIME, TIME, NOW, F(stop_timeout_ns)), RANGE(0, DAY), .normal = "5s",
	  .systemd = "TimeoutStopSec", .supervisord = "stopwaitsecs",
	  .help = "From the wish that a worker ends until SIGKILL." },
	{ KEY("JobTimeout", TIME, TIME, NOW, F(job_timeout_ns)), RANGE(RK_NS_PER_MS, DAY), INFINITE,
	  .normal = "infinity",
	  .help = "Longest time for one job whose client says none." },
	{ KEY("JobTimeoutSignal", TIME, CATCHABLE, NOW, F(job_timeout_signal)), .normal = "",
	  .help = "A signal such as SIGUSR1 for a worker whose job's deadline has passed, so that a system call it waits "
		  "in ends with EINTR: once per attempt, when rk_cancelled() begins to say yes, before anything "
		  "else is done. Only a worker that has a handler for it gets it; the handler is installed without "
		  "SA_RESTART. Nothing is sent without this key. SIGTERM, SIGINT and KillSignal are refused: they ask a "
		  "worker to end." },
	{ KEY("HangAfter", TIME, TIME, NOW, F(hang_after_ns)), RANGE(10 * RK_NS_PER_MS, DAY), INFINITE,
	  .normal = "10s", .systemd = "WatchdogSec",
	  .help = "How long a job without a deadline may keep a worker before it counts as hung. With Blocking=no "
		  "it is 100ms unless it is given." },
	{ KEY("Blocking", TIME, BOOL, NOW, F(is_blocking)), .normal = "yes",
	  .help = "Whether jobs ever wait for anything (files, network, locks). Say no for workers that only "
		  "compute: a hang is found sooner." },
	{ KEY("KillSignal", TIME, SIGNAL, NOW, F(kill_signal)), .normal = "SIGTERM", .systemd = "KillSignal",
	  .supervisord = "stopsignal", .help = "The signal that asks a process to end that has not become a worker yet. One that has is "
				   "asked between two jobs, without a signal." },
	{ KEY("CoreTimeout", TIME, TIME, NOW, F(core_timeout_ns)), RANGE(0, 3600 * RK_NS_PER_S), .normal = "0",
	  .systemd = "TimeoutAbortSec",
	  .help = "Time for a hung worker to dump core after SIGABRT, before SIGKILL; 0 wants no core." },
	{ KEY("OnHang", TIME, ENUM, NOW, F(on_hang)), .words = VERDICTS, .normal = "kill",
	  .help = "What to do about a hung worker: report it, move its partitions away, or kill it. move needs "
		  "twice the memory for states, which a fleet has that is started with it." },
	{ KEY("OnPaused", TIME, ENUM, NOW, F(on_paused)), .words = VERDICTS, .normal = "report",
	  .help = "The same for a worker that is stopped, traced or frozen." },

	/* ---- restarts ---- */
	{ KEY("Restart", RESTART, ENUM, NOW, F(restart)), .words = "always|on-failure|no", .normal = "always",
	  .systemd = "Restart", .supervisord = "autorestart",
	  .help = "Whether a worker that ended is started again." },
	{ KEY("Strategy", RESTART, ENUM, NOW, F(strategy)), .words = STRATEGIES, .normal = "one-for-one",
	  .help = "Which workers restart when one has died: itself, all, or itself and those of higher slots." },
	{ KEY("SuccessExitStatus", RESTART, STATUSES, NOW, F(success)), .normal = "", .systemd = "SuccessExitStatus",
	  .supervisord = "exitcodes",
	  .help = "Exit statuses and signals that are no failure, beside 0 and KillSignal. May be repeated." },
	{ KEY("RestartPreventExitStatus", RESTART, STATUSES, NOW, F(restart_prevent)), .normal = "",
	  .systemd = "RestartPreventExitStatus",
	  .help = "Exit statuses and signals after which a worker is not started again. May be repeated." },
	{ KEY("RestartBurst", RESTART, COUNT, NOW, F(restart_burst)), RANGE(0, 10000), .normal = "5",
	  .systemd = "StartLimitBurst", .supervisord = "startretries",
	  .help = "Restarts of a slot within RestartWindow that need not wait. More than eight restarts in a second, of "
		  "all fleets together, are a storm and wait all the same, the longer the more pressure there is." },
	{ KEY("RestartWindow", RESTART, TIME, NOW, F(restart_window_ns)), RANGE(0, DAY), .normal = "10s",
	  .systemd = "StartLimitIntervalSec", .help = "The time in which RestartBurst is counted." },
	{ KEY("RestartBackoff", RESTART, TIME, NOW, F(restart_backoff_ns)), RANGE(0, DAY), .normal = "100ms",
	  .systemd = "RestartSec",
	  .help = "First wait once RestartBurst is used up; it doubles each time." },
	{ KEY("RestartBackoffMax", RESTART, TIME, NOW, F(restart_backoff_max_ns)), RANGE(0, DAY), .normal = "5s",
	  .systemd = "RestartMaxDelaySec (254)", .help = "Longest wait; restarts go on for ever at this pace." },
	{ KEY("HealthyAfter", RESTART, TIME, NOW, F(healthy_after_ns)), RANGE(0, DAY), .normal = "0",
	  .supervisord = "startsecs",
	  .help = "How long a worker that has done its first work must live until burst and backoff begin anew. "
		  "With 0 such a one is replaced at once whenever it dies." },
	{ KEY("MoveAfter", RESTART, TIME, NOW, F(move_after_ns)), RANGE(0, DAY), INFINITE, .normal = "30s",
	  .help = "How long a slot may stay down before its partitions move to others; they come home later. With Kind=tcp, "
		  "notify and exec it is infinity unless it is given: what is behind an address may keep what belongs to "
		  "its keys." },
	{ KEY("OrphanTimeout", RESTART, TIME, NOW, F(orphan_timeout_ns)), RANGE(10 * RK_NS_PER_MS, DAY), INFINITE, .normal = "1min",
	  .help = "Where workers outlive keeper (under systemd): how long one waits for the next keeper until it ends by "
		  "itself, between two jobs." },
	{ KEY("MaxRSS", RESTART, SIZE, NOW, F(max_rss)), RANGE(1 << 20, TIB), INFINITE, .normal = "infinity",
	  .supervisord = "memmon (superlance)",
	  .help = "Private memory beyond which a worker is replaced between two jobs." },
	{ KEY("MaxJobs", RESTART, COUNT, NOW, F(n_jobs_max)), RANGE(0, UINT32_MAX), .normal = "0",
	  .help = "Jobs after which a worker is replaced; 0 never." },
	{ KEY("DeadLetterAfter", RESTART, COUNT, NOW, F(dead_letter_after)), RANGE(1, 1000), .normal = "3",
	  .help = "Attempts in which a job killed its worker until it is quarantined." },

	/* ---- clients ---- */
	{ KEY("ClientUser", CLIENTS, USER, NOW, F(client_user)), .normal = "", .systemd = "SocketUser",
	  .supervisord = "chown",
	  .help = "User that may be a client, beside root and rekindled's own, and owns the control socket; needs root. It "
		  "may call and look, but not stop or change anything. All fleets of a configuration share the "
		  "socket and must agree." },
	{ KEY("ClientGroup", CLIENTS, GROUP, NOW, F(client_group)), .normal = "", .systemd = "SocketGroup",
	  .supervisord = "chown", .help = "Group whose members may be clients, as ClientUser may, if SocketMode lets them." },
	{ KEY("SocketMode", CLIENTS, MODE, NOW, F(socket_mode)), .normal = "0600", .systemd = "SocketMode",
	  .supervisord = "chmod", .help = "Mode of the control socket, in octal; 0660 admits ClientGroup." },
	{ KEY("QuotaPerClient", CLIENTS, COUNT, NOW, F(n_quota)), RANGE(0, RK_SLOTS_MAX), .normal = "0",
	  .help = "Calls one client may have outstanding; 0 allows all of its Slots. The client library keeps to it: it "
		  "bounds who is careless, not who is hostile." },
	{ KEY("AllowFaults", CLIENTS, BOOL, NOW, F(allow_faults)), .normal = "no",
	  .help = "Let 'rekindle fault' kill and stop workers, and make them hang, loop and be slow." },

	/* ---- wrapped programs ---- */
	{ KEY("Framing", WRAP, ENUM, SPAWN, F(framing)), .words = "line|netstring", .normal = "line", .kinds = FOR(LINES),
	  .help = "What a job and an answer are: a line each, or a netstring, which may hold newlines." },
	{ KEY("AnswerId", WRAP, FIELD, SPAWN, F(answer_id)), .normal = "", .kinds = FOR(LINES),
	  .help = "Where job and answer have the id by which an answer is known, so that answers may come in any order: "
		  "a blank-separated field's number from 1, or .json.path. Without it they come in the order of "
		  "the jobs, one for each." },
	{ KEY("Terminal", WRAP, ENUM, SPAWN, F(terminal)), .words = "no|output|both", .normal = "no",
	  .kinds = FOR(LINES), .systemd = "StandardInput (tty)",
	  .help = "A terminal instead of pipes, for a program that only then writes each line at once: for its output, "
		  "or its input as well. One that colors its lines there has to be told not to." },
	{ KEY("Window", WRAP, COUNT, SPAWN, F(n_window)), RANGE(1, 1024), .normal = "64",
	  .kinds = FOR(LINES) | FOR(HTTP),
	  .help = "Jobs that the program has at a time. All of them are given to its successor should it die. With "
		  "Kind=http it is 16 unless it is given." },
	{ KEY("Port", WRAP, COUNT, NEVER, F(port)), RANGE(0, 65535), .normal = "",
	  .help = "The port of slot 0, %p in Exec; slot 1 has the next one, and so on. 0 is none. With Kind=tcp and "
		  "Kind=http it is 7000 unless it or Socket is given." },
	{ KEY("Socket", WRAP, PATTERN, NEVER, F(socket)), .normal = "",
	  .help = "The unix socket that the program listens on, %s in Exec; such as %d/redis.sock. Specifiers are %p, "
		  "%i, %d and %f." },
	{ KEY("Address", WRAP, TEXT, NEVER, F(address)), .normal = "", .kinds = FOR(NATIVE) | SERVERS,
	  .help = "What clients are told to connect to, with specifiers. Without it 127.0.0.1:%p where there is a port, "
		  "else unix:%s. They keep it for as long as the fleet runs." },
	{ KEY("StateDirectory", WRAP, PATTERN, NEVER, F(state_directory)), .normal = "", .systemd = "StateDirectory",
	  .kinds = WRAPPED,
	  .help = "The directory of a slot, %d in Exec, which is made with mode 0700 once something names %d. Specifiers "
		  "are %p, %i and %f. Without it it is below $STATE_DIRECTORY of a service, or /var/lib/rekindle/NAME/%f-%i for root, else "
		  "$XDG_STATE_HOME/rekindle/NAME/%f-%i, or below ~/.local/state." },
	{ KEY("Send", WRAP, ESCAPED, SPAWN, F(send)), .normal = "", .kinds = SERVERS,
	  .help = "What a probe sends over Port or Socket, such as PING\\r\\n; \\r, \\n, \\t, \\\\ and \\xHH are what they "
		  "mean in C. Needs Expect." },
	{ KEY("Expect", WRAP, ESCAPED, SPAWN, F(expect)), .normal = "", .kinds = SERVERS,
	  .help = "Text that the answer to a probe has to hold, with the escapes of Send. To connect alone is no sign of "
		  "life: the kernel accepts connections for a program that is stopped." },
	{ KEY("HealthPath", WRAP, URL_PATH, SPAWN, F(health_path)), .normal = "", .kinds = SERVERS,
	  .help = "A probe by HTTP instead: a GET of this path over Port or Socket has to be answered with 2xx." },
	{ KEY("ProbeExec", WRAP, COMMAND, SPAWN, F(probe_exec)), .normal = "", .kinds = SERVERS,
	  .help = "A probe by a command instead, which has to exit with 0. Specifiers are those of Exec." },
	{ KEY("ProbeInterval", WRAP, TIME, SPAWN, F(probe_interval_ns)), RANGE(10 * RK_NS_PER_MS, DAY), .normal = "1s",
	  .kinds = SERVERS, .help = "From one probe to the next." },
	{ KEY("ProbeTimeout", WRAP, TIME, SPAWN, F(probe_timeout_ns)), RANGE(10 * RK_NS_PER_MS, DAY), .normal = "1s",
	  .kinds = SERVERS, .help = "How long a probe waits for its answer." },
	{ KEY("ProbeFailures", WRAP, COUNT, SPAWN, F(n_probe_failures)), RANGE(1, 1000), .normal = "3", .kinds = SERVERS,
	  .help = "Probes in a row that fail until the program counts as hung, and OnHang says what is done. Before "
		  "the first one that succeeds none counts." },
	{ KEY("HttpPath", WRAP, URL_PATH, SPAWN, F(http_path)), .normal = "/", .kinds = FOR(HTTP),
	  .help = "The path that jobs are posted to." },
	{ KEY("KeyHeader", WRAP, HEADER, SPAWN, F(key_header)), .normal = "X-Rekindle-Key", .kinds = FOR(HTTP),
	  .help = "The header that tells the program a job's key." },
	{ KEY("HttpAnswer", WRAP, ENUM, SPAWN, F(http_answer)), .words = "body|full", .normal = "body",
	  .kinds = FOR(HTTP),
	  .help = "What a job's reply is: the body of the answer, or all of it with status and headers." },
	{ KEY("Listen", WRAP, ADDRESSES, SPAWN, F(listen)), .normal = "", .systemd = "ListenStream", .kinds = SERVERS,
	  .help = "Addresses that are bound once for a slot and held while its program restarts, so that no connection is "
		  "refused: HOST:PORT, [V6]:PORT or the path of a unix socket, with specifiers. May be repeated." },
	{ KEY("ListenAs", WRAP, ENUM, SPAWN, F(listen_as)), .words = "systemd|nginx|fd", .normal = "systemd",
	  .kinds = SERVERS,
	  .help = "How the program is told of them: by LISTEN_FDS and the others of sd_listen_fds(3), by nginx's own "
		  "variable, or not at all: they are descriptors 3 and on, as haproxy's fd@3." },
	{ KEY("FileDescriptorStoreMax", WRAP, COUNT, SPAWN, F(n_descriptors_kept)), RANGE(0, RK_DESCRIPTORS_MAX),
	  .normal = "0", .systemd = "FileDescriptorStoreMax", .kinds = WRAPPED,
	  .help = "Descriptors that are kept for a slot when its program sends them with FDSTORE=1, and given to the "
		  "next one." },
	{ KEY("CheckpointExec", WRAP, COMMAND, SPAWN, F(checkpoint_exec)), .normal = "", .kinds = WRAPPED,
	  .help = "A command that makes the program save its state, before it is stopped and every CheckpointInterval; a "
		  "failure is told. Specifiers are those of Exec." },
	{ KEY("CheckpointLine", WRAP, ESCAPED, SPAWN, F(checkpoint_line)), .normal = "", .kinds = FOR(LINES),
	  .help = "The same by a line to its standard input, among the jobs; its answer is awaited. With the escapes of "
		  "Send." },
	{ KEY("CheckpointPath", WRAP, URL_PATH, SPAWN, F(checkpoint_path)), .normal = "", .kinds = FOR(HTTP),
	  .help = "The same by HTTP: a POST to this path, which has to be answered with 2xx." },
	{ KEY("CheckpointInterval", WRAP, TIME, SPAWN, F(checkpoint_interval_ns)), RANGE(0, DAY), .normal = "0",
	  .kinds = WRAPPED, .help = "From one checkpoint to the next; with 0 there is one on stop alone." },
	{ KEY("RestoreExec", WRAP, COMMAND, SPAWN, F(restore_exec)), .normal = "", .kinds = WRAPPED,
	  .help = "A command that runs before each start of the program and puts the last checkpoint where it looks "
		  "for it. Specifiers are those of Exec." },
};
/* clang-format on */

_Static_assert(rk_countof(keys) <= RK_KEYS_MAX && RK_KEYS_MAX % 64 == 0, "a bit for every key");

const struct rk_key *rk_keys(size_t *ret_n)
{
	*ret_n = rk_countof(keys);
	return keys;
}

enum rk_ini_section rk_key_section(const struct rk_key *k)
{
	return k->group == RK_GROUP_SUPERVISOR ? RK_INI_SUPERVISOR : RK_INI_FLEET;
}

bool rk_key_is_list(const struct rk_key *k)
{
	switch (k->type) {
	case RK_VALUE_COMMANDS:
	case RK_VALUE_ENVIRONMENT:
	case RK_VALUE_PATHS:
	case RK_VALUE_FLEETS:
	case RK_VALUE_STATUSES:
	case RK_VALUE_CPUS:
	case RK_VALUE_ADDRESSES:
		return true;
	case RK_VALUE_COUNT:
	case RK_VALUE_NICE:
	case RK_VALUE_SIZE:
	case RK_VALUE_TIME:
	case RK_VALUE_BOOL:
	case RK_VALUE_ENUM:
	case RK_VALUE_PATH:
	case RK_VALUE_COMMAND:
	case RK_VALUE_SIGNAL:
	case RK_VALUE_CATCHABLE:
	case RK_VALUE_USER:
	case RK_VALUE_GROUP:
	case RK_VALUE_MODE:
	case RK_VALUE_LIMIT:
	case RK_VALUE_LIMIT_SIZE:
	case RK_VALUE_OUTPUT:
	case RK_VALUE_NAME:
	case RK_VALUE_TEXT:
	case RK_VALUE_ESCAPED:
	case RK_VALUE_PATTERN:
	case RK_VALUE_URL_PATH:
	case RK_VALUE_HEADER:
	case RK_VALUE_FIELD:
	case RK_VALUE_TYPES:
		break;
	}
	return false;
}

const struct rk_key *rk_key_find(enum rk_ini_section section, const char *name)
{
	for (size_t i = 0; i < rk_countof(keys); i++)
		if (rk_key_section(&keys[i]) == section && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* Whether it is their name; a remark may stand behind that. */
static bool is_theirs(const char *name, const char *theirs)
{
	size_t len = theirs ? strcspn(theirs, " ") : 0;

	return len && strlen(name) == len && strncasecmp(name, theirs, len) == 0;
}

/* 0 for what is certain, larger for what is farther; RK_NEAR_NEVER. */
static unsigned int judge(const struct rk_key *k, const char *name, const char **ret_whose)
{
	*ret_whose = NULL;
	if (strcasecmp(name, k->name) == 0)
		return 0;
	if (is_theirs(name, k->systemd))
		*ret_whose = "systemd";
	else if (is_theirs(name, k->supervisord))
		*ret_whose = "supervisord";
	else
		return rk_near_judge(name, k->name);
	return 0;
}

const struct rk_key *rk_key_nearest(enum rk_ini_section section, const char *name,
				    const char **ret_whose)
{
	const struct rk_key *nearest = NULL;
	unsigned int best = RK_NEAR_NEVER;

	*ret_whose = NULL;
	for (size_t i = 0; i < rk_countof(keys); i++) {
		const char *whose;
		unsigned int d = judge(&keys[i], name, &whose);

		if (rk_key_section(&keys[i]) != section || d >= best)
			continue;
		best = d;
		nearest = &keys[i];
		*ret_whose = whose;
	}
	return nearest;
}

void rk_key_option(const struct rk_key *k, char ret[static RK_INI_KEY_MAX])
{
	size_t n = 0;

	for (const char *c = k->name; *c && n < RK_INI_KEY_MAX - 2; c++) {
		bool begins = isupper((unsigned char)*c) && c != k->name &&
			      (islower((unsigned char)c[-1]) || islower((unsigned char)c[1]));

		if (begins)
			ret[n++] = '-';
		ret[n++] = (char)tolower((unsigned char)*c);
	}
	ret[n] = '\0';
}

const char *rk_kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[RK_KIND_NATIVE] = "native", [RK_KIND_LINES] = "lines",   [RK_KIND_HTTP] = "http",
		[RK_KIND_TCP] = "tcp",       [RK_KIND_NOTIFY] = "notify", [RK_KIND_EXEC] = "exec",
	};

	_Static_assert(rk_countof(names) == RK_KINDS, "a name for every kind");
	return kind < RK_KINDS ? names[kind] : "?";
}

const char *rk_key_kinds(const struct rk_key *k, char *text, size_t size)
{
	uint32_t left = k->kinds;
	size_t len = 0;

	(void)snprintf(text, size, "%s", left == WRAPPED ? "any Kind= but native" : left ? "Kind=" : "");
	if (left == WRAPPED)
		return text;
	len = strlen(text);
	for (uint32_t kind = 0; kind < RK_KINDS && len < size; kind++) {
		if (!(left >> kind & 1))
			continue;
		left &= ~(1u << kind);
		len += (size_t)snprintf(text + len, size - len, "%s%s", rk_kind_name(kind),
					left == 0 ? "" : left & (left - 1) ? ", " : " or ");
	}
	return text;
}

const char *rk_value_type_name(enum rk_value_type type)
{
	static const char *const names[] = {
		[RK_VALUE_COUNT] = "NUMBER",       [RK_VALUE_NICE] = "NUMBER",
		[RK_VALUE_SIZE] = "SIZE",          [RK_VALUE_TIME] = "TIME",
		[RK_VALUE_BOOL] = "yes|no",        [RK_VALUE_ENUM] = "WORD",
		[RK_VALUE_PATH] = "PATH",          [RK_VALUE_COMMAND] = "COMMAND",
		[RK_VALUE_COMMANDS] = "COMMAND",   [RK_VALUE_ENVIRONMENT] = "NAME=VALUE...",
		[RK_VALUE_PATHS] = "PATH...",      [RK_VALUE_FLEETS] = "FLEET...",
		[RK_VALUE_CATCHABLE] = "SIGNAL",   [RK_VALUE_SIGNAL] = "SIGNAL",
		[RK_VALUE_STATUSES] = "STATUS...", [RK_VALUE_CPUS] = "CPUS",
		[RK_VALUE_USER] = "USER",          [RK_VALUE_GROUP] = "GROUP",
		[RK_VALUE_MODE] = "MODE",          [RK_VALUE_LIMIT] = "LIMIT",
		[RK_VALUE_LIMIT_SIZE] = "SIZE",    [RK_VALUE_OUTPUT] = "OUTPUT",
		[RK_VALUE_NAME] = "NAME",          [RK_VALUE_TEXT] = "TEXT",
		[RK_VALUE_ESCAPED] = "TEXT",       [RK_VALUE_PATTERN] = "PATH",
		[RK_VALUE_URL_PATH] = "PATH",      [RK_VALUE_HEADER] = "NAME",
		[RK_VALUE_FIELD] = "NUMBER|.PATH", [RK_VALUE_ADDRESSES] = "ADDRESS...",
	};

	_Static_assert(rk_countof(names) == RK_VALUE_TYPES, "a name for every type");
	return (unsigned int)type < RK_VALUE_TYPES ? names[type] : "?";
}

const char *rk_reload_name(enum rk_reload reload)
{
	static const char *const names[] = { "now", "next start", "never" };

	_Static_assert(rk_countof(names) == RK_RELOADS, "a name for every class");
	return (unsigned int)reload < RK_RELOADS ? names[reload] : "?";
}
