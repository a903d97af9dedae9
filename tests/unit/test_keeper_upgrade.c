/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    an upgrade goes the way of the drawing in keeper_upgrade.c whoever ends when, and each has
 *         an end that is told until it is noted; keeper that executes another binary has there all
 *         that it had, and a table that is damaged or another's is refused.
 * Method  keeper's struct with memory, processes and a link of the test's own. The other binary is this
 *         program once more: with a table in its environment it takes that up and writes down what it has
 *         become. The same table is then cut and changed.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/keeper_private.h"
#include "supervisor/options.h"
#include "tests/unit/unit.h"

#define TABLE "REKINDLE_KEEPER_TABLE"
#define GROUP 77u
#define TEXT_MAX 4096u
#define AT_VERSION 8 /* bytes into the table; keeper_upgrade.c */
#define AT_N_HELD 12
#define TABLE_LEN 184
#define ONE_LEN 112

/* ---- a keeper ---- */

static int memory_new(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void keep(struct rk_keeper *k, struct rk_link_msg msg)
{
	ck_assert_int_eq(rk_held_keep(&k->held, &msg, memory_new()), 0);
}

/* Its supervisor's end of the link is *ret_other. */
static struct rk_keeper keeper_new(int *ret_other)
{
	static char *argv[] = { (char *)"rekindled", NULL };
	struct rk_keeper k = { .argv = argv,
			       .supervisor = 4711,
			       .board = -1,
			       .signals = -1,
			       .upgrade.exe = -1,
			       .store = { .notify.fd = -1, .barrier = -1 },
			       .name = "words" };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	k.link = pair[0];
	*ret_other = pair[1];
	k.exe = memory_new();
	return k;
}

static void upgrade_begin(struct rk_keeper *k, int exe)
{
	const struct rk_link_msg msg = { .op = RK_LINK_UPGRADE, .value = GROUP };

	rk_keeper_upgrade_ask(k, &msg, &exe);
}

/* What the supervisor is told, or an op of 0. */
static struct rk_link_msg told(int other)
{
	struct rk_link_msg msg = { 0 };

	return recv(other, &msg, sizeof(msg), 0) == (ssize_t)sizeof(msg) ? msg : (struct rk_link_msg){ 0 };
}

static void noted(struct rk_keeper *k, uint64_t group)
{
	const struct rk_link_msg msg = { .op = RK_LINK_NOTED, .value = group };

	rk_keeper_upgrade_noted(k, &msg);
}

/* ---- the way ---- */

START_TEST(without_an_upgrade_an_end_is_one_like_any_other)
{
	int other;
	struct rk_keeper k = keeper_new(&other);

	ck_assert(!rk_keeper_upgrade_on_end(&k, "signal=SIGKILL"));
	rk_keeper_upgrade_on_ready(&k, RK_KEEPER_TABLE);
	ck_assert(rk_keeper_upgrade_is_idle(&k));
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_uint_eq(told(other).op, 0);
	ck_assert_uint_eq(rk_keeper_upgrade_due_ns(&k), RK_INFINITE);
	ck_assert_int_eq(rk_keeper_upgrade_exe(&k), k.exe);
}
END_TEST

/* Until the new one tries: its descriptor. */
static int try(struct rk_keeper *k)
{
	int exe = memory_new();

	upgrade_begin(k, exe);
	ck_assert(!rk_keeper_upgrade_is_idle(k));
	ck_assert_int_eq(rk_keeper_upgrade_exe(k), k->exe);
	ck_assert(rk_keeper_upgrade_on_end(k, "signal=SIGKILL"));
	ck_assert_str_eq(k->end.name, RK_LINK_WAY);
	ck_assert_int_eq(rk_keeper_upgrade_exe(k), exe);
	ck_assert_uint_lt(rk_keeper_upgrade_due_ns(k), RK_INFINITE);
	return exe;
}

static void is_back(struct rk_keeper *k, int other, const char *why)
{
	struct rk_link_msg msg;

	ck_assert_int_eq(rk_keeper_upgrade_exe(k), k->exe);
	ck_assert(!rk_keeper_upgrade_is_idle(k));
	ck_assert(rk_keeper_upgrade_tell(k));
	ck_assert_uint_eq(told(other).op, 0); /* nobody has come back yet */
	ck_assert(!rk_keeper_upgrade_on_end(k, "status=1")); /* that of the old one, on its way back */
	rk_keeper_upgrade_on_ready(k, RK_KEEPER_TABLE);
	ck_assert(rk_keeper_upgrade_is_idle(k));
	ck_assert(rk_keeper_upgrade_tell(k));
	msg = told(other);
	ck_assert_uint_eq(msg.op, RK_LINK_UPGRADED);
	ck_assert_int_eq(msg.code, RK_LINK_UPGRADED_NOT);
	ck_assert_uint_eq(msg.value, GROUP);
	ck_assert_str_eq(msg.name, why);
}

START_TEST(one_that_ends_before_it_is_ready_gives_way_to_the_old_one)
{
	int other;
	struct rk_keeper k = keeper_new(&other);
	int exe = try(&k);

	ck_assert(rk_keeper_upgrade_on_end(&k, "status=3"));
	ck_assert_int_lt(fcntl(exe, F_GETFD), 0);
	is_back(&k, other, "it ended before it was ready, status=3");
}
END_TEST

START_TEST(so_does_one_that_could_not_even_be_started)
{
	int other;
	struct rk_keeper k = keeper_new(&other);

	(void)try(&k);
	k.supervisor = 0;
	rk_keeper_upgrade_expire(&k);
	ck_assert_uint_eq(rk_keeper_upgrade_due_ns(&k), RK_INFINITE);
	is_back(&k, other, "it was not ready after 10 s");
}
END_TEST

START_TEST(and_one_that_hangs_which_is_killed)
{
	int other, status;
	struct rk_keeper k = keeper_new(&other);

	(void)try(&k);
	k.supervisor = fork();
	if (k.supervisor == 0)
		for (;;)
			(void)pause();
	rk_keeper_upgrade_expire(&k);
	ck_assert_int_eq(waitpid(k.supervisor, &status, 0), k.supervisor);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_uint_eq(rk_keeper_upgrade_due_ns(&k), RK_INFINITE);
	ck_assert(rk_keeper_upgrade_on_end(&k, "signal=SIGKILL"));
	is_back(&k, other, "it was not ready after 10 s");
}
END_TEST

START_TEST(the_outcome_is_told_to_each_supervisor_until_one_has_noted_it)
{
	int other;
	struct rk_keeper k = keeper_new(&other);

	(void)try(&k);
	ck_assert(rk_keeper_upgrade_on_end(&k, "status=3"));
	is_back(&k, other, "it ended before it was ready, status=3");
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_uint_eq(told(other).op, 0); /* once is enough for one */
	ck_assert(!rk_keeper_upgrade_on_end(&k, "signal=SIGKILL"));
	noted(&k, GROUP + 1); /* another's */
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_uint_eq(told(other).op, RK_LINK_UPGRADED);
	noted(&k, GROUP);
	ck_assert(!rk_keeper_upgrade_on_end(&k, "signal=SIGKILL"));
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_uint_eq(told(other).op, 0);
}
END_TEST

START_TEST(what_finds_no_room_is_told_later)
{
	const struct rk_link_msg filler = { .op = RK_LINK_SYNCED };
	int other;
	struct rk_keeper k = keeper_new(&other);

	(void)try(&k);
	ck_assert(rk_keeper_upgrade_on_end(&k, "status=3"));
	rk_keeper_upgrade_on_ready(&k, RK_KEEPER_TABLE);
	while (rk_keeper_say(&k, &filler, -1) == 0)
		;
	ck_assert(!rk_keeper_upgrade_tell(&k));
	while (told(other).op == RK_LINK_SYNCED)
		;
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_uint_eq(told(other).op, RK_LINK_UPGRADED);
}
END_TEST

START_TEST(a_second_one_is_not_begun_beside_the_first)
{
	int other, exe = memory_new();
	struct rk_keeper k = keeper_new(&other);

	upgrade_begin(&k, exe);
	upgrade_begin(&k, memory_new());
	ck_assert(rk_keeper_upgrade_on_end(&k, "signal=SIGKILL"));
	ck_assert_int_eq(rk_keeper_upgrade_exe(&k), exe);
}
END_TEST

START_TEST(a_keeper_that_has_killed_the_fleet_tries_nothing_more)
{
	int other;
	struct rk_keeper k = keeper_new(&other);

	(void)try(&k);
	k.killed = "asked to stop twice";
	ck_assert(!rk_keeper_upgrade_on_end(&k, "signal=SIGKILL"));
}
END_TEST

START_TEST(keeper_that_cannot_become_it_stays_as_it_was)
{
	struct rk_link_msg msg;
	int other, exe;
	struct rk_keeper k = keeper_new(&other);

	keep(&k, (struct rk_link_msg){ .kind = RK_LINK_MEMORY, .tag = 1, .name = "board" });
	k.store.is_on = true;
	exe = try(&k); /* it is empty: no program */
	rk_keeper_upgrade_on_ready(&k, RK_KEEPER_TABLE);
	ck_assert_int_eq(k.exe, exe); /* a supervisor that follows is of the new release, as this one is */
	ck_assert(rk_keeper_upgrade_tell(&k));
	msg = told(other);
	ck_assert_uint_eq(msg.op, RK_LINK_UPGRADED);
	ck_assert_int_eq(msg.code, RK_LINK_UPGRADED_SUPERVISOR);
	ck_assert_str_eq(msg.name, "keeper could not be replaced: Exec format error");
	ck_assert_int_eq(fcntl(k.link, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(k.exe, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(k.held.at[0].fd, F_GETFD), FD_CLOEXEC);
	ck_assert_ptr_null(getenv(TABLE));
	ck_assert_ptr_null(getenv(RK_STORE_ENVIRONMENT));
}
END_TEST

/* ---- what systemd has not been told ---- */

/* Its socket, which is full; what is put into the store now is late. */
static int systemd_new(struct rk_keeper *k, struct rk_link_msg msg)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(at);
	char name[32];
	struct rk_err err = { 0 };

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)), 0); /* to any abstract name */
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	(void)snprintf(name, sizeof(name), "@%.*s", (int)(len - sizeof(sa_family_t) - 1), at.sun_path + 1);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	ck_assert_msg(rk_notify_open(&k->store.notify, &err) == 0, "%s", err.text);
	k->store.is_on = true;
	while (rk_notify_send(&k->store.notify, "X=1") == 0)
		;
	keep(k, msg);
	rk_store_put(&k->store, &msg, k->held.at[k->held.n - 1].fd);
	return fd;
}

