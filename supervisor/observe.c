/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/freezer.h"

#define TREE_AGE_NS (20 * RK_NS_PER_MS)
#define THREAD_FDS 2u
#define PROCESS_FDS 2u
#define ROOT_FDS 3u /* its cgroup file too */

struct thread {
	pid_t tid;
	uint32_t process;           /* index of its process */
	int stat_fd, sched_fd;      /* -1: could not be opened */
	bool is_listed;             /* found by the listing under way */
	struct rk_look_thread last; /* state 0 = not read yet */
};

struct process {
	pid_t pid;
	int dir_fd; /* /proc/PID */
	int stat_fd;
	uint32_t n_threads; /* when they were listed */
	bool is_listed;
};

struct rk_observe {
	struct rk_observatory *shared;
	pid_t pid;
	int pidfd; /* borrowed; -1 = none */
	bool is_first, is_cut;
	int cgroup_fd;        /* /proc/PID/cgroup; -1 until there is a root */
	uint64_t cgroup_hash; /* of its text, when the freezer below was chosen */
	struct rk_freezer freezer;
	uint32_t n_processes, n_threads;
	struct process process[RK_OBSERVE_PROCESSES]; /* the worker's own first */
	struct thread thread[RK_OBSERVE_THREADS];
};

/* ---- reading /proc ---- */

/* Reads a small file whole. Returns its length, or -errno; 0 is -ESRCH. */
static int text_read(int fd, char *text, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, size - 1, 0);

	if (n <= 0)
		return fd < 0 ? -EBADF : n < 0 ? -errno : -ESRCH;
	text[n] = '\0';
	return (int)n;
}

static bool is_gone(int r)
{
	return r == -ESRCH || r == -ENOENT;
}

struct stat_line {
	char state;
	pid_t parent;
	uint64_t ticks;
	uint32_t n_threads;
};

/* proc(5): the state is field 3; the name, field 2, may hold anything. */
static int stat_read(int fd, struct stat_line *ret)
{
	unsigned long user, system, n_threads;
	char text[512];
	const char *at;
	int parent, r = text_read(fd, text, sizeof(text));

	if (r < 0)
		return r;
	at = strrchr(text, ')');
	if (!at ||
	    sscanf(at, ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %lu",
		   &ret->state, &parent, &user, &system, &n_threads) != 5)
		return -EPROTO;
	ret->parent = parent;
	ret->ticks = user + system;
	ret->n_threads = (uint32_t)n_threads;
	return 0;
}

static int sched_read(int fd, uint64_t *ret_cpu_ns, uint64_t *ret_delay_ns)
{
	char text[96], *end;
	int r = text_read(fd, text, sizeof(text));

	if (r < 0)
		return r;
	*ret_cpu_ns = strtoull(text, &end, 10);
	*ret_delay_ns = strtoull(end, NULL, 10);
	return 0;
}

/* ---- descriptors ---- */

static bool fds_take(struct rk_observe *o, uint32_t n)
{
	if (o->shared->n_fds + n > o->shared->max_fds)
		return false;
	o->shared->n_fds += n;
	return true;
}

static void thread_close(struct rk_observe *o, struct thread *t)
{
	rk_close_p(&t->stat_fd);
	rk_close_p(&t->sched_fd);
	o->shared->n_fds -= THREAD_FDS;
}

static void process_close(struct rk_observe *o, struct process *p)
{
	rk_close_p(&p->dir_fd);
	rk_close_p(&p->stat_fd);
	o->shared->n_fds -= PROCESS_FDS;
}

static bool is_any(const struct thread *t)
{
	(void)t;
	return true;
}

static bool is_unlisted(const struct thread *t)
{
	return !t->is_listed;
}

/* Dead, or its files could not be opened: if it is still there, it is opened anew. */
static bool is_useless(const struct thread *t)
{
	return t->last.state == 'X' || t->stat_fd < 0;
}

static void threads_drop(struct rk_observe *o, uint32_t process,
			 bool (*fits)(const struct thread *t))
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < o->n_threads; i++) {
		struct thread *t = &o->thread[i];

		if (t->process == process && fits(t))
			thread_close(o, t);
		else
			o->thread[n++] = *t;
	}
	o->n_threads = n;
}

static int at_open(int dir_fd, pid_t tid, const char *file)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/%s", (int)tid, file);
	return openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
}

