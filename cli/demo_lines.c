/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_lines.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/demo_filter.h"
#include "cli/demo_lines_chaos.h"
#include "cli/demo_lines_show.h"
#include "cli/pipe_fleet.h"
#include "cli/signals.h"

#define SECONDS_DEFAULT 10u
#define CLIENTS_MAX 64u
#define KEYS_PER_CLIENT 16u
#define HANG_AFTER "3s"               /* of a program that answers in microseconds */
#define SETTLE_NS (20 * RK_NS_PER_S) /* without a single answer, until the rest counts as lost */
#define TICK_NS (RK_NS_PER_MS / 2)
#define LOG_SHOWN 4096

/* One of the fleet's clients, a handle. */
struct client {
	struct rk_client *handle;
	uint32_t n_open;   /* lines without an answer */
	uint64_t *again;   /* of those, certainly not applied: to be sent again */
	uint32_t n_again;
};

struct lines {
	struct rk_demo_lines_plan plan;
	struct rk_demo_lines_ledger ledger;
	struct rk_demo_lines_chaos chaos;
	struct rk_pipe_fleet fleet;
	struct client clients[CLIENTS_MAX];
	struct rk_rand random;
	char name[RK_NAME_MAX], self[PATH_MAX], notes[64];
	char **command;
	int n_command, signals, log;
	bool ends, is_aborted;
	uint64_t began_ns, shown_ns, n_shown;
};

/* ---- what is tested ---- */

