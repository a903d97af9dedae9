/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/percent.h"
#include "shm/words.h"

#define FILE_MODE 0640
#define SLOT_TEXT 12u

const char *rk_output_name(enum rk_output_to to)
{
	static const char *const names[] = { "inherit", "journal", "null", "file" };

	return (unsigned int)to < rk_countof(names) ? names[to] : "?";
}

/* A standby has no slot yet. */
static const char *slot_text(uint32_t slot, char text[static SLOT_TEXT])
{
	if (slot == RK_WORKER_NONE)
		return "standby";
	(void)snprintf(text, SLOT_TEXT, "%u", slot);
	return text;
}

int rk_output_path(const char *path, const char *fleet, uint32_t slot, char ret[static PATH_MAX],
		   struct rk_err *err)
{
	char number[SLOT_TEXT];
	const struct rk_percent with[] = { { 'f', fleet }, { 'i', slot_text(slot, number) }, { 0, NULL } };

	return rk_percent_expand(path, with, ret, PATH_MAX, err);
}

const char *rk_output_identifier(const char *fleet, uint32_t slot,
				 char ret[static RK_OUTPUT_IDENTIFIER])
{
	char number[SLOT_TEXT];

	(void)snprintf(ret, RK_OUTPUT_IDENTIFIER, "%s/%s", fleet, slot_text(slot, number));
	return ret;
}

bool rk_output_is_slots(const struct rk_output *o)
{
	return o->to == RK_OUTPUT_JOURNAL || (o->to == RK_OUTPUT_FILE && strstr(o->path, "%i"));
}

/* A regular file or a device; others might hold us up, or are a mistake. */
static int file_open(const char *path, int *ret_fd, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		     FILE_MODE);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return rk_err_set(err, -errno, "Output=file:%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return rk_err_set(err, -EINVAL, "Output=file:%s is no file", path);
	if (rk_fd_nonblock(fd, 0) < 0)
		return rk_err_set(err, -errno, "Output=file:%s: %s", path, strerror(errno));
	*ret_fd = rk_take_fd(&fd);
	return 0;
}

static int slot_file_open(const struct rk_output *o, const char *fleet, uint32_t slot, int *ret_fd,
			  struct rk_err *err)
{
	char path[PATH_MAX];
	int r = rk_output_path(o->path, fleet, slot, path, err);

	return r < 0 ? r : file_open(path, ret_fd, err);
}

static int journal_open(const char *fleet, uint32_t slot, int *ret_fd, struct rk_err *err)
{
	char identifier[RK_OUTPUT_IDENTIFIER];
	int fd = sd_journal_stream_fd(rk_output_identifier(fleet, slot, identifier), LOG_INFO, 1);

	if (fd < 0)
		return rk_err_set(err, fd, "Output=journal: the journal cannot be reached: %s",
				  strerror(-fd));
	*ret_fd = fd;
	return 0;
}

int rk_output_open(const struct rk_output *o, const char *fleet, uint32_t slot, int *ret_fd,
		   struct rk_err *err)
{
	int fd;

	switch (o->to) {
	case RK_OUTPUT_INHERIT:
		break;
	case RK_OUTPUT_JOURNAL:
		return journal_open(fleet, slot, ret_fd, err);
	case RK_OUTPUT_NULL:
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return rk_err_set(err, -errno, "/dev/null: %s", strerror(errno));
		*ret_fd = fd;
		return 0;
	case RK_OUTPUT_FILE:
		return slot_file_open(o, fleet, slot, ret_fd, err);
	}
	*ret_fd = -1;
	return 0;
}
