/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/beside.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/programs.h"
#include "shm/dead.h"
#include "shm/queue.h"
#include "shm/rundir.h"
#include "shm/words.h"
#include "workers/lib/attach.h"

#define START_MS 10000u
#define END_MS 8000
#define OPEN_FDS 4u /* board, calls, queues, readers */
#define PAUSE_MS 5
#define LOG_SHOWN 4096
#define LETTERS_ROOM 64u /* beside the poison, for what must not be there */
#define CLIENTS_ROOM 16u /* beside demo's own: whoever looks on */

/* ---- programs ---- */

int rk_demo_fleet_programs(struct rk_demo_programs *ret, struct rk_err *err)
{
	ssize_t n = readlink("/proc/self/exe", ret->self, sizeof(ret->self) - 1);
	int r;

	if (n < 0)
		return rk_err_set(err, -errno, "cannot find this program: %s; is /proc mounted?", strerror(errno));
	ret->self[n] = '\0';
	r = rk_programs_daemon(ret->rekindled, err);
	if (r == 0)
		r = rk_beside_find(ret->worker, "workers/examples/wordcount", RK_LIBEXECDIR "/rekindle/wordcount", err);
	return r;
}

/* ---- start ---- */

static int start_keeper(struct rk_demo_fleet *f, const struct rk_demo_fleet_conf *c, struct rk_err *err)
{
	char workers[16], standby[16], partitions[16], clients[16], slots[16], batch[16], letters[32];
	char *argv[28];
	const char *words[28] = { "rekindled", "--name", f->name, "--quiet", "--workers", workers, "--standby", standby,
				  "--partitions", partitions, "--max-clients", clients, "--slots", slots };
	size_t n = 14;

	if (c->batch) {
		words[n++] = "--batch";
		words[n++] = batch;
	}
	if (c->n_poisons) {
		words[n++] = "--set";
		words[n++] = letters;
		words[n++] = "--set";
		words[n++] = "LimitCORE=0";
	}
	words[n++] = "--";
	words[n++] = c->worker;
	words[n++] = c->n_poisons ? "--poison" : NULL;
	(void)snprintf(workers, sizeof(workers), "%u", c->n_workers);
	(void)snprintf(standby, sizeof(standby), "%u", c->n_standbys);
	(void)snprintf(partitions, sizeof(partitions), "%u", c->n_partitions);
	(void)snprintf(clients, sizeof(clients), "%u", 2 * c->n_clients + CLIENTS_ROOM);
	(void)snprintf(slots, sizeof(slots), "%u", c->n_slots);
	(void)snprintf(letters, sizeof(letters), "DeadLetters=%u", c->n_poisons + LETTERS_ROOM);
	(void)snprintf(batch, sizeof(batch), "%u", c->batch);
	for (size_t i = 0; i < rk_countof(words); i++)
		argv[i] = (char *)(uintptr_t)words[i]; /* exec only reads them */
	f->log = memfd_create("rekindle-demo-log", MFD_CLOEXEC);
	if (f->log < 0)
		return rk_err_set(err, -errno, "memfd_create: %s", strerror(errno));
	(void)fcntl(f->log, F_SETFL, O_APPEND); /* demo's own clients write here too */
	return rk_demo_child_start(&f->keeper, &(struct rk_demo_spawn){ .path = c->rekindled, .argv = argv,
									.death_signal = SIGTERM, .fd = -1,
									.output = f->log }, err);
}

/* The clients' cells, read-only. */
static int open_calls(struct rk_demo_fleet *f, struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer;
	char request[48];
	int r = rk_ask_open(&f->ask, f->name, err);

	if (r < 0)
		return r;
	(void)snprintf(request, sizeof(request), "{\"verb\":\"open\",\"abi\":%u}", RK_ABI_VERSION);
	r = rk_ask(&f->ask, request, &answer, &fds, err);
	if (r < 0)
		return r;
	json_object_put(answer);
	if (fds.n != OPEN_FDS)
		return rk_err_set(err, -EPROTO, "the supervisor passed %u descriptors instead of %u", fds.n, OPEN_FDS);
	const struct rk_attach_segment calls = { RK_SEGMENT_CALLS, fds.fd[1], false, &f->calls.calls };

	return rk_attach(&f->calls, fds.fd[0], &calls, 1, err);
}

