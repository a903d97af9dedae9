/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Blanks behind the name, field 2 of proc(5). */
#define FIELDS_TO_THREADS 18   /* num_threads is field 20 */
#define FIELDS_TO_BEGUN 20     /* starttime is field 22 */
#define FIELDS_TO_EXIT_CODE 50 /* exit_code is field 52 */

/* PIDFD_GET_INFO, which the headers of Linux 6.1 do not know. */
struct info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t ids[11];
	int32_t exit_code;
};
#define INFO_EXIT (UINT64_C(1) << 3)
#define GET_INFO _IOWR(0xff, 11, struct info)

_Static_assert(sizeof(struct info) == 64, "the first version of the kernel's");

int rk_proc_open(pid_t pid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The number behind n blanks. 0 or -EPROTO. */
static int field_parse(const char *text, int n, long *ret)
{
	const char *at = strrchr(text, ')'); /* the name may hold anything, ')' and blanks too */
	char *end;

	for (int i = 0; at && i < n; i++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	if (!at)
		return -EPROTO;
	*ret = strtol(at, &end, 10);
	return end == at ? -EPROTO : 0;
}

int rk_proc_parse_threads(const char *text)
{
	long n = 0;

	if (field_parse(text, FIELDS_TO_THREADS, &n) < 0 || n < 0 || n > 1 << 22)
		return -EPROTO;
	return (int)n;
}

/* A wait status as waitid() has it. */
static void exit_take(int code, int *ret_code, int *ret_status)
{
	*ret_code = WIFEXITED(code) ? CLD_EXITED : WCOREDUMP(code) ? CLD_DUMPED : CLD_KILLED;
	*ret_status = WIFEXITED(code) ? WEXITSTATUS(code) : WTERMSIG(code);
}

int rk_proc_parse_exit(const char *text, int *ret_code, int *ret_status)
{
	long code = 0;

	if (field_parse(text, FIELDS_TO_EXIT_CODE, &code) < 0 || code < 0 || code > 0xffff)
		return -EPROTO;
	if (code == 0)
		return -ENODATA;
	exit_take((int)code, ret_code, ret_status);
	return 0;
}

int rk_proc_reaped(int pidfd, int *ret_code, int *ret_status)
{
	struct info info = { .mask = INFO_EXIT };

	if (ioctl(pidfd, GET_INFO, &info) < 0)
		return -errno;
	if (!(info.mask & INFO_EXIT))
		return -ENODATA;
	exit_take(info.exit_code, ret_code, ret_status);
	return 0;
}

/* Returns 0 or -errno. */
static int text_read(int stat_fd, char *text, size_t size)
{
	ssize_t n = pread(stat_fd, text, size - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return 0;
}

int rk_proc_parse_begun(const char *text, uint64_t *ret)
{
	long ticks = 0;

	if (field_parse(text, FIELDS_TO_BEGUN, &ticks) < 0 || ticks < 0)
		return -EPROTO;
	*ret = (uint64_t)ticks;
	return 0;
}

int rk_proc_begun(int stat_fd, uint64_t *ret)
{
	char text[1024];
	int r = text_read(stat_fd, text, sizeof(text));

	return r < 0 ? r : rk_proc_parse_begun(text, ret);
}

int rk_proc_end(int stat_fd, struct rk_proc_end *ret)
{
	char text[1024];
	int r = text_read(stat_fd, text, sizeof(text));

	ret->n_threads = r == -ESRCH ? 0 : r < 0 ? r : rk_proc_parse_threads(text);
	return r < 0 ? r : rk_proc_parse_exit(text, &ret->code, &ret->status);
}

int rk_proc_parse_oom_kills(const char *text, uint64_t *ret)
{
	static const char word[] = "\noom_kill ";
	const char *at = strstr(text, word);
	char *end;
	uint64_t n;

	if (!at)
		return -EPROTO;
	at += sizeof(word) - 1;
	n = strtoull(at, &end, 10);
	if (end == at)
		return -EPROTO;
	*ret = n;
	return 0;
}

int rk_proc_oom_kills(uint64_t *ret)
{
	rk_cleanup(rk_close_p) int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	char text[16384];
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len < sizeof(text) - 1) { /* procfs gives a page at a time */
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	text[len] = '\0';
	return rk_proc_parse_oom_kills(text, ret);
}

int rk_proc_parse_catches(const char *text, uint32_t sig)
{
	static const char word[] = "\nSigCgt:\t";
	const char *at = strstr(text, word);
	char *end;
	uint64_t caught;

	if (!at || sig < 1 || sig > 64)
		return -EPROTO;
	at += sizeof(word) - 1;
	caught = strtoull(at, &end, 16);
	return end == at ? -EPROTO : (int)(caught >> (sig - 1) & 1);
}

int rk_proc_catches(pid_t pid, uint32_t sig)
{
	char path[32], text[4096];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = text_read(fd, text, sizeof(text));
	return r < 0 ? r : rk_proc_parse_catches(text, sig);
}

bool rk_proc_parse_running(const char *text)
{
	const char *end = strrchr(text, ')'); /* a name may hold anything */

	return end && end[1] == ' ' && end[2] && !strchr("TtZXx", end[2]);
}

bool rk_proc_is_running(int stat_fd)
{
	char text[512];
	int r = text_read(stat_fd, text, sizeof(text));

	return r < 0 ? r != -ESRCH : rk_proc_parse_running(text);
}