static const struct rk_link_msg late = { .kind = RK_LINK_MEMORY, .tag = 1, .name = "board" };

/* Whether systemd was told of this once it has read all. */
static bool was_told(int systemd, const char *what)
{
	char text[4096];
	ssize_t n;

	while ((n = recv(systemd, text, sizeof(text) - 1, 0)) >= 0) {
		text[n] = '\0';
		if (strstr(text, what))
			return true;
	}
	return false;
}

START_TEST(keeper_becomes_it_only_when_systemd_was_told_what_is_late)
{
	int other, exe, systemd;
	struct rk_keeper k = keeper_new(&other);

	systemd = systemd_new(&k, late);
	exe = try(&k); /* it is empty: what cannot be executed tells that keeper has tried to */
	rk_keeper_upgrade_on_ready(&k, RK_KEEPER_TABLE);
	rk_keeper_upgrade_go_on(&k);
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_uint_eq(told(other).op, 0);
	ck_assert(rk_keeper_upgrade_is_idle(&k)); /* should its supervisor end, that is an end like any other */
	ck_assert(!rk_keeper_upgrade_on_end(&k, "signal=SIGKILL"));
	ck_assert_int_eq(rk_keeper_upgrade_exe(&k), exe);
	rk_keeper_upgrade_on_ready(&k, RK_KEEPER_TABLE); /* the next one */
	ck_assert_uint_lt(rk_keeper_upgrade_due_ns(&k), RK_INFINITE);
	upgrade_begin(&k, memory_new());
	ck_assert_int_eq(rk_keeper_upgrade_exe(&k), exe); /* and no other upgrade begins */
	ck_assert(!was_told(systemd, "FDNAME=1.board"));
	rk_keeper_upgrade_go_on(&k);
	ck_assert(was_told(systemd, "FDSTORE=1\nFDPOLL=0\nFDNAME=1.board"));
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_str_eq(told(other).name, "keeper could not be replaced: Exec format error");
}
END_TEST

