/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define LINE_MAX_LEN 1000

/* The process's settings: the one global that base keeps, written once by rk_log_init(). */
static struct {
	struct rk_log_conf conf;
	int is_journal;
} log_process = { .conf = { .name = "rekindle", .most = RK_LOG_WARNING } };

/* systemd names the stream it gave us; if stderr was redirected since, it is another one. */
static int stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return 0;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void rk_log_init(const struct rk_log_conf *conf)
{
	log_process.conf = *conf;
	log_process.is_journal = stderr_is_journal();
}

static int head_format(char *line, size_t size, enum rk_log_level level)
{
	if (log_process.is_journal)
		return snprintf(line, size, "<%d>", (int)level);
	return snprintf(line, size, "%s: ", log_process.conf.name);
}

static void line_clean(char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
}

bool rk_log_is_wanted(enum rk_log_level level)
{
	return level <= log_process.conf.most;
}

void rk_log(enum rk_log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN + 2]; /* newline and NUL */
	int saved = errno;
	size_t len;
	va_list args;
	int n;

	if (!rk_log_is_wanted(level))
		return;
	len = rk_min_size((size_t)head_format(line, LINE_MAX_LEN / 2, level), LINE_MAX_LEN / 2 - 1);
	errno = saved; /* for %m */
	va_start(args, fmt);
	n = vsnprintf(line + len, LINE_MAX_LEN + 1 - len, fmt, args);
	va_end(args);
	len += n > 0 ? (size_t)n : 0;
	if (len > LINE_MAX_LEN) {
		len = LINE_MAX_LEN;
		memcpy(line + len - 3, "...", 3);
	}
	line_clean(line, len);
	line[len++] = '\n';
	n = rk_write_all(STDERR_FILENO, line, len);
	(void)n; /* there is nowhere to report it to */
	errno = saved;
}