/* Tries to open what demo looks at; the fleet may not be that far yet. */
static int look_in(struct rk_demo_fleet *f, struct rk_err *err)
{
	int r = rk_look_open(&f->look, f->name, err);

	if (r == 0)
		r = open_calls(f, err);
	f->is_open = r == 0;
	if (r < 0) {
		rk_detach(&f->calls);
		rk_ask_close_p(&f->ask);
		rk_look_close_p(&f->look);
	}
	return r;
}

bool rk_demo_fleet_is_ready(struct rk_demo_fleet *f)
{
	for (uint32_t w = 0; w < f->n_workers; w++)
		if (!rk_demo_fleet_worker(f, w).ready)
			return false;
	return true;
}

int rk_demo_fleet_start(struct rk_demo_fleet *f, const struct rk_demo_fleet_conf *conf, struct rk_err *err)
{
	uint64_t deadline_ns = rk_clock_ns() + START_MS * RK_NS_PER_MS;
	int r;

	(void)snprintf(f->name, sizeof(f->name), "demo-%d", (int)getpid());
	f->n_workers = conf->n_workers;
	r = start_keeper(f, conf, err);
	if (r < 0)
		return r;
	for (;; (void)poll(NULL, 0, PAUSE_MS)) {
		if (rk_demo_child_reap(&f->keeper))
			return rk_err_set(err, -ECHILD, "the fleet ended while it was starting, with status %d",
					  f->keeper.status);
		if (!f->is_open)
			r = look_in(f, err);
		if (f->is_open && rk_demo_fleet_is_ready(f))
			return 0;
		if (r < 0 && r != -ENOENT && r != -ECONNRESET)
			return r;
		if (rk_clock_ns() > deadline_ns)
			return rk_err_set(err, -ETIMEDOUT, "the fleet was not ready within %u s", START_MS / 1000);
	}
}

void rk_demo_fleet_end(struct rk_demo_fleet *f)
{
	f->is_open = false;
	rk_detach(&f->calls);
	rk_ask_close_p(&f->ask);
	rk_look_close_p(&f->look);
	rk_demo_child_end(&f->keeper, END_MS);
	if (f->name[0])
		rk_rundir_remove(f->name); /* keeper has done that, unless it was killed itself */
	rk_close_p(&f->log);
}

/* ---- looking ---- */

pid_t rk_demo_fleet_supervisor(struct rk_demo_fleet *f)
{
	rk_look_view(&f->look);
	return f->look.view->supervisor_pid;
}

pid_t rk_demo_fleet_standby(struct rk_demo_fleet *f)
{
	rk_look_view(&f->look);
	for (uint32_t i = f->look.m.g.n_workers; i-- > f->n_workers;)
		if (rk_look_slot(&f->look, i)->state == RK_SLOT_STANDBY)
			return rk_look_slot(&f->look, i)->pid;
	return 0;
}

struct rk_demo_worker rk_demo_fleet_worker(struct rk_demo_fleet *f, uint32_t worker)
{
	const struct rk_view_slot *s;

	rk_look_view(&f->look);
	s = rk_look_slot(&f->look, worker);
	if (!s)
		return (struct rk_demo_worker){ 0 };
	return (struct rk_demo_worker){ .pid = s->pid, .incarnation = s->incarnation,
					.ready = s->state == RK_SLOT_READY };
}

pid_t rk_demo_fleet_client(struct rk_demo_fleet *f, uint32_t page)
{
	const struct rk_view_client *c;

	if (page >= f->look.m.g.n_clients)
		return 0;
	rk_look_view(&f->look);
	c = &rk_view_clients(&f->look.m, f->look.view)[page];
	return c->flags & RK_CLIENT_ALIVE ? c->pid : 0;
}

bool rk_demo_fleet_has_work(struct rk_demo_fleet *f, uint32_t worker)
{
	for (uint32_t p = 0; p < f->look.m.g.n_partitions; p++) {
		/* Acquire, as every look at another process's word; a stale answer costs one figure. */
		uint64_t owner = atomic_load_explicit(&rk_shm_part(&f->look.m, p)->owner, memory_order_acquire);

		if (rk_owner_worker(owner) == worker && rk_queue_has_work(&f->look.m, p))
			return true;
	}
	return false;
}