START_TEST(if_systemd_does_not_read_in_time_keeper_stays_as_it_was)
{
	struct rk_link_msg msg;
	int other, exe;
	struct rk_keeper k = keeper_new(&other);

	(void)systemd_new(&k, late);
	exe = try(&k);
	k.supervisor = 0; /* nobody's pid */
	rk_keeper_upgrade_on_ready(&k, RK_KEEPER_TABLE);
	rk_keeper_upgrade_expire(&k);
	ck_assert_uint_eq(rk_keeper_upgrade_due_ns(&k), RK_INFINITE);
	ck_assert_int_eq(k.exe, exe);
	ck_assert(rk_keeper_upgrade_tell(&k));
	msg = told(other);
	ck_assert_int_eq(msg.code, RK_LINK_UPGRADED_SUPERVISOR);
	ck_assert_str_eq(msg.name, "keeper could not be replaced: systemd does not read");
}
END_TEST

START_TEST(without_a_store_a_systemd_that_is_not_there_holds_nothing_up)
{
	int other, systemd;
	struct rk_keeper k = keeper_new(&other);

	systemd = systemd_new(&k, late);
	(void)close(systemd);
	k.store.is_on = false;
	(void)try(&k);
	rk_keeper_upgrade_on_ready(&k, RK_KEEPER_TABLE);
	ck_assert(rk_keeper_upgrade_tell(&k));
	ck_assert_str_eq(told(other).name, "keeper could not be replaced: Exec format error");
}
END_TEST

