/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/rundir.h"

#define SUFFIX ".conf"
#define NULL_DEVICE makedev(1, 3)

/* By priority, highest first. */
static const char *const places[] = { "/etc/rekindle", "/run/rekindle", "/usr/lib/rekindle" };

enum presence { ABSENT, THERE, MASKED };

/* A drop-in, before they are sorted. */
struct drop {
	char *path;
	const char *name; /* the last part of path */
	enum presence presence;
};

struct drops {
	struct drop at[RK_SOURCES_MAX];
	uint32_t n;
};

static void drops_free_p(struct drops *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		free(d->at[i].path);
}

static void dir_close_p(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* ---- single files ---- */

/* ENOENT and ENOTDIR are answers; what may not be looked at is there, and reading it says so. */
static enum presence look(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? ABSENT : THERE;
	if (S_ISCHR(st.st_mode) && st.st_rdev == NULL_DEVICE)
		return MASKED;
	return S_ISREG(st.st_mode) && st.st_size == 0 ? MASKED : THERE;
}

static bool has_suffix(const char *name)
{
	size_t len = strlen(name);

	return len > strlen(SUFFIX) && name[0] != '.' &&
	       strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

static int read_all(int fd, char *text, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, text + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

int rk_sources_read(const char *path, size_t max, char **ret_text, size_t *ret_len,
		    struct rk_err *err)
{
	/* Non-blocking: opening a FIFO must not wait for its writer. */
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	rk_cleanup(rk_free_p) char *text = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return rk_err_set(err, -errno, "cannot be read: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return rk_err_set(err, -EINVAL, "is no regular file");
	text = malloc(max + 1);
	if (!text)
		return rk_err_set(err, -ENOMEM, "no memory");
	r = read_all(fd, text, max + 1, ret_len);
	if (r < 0)
		return rk_err_set(err, r, "cannot be read: %s", strerror(-r));
	if (*ret_len > max)
		return rk_err_set(err, -EFBIG, "is larger than %zu KiB", max / 1024);
	text[*ret_len] = '\0';
	*ret_text = rk_take_ptr(&text);
	return 0;
}

/* ---- drop-ins ---- */

static bool is_known(const struct drops *d, const char *name)
{
	for (uint32_t i = 0; i < d->n; i++)
		if (strcmp(d->at[i].name, name) == 0)
			return true;
	return false;
}

static int drop_add(struct drops *d, const char *directory, const char *name, struct rk_err *err)
{
	struct drop *to = &d->at[d->n];

	if (!has_suffix(name) || is_known(d, name))
		return 0;
	if (d->n == RK_SOURCES_MAX)
		return rk_err_set(err, -E2BIG, "%s: there are more than %u drop-ins", directory,
				  RK_SOURCES_MAX);
	if (asprintf(&to->path, "%s/%s", directory, name) < 0)
		return rk_err_set(err, -ENOMEM, "no memory");
	to->name = strrchr(to->path, '/') + 1;
	to->presence = look(to->path);
	d->n++;
	return 0;
}

static int drops_of(struct drops *d, const char *directory, struct rk_err *err)
{
	rk_cleanup(dir_close_p) DIR *dir = opendir(directory);
	struct dirent *entry;
	int r = 0;

	if (!dir && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!dir)
		return rk_err_set(err, -errno, "%s: cannot be read: %s", directory,
				  strerror(errno));
	while (r == 0 && (entry = readdir(dir)))
		r = drop_add(d, directory, entry->d_name, err);
	return r;
}

static int by_name(const void *left, const void *right)
{
	return strcmp(((const struct drop *)left)->name, ((const struct drop *)right)->name);
}

/* Sorts what was found and appends the paths of what is not masked. */
static int drops_take(struct drops *d, struct rk_wordlist *to)
{
	int r = 0;

	qsort(d->at, d->n, sizeof(d->at[0]), by_name);
	for (uint32_t i = 0; r == 0 && i < d->n; i++)
		if (d->at[i].presence == THERE)
			r = rk_wordlist_add(to, d->at[i].path);
	return r;
}

/* ---- configurations ---- */

static int path_make(char path[static PATH_MAX], const char *root, const char *place,
		     const char *name, const char *suffix, struct rk_err *err)
{
	int root_len = (int)strlen(root), n;

	while (root_len > 0 && root[root_len - 1] == '/')
		root_len--;
	n = snprintf(path, PATH_MAX, "%.*s%s/%s%s", root_len, root, place, name, suffix);
	return n < PATH_MAX ? 0 : rk_err_set(err, -ENAMETOOLONG, "%.60s...: too long", root);
}

static int nothing_there(const char *root, const char *name, struct rk_err *err)
{
	bool is_root = strspn(root, "/") == strlen(root);

	return rk_err_set(
		err, -ENOENT,
		"there is no %s" SUFFIX
		" in %s, %s or %s%s%s: write one, or give a file with its path, such as ./%s%s",
		name, places[0], places[1], places[2], is_root ? "" : " below ",
		is_root ? "" : root, name, has_suffix(name) ? "" : SUFFIX);
}

/* The main file of highest priority; *ret_path is its. */
static int main_find(const char *root, const char *name, char path[static PATH_MAX],
		     struct rk_err *err)
{
	for (size_t i = 0; i < rk_countof(places); i++) {
		int r = path_make(path, root, places[i], name, SUFFIX, err);
		enum presence p = r < 0 ? ABSENT : look(path);

		if (r < 0)
			return r;
		if (p == MASKED)
			return rk_err_set(
				err, -ENOENT,
				"%s is empty or a link to /dev/null: '%s' is switched off", path,
				name);
		if (p == THERE)
			return 0;
	}
	return nothing_there(root, name, err);
}

static int name_find(const char *root, const char *name, struct rk_sources *s, struct drops *d,
		     struct rk_err *err)
{
	char path[PATH_MAX];
	int r = rk_name_check(name, err);

	if (r < 0)
		return r;
	memcpy(s->name, name, strlen(name) + 1); /* rk_name_check() bounds it */
	r = main_find(root, name, path, err);
	if (r < 0)
		return r;
	r = rk_wordlist_add(&s->path, path);
	for (size_t i = 0; r == 0 && i < rk_countof(places); i++) {
		r = path_make(path, root, places[i], name, SUFFIX ".d", err);
		if (r == 0)
			r = drops_of(d, path, err);
	}
	return r;
}

/* A file and its own drop-ins; its name without ".conf" is the configuration's. */
static int file_find(const char *file, struct rk_sources *s, struct drops *d, struct rk_err *err)
{
	const char *base = strrchr(file, '/') + 1;
	size_t len = strlen(base) - (has_suffix(base) ? strlen(SUFFIX) : 0);
	char name[RK_NAME_MAX], path[PATH_MAX];
	int r;

	(void)snprintf(name, sizeof(name), "%.*s", (int)rk_min_size(len, RK_NAME_MAX), base);
	r = len < RK_NAME_MAX ? rk_name_check(name, err)
			      : rk_err_set(err, -EINVAL, "'%.60s...' is too long a name", base);
	if (r < 0)
		return r;
	memcpy(s->name, name, sizeof(name));
	if (snprintf(path, sizeof(path), "%s.d", file) >= (int)sizeof(path))
		return rk_err_set(err, -ENAMETOOLONG, "%.60s...: too long", file);
	if (look(file) == ABSENT)
		return rk_err_set(err, -ENOENT, "there is no file %s", file);
	r = rk_wordlist_add(&s->path, file);
	return r < 0 ? r : drops_of(d, path, err);
}

int rk_sources_find(const char *root, const char *what, struct rk_sources *ret, struct rk_err *err)
{
	rk_cleanup(rk_sources_free_p) struct rk_sources s = { 0 };
	rk_cleanup(drops_free_p) struct drops d = { .n = 0 };
	int r = strchr(what, '/') ? file_find(what, &s, &d, err)
				  : name_find(root, what, &s, &d, err);

	if (r == 0)
		r = drops_take(&d, &s.path);
	if (r == -ENOMEM)
		return rk_err_set(err, r, "no memory");
	if (r < 0)
		return r;
	*ret = s;
	s = (struct rk_sources){ 0 };
	return 0;
}

int rk_sources_list(const char *root, struct rk_wordlist *names, struct rk_err *err)
{
	rk_cleanup(drops_free_p) struct drops d = { .n = 0 };
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < rk_countof(places); i++) {
		r = path_make(path, root, places[i], "", "", err);
		if (r == 0)
			r = drops_of(&d, path, err);
	}
	qsort(d.at, d.n, sizeof(d.at[0]), by_name);
	for (uint32_t i = 0; r == 0 && i < d.n; i++) {
		char *end = d.at[i].path + strlen(d.at[i].path) - strlen(SUFFIX);

		*end = '\0';
		if (d.at[i].presence == THERE)
			r = rk_wordlist_add(names, d.at[i].name);
	}
	return r == -ENOMEM ? rk_err_set(err, r, "no memory") : r;
}

void rk_sources_free_p(struct rk_sources *s)
{
	rk_wordlist_free_p(&s->path);
}
