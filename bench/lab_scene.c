/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/lab_scene.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"

static const struct {
	const char *name;
	uint64_t ns;
	bool is_healthy;
} scenes[LAB_SCENES] = {
	[LAB_CALM] = { "calm", 4 * RK_NS_PER_S, true },
	[LAB_HOGS] = { "64 hogs", 7 * RK_NS_PER_S, true },
	[LAB_QUOTA] = { "cpu quota", 4 * RK_NS_PER_S, true },
	[LAB_STORM] = { "fork, vm and disk storm", 5 * RK_NS_PER_S, true },
	[LAB_SICK] = { "sick", 20 * RK_NS_PER_S, false },
	[LAB_SICK_HOGS] = { "sick among 64 hogs", 12 * RK_NS_PER_S, false },
	[LAB_SICK_HOGS_REALTIME] = { "sick among 64 hogs, real-time watch", 40 * RK_NS_PER_S,
				     false },
};

const char *lab_scene_name(enum lab_scene scene)
{
	return scenes[scene].name;
}

bool lab_scene_is_healthy(enum lab_scene scene)
{
	return scenes[scene].is_healthy;
}

/* Those that never wait on their own account are held to Blocking=no. */
static void healthy_fill(struct lab *l)
{
	static const struct rk_detect_bounds strict = { .is_nonblocking = true }, usual = { 0 };

	lab_add(l, LAB_READS, usual);
	lab_add(l, LAB_POLLS, usual);
	lab_add(l, LAB_SYNCS, usual);
	lab_add(l, LAB_HELPER, strict);
	lab_add(l, LAB_CHILD, strict);
	lab_add(l, LAB_PARKED, strict);
	lab_add(l, LAB_BEATS, strict);
	lab_add(l, LAB_BEATS, strict);
}

void lab_scene_fill(struct lab *l, enum lab_scene scene)
{
	struct rk_detect_bounds second = { .hang_after_ns = RK_NS_PER_S };
	struct rk_detect_bounds brief = { .hang_after_ns = 40 * RK_NS_PER_MS };

	if (lab_scene_is_healthy(scene)) {
		healthy_fill(l);
		return;
	}
	l->sick_after_ns = RK_NS_PER_S;
	lab_add(l, LAB_DEADLOCK, second);
	lab_add(l, LAB_STOP, second);
	lab_add(l, LAB_STOP_PARKED, second);
	lab_add(l, LAB_TRACE, second);
	lab_add(l, LAB_LOOP, scene == LAB_SICK ? second : brief);
	if (scene != LAB_SICK)
		return;
	lab_add(l, LAB_DEADLOCK, (struct rk_detect_bounds){ .is_nonblocking = true });
	lab_add(l, LAB_LIVELOCK, second);
	lab_add(l, LAB_LIVELOCK, (struct rk_detect_bounds){ .is_nonblocking = true });
	lab_add(l, LAB_DISK, second);
	lab_add(l, LAB_FREEZE_V1, second);
	lab_add(l, LAB_FREEZE_V2, second);
}

/* ---- machines ---- */

static bool word_to(const char *dir, const char *file, const char *word)
{
	char path[160];
	int fd, n = snprintf(path, sizeof(path), "%s/%s", dir, file);
	bool done;

	if (n >= (int)sizeof(path))
		return false;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word);
	if (fd >= 0)
		(void)close(fd);
	return done;
}

/* cgroup v1's quota, else v2's. The directory is written to path if it could be made. */
static bool quota_make(char path[static 96])
{
	(void)snprintf(path, 96, "/sys/fs/cgroup/cpu/rk-quota-%d", (int)getpid());
	if (mkdir(path, 0700) == 0) {
		if (word_to(path, "cpu.cfs_period_us", "100000") &&
		    word_to(path, "cpu.cfs_quota_us", "10000"))
			return true;
		(void)rmdir(path);
	}
	(void)snprintf(path, 96, "/sys/fs/cgroup/rk-quota-%d", (int)getpid());
	if (mkdir(path, 0700) < 0)
		return false;
	if (word_to(path, "cpu.max", "10000 100000"))
		return true;
	(void)rmdir(path);
	return false;
}

/* Ours is moved out of the way first: children are born into it, we watch from outside. */
static void into_quota(void *path)
{
	(void)word_to(path, "cgroup.procs", "0");
}

static const char *quota_play(struct lab *l)
{
	char path[96];

	if (!quota_make(path))
		return "cgroup: no cgroup with a CPU quota can be made here";
	l->enter = into_quota;
	l->enter_arg = path;
	lab_run(l, scenes[LAB_QUOTA].ns);
	lab_cgroup_remove(path);
	return NULL;
}

/* stress-ng runs in a group of its own, which ends with it. */
static pid_t storm_start(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (chdir("/tmp") == 0)
		(void)execlp("stress-ng", "stress-ng", "--fork", "2", "--vm", "2", "--vm-bytes",
			     "64M", "--hdd", "2", "--hdd-bytes", "32M", "--quiet", "--timeout",
			     "60s", (char *)NULL);
	_exit(127);
}

static const char *storm_play(struct lab *l)
{
	pid_t pid = storm_start();
	int status = 0;

	lab_nap(300 * RK_NS_PER_MS);
	if (pid < 0 || waitpid(pid, &status, WNOHANG) == pid)
		return "stress-ng: it is not installed";
	lab_run(l, scenes[LAB_STORM].ns);
	(void)kill(pid, SIGTERM); /* it removes its files and children */
	(void)waitpid(pid, &status, 0);
	return NULL;
}

const char *lab_scene_play(struct lab *l, enum lab_scene scene)
{
	switch ((unsigned int)scene) {
	case LAB_QUOTA:
		return quota_play(l);
	case LAB_STORM:
		return storm_play(l);
	case LAB_HOGS:
	case LAB_SICK_HOGS:
	case LAB_SICK_HOGS_REALTIME:
		lab_hogs(64);
		break;
	default:
		break;
	}
	l->is_realtime = scene == LAB_SICK_HOGS_REALTIME;
	lab_run(l, scenes[scene].ns);
	lab_hogs(0);
	return NULL;
}
