/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* All of it, or not the same. */
static bool has_text(int fd, const char *text, size_t len)
{
	char part[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0) {
		if ((size_t)n > len - at || memcmp(part, text + at, (size_t)n) != 0)
			return false;
		at += (size_t)n;
	}
	return n == 0 && at == len;
}

static bool is_same(const char *path, const char *text, size_t len)
{
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && has_text(fd, text, len);
}

/* -errno; what is there under this name is a killed writer's. */
static int new_write(const char *path, const char *text, size_t len)
{
	rk_cleanup(rk_close_p) int fd = -1;
	int r;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	r = rk_write_all(fd, text, len);
	if (r < 0)
		return r;
	return close(rk_take_fd(&fd)) < 0 ? -errno : 0;
}

int rk_map_file_put(const char *path, const char *text, size_t len, struct rk_err *err)
{
	char new[PATH_MAX];
	int r;

	if (is_same(path, text, len))
		return RK_MAP_FILE_SAME;
	/* Two that write the same file do not write the same new one. */
	if (snprintf(new, sizeof(new), "%s.%d.new", path, (int)getpid()) >= (int)sizeof(new))
		return rk_err_set(err, -EIO, "cannot write '%.120s': its name is too long", path);
	r = new_write(new, text, len);
	if (r == 0 && rename(new, path) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	(void)unlink(new);
	return rk_err_set(err, -EIO, "cannot write '%.120s': %s", path, strerror(-r));
}
