/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/lab_deed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"

#define MS RK_NS_PER_MS
#define HOGS_MAX 64u

static const struct {
	const char *name;
	bool is_healthy;
} deeds[LAB_DEEDS] = {
	[LAB_BEATS] = { "beats", true },
	[LAB_READS] = { "waits in read", true },
	[LAB_POLLS] = { "waits in poll", true },
	[LAB_SYNCS] = { "waits in fsync", true },
	[LAB_HELPER] = { "waits for a helper thread's mutex", true },
	[LAB_CHILD] = { "waits for a child's work", true },
	[LAB_PARKED] = { "idle", true },
	[LAB_DEADLOCK] = { "futex deadlock", false },
	[LAB_LOOP] = { "infinite loop", false },
	[LAB_LIVELOCK] = { "polling livelock", false },
	[LAB_DISK] = { "state D", false },
	[LAB_STOP] = { "stopped", false },
	[LAB_STOP_PARKED] = { "stopped while parked", false },
	[LAB_TRACE] = { "traced", false },
	[LAB_FREEZE_V1] = { "frozen, cgroup v1", false },
	[LAB_FREEZE_V2] = { "frozen, cgroup v2", false },
};

const char *lab_deed_name(enum lab_deed deed)
{
	return deeds[deed].name;
}

bool lab_deed_is_healthy(enum lab_deed deed)
{
	return deeds[deed].is_healthy;
}

uint64_t lab_cpu_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * RK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void lab_nap(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / RK_NS_PER_S), (long)(ns % RK_NS_PER_S) };

	(void)nanosleep(&ts, NULL);
}

/* ---- subjects: these run in children ---- */