/* The child would be this program once more, which ends with another status than 0 there. */
START_TEST(keeper_does_not_become_one_that_takes_up_another_table)
{
	static const uint64_t tables[] = { RK_KEEPER_TABLE - 1, RK_KEEPER_TABLE + 1, 0 /* it does not say */ };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int other, exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		struct rk_keeper k = keeper_new(&other);
		struct rk_link_msg msg;

		upgrade_begin(&k, exe);
		k.upgrade.stage = RK_KEEPER_TRYING;
		rk_keeper_upgrade_on_ready(&k, tables[_i]);
		ck_assert_int_eq(k.exe, exe);
		ck_assert(rk_keeper_upgrade_tell(&k));
		msg = told(other);
		ck_assert_uint_eq(msg.op, RK_LINK_UPGRADED);
		ck_assert_int_eq(msg.code, RK_LINK_UPGRADED_SUPERVISOR);
		ck_assert_str_eq(msg.name, "keeper could not be replaced: it has another table");
		_exit(42);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 42, "it ended with %#x", (unsigned int)status);
}
END_TEST

/* ---- the table ---- */

static unsigned long inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) ? (unsigned long)st.st_ino : 0;
}

/* All that a keeper has to have again. */
static void describe(const struct rk_keeper *k, int exe, char text[static TEXT_MAX])
{
	FILE *to = fmemopen(text, TEXT_MAX, "w");

	(void)fprintf(to, "%s link=%lu exe=%lu supervisor=%d hup=%d stopping=%d told=%d signal=%u deaths=%u", k->name,
		      inode(k->link), inode(exe), (int)k->supervisor, k->hup_reloads, k->stopping, k->is_told, k->signal,
		      k->n_deaths);
	(void)fprintf(to, " stop=%lu kill=%lu since=%lu progress=%lu files=%lu:%lu group=%lu", k->stop_timeout_ns,
		      k->kill_at_ns, k->since_ns, k->progress_ns, (unsigned long)k->n_files.rlim_cur,
		      (unsigned long)k->n_files.rlim_max, k->upgrade.group);
	(void)fprintf(to, " begun=%d memory=%d ready=%d activated=%d handed=%u unreported=%u\n", k->has_begun, k->had_memory,
		      k->was_ready, k->store.is_activated, k->held.n_handed, k->held.n_unreported);
	for (uint32_t i = 0; i < k->held.n; i++) {
		const struct rk_held_one *h = &k->held.at[i];

		(void)fprintf(to, "%s %lu kind=%u pid=%d code=%d status=%d reported=%d tag=%lu value=%lu\n", h->name,
			      inode(h->fd), h->kind, h->pid, h->code, h->status, h->is_reported, h->tag, h->value);
	}
	(void)fclose(to);
}

/* A keeper with something in every member, whose supervisor is ready and who is to become this program. */
static struct rk_keeper full_new(char *const *argv, int *ret_other)
{
	struct rk_keeper k = keeper_new(ret_other);