/* ---- listing ---- */

struct listing {
	struct rk_observe *o;
	uint32_t process;
	bool is_cut;
};

static struct thread *thread_find(struct rk_observe *o, uint32_t process, pid_t tid)
{
	for (uint32_t i = 0; i < o->n_threads; i++)
		if (o->thread[i].tid == tid && o->thread[i].process == process)
			return &o->thread[i];
	return NULL;
}

static bool thread_listed(void *arg, int32_t tid)
{
	struct listing *listing = arg;
	struct rk_observe *o = listing->o;
	struct thread *t = thread_find(o, listing->process, tid);
	int dir_fd = o->process[listing->process].dir_fd;

	if (t) {
		t->is_listed = true;
		return true;
	}
	listing->is_cut = o->n_threads == RK_OBSERVE_THREADS || !fds_take(o, THREAD_FDS);
	if (listing->is_cut)
		return false;
	o->thread[o->n_threads++] = (struct thread){ .tid = tid,
						     .process = listing->process,
						     .stat_fd = at_open(dir_fd, tid, "stat"),
						     .sched_fd = at_open(dir_fd, tid, "schedstat"),
						     .is_listed = true };
	return true;
}

/* Returns 0, or -errno: those known stay. */
static int threads_list(struct rk_observe *o, uint32_t process)
{
	struct listing listing = { .o = o, .process = process };
	rk_cleanup(rk_close_p) int fd =
		openat(o->process[process].dir_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	for (uint32_t i = 0; i < o->n_threads; i++)
		if (o->thread[i].process == process)
			o->thread[i].is_listed = false;
	threads_drop(o, process, is_useless);
	r = rk_tree_numbers(fd, thread_listed, &listing);
	if (r == 0 && !listing.is_cut)
		threads_drop(o, process, is_unlisted);
	o->is_cut |= listing.is_cut;
	return r;
}

static int process_open(pid_t pid, struct process *ret)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	*ret = (struct process){ .pid = pid, .stat_fd = -1, .is_listed = true };
	ret->dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir_fd < 0)
		return -errno;
	ret->stat_fd = openat(ret->dir_fd, "stat", O_RDONLY | O_CLOEXEC);
	if (ret->stat_fd >= 0)
		return 0;
	rk_close_p(&ret->dir_fd);
	return -errno;
}

static struct process *process_find(struct rk_observe *o, pid_t pid)
{
	for (uint32_t i = 0; i < o->n_processes; i++)
		if (o->process[i].pid == pid)
			return &o->process[i];
	return NULL;
}

static void process_listed(struct rk_observe *o, pid_t pid)
{
	struct process *p = process_find(o, pid);
	struct stat_line line;
	int r;

	if (p && stat_read(p->stat_fd, &line) == 0) { /* else it died and its number came again */
		p->is_listed = true;
		return;
	}
	if (o->n_processes == RK_OBSERVE_PROCESSES || !fds_take(o, PROCESS_FDS)) {
		o->is_cut = true;
		return;
	}
	r = process_open(pid, &o->process[o->n_processes]);
	if (r < 0) {
		o->shared->n_fds -= PROCESS_FDS;
		o->is_cut |= !is_gone(r); /* hidden, or no descriptors left */
		return;
	}
	/* Its number may be another's since the pass: then its parent is nobody of ours. */
	if (stat_read(o->process[o->n_processes].stat_fd, &line) == 0 &&
	    process_find(o, line.parent))
		o->n_processes++;
	else
		process_close(o, &o->process[o->n_processes]);
}

static void process_drop(struct rk_observe *o, uint32_t at)
{
	threads_drop(o, at, is_any);
	process_close(o, &o->process[at]);
	for (uint32_t i = 0; i < o->n_threads; i++)
		o->thread[i].process -= o->thread[i].process > at;
	memmove(&o->process[at], &o->process[at + 1],
		(o->n_processes - at - 1) * sizeof(o->process[0]));
	o->n_processes--;
}