/* Takes so much CPU, however long that takes. */
static void burn(uint64_t ns)
{
	uint64_t end_ns = lab_cpu_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (lab_cpu_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
		;
}

static void job_begin(struct rk_beat *b)
{
	atomic_fetch_add_explicit(&b->job, 1, memory_order_relaxed);
	atomic_store_explicit(&b->state, RK_BEAT_RUNNING, memory_order_release);
}

static void job_end(struct rk_beat *b)
{
	atomic_fetch_add_explicit(&b->n_jobs, 1, memory_order_relaxed);
	atomic_store_explicit(&b->state, RK_BEAT_READY, memory_order_release);
}

static void *read_late(void *arg)
{
	const int *pipes = arg;
	char byte;

	for (uint64_t wait = 300 * MS; read(pipes[0], &byte, 1) == 1;
	     wait = wait > 1500 * MS ? 300 * MS : wait + 400 * MS) {
		lab_nap(wait);
		(void)!write(pipes[3], "x", 1);
	}
	return NULL;
}

/* Another process answers 0.3 to 1.9 s after it was asked. */
static void answerer_start(int pipes[4])
{
	if (pipe(pipes) < 0 || pipe(pipes + 2) < 0)
		_exit(1);
	if (fork() != 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)read_late(pipes);
	_exit(0);
}

static void read_once(const int pipes[4], bool polls)
{
	struct pollfd p = { .fd = pipes[2], .events = POLLIN };
	char byte;

	(void)!write(pipes[1], "x", 1);
	while (polls && poll(&p, 1, -1) != 1)
		;
	(void)!read(pipes[2], &byte, 1);
}

static void sync_once(void)
{
	static const char page[4096];
	uint64_t end_ns = rk_clock_ns() + 300 * MS;
	FILE *f = tmpfile();

	while (f && rk_clock_ns() < end_ns) {
		(void)!write(fileno(f), page, sizeof(page));
		(void)fsync(fileno(f));
	}
	if (f)
		(void)fclose(f);
}

static void *hold_and_burn(void *mutex)
{
	(void)pthread_mutex_lock(mutex);
	burn(150 * MS);
	(void)pthread_mutex_unlock(mutex);
	return NULL;
}

static void helper_once(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_t helper;

	if (pthread_create(&helper, NULL, hold_and_burn, &mutex))
		_exit(1);
	lab_nap(MS);
	(void)pthread_mutex_lock(&mutex);
	(void)pthread_mutex_unlock(&mutex);
	(void)pthread_join(helper, NULL);
}

static void child_once(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		burn(150 * MS);
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
}

static void deadlock(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	(void)pthread_mutex_lock(&mutex);
	(void)pthread_mutex_lock(&mutex);
}

/* The kernel lets a parent behind vfork() wait in D, as a read from a dead disk would. */
static void wait_in_d(void)
{
	if (vfork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
}

/* What it is here for. Whoever is stopped, traced or frozen goes on beating until then. */
static void deed_do(enum lab_deed deed, const int pipes[4])
{
	switch (deed) {
	case LAB_READS:
	case LAB_POLLS:
		read_once(pipes, deed == LAB_POLLS);
		return;
	case LAB_SYNCS:
		sync_once();
		return;
	case LAB_HELPER:
		helper_once();
		return;
	case LAB_CHILD:
		child_once();
		return;
	case LAB_DEADLOCK:
		deadlock();
		return;
	case LAB_LOOP:
		for (;;)
			__asm__ volatile("");
	case LAB_LIVELOCK:
		for (;;)
			lab_nap(MS);
	case LAB_DISK:
		wait_in_d();
		return;
	case LAB_BEATS:
	case LAB_PARKED:
	case LAB_STOP:
	case LAB_STOP_PARKED:
	case LAB_TRACE:
	case LAB_FREEZE_V1:
	case LAB_FREEZE_V2:
	case LAB_DEEDS:
		break;
	}
	burn(2 * MS);
	lab_nap(8 * MS);
}

_Noreturn void lab_deed_live(enum lab_deed deed, struct rk_beat *b, uint64_t sick_ns)
{
	bool is_healthy = lab_deed_is_healthy(deed);
	int pipes[4];

	if (deed == LAB_READS || deed == LAB_POLLS)
		answerer_start(pipes);
	if (deed == LAB_PARKED || deed == LAB_STOP_PARKED) {
		atomic_store_explicit(&b->state, RK_BEAT_PARKED, memory_order_release);
		for (;;)
			(void)pause();
	}
	for (;;) {
		bool is_time = is_healthy || rk_clock_ns() >= sick_ns;

		job_begin(b);
		deed_do(is_time ? deed : LAB_BEATS, pipes);
		job_end(b);
	}
}

/* ---- what is done to them ---- */

static bool word_write(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word);

	if (fd >= 0)
		(void)close(fd);
	return done;
}

static const char *const freezer_roots[] = { "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified",
					     "/sys/fs/cgroup" };

static void cgroup_path(char path[static 128], uint32_t root, const char *file)
{
	(void)snprintf(path, 128, "%s/rk-lab-%d%s%s", freezer_roots[root], (int)getpid(),
		       *file ? "/" : "", file);
}

/* Into a cgroup of its own, which is then frozen or thawed. */
static bool freeze_in(pid_t pid, uint32_t root, bool on)
{
	char path[128], number[16];
	bool is_v1 = root == 0;

	cgroup_path(path, root, "");
	if (on && mkdir(path, 0700) < 0)
		return false;
	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	cgroup_path(path, root, "cgroup.procs");
	if (on && !word_write(path, number))
		return false;
	cgroup_path(path, root, is_v1 ? "freezer.state" : "cgroup.freeze");
	return word_write(path, is_v1 ? (on ? "FROZEN" : "THAWED") : (on ? "1" : "0"));
}

static bool freeze(enum lab_deed deed, pid_t pid, bool on)
{
	if (deed == LAB_FREEZE_V1)
		return freeze_in(pid, 0, on);
	return freeze_in(pid, 1, on) || freeze_in(pid, 2, on);
}

void lab_cgroup_remove(const char *path)
{
	for (int i = 0; i < 1000 && rmdir(path) < 0 && errno == EBUSY; i++)
		lab_nap(MS); /* what died with a subject is still on its way out */
}

void lab_deed_clean(void)
{
	char path[128];

	for (uint32_t root = 0; root < rk_countof(freezer_roots); root++) {
		cgroup_path(path, root, "");
		lab_cgroup_remove(path);
	}
}

bool lab_deed_do_to(enum lab_deed deed, pid_t pid)
{
	switch ((unsigned int)deed) {
	case LAB_STOP:
	case LAB_STOP_PARKED:
		return kill(pid, SIGSTOP) == 0;
	case LAB_TRACE:
		return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 &&
		       ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0;
	case LAB_FREEZE_V1:
	case LAB_FREEZE_V2:
		return freeze(deed, pid, true);
	default:
		return true; /* it does it to itself */
	}
}

void lab_deed_undo(enum lab_deed deed, pid_t pid)
{
	if (deed == LAB_FREEZE_V1 || deed == LAB_FREEZE_V2)
		(void)freeze(deed, pid, false);
}

void lab_hogs(uint32_t n)
{
	static pid_t hog[HOGS_MAX];
	static uint32_t n_hogs;

	while (n_hogs > 0) {
		(void)kill(hog[--n_hogs], SIGKILL);
		(void)waitpid(hog[n_hogs], NULL, 0);
	}
	for (; n_hogs < rk_min_u32(n, HOGS_MAX); n_hogs++) {
		hog[n_hogs] = fork();
		if (hog[n_hogs] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				__asm__ volatile("");
		}
	}
}