	k.argv = argv;
	k.hup_reloads = k.stopping = k.is_told = k.has_begun = k.had_memory = k.was_ready = true;
	k.store.is_activated = true;
	k.signal = SIGTERM;
	k.n_deaths = 5;
	k.stop_timeout_ns = 6;
	k.kill_at_ns = 7;
	k.since_ns = 8;
	k.progress_ns = 9;
	k.n_files = (struct rlimit){ .rlim_cur = 10, .rlim_max = 11 };
	keep(&k, (struct rk_link_msg){ .kind = RK_LINK_MEMORY, .tag = 1, .name = "board" });
	keep(&k, (struct rk_link_msg){ .kind = RK_LINK_PROCESS, .pid = 100, .tag = 2 });
	keep(&k, (struct rk_link_msg){ .kind = RK_LINK_PROCESS, .pid = 101, .tag = 3, .value = 1 });
	keep(&k, (struct rk_link_msg){ .kind = RK_LINK_PEER, .tag = 4, .value = 12 });
	keep(&k, (struct rk_link_msg){ .kind = RK_LINK_PROCESS, .pid = 102, .tag = 5 });
	k.held.n_handed = k.held.n;
	ck_assert(rk_held_ended(&k.held, 100, CLD_KILLED, SIGKILL));
	ck_assert(rk_held_ended(&k.held, 102, CLD_EXITED, 3));
	rk_held_reported(&k.held, 1);
	k.upgrade.group = GROUP;
	return k;
}

/* Becomes this program, which leaves its description and the table in the files of argv. */
static void become(struct rk_keeper *k)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		upgrade_begin(k, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
		k->upgrade.stage = RK_KEEPER_TRYING;
		rk_keeper_upgrade_on_ready(k, RK_KEEPER_TABLE);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static size_t file_read(const char *path, char *to, size_t size)
{
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, to, size);

	ck_assert_int_ge(n, 0);
	return (size_t)n;
}

/* In the other binary. */
static int take_over(char **argv)
{
	char text[TEXT_MAX] = "", raw[TEXT_MAX];
	struct rk_keeper k = { .upgrade.exe = -1, .board = -1, .store = { .notify.fd = -1, .barrier = -1 } };
	int table = atoi(getenv(TABLE));
	ssize_t n = pread(table, raw, sizeof(raw), 0);
	rk_cleanup(rk_close_p) int raws = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	rk_cleanup(rk_close_p) int texts = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* as keeper has it */
	if (n < 0 || rk_write_all(raws, raw, (size_t)n) < 0 || rk_keeper_upgrade_restore(&k) < 0 || getenv(TABLE))
		return 1;
	describe(&k, k.exe, text);
	if (sigpending(&set) < 0 || !sigismember(&set, SIGCHLD))
		return 2;
	return rk_write_all(texts, text, strlen(text)) < 0 || !rk_keeper_upgrade_tell(&k) ? 3 : 0;
}

static char directory[PATH_MAX], text_path[PATH_MAX], raw_path[PATH_MAX];
static char *const other_argv[] = { (char *)"rekindled", text_path, raw_path, NULL };

static void directory_make(void)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/rk-upgrade-unit.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(text_path, sizeof(text_path), "%.100s/text", directory);
	(void)snprintf(raw_path, sizeof(raw_path), "%.100s/raw", directory);
	(void)setenv("REKINDLE_RUNTIME_DIR", directory, 1);
}

static void directory_remove(void)
{
	(void)unlink(text_path);
	(void)unlink(raw_path);
	ck_assert_int_eq(rmdir(directory), 0);
}

START_TEST(what_keeper_had_it_has_as_another_binary)
{
	char want[TEXT_MAX] = "", have[TEXT_MAX] = "";
	rk_cleanup(rk_close_p) int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct rk_link_msg msg;
	struct rk_keeper k;
	int other;

	directory_make();
	k = full_new(other_argv, &other);
	describe(&k, exe, want);
	become(&k);
	(void)file_read(text_path, have, sizeof(have) - 1);
	ck_assert_str_eq(have, want);
	msg = told(other);
	ck_assert_uint_eq(msg.op, RK_LINK_UPGRADED);
	ck_assert_int_eq(msg.code, RK_LINK_UPGRADED_ALL);
	ck_assert_uint_eq(msg.value, GROUP);
	directory_remove();
}
END_TEST

/* What a keeper that gets it in these bytes makes of it. Its descriptors are of the process that wrote it. */
static int restore(const char *raw, size_t len)
{
	struct rk_keeper k = { .upgrade.exe = -1, .board = -1, .store = { .notify.fd = -1, .barrier = -1 } };
	int fd = memory_new();
	char text[16];

	ck_assert_int_eq(rk_write_all(fd, raw, len), 0);
	(void)snprintf(text, sizeof(text), "%d", fd);
	(void)setenv(TABLE, text, 1);
	return rk_keeper_upgrade_restore(&k); /* which closes fd */
}

