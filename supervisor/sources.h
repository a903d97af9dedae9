/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: which files make up a configuration, and their text.
 *
 *	/etc/rekindle/NAME.conf          the first of these three that is there is read,
 *	/run/rekindle/NAME.conf
 *	/usr/lib/rekindle/NAME.conf
 *	…/NAME.conf.d/X.conf             then every drop-in of all three, by file name; a name that
 *	                                 is in several directories counts in the first one only
 *
 * A file that is empty or a link to /dev/null masks the same name in the directories behind it.
 *
 * Who       the supervisor's configuration. Files are hostile input: only regular ones are
 *           read, and not beyond a bound.
 * Blocking  file system calls; allocates.
 */
#ifndef RK_SUPERVISOR_SOURCES_H
#define RK_SUPERVISOR_SOURCES_H

#include <stddef.h>

#include "base/err.h"
#include "base/wordlist.h"
#include "shm/abi.h"

#define RK_SOURCES_MAX 256u /* files of one configuration */

struct rk_sources {
	char name[RK_NAME_MAX];  /* of the configuration */
	struct rk_wordlist path; /* in the order in which they are to be read */
};

/*
 * Finds the files of `what` below root ("/" or "" for the whole system): a name, or with a '/'
 * in it a file that is read with its own FILE.d alone, wherever root is. Returns 0, and the
 * caller frees *ret; -ENOENT when there are none or they are masked, -EINVAL for what cannot
 * be a name, -E2BIG, -errno, each with a sentence.
 */
RK_MUST_USE int rk_sources_find(const char *root, const char *what, struct rk_sources *ret,
				struct rk_err *err);

/* Appends the names of all configurations below root, sorted, masked ones not. 0 or -errno. */
RK_MUST_USE int rk_sources_list(const char *root, struct rk_wordlist *names, struct rk_err *err);

/*
 * Reads a whole regular file of at most max bytes. Returns 0, and the caller frees *ret_text;
 * -EINVAL if it is none, -EFBIG, -errno, with a sentence that does not name the file.
 */
RK_MUST_USE int rk_sources_read(const char *path, size_t max, char **ret_text, size_t *ret_len,
				struct rk_err *err);

/* Frees all; also a cleanup. */
void rk_sources_free_p(struct rk_sources *s);

#endif