/* Returns 0, or -errno: the tree is what it was. */
static int tree_list(struct rk_observe *o, uint64_t now_ns)
{
	int32_t pid[RK_OBSERVE_PROCESSES];
	uint32_t n;
	int r = rk_tree_refresh(&o->shared->tree, now_ns, TREE_AGE_NS);

	if (r < 0)
		return r;
	n = rk_tree_below(&o->shared->tree, o->pid, pid, RK_OBSERVE_PROCESSES, &o->is_cut);
	for (uint32_t i = 0; i < o->n_processes; i++)
		o->process[i].is_listed = i == 0;
	for (uint32_t i = 0; i < n; i++)
		process_listed(o, pid[i]);
	for (uint32_t i = o->n_processes; i > 1; i--)
		if (!o->process[i - 1].is_listed)
			process_drop(o, i - 1);
	for (uint32_t i = 0; i < o->n_processes; i++)
		o->process[i].n_threads = 0; /* so that threads_follow() lists them */
	return 0;
}

/* ---- looking ---- */

/* The state last: what ran after its time was read shows as starved, never as asleep. */
static int thread_read(const struct thread *t, uint64_t tick_ns, struct rk_look_thread *ret)
{
	struct stat_line line;
	int r_sched = sched_read(t->sched_fd, &ret->cpu_ns, &ret->delay_ns);
	int r = stat_read(t->stat_fd, &line);

	if (r == 0 && r_sched < 0 && r_sched != -ESRCH) { /* a kernel without schedstat */
		ret->cpu_ns = line.ticks * tick_ns;
		ret->delay_ns = 0;
		r_sched = 0;
	}
	ret->state = r == 0 && r_sched == 0 ? line.state : 'X';
	return r == -ESRCH || r_sched == -ESRCH ? 0 : r;
}

static void thread_look(struct rk_observe *o, struct thread *t, uint64_t tick_ns, struct rk_look *l)
{
	struct rk_look_thread now = { 0 };

	if (thread_read(t, tick_ns, &now) < 0) {
		l->n_unread++;
		t->last.state = 0;
		o->process[t->process].n_threads = 0; /* to be opened anew */
		return;
	}
	if (now.state == 'X') {
		now = (struct rk_look_thread){
			.state = 'X'
		};                                    /* what it spent at last is not known */
		o->process[t->process].n_threads = 0; /* another may have come in its place */
	}
	rk_look_add(l, t->last.state ? &t->last : NULL, &now);
	t->last = now;
}

/* How the worker's own process stands. */
static void root_look(const struct rk_observe *o, struct rk_look *l)
{
	uint32_t n_living = 0, n_stopped = 0, n_traced = 0, n_runnable = 0;

	for (uint32_t i = 0; i < o->n_threads; i++) {
		const struct thread *t = &o->thread[i];

		if (t->process != 0 ||
		    strchr("ZXx", t->last.state)) /* an unread one matches the NUL */
			continue;
		n_living++;
		n_stopped += t->last.state == 'T';
		n_traced += t->last.state == 't';
		n_runnable += t->last.state == 'R';
	}
	l->is_stopped = n_living && n_stopped == n_living;
	l->is_traced = n_traced && !n_runnable;
	l->is_gone = !n_living && !l->n_unread && !l->error;
}

/* Lists the threads of processes whose number of threads has changed. */
static void threads_follow(struct rk_observe *o, struct rk_look *l)
{
	for (uint32_t i = 0; i < o->n_processes; i++) {
		struct process *p = &o->process[i];
		struct stat_line line = { .n_threads = p->n_threads };
		int r = stat_read(p->stat_fd, &line);

		if (r == 0 && line.n_threads != p->n_threads) {
			r = threads_list(o, i);
			p->n_threads = r == 0 ? line.n_threads : 0;
		}
		if (r == 0 || is_gone(r))
			continue;
		l->n_unread++;
		l->is_listed = false;
	}
}