static void u32_set(char *raw, size_t at, uint32_t value)
{
	memcpy(raw + at, &value, sizeof(value));
}

START_TEST(a_table_that_is_cut_or_anothers_is_refused)
{
	char raw[TEXT_MAX], bad[TEXT_MAX];
	struct rk_keeper k;
	size_t len;
	int other;

	directory_make();
	k = full_new(other_argv, &other);
	become(&k);
	len = file_read(raw_path, raw, sizeof(raw));
	ck_assert_uint_eq(len, TABLE_LEN + 5 * ONE_LEN);
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(restore(raw, cut), -EPROTO);
	for (size_t i = 0; i < AT_VERSION; i++) {
		memcpy(bad, raw, len);
		bad[i] ^= 1;
		ck_assert_int_eq(restore(bad, len), -EPROTO);
	}
	memcpy(bad, raw, len);
	u32_set(bad, AT_VERSION, RK_KEEPER_TABLE + 1);
	ck_assert_int_eq(restore(bad, len), -EPROTO);
	u32_set(bad, AT_VERSION, 0);
	ck_assert_int_eq(restore(bad, len), -EPROTO);
	memcpy(bad, raw, len);
	u32_set(bad, AT_N_HELD, 6); /* one more than there are */
	ck_assert_int_eq(restore(bad, len), -EPROTO);
	u32_set(bad, AT_N_HELD, UINT32_MAX);
	ck_assert_int_eq(restore(bad, len), -EPROTO);
	memcpy(bad, raw, len);
	u32_set(bad, TABLE_LEN, 99999); /* the first one's descriptor */
	ck_assert_int_eq(restore(bad, len), -EBADF);
	u32_set(bad, TABLE_LEN, UINT32_MAX);
	ck_assert_int_eq(restore(bad, len), -EBADF);
	directory_remove();
}
END_TEST

START_TEST(a_descriptor_that_is_none_is_refused)
{
	static const char *const nonsense[] = { "", "x", "2", "-1", "3x", "99999999999999999999", "1048577" };
	struct rk_keeper k = { .upgrade.exe = -1 };

	for (size_t i = 0; i < rk_countof(nonsense); i++) {
		(void)setenv(TABLE, nonsense[i], 1);
		ck_assert_int_eq(rk_keeper_upgrade_restore(&k), -EBADF);
	}
	(void)setenv(TABLE, "1000", 1); /* not open */
	ck_assert_int_eq(rk_keeper_upgrade_restore(&k), -EBADF);
	(void)unsetenv(TABLE);
	ck_assert_int_eq(rk_keeper_upgrade_restore(&k), -ENOENT);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *c;

	if (getenv(TABLE)) /* what keeper has become: never the tests once more */
		return argc == 3 ? take_over(argv) : 4;
	c = unit_case("keeper_upgrade");
	tcase_add_test(c, without_an_upgrade_an_end_is_one_like_any_other);
	tcase_add_test(c, one_that_ends_before_it_is_ready_gives_way_to_the_old_one);
	tcase_add_test(c, so_does_one_that_could_not_even_be_started);
	tcase_add_test(c, and_one_that_hangs_which_is_killed);
	tcase_add_test(c, the_outcome_is_told_to_each_supervisor_until_one_has_noted_it);
	tcase_add_test(c, what_finds_no_room_is_told_later);
	tcase_add_test(c, a_second_one_is_not_begun_beside_the_first);
	tcase_add_test(c, a_keeper_that_has_killed_the_fleet_tries_nothing_more);
	tcase_add_test(c, keeper_that_cannot_become_it_stays_as_it_was);
	tcase_add_test(c, keeper_becomes_it_only_when_systemd_was_told_what_is_late);
	tcase_add_test(c, if_systemd_does_not_read_in_time_keeper_stays_as_it_was);
	tcase_add_test(c, without_a_store_a_systemd_that_is_not_there_holds_nothing_up);
	tcase_add_loop_test(c, keeper_does_not_become_one_that_takes_up_another_table, 0, 3);
	tcase_add_test(c, what_keeper_had_it_has_as_another_binary);
	tcase_add_test(c, a_table_that_is_cut_or_anothers_is_refused);
	tcase_add_test(c, a_descriptor_that_is_none_is_refused);
	return unit_run(c);
}
