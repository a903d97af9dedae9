/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journald: lines of the log as entries of systemd's journal, with their fields, wherever stderr
 * is the journal. (journal.h is rekindle's own: the supervisor's half-finished operations.)
 *
 * The entries are written here and not with sd_journal_sendv(): that one waits for a journald that
 * does not read, and says that all is well where there is none. Here an entry that journald does
 * not take at once is refused, and base/log.h sends it to stderr, as it would without us.
 *
 * journald learns whose an entry is from /proc, when it comes to it: of a process that is gone by
 * then `journalctl -u` shows nothing. So whoever ends waits for it, rk_journald_settle().
 *
 * Who       rekindled's main() opens and settles it; rk_journald_take() from any thread of the
 *           process.
 * Crash     an entry is received whole or not at all; that of a process that was killed right
 *           behind it may be nobody's.
 * Blocking  never, but for rk_journald_settle(); no allocation, one system call for each entry.
 */
#ifndef RK_SUPERVISOR_JOURNALD_H
#define RK_SUPERVISOR_JOURNALD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/macro.h"

#define RK_JOURNALD_SOCKET "/run/systemd/journal/socket"
#define RK_JOURNALD_ENTRY_MAX 4096u /* bytes of an entry */

struct rk_journald {
	int fd;
	uint32_t address_len;
	struct sockaddr_un address;
	char identifier[32]; /* SYSLOG_IDENTIFIER */
	_Atomic bool has_sent; /* anything: else there is nothing to wait for */
};

/*
 * Opens a socket for journald at path; nobody needs to be there yet. Returns 0; -EINVAL for a path
 * that is too long; -errno.
 */
RK_MUST_USE int rk_journald_open(struct rk_journald *j, const char *path, const char *identifier);

/* For rk_log_divert(); arg is the struct. Whose the line is becomes REKINDLE_NAME. 0, or -errno:
 * nothing was sent. */
int rk_journald_take(void *arg, const struct rk_log_line *line);

/*
 * Waits until journald has worked through all that was sent, timeout_ms at most. Returns whether it
 * has. The last thing before the process ends.
 */
bool rk_journald_settle(const struct rk_journald *j, uint32_t timeout_ms);

/* Also a cleanup. */
void rk_journald_close_p(struct rk_journald *j);

#endif
