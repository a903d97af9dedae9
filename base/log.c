/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define LINE_MAX_LEN 1000

/*
 * The process's settings: the one global that base keeps, written by main() and
 * whoever learns whose process it is. The count is relaxed: it orders nothing.
 */
static struct {
	struct rk_log_conf conf;
	bool is_journal;
	int (*take)(void *arg, const struct rk_log_line *line);
	void *take_arg;
	char whose[64];
	_Atomic unsigned long n_lost;
} log_process = { .conf = { .name = "rekindle", .most = RK_LOG_WARNING } };

/* systemd names the stream it gave us; if the descriptor was redirected since, it is another one.
 */
bool rk_log_is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void rk_log_init(const struct rk_log_conf *conf)
{
	log_process.conf = *conf;
	log_process.is_journal = rk_log_is_journal(STDERR_FILENO);
}

void rk_log_divert(int (*take)(void *arg, const struct rk_log_line *line), void *arg)
{
	log_process.take = take;
	log_process.take_arg = arg;
}

void rk_log_whose(const char *name)
{
	(void)snprintf(log_process.whose, sizeof(log_process.whose), "%s", name);
}

bool rk_log_keeps_fields(void)
{
	return log_process.take && log_process.is_journal;
}

static int head_format(char *line, size_t size, enum rk_log_level level)
{
	char now[RK_CLOCK_TEXT];

	if (log_process.is_journal)
		return snprintf(line, size, "<%d>", (int)level);
	if (!log_process.whose[0])
		return snprintf(line, size, "%s: ", log_process.conf.name);
	return snprintf(line, size, "%s %s %s[%d]: ", rk_clock_wall_text(now, rk_clock_wall_ns()), log_process.whose,
			log_process.conf.name, (int)getpid());
}

static void line_clean(char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
}

/* ---- one line ---- */

/* The journal's end of stderr may be full for as long as the journal stands still. */
static int stderr_write(const char *line, size_t len)
{
	ssize_t n;

	if (!log_process.is_journal)
		return rk_write_all(STDERR_FILENO, line, len);
	do
		n = send(STDERR_FILENO, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ENOTSOCK)
		return rk_write_all(STDERR_FILENO, line, len);
	return n < 0 ? -errno : 0; /* this little is queued as a whole or not at all */
}

/* A line and where its text begins, behind the head. */
struct line {
	size_t head, len;
	char at[LINE_MAX_LEN + 2]; /* newline and NUL */
};

RK_PRINTF(3, 0)
static void line_format(struct line *l, enum rk_log_level level, const char *fmt, va_list args)
{
	int saved = errno, n;

	l->head = rk_min_size((size_t)head_format(l->at, LINE_MAX_LEN / 2, level),
			      LINE_MAX_LEN / 2 - 1);
	errno = saved; /* for %m */
	n = vsnprintf(l->at + l->head, LINE_MAX_LEN + 1 - l->head, fmt, args);
	l->len = l->head + (n > 0 ? (size_t)n : 0);
	if (l->len > LINE_MAX_LEN) {
		l->len = LINE_MAX_LEN;
		memcpy(l->at + l->len - 3, "...", 3);
	}
	line_clean(l->at, l->len);
}

static int line_out(struct line *l, enum rk_log_level level, const struct rk_log_field *fields,
		    size_t n_fields)
{
	const struct rk_log_line to_take = { .level = level,
					     .text = l->at + l->head,
					     .len = l->len - l->head,
					     .whose = log_process.whose,
					     .fields = fields,
					     .n_fields = n_fields };

	if (rk_log_keeps_fields() && log_process.take(log_process.take_arg, &to_take) == 0)
		return 0;
	l->at[l->len] = '\n';
	return stderr_write(l->at, l->len + 1);
}

RK_PRINTF(2, 3) static int line_say(enum rk_log_level level, const char *fmt, ...)
{
	struct line l;
	va_list args;

	va_start(args, fmt);
	line_format(&l, level, fmt, args);
	va_end(args);
	return line_out(&l, level, NULL, 0);
}

/* One got through: say how many did not. */
static void lost_say(void)
{
	unsigned long n;

	if (atomic_load_explicit(&log_process.n_lost, memory_order_relaxed) == 0)
		return;
	n = atomic_exchange_explicit(&log_process.n_lost, 0, memory_order_relaxed);
	if (n &&
	    line_say(RK_LOG_WARNING, "lines of the log found no room and are lost n=%lu", n) < 0)
		(void)atomic_fetch_add_explicit(&log_process.n_lost, n, memory_order_relaxed);
}

/* ---- for everybody ---- */

bool rk_log_is_wanted(enum rk_log_level level)
{
	return level <= log_process.conf.most;
}

RK_PRINTF(4, 0)
static void log_v(enum rk_log_level level, const struct rk_log_field *fields, size_t n_fields,
		  const char *fmt, va_list args)
{
	int saved = errno;
	struct line l;

	if (!rk_log_is_wanted(level))
		return;
	line_format(&l, level, fmt, args);
	if (line_out(&l, level, fields, n_fields) < 0)
		(void)atomic_fetch_add_explicit(&log_process.n_lost, 1, memory_order_relaxed);
	else
		lost_say();
	errno = saved;
}

void rk_log(enum rk_log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_v(level, NULL, 0, fmt, args);
	va_end(args);
}

void rk_log_with(enum rk_log_level level, const struct rk_log_field *fields, size_t n_fields,
		 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_v(level, fields, n_fields, fmt, args);
	va_end(args);
}
