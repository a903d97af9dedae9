/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/environment.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILE_MAX (256u << 10)
#define VARIABLES_MAX 4096u
#define ACCOUNT_ROOM 16384

extern char **environ;

/* What is ours alone: a worker that found it would speak to systemd in our name. */
static const char *const ours[] = { "REKINDLE_WORKER=", "REKINDLE_BRIDGE=", "REKINDLE_TREE=", "REKINDLE_KEEPER_FD=",
				    "NOTIFY_SOCKET=",   "WATCHDOG_USEC=",   "WATCHDOG_PID=",  "LISTEN_PID=",
				    "LISTEN_FDS=",      "LISTEN_FDNAMES=",  "LISTEN_PIDFDID=", "FDSTORE=" };

static bool is_ours(const char *variable)
{
	for (size_t i = 0; i < rk_countof(ours); i++)
		if (strncmp(variable, ours[i], strlen(ours[i])) == 0)
			return true;
	return false;
}

/* ---- a list of variables ---- */

void rk_environment_free_p(struct rk_environment *e)
{
	for (uint32_t i = 0; i < e->n; i++)
		free(e->at[i]);
	free(e->at);
	*e = (struct rk_environment){ 0 };
}

static int room_make(struct rk_environment *e)
{
	uint32_t room = e->room ? 2 * e->room : 64;
	char **at;

	if (e->n + 1 + RK_ENVIRONMENT_SPARE < e->room)
		return 0;
	at = realloc(e->at, room * sizeof(*at));
	if (!at)
		return -ENOMEM;
	e->at = at;
	e->room = room;
	return 0;
}

static int put(struct rk_environment *e, const char *variable, struct rk_err *err)
{
	size_t len = strcspn(variable, "=") + 1;
	char *copy = strdup(variable);

	for (uint32_t i = 0; copy && i < e->n; i++) {
		if (strncmp(e->at[i], variable, len) != 0)
			continue;
		free(e->at[i]);
		e->at[i] = copy;
		return 0;
	}
	if (!copy || e->n == VARIABLES_MAX || room_make(e) < 0) {
		free(copy);
		return rk_err_set(err, copy ? -E2BIG : -ENOMEM,
				  "no room for the workers' environment");
	}
	e->at[e->n++] = copy;
	e->at[e->n] = NULL;
	return 0;
}

int rk_environment_set(struct rk_environment *e, const char *variable, struct rk_err *err)
{
	if (is_ours(variable))
		return rk_err_set(err, -EINVAL, "%.*s is rekindle's own to set: take it out",
				  (int)strcspn(variable, "="), variable);
	return put(e, variable, err);
}

/* ---- what it begins with ---- */

static int inherit(struct rk_environment *e, struct rk_err *err)
{
	int r = room_make(e) < 0 ? rk_err_set(err, -ENOMEM, "no memory for the environment") : 0;

	if (r == 0)
		e->at[0] = NULL;
	for (char **v = environ; r == 0 && *v; v++)
		if (!is_ours(*v) && strchr(*v, '='))
			r = put(e, *v, err);
	return r;
}

static int pair_put(struct rk_environment *e, const char *name, const char *value,
		    struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *variable = NULL;

	if (asprintf(&variable, "%s=%s", name, value) < 0) {
		variable = NULL;
		return rk_err_set(err, -ENOMEM, "no memory for the environment");
	}
	return rk_environment_set(e, variable, err);
}

/* Of another user's account, which ours would be wrong for. */
static int account_put(struct rk_environment *e, const struct rk_who *user, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *room = malloc(ACCOUNT_ROOM);
	struct passwd entry, *found = NULL;
	int r;

	if (!room)
		return rk_err_set(err, -ENOMEM, "no memory for the workers' user");
	(void)getpwuid_r((uid_t)user->id, &entry, room, ACCOUNT_ROOM, &found);
	if (!found)
		return 0;
	r = pair_put(e, "HOME", found->pw_dir, err);
	if (r == 0)
		r = pair_put(e, "USER", found->pw_name, err);
	return r == 0 ? pair_put(e, "LOGNAME", found->pw_name, err) : r;
}

int rk_environment_init(struct rk_environment *e, const struct rk_fleet_options *o,
			struct rk_err *err)
{
	int r;

