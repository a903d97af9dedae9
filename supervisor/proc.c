/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELDS_TO_THREADS 18 /* proc(5): num_threads is field 20, the name field 2 */

int rk_proc_open(pid_t pid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int rk_proc_parse_threads(const char *text)
{
	const char *at = strrchr(text, ')'); /* the name may hold anything, ')' and blanks too */
	long n;
	char *end;

	for (int i = 0; at && i < FIELDS_TO_THREADS; i++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	if (!at)
		return -EPROTO;
	n = strtol(at, &end, 10);
	return end == at || n < 0 || n > 1 << 22 ? -EPROTO : (int)n;
}

int rk_proc_threads(int stat_fd)
{
	char text[512];
	ssize_t n = pread(stat_fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return errno == ESRCH ? 0 : -errno;
	text[n] = '\0';
	return rk_proc_parse_threads(text);
}
