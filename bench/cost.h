/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process costs, read from /proc: how often it woke up, the CPU time it burnt, the memory
 * it holds. Of processes that have ended there is nothing to read, and the bench ends.
 *
 * Who       one process.
 * Units     ms of CPU time; MiB of proportional set size.
 */
#ifndef RK_BENCH_COST_H
#define RK_BENCH_COST_H

#include <stdint.h>
#include <sys/types.h>

/* Context switches of its threads of this name; NULL: of all. */
uint64_t bench_switches(pid_t pid, const char *name);

/* CPU time of its threads of this name; NULL: of all. */
double bench_cpu_ms(pid_t pid, const char *name);

double bench_pss_mib(pid_t pid);

/* The same without shared memory that has no file: what is a fleet's, and not the process's own. */
double bench_own_pss_mib(pid_t pid);

/* Its children, at most n_max of them; how many they are. None if it has ended. */
uint32_t bench_children(pid_t pid, pid_t *ret, uint32_t n_max);

#endif
