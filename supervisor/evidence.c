/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "shm/beat.h"

/* ---- gathering ---- */

static void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

static void say_why_not(char *text, size_t size, int error)
{
	(void)snprintf(text, size, "%s (%s)",
		       error == EACCES || error == EPERM ? "not permitted" : "not available",
		       strerror(error));
}

/* A file of /proc/PID/task/TID as text without its last newline; or why it cannot be read. False
 * then. */
static bool file_text(const struct rk_observe_thread *t, const char *file, char *text, size_t size)
{
	char path[80];
	ssize_t n;
	rk_cleanup(rk_close_p) int fd = -1;

	(void)snprintf(path, sizeof(path), "task/%d/%s", (int)t->tid, file);
	fd = openat(t->dir_fd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (n < 0) {
		say_why_not(text, size, errno);
		return false;
	}
	n -= n > 0 && text[n - 1] == '\n';
	text[n] = '\0';
	return true;
}

/* "[<0>] do_nanosleep+0x67/0x100" per line becomes "do_nanosleep < hrtimer_nanosleep". */
static void stack_shorten(const char *raw, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (const char *line = raw; *line;
	     line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
		const char *name = strncmp(line, "[<", 2) == 0 ? strchr(line, ' ') : NULL;
		int n_name = name ? (int)strcspn(name + 1, "+\n") : 0;

		if (n_name == 0 || len + (size_t)n_name + 4 > size)
			continue;
		len += (size_t)snprintf(text + len, size - len, "%s%.*s", len ? " < " : "", n_name,
					name + 1);
	}
	if (len == 0)
		(void)snprintf(text, size, "empty: it runs, or the kernel keeps none");
}

static void stack_gather(const struct rk_observe_thread *t, char *text, size_t size)
{
	char raw[2048];

	if (file_text(t, "stack", raw, sizeof(raw)))
		stack_shorten(raw, text, size);
	else
		memcpy(text, raw,
		       rk_min_size(size - 1,
				   strlen(raw) + 1)); /* it ends with a NUL: text was zero */
}

static void thread_gather(const struct rk_observe_thread *t, struct rk_evidence_thread *ret)
{
	*ret = (struct rk_evidence_thread){ .pid = t->pid,
					    .tid = t->tid,
					    .state = t->state ? t->state : '?' };
	(void)file_text(t, "comm", ret->name, sizeof(ret->name));
	if (file_text(t, "wchan", ret->wchan, sizeof(ret->wchan)) && strcmp(ret->wchan, "0") == 0)
		(void)snprintf(ret->wchan, sizeof(ret->wchan),
			       "none shown"); /* it runs, or we may not know */
	(void)file_text(t, "syscall", ret->syscall, sizeof(ret->syscall));
	stack_gather(t, ret->stack, sizeof(ret->stack));
	printable(ret->name);
	printable(ret->wchan);
	printable(ret->syscall);
	printable(ret->stack);
}

void rk_evidence_gather(const struct rk_evidence_case *c, const struct rk_finding *f,
			const struct rk_observe *o, struct rk_evidence *ret)
{
	struct rk_observe_thread thread[RK_EVIDENCE_THREADS];

	memset(ret, 0, sizeof(*ret));
	ret->wall_ns = c->wall_ns;
	ret->worker = c->worker;
	ret->pid = c->pid;
	ret->incarnation = c->incarnation;
	ret->key_hash = c->key_hash;
	ret->response = c->response;
	ret->finding = *f;
	ret->n_threads = o ? rk_observe_threads(o, thread, RK_EVIDENCE_THREADS) : 0;
	ret->n_more = f->look.n_threads > ret->n_threads ? f->look.n_threads - ret->n_threads : 0;
	for (uint32_t i = 0; i < ret->n_threads; i++)
		thread_gather(&thread[i], &ret->thread[i]);
}

/* ---- formatting ---- */

struct out {
	char *text;
	size_t len;
};

RK_PRINTF(2, 3) static void line(struct out *o, const char *fmt, ...)
{
	size_t room = RK_EVIDENCE_TEXT - o->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->text + o->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		o->text[o->len] = '\0'; /* no half lines */
	else
		o->len += (size_t)n;
}

static const char *date(uint64_t wall_ns, char text[static 32])
{
	time_t s = (time_t)(wall_ns / RK_NS_PER_S);
	struct tm tm;

	if (!gmtime_r(&s, &tm) || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		text[0] = '\0';
	return text;
}

static void head_format(const struct rk_evidence *e, struct out *o)
{
	const struct rk_finding *f = &e->finding;
	char text[RK_DETECT_LINE], when[32];

	line(o,
	     "worker %" PRIu32 " (pid %" PRId32 ", incarnation %" PRIu64 ") %s: %s, response %s\n",
	     e->worker, e->pid, e->incarnation, date(e->wall_ns, when), rk_verdict_name(f->verdict),
	     rk_response_name(e->response));
	line(o, "  %s\n", rk_detect_format(f, text));
	if (f->phase == RK_PHASE_WORKING && f->partition == RK_BEAT_SIGN)
		line(o, "  awaits a sign of life of what it runs\n");
	else if (f->phase == RK_PHASE_WORKING && e->key_hash)
		line(o, "  job %" PRIu64 " of partition %" PRIu32 ", key hash %016" PRIx64 "\n",
		     f->job, f->partition, e->key_hash);
	else if (f->phase == RK_PHASE_WORKING)
		line(o, "  job %" PRIu64 " of partition %" PRIu32 ", key not known\n", f->job,
		     f->partition);
	if (f->look.error)
		line(o, "  its process cannot be seen: %s\n", strerror(-f->look.error));
	if (f->look.is_frozen)
		line(o, "  its cgroup is frozen\n");
	if (f->look.n_unread)
		line(o, "  %u threads or processes could not be read\n", f->look.n_unread);
}

size_t rk_evidence_format(const struct rk_evidence *e, char text[static RK_EVIDENCE_TEXT])
{
	struct out o = { .text = text };
	uint32_t n = rk_min_u32(e->n_threads, RK_EVIDENCE_THREADS);

	text[0] = '\0';
	head_format(e, &o);
	for (uint32_t i = 0; i < n; i++) {
		const struct rk_evidence_thread *t = &e->thread[i];

		line(&o,
		     "  thread %" PRId32 " of %" PRId32
		     " (%s) state %c\n    wchan %s\n    syscall %s\n    stack %s\n",
		     t->tid, t->pid, t->name, t->state, t->wchan, t->syscall, t->stack);
	}
	if (e->n_more)
		line(&o, "  and %u more threads\n", e->n_more);
	return o.len;
}
