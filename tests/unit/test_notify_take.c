/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    what systemd gives a process it starts is told apart by name and kind; what was meant for
 *         another process is left alone, and what is forged or contradicts itself is refused and closed.
 * Method  a child with exactly the descriptors and the environment of a line of a table, as behind
 *         an exec by systemd, tells what it made of them.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/notify.h"
#include "tests/unit/unit.h"

/* m: memory, c: unix stream socket that listens, t: tcp, d: unix datagram, p: connected. */
static const struct {
	const char *given, *pid, *fds, *names;
	int r;
	const char *why; /* or "name,name,control" of what was taken */
	bool is_ours; /* if it is refused: it was meant for us, and as many as it says */
} gifts[] = {
	{ "", NULL, NULL, NULL, 0, "", false },
	{ "", NULL, NULL, "a:b", 0, "", false },
	{ "mmm", "self", "3", "a:b c:d", 0, "a,b c,d,", false },
	{ "mcm", "self", "3", "a:control:d", 0, "a,d,control", false },
	{ "c", "self", "1", "control", 0, "control", false },
	{ "p", "self", "1", "link", 0, "link,", false },
	{ "m", "1", "1", "a", 0, "", false },
	{ "m", "1", "x", "a", 0, "", false },
	{ "", "self", "0", "", 0, "", false },
	{ "m", NULL, "1", "a", -EINVAL, "LISTEN_FDS is set, but not LISTEN_PID", false },
	{ "m", "self", NULL, "a", -EINVAL, "LISTEN_PID is set, but not LISTEN_FDS", false },
	{ "m", "-5", "1", "a", -EINVAL, "LISTEN_PID: ", false },
	{ "m", "0", "1", "a", -EINVAL, "LISTEN_PID: ", false },
	{ "m", "self", "-1", "a", -EINVAL, "LISTEN_FDS: ", false },
	{ "m", "self", "1x", "a", -EINVAL, "LISTEN_FDS: ", false },
	{ "m", "self", "1000000", "a", -EINVAL, "LISTEN_FDS: ", true },
	{ "mm", "self", "3", "a:b:c", -EINVAL, "LISTEN_FDS=3, but descriptor 5 did not come with them", true },
	{ "mm", "self", "2", "a", -EINVAL, "LISTEN_FDNAMES has 1 name for LISTEN_FDS=2", true },
	{ "mm", "self", "2", NULL, -EINVAL, "LISTEN_FDNAMES has 0 names for LISTEN_FDS=2", true },
	{ "mm", "self", "2", "a:b:c", -EINVAL, "LISTEN_FDNAMES has more names than LISTEN_FDS=2", true },
	{ "mm", "self", "2", "a:", -EINVAL, "LISTEN_FDNAMES: name 2 is empty", true },
	{ "mm", "self", "2", ":a", -EINVAL, "LISTEN_FDNAMES: name 1 is empty", true },
	{ "mm", "self", "2", "a:b\nc", -EINVAL,
	  "LISTEN_FDNAMES: name 2 is empty, too long or not", true },
	{ "mm", "self", "2", "a:a", -EINVAL, "descriptors 3 and 4 are both called 'a'", true },
	{ "cc", "self", "2", "control:control", -EINVAL, "are both called 'control'", true },
	{ "m", "self", "1", "control", -EINVAL,
	  "descriptor 3 is called control and is no listening", true },
	{ "p", "self", "1", "control", -EINVAL,
	  "descriptor 3 is called control and is no listening", true },
	{ "d", "self", "1", "control", -EINVAL,
	  "descriptor 3 is called control and is no listening", true },
	{ "t", "self", "1", "control", -EINVAL, "is no unix stream socket", true },
	{ "c", "self", "1", "0.control", 0, "0.control,", false },
	{ "c", "self", "1", "a.socket", -EINVAL, "FileDescriptorName=control", true },
};

/* What a child made of it. */
struct outcome {
	int r;
	bool is_env_left, is_wrong_flag, is_wrong_file, is_left_open, is_own_closed;
	struct rk_err err;
	char told[512];
};

static int listening(int domain, int type)
{
	int fd = socket(domain, type, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX }; /* bound by the kernel, to any name */

	if (domain == AF_UNIX)
		(void)bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t));
	if (type == SOCK_STREAM)
		(void)listen(fd, 1);
	return fd;
}

static int gift(char kind)
{
	int p[2];

	switch (kind) {
	case 'c':
		return listening(AF_UNIX, SOCK_STREAM);
	case 't':
		return listening(AF_INET, SOCK_STREAM);
	case 'd':
		return listening(AF_UNIX, SOCK_DGRAM);
	case 'p':
		return socketpair(AF_UNIX, SOCK_STREAM, 0, p) < 0 ? -1 : p[0];
	default:
		return memfd_create("rk-test", 0);
	}
}