	*e = (struct rk_environment){ 0 };
	r = inherit(e, err);
	if (r == 0 && o->user.is_set)
		r = account_put(e, &o->user, err);
	for (uint32_t i = 0; r == 0 && i < o->environment.n; i++)
		r = rk_environment_set(e, o->environment.at[i], err);
	if (r < 0)
		rk_environment_free_p(e);
	return r;
}

/* ---- files ---- */

static bool is_name(const char *text, size_t len)
{
	if (len == 0 || isdigit((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '_')
			return false;
	return true;
}

static void blanks_trim(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && strchr(" \t\r", text[len - 1]))
		text[--len] = '\0';
}

/* A value in quotes; it must be one word. */
static int quoted_put(struct rk_environment *e, const char *name, const char *value,
		      struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist words = { 0 };
	int r = rk_wordlist_split(&words, value, 2, err);

	if (r == 0 && words.n != 1)
		r = rk_err_set(err, -EINVAL, "there is something behind the quoted value");
	return r == 0 ? pair_put(e, name, words.at[0], err) : r;
}

static int line_read(struct rk_environment *e, char *line, struct rk_err *err)
{
	char *value;

	line += strspn(line, " \t\r");
	if (*line == '\0' || *line == '#' || *line == ';')
		return 0;
	blanks_trim(line);
	value = strchr(line, '=');
	if (!value || !is_name(line, (size_t)(value - line)))
		return rk_err_set(err, -EINVAL, "'%.60s' is no NAME=VALUE", line);
	*value++ = '\0';
	return *value == '"' || *value == '\'' ? quoted_put(e, line, value, err)
					       : pair_put(e, line, value, err);
}

/* Opens a regular file only: a FIFO would hold up the supervisor. */
static int regular_open(const char *path, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return rk_err_set(err, -errno, "EnvironmentFile %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return rk_err_set(err, -EINVAL, "EnvironmentFile %s is no regular file", path);
	if (st.st_size > FILE_MAX)
		return rk_err_set(err, -EFBIG, "EnvironmentFile %s is longer than %u bytes", path,
				  FILE_MAX);
	return rk_take_fd(&fd);
}

/* Up to size bytes, and a NUL behind them. Returns how many. */
static ssize_t whole_read(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;

	while (len < size && (n = read(fd, text + len, size - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return n < 0 ? -errno : (ssize_t)len;
}

static int lines_read(struct rk_environment *e, const char *path, char *text, struct rk_err *err)
{
	char place[300];
	int r = 0;

	for (uint32_t n = 1; r == 0 && text; n++) {
		char *next = strchr(text, '\n');

		if (next)
			*next++ = '\0';
		r = line_read(e, text, err);
		if (r < 0) {
			(void)snprintf(place, sizeof(place), "EnvironmentFile %.200s:%u", path, n);
			return rk_err_prefix(err, r, place);
		}
		text = next;
	}
	return 0;
}

static int file_read(struct rk_environment *e, const char *path, struct rk_err *err)
{
	bool may_be_missing = *path == '-';
	rk_cleanup(rk_free_p) char *text = malloc(FILE_MAX + 1);
	rk_cleanup(rk_close_p) int fd = -1;
	ssize_t len;

	path += may_be_missing;
	if (!text)
		return rk_err_set(err, -ENOMEM, "no memory for EnvironmentFile %s", path);
	fd = regular_open(path, err);
	if (fd < 0)
		return fd == -ENOENT && may_be_missing ? 0 : fd;
	len = whole_read(fd, text, FILE_MAX);
	if (len < 0)
		return rk_err_set(err, (int)len, "EnvironmentFile %s: %s", path,
				  strerror((int)-len));
	if (strlen(text) != (size_t)len)
		return rk_err_set(err, -EINVAL, "EnvironmentFile %s holds a NUL byte", path);
	return lines_read(e, path, text, err);
}

int rk_environment_read(struct rk_environment *ret, const struct rk_environment *base,
			const struct rk_fleet_options *o, struct rk_err *err)
{
	struct rk_environment e = { 0 };
	int r = room_make(&e) < 0 ? rk_err_set(err, -ENOMEM, "no memory for the environment") : 0;

	if (r == 0)
		e.at[0] = NULL;
	for (uint32_t i = 0; r == 0 && i < base->n; i++)
		r = put(&e, base->at[i], err);
	for (uint32_t i = 0; r == 0 && i < o->environment_files.n; i++)
		r = file_read(&e, o->environment_files.at[i], err);
	if (r < 0) {
		rk_environment_free_p(&e);
		return r;
	}
	*ret = e;
	return 0;
}