bool rk_demo_fleet_is_writing(struct rk_demo_fleet *f, uint32_t worker, uint32_t *ret_page)
{
	uint64_t cell = atomic_load_explicit(&rk_shm_beat(&f->look.m, worker)->cell, memory_order_acquire), word;

	if (!cell || cell > rk_shm_n_cells(&f->look.m))
		return false;
	word = atomic_load_explicit(&rk_shm_cell(&f->calls, (uint32_t)cell - 1)->word, memory_order_acquire);
	if (rk_cellword_state(word) != RK_CELL_WRITING || rk_cellword_worker(word) != worker)
		return false;
	*ret_page = ((uint32_t)cell - 1) / f->look.m.g.n_cells;
	return true;
}

bool rk_demo_fleet_is_replying(struct rk_demo_fleet *f, uint32_t worker)
{
	return atomic_load_explicit(&rk_shm_beat(&f->look.m, worker)->cell, memory_order_acquire) != 0;
}

int rk_demo_fleet_letters(struct rk_demo_fleet *f, bool (*is_poison)(const char *body, uint32_t len),
			  struct rk_demo_letters *ret)
{
	const struct rk_shm *m = &f->look.m;
	rk_cleanup(rk_free_p) char *bytes = malloc((size_t)m->g.request_max + 8);
	struct rk_demo_letters n = { 0 };

	if (!bytes)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->g.n_dead; i++) {
		struct rk_dead_letter letter = { .bytes = bytes };

		if (!rk_dead_look(m, i, &letter))
			continue;
		*(is_poison(bytes + letter.key_len, letter.len) ? &n.n_poison : &n.n_others) += 1;
	}
	*ret = n;
	return 0;
}

/* One mapping of a file: where, and which file. */
struct mapping {
	unsigned long long start, offset, inode;
	char device[16];
};

/* The mapping of a process that `is` of the same file and offset, or begins at `start`; false if there is none. */
static bool find_mapping(pid_t pid, const struct mapping *is, unsigned long long start, struct mapping *ret)
{
	char path[32], line[512];
	bool found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		struct mapping m;

		if (sscanf(line, "%llx-%*x %*s %llx %15s %llu", &m.start, &m.offset, m.device, &m.inode) != 4)
			continue;
		found = is ? m.inode == is->inode && m.offset == is->offset && strcmp(m.device, is->device) == 0 :
			     m.start == start;
		*ret = m;
	}
	if (f)
		(void)fclose(f);
	return found;
}

uint64_t rk_demo_fleet_find_beat(struct rk_demo_fleet *f, uint32_t worker, pid_t pid)
{
	struct mapping ours, its;

	if (!find_mapping(getpid(), NULL, (uintptr_t)f->look.m.beats, &ours) || !find_mapping(pid, &ours, 0, &its))
		return 0;
	return its.start + (uint64_t)((char *)rk_shm_beat(&f->look.m, worker) - f->look.m.beats);
}

bool rk_demo_fleet_is_running(struct rk_demo_fleet *f, uint32_t worker)
{
	return atomic_load_explicit(&rk_shm_beat(&f->look.m, worker)->state, memory_order_acquire) == RK_BEAT_RUNNING;
}

void rk_demo_fleet_print_log(const struct rk_demo_fleet *f)
{
	char text[LOG_SHOWN + 1];
	off_t len = f->log < 0 ? 0 : lseek(f->log, 0, SEEK_END);
	ssize_t n = len <= 0 ? 0 : pread(f->log, text, LOG_SHOWN, len > LOG_SHOWN ? len - LOG_SHOWN : 0);
	char *at = text, *end;

	if (n <= 0)
		return;
	text[n] = '\0';
	if (len > LOG_SHOWN && (end = strchr(text, '\n')) != NULL)
		at = end + 1; /* the first line is cut */
	for (; *at; at = end + 1) {
		end = strchrnul(at, '\n');
		(void)fprintf(stderr, "  | %.*s\n", (int)(end - at), at);
		if (!*end)
			break;
	}
}