/* A process may be moved to another cgroup and frozen there. */
static bool is_frozen(struct rk_observe *o)
{
	char text[2048];
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	if (text_read(o->cgroup_fd, text, sizeof(text)) <= 0)
		return false;
	for (const char *at = text; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 1099511628211u;
	if (hash != o->cgroup_hash)
		rk_freezer_follow(&o->freezer, text);
	o->cgroup_hash = hash;
	return rk_freezer_is_frozen(&o->freezer);
}

static void root_close(struct rk_observe *o)
{
	process_close(o, &o->process[0]);
	rk_close_p(&o->cgroup_fd);
	o->shared->n_fds -= ROOT_FDS - PROCESS_FDS;
	o->n_processes = 0;
}

/* A root that could not be opened is tried again: descriptors may be free by now. */
static int root_follow(struct rk_observe *o)
{
	int r;

	if (o->n_processes > 0)
		return 0;
	if (!fds_take(o, ROOT_FDS))
		return -EMFILE;
	r = process_open(o->pid, &o->process[0]);
	if (r < 0) {
		o->shared->n_fds -= ROOT_FDS;
		return r == -ENOENT && kill(o->pid, 0) < 0 && errno == ESRCH ? -ESRCH : r;
	}
	o->cgroup_fd = openat(o->process[0].dir_fd, "cgroup", O_RDONLY | O_CLOEXEC);
	o->n_processes = 1;
	if (o->pidfd < 0 || syscall(SYS_pidfd_send_signal, o->pidfd, 0, NULL, 0) == 0 ||
	    errno != ESRCH)
		return 0;
	root_close(o); /* it may have been another's directory already */
	return -ESRCH;
}

void rk_observe_look(struct rk_observe *o, bool want_list, uint64_t now_ns, struct rk_look *ret)
{
	uint64_t tick_ns = RK_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	struct rk_look l = { .at_ns = now_ns, .is_first = o->is_first };

	l.error = root_follow(o);
	if (l.error == 0) {
		if (want_list || o->is_first)
			l.is_listed = tree_list(o, now_ns) == 0;
		threads_follow(o, &l);
	}
	for (uint32_t i = 0; i < o->n_threads; i++)
		thread_look(o, &o->thread[i], tick_ns, &l);
	root_look(o, &l);
	if (l.error == -ESRCH) {
		l.error = 0;
		l.is_gone = true;
	}
	l.n_processes = o->n_processes;
	l.is_cut = o->is_cut;
	l.is_frozen = is_frozen(o);
	o->is_first = l.error != 0;
	*ret = l;
}

uint32_t rk_observe_threads(const struct rk_observe *o, struct rk_observe_thread *ret, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t process = 0; process < o->n_processes; process++)
		for (uint32_t i = 0; i < o->n_threads && n < max; i++)
			if (o->thread[i].process == process)
				ret[n++] = (struct rk_observe_thread){
					.pid = o->process[process].pid,
					.tid = o->thread[i].tid,
					.dir_fd = o->process[process].dir_fd,
					.state = o->thread[i].last.state
				};
	return n;
}

/* ---- life ---- */

/* A locked one has pages of its own, so that nothing else gets locked with it. */
static struct rk_observe *room_make(const struct rk_observatory *shared)
{
	void *at;

	if (!shared->is_locked)
		return calloc(1, sizeof(struct rk_observe));
	at = mmap(NULL, sizeof(struct rk_observe), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	(void)mlock2(at, sizeof(struct rk_observe), MLOCK_ONFAULT); /* beyond the limit: as it is */
	return at;
}

static void room_free(struct rk_observe *o)
{
	if (o->shared->is_locked)
		(void)munmap(o, sizeof(*o));
	else
		free(o);
}

void rk_observatory_init(struct rk_observatory *shared)
{
	struct rlimit limit = { 0 };

	shared->is_locked = false;
	shared->tree.at_ns = 0;
	shared->tree.n = 0;
	shared->n_fds = 0;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	shared->max_fds = limit.rlim_cur > 1 << 20 ? 1 << 19 : (uint32_t)limit.rlim_cur / 2;
}

int rk_observe_open(struct rk_observatory *shared, pid_t pid, int pidfd, struct rk_observe **ret)
{
	struct rk_observe *o = room_make(shared);

	if (!o)
		return -ENOMEM;
	o->shared = shared;
	o->pid = pid;
	o->pidfd = pidfd;
	o->is_first = true;
	o->cgroup_fd = -1;
	o->freezer = RK_FREEZER_NONE;
	if (root_follow(o) == -ESRCH) {
		room_free(o);
		return -ESRCH;
	}
	*ret = o;
	return 0;
}

void rk_observe_rest(struct rk_observe *o)
{
	while (o->n_processes > 1)
		process_drop(o, o->n_processes - 1);
	threads_drop(o, 0, is_any);
	if (o->n_processes)
		o->process[0].n_threads = 0;
	rk_freezer_close(&o->freezer);
	o->cgroup_hash = 0;
	o->is_first = true;
}

void rk_observe_close(struct rk_observe *o)
{
	if (!o)
		return;
	rk_observe_rest(o);
	if (o->n_processes)
		root_close(o);
	room_free(o);
}