static void env_set(const char *name, const char *value)
{
	char self[16];

	snprintf(self, sizeof(self), "%d", (int)getpid());
	if (value)
		(void)setenv(name, strcmp(value, "self") == 0 ? self : value, 1);
	else
		(void)unsetenv(name);
}

/* In a child: descriptors 3 and up are those given, as behind an exec by systemd. */
static void gifts_take(size_t i, struct outcome *o)
{
	struct rk_notify_taken t = { .control = -1 };
	size_t n_given = strlen(gifts[i].given), at = 0;
	bool is_refused = gifts[i].r < 0 && gifts[i].is_ours;
	int high[8], flags, own;

	for (size_t k = 0; k < n_given; k++)
		high[k] = fcntl(gift(gifts[i].given[k]), F_DUPFD, 100);
	for (size_t k = 0; k < n_given; k++)
		(void)dup2(high[k], 3 + (int)k);
	(void)close_range(3 + (unsigned int)n_given, 99, 0);
	own = fcntl(0, F_DUPFD_CLOEXEC, 3); /* right behind them */
	env_set("LISTEN_PID", gifts[i].pid);
	env_set("LISTEN_FDS", gifts[i].fds);
	env_set("LISTEN_FDNAMES", gifts[i].names);
	o->r = rk_notify_take(&t, &o->err);
	o->is_env_left = getenv("LISTEN_PID") || getenv("LISTEN_FDS") || getenv("LISTEN_FDNAMES");
	flags = t.n || t.control >= 0 ? FD_CLOEXEC : is_refused ? -1 : 0; /* what is not ours is not touched */
	o->is_own_closed = fcntl(own, F_GETFD) != FD_CLOEXEC;
	for (size_t k = 0; k < n_given; k++)
		o->is_wrong_flag |= fcntl(3 + (int)k, F_GETFD) != flags;
	for (uint32_t k = 0; k < t.n; k++)
		at += (size_t)snprintf(o->told + at, sizeof(o->told) - at, "%s,", t.at[k].name);
	(void)snprintf(o->told + at, sizeof(o->told) - at, "%s", t.control < 0 ? "" : "control");
	for (uint32_t k = 0; k < t.n; k++)
		o->is_wrong_file |= t.at[k].fd < 3 || t.at[k].fd >= 3 + (int)n_given ||
				    (gifts[i].given[t.at[k].fd - 3] == 'c' && t.at[k].name[0] != '0');
	rk_notify_taken_free_p(&t);
	for (size_t k = 0; k < n_given; k++)
		o->is_left_open |= o->told[0] && fcntl(3 + (int)k, F_GETFD) >= 0;
}

START_TEST(what_systemd_gives_back_is_told_apart_or_refused)
{
	struct outcome *o =
		mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		gifts_take((size_t)_i, o);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_msg(o->r == gifts[_i].r, "%d, %s", o->r, o->err.text);
	if (o->r == 0)
		ck_assert_str_eq(o->told, gifts[_i].why);
	else
		ck_assert_msg(strstr(o->err.text, gifts[_i].why) != NULL, "%s", o->err.text);
	ck_assert(!o->is_env_left);
	ck_assert(!o->is_wrong_flag);
	ck_assert(!o->is_wrong_file);
	ck_assert(!o->is_left_open);
	ck_assert(!o->is_own_closed);
	ck_assert_int_eq(munmap(o, sizeof(*o)), 0);
}
END_TEST

static int file_new(void)
{
	int fd = memfd_create("rk-test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(a_descriptor_is_taken_out_by_its_name_once)
{
	struct rk_notify_fd *at = calloc(2, sizeof(*at));
	struct rk_notify_taken t = { .n = 2, .at = at, .control = file_new() };
	int a = file_new(), b = file_new(), control = t.control;

	ck_assert_ptr_nonnull(at);
	at[0] = (struct rk_notify_fd){ .fd = a, .name = "a" };
	at[1] = (struct rk_notify_fd){ .fd = b, .name = "b" };
	ck_assert_int_eq(rk_notify_taken_get(&t, "c"), -1);
	ck_assert_int_eq(rk_notify_taken_get(&t, "b"), b);
	ck_assert_int_eq(rk_notify_taken_get(&t, "b"), -1);
	rk_notify_taken_free_p(&t);
	ck_assert_int_lt(fcntl(a, F_GETFD), 0);
	ck_assert_int_lt(fcntl(control, F_GETFD), 0);
	ck_assert_int_eq(close(b), 0);
	rk_notify_taken_free_p(&t); /* empty by now */
}
END_TEST

int main(void)
{
	TCase *c = unit_case("notify_take");

	tcase_add_loop_test(c, what_systemd_gives_back_is_told_apart_or_refused, 0,
			    rk_countof(gifts));
	tcase_add_test(c, a_descriptor_is_taken_out_by_its_name_once);
	return unit_run(c);
}
