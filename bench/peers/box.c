/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peers/box.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/peers/peer.h"

#define DEPTH 32 /* descriptors of a walk */

/* ---- files and cgroups ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	if (at->level > 0)
		(void)remove(path);
	return 0;
}

/* The files of a cgroup cannot be removed, and go with it. */
static int remove_folder(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (type == FTW_DP && at->level > 0)
		(void)rmdir(path);
	return 0;
}

void box_empty(const char *dir)
{
	(void)nftw(dir, remove_one, DEPTH, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void box_empty_cgroup(const char *cgroup)
{
	if (*cgroup)
		(void)nftw(cgroup, remove_folder, DEPTH, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The caller's own in the hierarchy of version 2; false if there is none. */
static bool own_cgroup(char *ret, size_t size)
{
	const char *root = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" :
									      "/sys/fs/cgroup/unified";
	char line[PATH_MAX / 4];
	bool found = false;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strncmp(line, "0::/", 4) == 0;
	if (f)
		(void)fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return found && snprintf(ret, size, "%s%s", root, line + 3) < (int)size;
}

static void box_make(struct box *b)
{
	const char *tmp = getenv("TMPDIR");
	char own[PATH_MAX / 4 + 64];

	*b = (struct box){ 0 };
	(void)snprintf(b->dir, sizeof(b->dir), "%s/rekindle-peers-XXXXXX", tmp && strlen(tmp) < 30 ? tmp : "/tmp");
	bench_need(mkdtemp(b->dir) != NULL, "a folder of its own");
	if (!own_cgroup(own, sizeof(own)))
		return;
	(void)snprintf(b->cgroup, sizeof(b->cgroup), "%s/rekindle-peers-%d", own, (int)getpid());
	if (mkdir(b->cgroup, 0755) < 0)
		*b->cgroup = '\0';
}

static void box_remove(const struct box *b)
{
	box_empty(b->dir);
	(void)rmdir(b->dir);
	box_empty_cgroup(b->cgroup);
	if (*b->cgroup)
		(void)rmdir(b->cgroup);
}

/* ---- processes ---- */

/* Forked children are in a namespace of their own from now on, if that is allowed. */
static bool try_namespace(void)
{
	return unshare(CLONE_NEWPID) == 0;
}

/* The first process of a namespace needs the /proc that shows it. */
static bool see_namespace(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

static void guard_signals(sigset_t *ret)
{
	(void)sigemptyset(ret);
	(void)sigaddset(ret, SIGTERM);
	(void)sigaddset(ret, SIGINT);
	(void)sigaddset(ret, SIGHUP);
	(void)sigaddset(ret, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, ret, NULL);
}

/* Waits for the bench, which it kills when asked to end. Its exit status. */
static int guard_wait(pid_t bench, const sigset_t *signals)
{
	int sig, status = 0;

	while (waitpid(bench, &status, WNOHANG) == 0)
		if (sigwait(signals, &sig) == 0 && sig != SIGCHLD)
			(void)kill(bench, SIGKILL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int box_run(int (*body)(const struct box *box, void *arg), void *arg)
{
	struct box b;
	sigset_t signals;
	bool is_apart;
	pid_t bench;
	int status;

	box_make(&b);
	guard_signals(&signals);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	is_apart = try_namespace();
	bench = fork();
	bench_need(bench >= 0, "a child process");
	if (bench == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
		(void)sigprocmask(SIG_UNBLOCK, &signals, NULL);
		bench_need(!is_apart || see_namespace(), "a view of its own processes");
		exit(body(&b, arg));
	}
	status = guard_wait(bench, &signals);
	peer_end_all();
	box_remove(&b);
	return status;
}