static bool is_along_path(const char *program)
{
	const char *path = getenv("PATH");
	char at[PATH_MAX];

	while (path && *path) {
		size_t len = strcspn(path, ":");

		if (snprintf(at, sizeof(at), "%.*s/%s", (int)len, path, program) < (int)sizeof(at) && access(at, X_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

/* Whoever gives none gets one that is there, and that changes nothing. */
static void command_choose(struct lines *d, const struct rk_args *a)
{
	static char words[][16] = { "jq", "--unbuffered", "-c", ".", "sed", "-u", "s/x/x/" };
	static char *jq[] = { words[0], words[1], words[2], words[3], NULL };
	static char *sed[] = { words[4], words[5], words[6], NULL };

	d->command = a->rest;
	d->n_command = a->n_rest;
	if (a->n_rest)
		return;
	d->command = is_along_path("jq") ? jq : sed;
	d->n_command = d->command == jq ? 4 : 3;
}

static void command_print(struct lines *d)
{
	size_t at = 0, size = sizeof(d->plan.command);

	for (int i = 0; i < d->n_command && at < size; i++)
		at += (size_t)snprintf(d->plan.command + at, size - at, "%s%s", i ? " " : "", d->command[i]);
}

/* ---- its fleet ---- */

static int option_add(struct rk_wordlist *w, const char *name, uint64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return rk_daemon_option(w, name, text);
}

static int fleet_words(const struct lines *d, struct rk_wordlist *w)
{
	const char *const program[] = { "--", d->self, "demo", RK_DEMO_FILTER_ARGUMENT, d->notes };
	bool failed = rk_daemon_begin(w) < 0 || rk_daemon_option(w, "name", d->name) < 0 || rk_daemon_option(w, "quiet", NULL) < 0 ||
		      rk_daemon_option(w, "kind", "lines") < 0 || rk_daemon_option(w, "set", "LimitCORE=0") < 0 ||
		      rk_daemon_option(w, "set", "HangAfter=" HANG_AFTER) < 0 || option_add(w, "workers", d->plan.n_workers) < 0 ||
		      option_add(w, "max-clients", d->plan.n_clients + 16) < 0 || option_add(w, "slots", d->plan.n_in_flight) < 0;

	for (size_t i = 0; i < rk_countof(program) && !failed; i++)
		failed = rk_wordlist_add(w, program[i]) < 0;
	for (int i = 0; i < d->n_command && !failed; i++)
		failed = rk_wordlist_add(w, d->command[i]) < 0;
	return failed ? -ENOMEM : 0;
}

static int fleet_start(struct lines *d, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist words = { 0 };
	int r = 0;

	if (fleet_words(d, &words) < 0)
		return rk_err_set(err, -ENOMEM, "no memory");
	d->log = memfd_create("rekindle-demo-log", MFD_CLOEXEC);
	if (d->log < 0)
		return rk_err_set(err, -errno, "memfd_create: %s", strerror(errno));
	(void)fcntl(d->log, F_SETFL, O_APPEND);
	d->fleet.name = d->name;
	d->fleet.stop_timeout_ns = 5 * RK_NS_PER_S;
	d->fleet.output = d->log;
	r = rk_pipe_fleet_start(&d->fleet, words.at, d->signals, err);
	for (uint32_t k = 0; k < d->plan.n_clients && r == 0; k++) {
		d->clients[k].again = calloc(d->plan.n_in_flight, sizeof(uint64_t));
		r = d->clients[k].again ? rk_client_open(&d->clients[k].handle, d->name, NULL) : -ENOMEM;
		if (r < 0)
			r = rk_err_set(err, r, "%s", r == -ENOMEM ? "no memory" : rk_client_error());
	}
	return r;
}

/* ---- lines ---- */

static int line_send(struct lines *d, struct client *c, uint64_t i)
{
	char text[RK_DEMO_LINE_MAX], key[16];
	size_t len = rk_demo_lines_send(&d->ledger, i, rk_clock_ns(), text);
	int r;

	(void)snprintf(key, sizeof(key), "k%u", d->ledger.at[i].key);
	r = rk_call_async(c->handle, &(struct rk_request){ .key = key, .body = text, .len = len, .timeout_ms = RK_TIMEOUT_NONE,
							   .tag = i });
	if (r != 0)
		c->again[c->n_again++] = i; /* not applied */
	return r;
}

/* Keeps lines in flight: those that were not applied first. */
static void fill(struct lines *d, uint32_t k)
{
	struct client *c = &d->clients[k];

	while (c->n_again)
		if (line_send(d, c, c->again[--c->n_again]) != 0)
			return;
	while (!d->ends && c->n_open < d->plan.n_in_flight) {
		uint64_t i = rk_demo_lines_note(&d->ledger, k * KEYS_PER_CLIENT + (uint32_t)rk_rand_below(&d->random, KEYS_PER_CLIENT));

		if (i == UINT64_MAX)
			return;
		c->n_open++;
		if (line_send(d, c, i) != 0)
			return;
	}
}

static void outcome_take(struct lines *d, struct client *c, int r, struct rk_reply *reply)
{
	bool is_open = reply->tag < d->ledger.n && !d->ledger.at[reply->tag].answered_ns;

	if (r == RK_DONE || r == RK_FAILED) {
		rk_demo_lines_answer(&d->ledger, reply->tag, reply->job, rk_clock_ns(), r == RK_DONE ? reply->body : NULL, reply->len);
		c->n_open -= is_open;
	} else if (is_open && r > 0 && r != RK_UNKNOWN) {
		c->again[c->n_again++] = reply->tag;
	}
	rk_reply_release(c->handle, reply);
}

/* Returns whether there was anything. */
static bool collect(struct lines *d, struct client *c)
{
	struct rk_reply reply = { 0 };
	bool any = false;
	int r;

	while ((r = rk_next(c->handle, 0, &reply)) >= 0 && r != RK_EMPTY) {
		outcome_take(d, c, r, &reply);
		reply = (struct rk_reply){ 0 };
		any = true;
	}
	return any;
}

/* ---- the run ---- */

static void signals_read(struct lines *d)
{
	struct signalfd_siginfo info;

	while (read(d->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		/* The first Ctrl-C ends the run and asks for its verdict; the second asks for the end. */
		d->is_aborted = info.ssi_signo != SIGINT || d->ends;
		d->ends = true;
	}
}

static void moment_show(struct lines *d, uint64_t now_ns)
{
	uint64_t n = d->ledger.n_answered;

	if (now_ns - d->shown_ns < RK_NS_PER_S || d->ends)
		return;
	rk_demo_lines_show_moment(&d->plan, now_ns - d->began_ns, n,
				  (uint64_t)((double)(n - d->n_shown) * RK_NS_PER_S / (double)(now_ns - d->shown_ns)), &d->chaos);
	d->shown_ns = now_ns;
	d->n_shown = n;
}

/* Returns 0, or -ECHILD: the fleet has ended, which it must not. */
static int tick(struct lines *d, bool *ret_any, struct rk_err *err)
{
	struct pollfd p[] = { { .fd = d->signals, .events = POLLIN }, { .fd = d->fleet.keeper.pidfd, .events = POLLIN } };
	struct timespec nap = { .tv_nsec = TICK_NS };
	bool any = false;

	for (uint32_t k = 0; k < d->plan.n_clients; k++) {
		fill(d, k);
		any = collect(d, &d->clients[k]) || any;
	}
	if (any)
		nap.tv_nsec = 0;
	if (ppoll(p, 2, &nap, NULL) > 0)
		signals_read(d);
	*ret_any = any;
	if (rk_demo_child_reap(&d->fleet.keeper))
		return rk_err_set(err, -ECHILD, "the fleet ended in the middle of the run, with status %d", d->fleet.keeper.status);
	return 0;
}

static int run(struct lines *d, struct rk_err *err)
{
	uint64_t now_ns = rk_clock_ns(), end_ns = now_ns + d->plan.seconds * RK_NS_PER_S;
	bool any;
	int r = 0;

	d->began_ns = d->shown_ns = now_ns;
	while (r == 0 && !d->ends && now_ns < end_ns) {
		rk_demo_lines_chaos_step(&d->chaos, now_ns);
		r = tick(d, &any, err);
		now_ns = rk_clock_ns();
		moment_show(d, now_ns);
	}
	d->plan.elapsed_ns = now_ns - d->began_ns;
	return r;
}

/* Nothing new is sent; all get their answers, as long as there are any. */
static int settle(struct lines *d, struct rk_err *err)
{
	uint64_t last_ns = rk_clock_ns();
	bool any;
	int r = 0;

	d->ends = true;
	while (r == 0 && !d->is_aborted && d->ledger.n_open && rk_clock_ns() - last_ns < SETTLE_NS) {
		r = tick(d, &any, err);
		if (any)
			last_ns = rk_clock_ns();
	}
	return r;
}

/* ---- beginning and end ---- */

static int begin(struct lines *d, struct rk_err *err)
{
	ssize_t n = readlink("/proc/self/exe", d->self, sizeof(d->self) - 1);
	int r;

	if (n < 0)
		return rk_err_set(err, -errno, "cannot find this program: %s; is /proc mounted?", strerror(errno));
	d->self[n] = '\0';
	(void)snprintf(d->name, sizeof(d->name), "demo-%d", (int)getpid());
	(void)strcpy(d->notes, "/tmp/rekindle-demo-XXXXXX");
	if (!mkdtemp(d->notes)) {
		d->notes[0] = '\0';
		return rk_err_set(err, -errno, "cannot make a directory below /tmp: %s", strerror(errno));
	}
	r = d->signals = rk_signals_open(err);
	if (r >= 0)
		r = rk_demo_lines_open(&d->ledger, d->plan.n_clients * KEYS_PER_CLIENT, d->plan.seed, d->plan.is_exact);
	if (r < 0)
		return r;
	rk_demo_lines_show_begin(&d->plan);
	return fleet_start(d, err);
}

static void notes_remove(const char *directory)
{
	DIR *at = *directory ? opendir(directory) : NULL;
	const struct dirent *e;

	while (at && (e = readdir(at)) != NULL)
		(void)unlinkat(dirfd(at), e->d_name, 0);
	if (at)
		(void)closedir(at);
	if (*directory)
		(void)rmdir(directory);
}

static void end(struct lines *d)
{
	for (uint32_t k = 0; k < d->plan.n_clients; k++) {
		rk_client_close(d->clients[k].handle);
		free(d->clients[k].again);
	}
	rk_pipe_fleet_end(&d->fleet, d->is_aborted);
	notes_remove(d->notes);
	rk_demo_lines_close(&d->ledger);
	rk_close_p(&d->signals);
	rk_close_p(&d->log);
}

/* The last lines that the fleet said. */
static void log_print(const struct lines *d)
{
	char text[LOG_SHOWN + 1];
	off_t len = d->log < 0 ? 0 : lseek(d->log, 0, SEEK_END);
	ssize_t n = len <= 0 ? 0 : pread(d->log, text, LOG_SHOWN, len > LOG_SHOWN ? len - LOG_SHOWN : 0);

	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		(void)fprintf(stderr, "  | %s\n", line);
}

static void configure(struct lines *d, const struct rk_args *a)
{
	d->plan = (struct rk_demo_lines_plan){ .n_workers = (uint32_t)rk_args_number(a, "workers", 4),
					       .n_clients = (uint32_t)rk_args_number(a, "clients", 4),
					       .n_in_flight = (uint32_t)rk_args_number(a, "in-flight", 8),
					       .seconds = rk_args_number(a, "seconds", SECONDS_DEFAULT),
					       .seed = rk_args_number(a, "seed", rk_clock_wall_ns() % 1000000000),
					       .is_exact = !a->n_rest,
					       .json = rk_args_json(a) };
	d->random = rk_rand_init(d->plan.seed);
	d->chaos = (struct rk_demo_lines_chaos){ .look = &d->fleet.look,
						 .random = rk_rand_init(d->plan.seed + 1),
						 .per_s = (uint32_t)rk_args_number(a, "kill-workers", 5),
						 .n_workers = d->plan.n_workers };
	command_choose(d, a);
	command_print(d);
}

static int all(struct lines *d, bool *ret_good, struct rk_err *err)
{
	struct rk_demo_lines_verdict verdict;
	int r = begin(d, err);

	if (r == 0)
		r = run(d, err);
	if (r == 0)
		r = settle(d, err);
	if (r == 0 && d->is_aborted)
		return rk_err_set(err, -EINTR, "interrupted: no verdict");
	if (r == 0)
		r = rk_demo_lines_judge(&d->ledger, d->notes, &verdict, err);
	if (r < 0)
		return r;
	rk_demo_lines_show_result(&d->plan, &verdict, &d->chaos);
	*ret_good = rk_demo_lines_is_good(&verdict);
	return 0;
}

/* Rather than to ignore one. */
static const char *option_unknown(const struct rk_args *a)
{
	static const char *const known[] = { "kind", "seconds", "workers", "clients", "in-flight", "kill-workers", "seed", "output" };

	for (size_t i = 0; i < a->command->n_options; i++) {
		size_t k = 0;

		while (k < rk_countof(known) && strcmp(a->command->options[i].name, known[k]) != 0)
			k++;
		if (a->option[i].text && k == rk_countof(known))
			return a->command->options[i].name;
	}
	return NULL;
}

int rk_demo_lines(const struct rk_args *a)
{
	static struct lines d;
	struct rk_err err = { 0 };
	bool good = false;
	int r, status;

	if (option_unknown(a))
		return rk_cli_complain(RK_CLI_USAGE, "demo --kind=lines has no --%s: see 'rekindle demo --help'", option_unknown(a));
	d = (struct lines){ .fleet = RK_PIPE_FLEET_NONE, .signals = -1, .log = -1 };
	configure(&d, a);
	r = all(&d, &good, &err);
	status = r == 0 ? good ? RK_CLI_OK : RK_CLI_FAILED : rk_cli_complain(RK_CLI_FAILED, "%s", err.text);
	if (status != RK_CLI_OK && !d.is_aborted)
		log_print(&d);
	end(&d);
	return status;
}
