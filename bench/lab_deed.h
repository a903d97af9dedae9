/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deeds: what the lab's subjects do and what is done to them.
 *
 * Who       live: the subject's own process. The rest: the lab.
 * Crash     helpers, children and hogs die with their parent.
 */
#ifndef RK_BENCH_LAB_DEED_H
#define RK_BENCH_LAB_DEED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "shm/abi.h"

enum lab_deed {
	LAB_BEATS,  /* short jobs for ever */
	LAB_READS,  /* each job waits 0.3 to 2 s in read() */
	LAB_POLLS,  /* … in poll() */
	LAB_SYNCS,  /* each job writes and fsyncs a file for 0.3 s */
	LAB_HELPER, /* each job waits for a mutex that a helper thread holds for 150 ms of CPU */
	LAB_CHILD,  /* the same with a child process */
	LAB_PARKED, /* idle */
	LAB_DEADLOCK,
	LAB_LOOP,
	LAB_LIVELOCK,
	LAB_DISK, /* for ever in state D: behind vfork(), whose child neither ends nor executes */
	LAB_STOP,
	LAB_STOP_PARKED, /* stopped while idle; then work comes */
	LAB_TRACE,
	LAB_FREEZE_V1,
	LAB_FREEZE_V2,
	LAB_DEEDS
};

const char *lab_deed_name(enum lab_deed deed);
bool lab_deed_is_healthy(enum lab_deed deed);

/* Runs jobs and declares them on the page; who is to misbehave begins to at sick_ns. */
_Noreturn void lab_deed_live(enum lab_deed deed, struct rk_beat *beat, uint64_t sick_ns);

/* Stops, traces, freezes. False if this machine cannot do it. */
bool lab_deed_do_to(enum lab_deed deed, pid_t pid);

/* Thaws it, so that it can be killed. */
void lab_deed_undo(enum lab_deed deed, pid_t pid);

/* Removes the cgroups, once their processes are reaped. */
void lab_deed_clean(void);

/* Removes an empty cgroup; waits up to a second for it to become empty. */
void lab_cgroup_remove(const char *path);

/* From now on n processes spin; 0 ends them. */
void lab_hogs(uint32_t n);

uint64_t lab_cpu_ns(clockid_t clock);
void lab_nap(uint64_t ns);

#endif
