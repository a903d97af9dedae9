/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/cost.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define PATH_LEN 300u

/* Sum of the numbers behind lines that begin with this word. */
static uint64_t sum_lines(const char *path, const char *word)
{
	char line[256], *at;
	uint64_t sum = 0;
	FILE *f = fopen(path, "re");

	bench_need(f != NULL, "/proc of the processes it measures");
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, word, strlen(word)) == 0 && (at = strchr(line, ':')))
			sum += strtoull(at + 1, NULL, 10);
	(void)fclose(f);
	return sum;
}

static void first_line(const char *path, char *ret, int len)
{
	FILE *f = fopen(path, "re");

	bench_need(f != NULL, "/proc of the processes it measures");
	*ret = '\0';
	(void)!fgets(ret, len, f);
	(void)fclose(f);
	ret[strcspn(ret, "\n")] = '\0';
}

/* NULL fits all. */
static bool is_named(const char *dir, const char *name)
{
	char path[PATH_LEN + 16], is[32];

	if (!name)
		return true;
	(void)snprintf(path, sizeof(path), "%s/comm", dir);
	first_line(path, is, sizeof(is));
	return strcmp(is, name) == 0;
}

/* What one thread adds to a sum; dir is its folder in /proc. */
typedef uint64_t (*per_thread)(const char *dir);

static uint64_t sum_threads(pid_t pid, per_thread of, const char *name)
{
	char path[PATH_LEN];
	struct dirent *entry;
	uint64_t sum = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	bench_need(dir != NULL, "/proc of the processes it measures");
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s", pid, entry->d_name);
		if (is_named(path, name))
			sum += of(path);
	}
	(void)closedir(dir);
	return sum;
}

static uint64_t thread_switches(const char *dir)
{
	char path[PATH_LEN + 16];

	(void)snprintf(path, sizeof(path), "%s/status", dir);
	return sum_lines(path, "voluntary_ctxt_switches") + sum_lines(path, "nonvoluntary_ctxt_switches");
}

static uint64_t thread_cpu_ns(const char *dir)
{
	char path[PATH_LEN + 16], line[96];

	(void)snprintf(path, sizeof(path), "%s/schedstat", dir);
	first_line(path, line, sizeof(line));
	return strtoull(line, NULL, 10);
}

uint64_t bench_switches(pid_t pid, const char *name)
{
	return sum_threads(pid, thread_switches, name);
}

double bench_cpu_ms(pid_t pid, const char *name)
{
	return (double)sum_threads(pid, thread_cpu_ns, name) / 1e6;
}

double bench_pss_mib(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	return (double)sum_lines(path, "Pss:") / 1024;
}

double bench_own_pss_mib(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	return (double)(sum_lines(path, "Pss:") - sum_lines(path, "Pss_Shmem:")) / 1024;
}

static uint32_t thread_children(const char *dir, pid_t *ret, uint32_t n_max)
{
	char path[PATH_LEN + 16];
	uint32_t n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/children", dir);
	f = fopen(path, "re");
	while (f && n < n_max && fscanf(f, "%d", &ret[n]) == 1)
		n++;
	if (f)
		(void)fclose(f);
	return n;
}

uint32_t bench_children(pid_t pid, pid_t *ret, uint32_t n_max)
{
	char path[PATH_LEN];
	struct dirent *entry;
	uint32_t n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s", pid, entry->d_name);
		n += thread_children(path, ret + n, n_max - n);
	}
	if (dir)
		(void)closedir(dir);
	return n;
}
