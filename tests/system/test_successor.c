/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A successor of the supervisor ends what its predecessor had begun. Killed at any system call of
 *         a reload, there is the old configuration or the new one, wholly; a fleet that leaves goes on
 *         stopping by its own keys, and who waits hears of its end. What cannot be taken up is left alone: the
 *         flight recorder of a fleet that goes on stays.
 * Method  Real fleets, whose supervisor is killed; in a reload by ptrace, at the entry of one system call
 *         after the other, back and forth between two configurations. An adoption fails by a word of the
 *         journal that is spoiled through keeper's descriptor, and succeeds when it is put back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "shm/abi.h"
#include "tests/system/deaths.h"
#include "tests/unit/unit.h"
#include "workers/lib/connect.h"

#define STRIDE 4 /* so many runs share the calls of a reload */
#define TEST_WORKER "tests/system/test_worker"

static struct deaths d;

/* Until the events of these kinds have this text, and it stays so. */
static void await_told(const char *kinds, const char *text)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	do {
		ck_assert_msg(rk_clock_ns() < end_ns, "'%s' is not told: %s", text, d.told);
		(void)poll(NULL, 0, 10);
		deaths_events(&d, kinds);
	} while (!strstr(d.told, text));
}

static pid_t replace_supervisor(void)
{
	return fleet_await_supervisor(fleet_kill_supervisor());
}

/* 'rekindle reload' beside us, with an option or NULL. */
static pid_t reload_begin(const char *option)
{
	char program[4096];
	pid_t pid;

	fleet_path(program, "rekindle");
	pid = fleet_fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		execl(program, program, "reload", "--remove=zero,one,extra", option, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int reload_end(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A configuration; @ is the worker. */
static void conf_write(char *text, size_t size, const char *form)
{
	char worker[4096];
	size_t at = 0;

	fleet_path(worker, TEST_WORKER);
	for (const char *next; (next = strchr(form, '@')) != NULL; form = next + 1)
		at += (size_t)snprintf(text + at, size - at, "%.*s%s", (int)(next - form), form, worker);
	(void)snprintf(text + at, size - at, "%s", form);
}

/* ---- a journal, as keeper holds it ---- */

static bool is_journal_of(int fd, const char *fleet)
{
	struct rk_journal j;

	return fd >= 0 && pread(fd, &j, sizeof(j), 0) == (ssize_t)sizeof(j) && strcmp(j.fleet, fleet) == 0;
}

static int journal_open(const char *fleet)
{
	for (int fd = 0; fd < 1024; fd++) {
		char path[64], name[128];
		ssize_t n;
		int journal;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)d.fleet.keeper, fd);
		n = readlink(path, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		if (!strstr(name, "memfd:rekindle-journal"))
			continue;
		journal = open(path, O_RDWR | O_CLOEXEC);
		if (is_journal_of(journal, fleet))
			return journal;
		(void)close(journal);
	}
	ck_abort_msg("keeper holds no journal of %s", fleet);
}

/* ---- a fleet that leaves ---- */

#define STAYS "[Fleet test]\nExec=@\nWorkers=1\n"
#define LEAVES "[Fleet extra]\nExec=@\nWorkers=2\nStopTimeout=60s\nOnPaused=report\nAfter=test\n"

static const struct {
	const char *text; /* the next configuration */
} endings[] = {
	{ STAYS },
	{ STAYS LEAVES "Disabled=yes\nStopTimeout=1ms\n" },
};

/* In a job that keeps it from ending, until we say so. */
static pid_t keep_busy(struct rk_client *c)
{
	struct rk_request request = deaths_job("k", "stop");
	uint32_t partition, worker;
	int pid;

	ck_assert_int_eq(rk_call_async(c, &request), 0);
	ck_assert_int_eq(rk_client_where(c, "k", 1, &partition, &worker, &pid), 0);
	fleet_await_state(pid, 'T');
	return pid;
}

START_TEST(a_fleet_that_leaves_goes_on_stopping_and_who_waits_hears_of_its_end)
{
	struct rk_reply reply = { 0 };
	struct rk_client *client;
	pid_t busy, reload;
	char text[16384];

	conf_write(text, sizeof(text), STAYS LEAVES);
	fleet_start_file(&d.fleet, 1, text);
	fleet_await_line(&d.fleet, "fleet extra");
	ck_assert_int_eq(rk_client_open(&client, "test/extra", NULL), 0);
	busy = keep_busy(client);
	conf_write(text, sizeof(text), endings[_i].text);
	fleet_write_file(&d.fleet, text);
	reload = reload_begin(NULL);
	await_told("stop", "its configuration is gone");
	for (int i = 0; i < 3; i++) {
		(void)replace_supervisor();
		ck_assert(fleet_lives(busy));
	}
	deaths_events(&d, "spawn");
	deaths_assert_told(&d, "worker started", 3); /* and none again */
	ck_assert_int_eq(kill(busy, SIGCONT), 0);
	ck_assert_int_eq(rk_next(client, FLEET_WAIT_MS, &reply), RK_DONE);
	ck_assert_int_eq(reload_end(reload), 0);
	deaths_events(&d, "reload");
	deaths_assert_told(&d, "extra: is gone state=done", 1);
	ck_assert(!fleet_lives(busy));
	rk_client_close(client);
	fleet_stop(&d.fleet);
}
END_TEST

/* As supervisors left it that marked a fleet before the configuration was in force. */
START_TEST(a_fleet_that_is_marked_as_leaving_and_is_not_to_leave_is_started_again)
{
	uint32_t flags;
	char text[16384];
	int journal;

	conf_write(text, sizeof(text), STAYS LEAVES);
	fleet_start_file(&d.fleet, 1, text);
	fleet_await_line(&d.fleet, "fleet extra");
	journal = journal_open("extra");
	ck_assert_int_eq(pread(journal, &flags, sizeof(flags), offsetof(struct rk_journal, flags)), sizeof(flags));
	flags |= RK_JOURNAL_LEAVING;
	ck_assert_int_eq(pwrite(journal, &flags, sizeof(flags), offsetof(struct rk_journal, flags)), sizeof(flags));
	(void)close(journal);
	(void)replace_supervisor();
	fleet_await_line(&d.fleet, "fleet extra stops");
	fleet_await_line(&d.fleet, "fleet extra, 2 workers");
	deaths_events(&d, "reload");
	deaths_assert_told(&d, "extra: is gone", 1);
	(void)replace_supervisor();
	deaths_events(&d, "spawn");
	deaths_assert_told(&d, "worker started", 5);
	fleet_stop(&d.fleet);
}
END_TEST

/* ---- a reload ---- */

/* To each other there are fleets that come and go, and workers that are more or fewer, and others. */
static const char *const sides[2] = {
	"[Fleet test]\nExec=@\nWorkers=1\n[Fleet zero]\nExec=@\nWorkers=1\n",
	"[Fleet test]\nExec=@\nWorkers=2\nEnvironment=SIDE=1\n[Fleet one]\nExec=@\nWorkers=1\n",
};
static const char *const fleets[2] = { "zero", "one" };

/* Whether fleets zero and one are there. */
static void fleets_ask(bool ret_is_there[2])
{
	struct rk_fds fds = { 0 };
	struct json_object *answer;
	struct rk_err err;
	int sock = rk_connect("test", &err);

	ck_assert_msg(sock >= 0, "%s", err.text);
	ck_assert_msg(rk_connect_ask(sock, "{\"verb\":\"ping\"}", FLEET_WAIT_MS, &answer, &fds, &err) == 0, "%s", err.text);
	for (int i = 0; i < 2; i++)
		ret_is_there[i] = strstr(json_object_to_json_string(fleet_member(answer, "fleets", NULL)), fleets[i]) != NULL;
	json_object_put(answer);
	(void)close(sock);
}

static bool has_side(pid_t pid)
{
	char path[64], text[65536];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	f = fopen(path, "re");
	n = f ? fread(text, 1, sizeof(text), f) : 0;
	if (f)
		(void)fclose(f);
	return memmem(text, n, "SIDE=1", sizeof("SIDE=1")) != NULL;
}

/* Workers of fleet test: so many, all ready, all of this side. */
static bool is_side(struct rk_look *look, int side)
{
	int n = 0;

	rk_look_view(look);
	for (uint32_t i = 0; i < look->m.g.n_workers; i++) {
		const struct rk_view_slot *s = rk_look_slot(look, i);

		if (s->state == RK_SLOT_EMPTY)
			continue;
		if (s->state != RK_SLOT_READY || has_side(s->pid) != (side == 1))
			return false;
		n++;
	}
	return n == side + 1;
}

/* "ready(1) draining(0) …": each slot, and its side. */
static const char *workers_tell(struct rk_look *look, char text[static 256])
{
	size_t at = 0;

	text[0] = '\0';
	rk_look_view(look);
	for (uint32_t i = 0; i < 4; i++) {
		const struct rk_view_slot *s = rk_look_slot(look, i);

		at += (size_t)snprintf(text + at, 256 - at, " %u(%d)", s->state, s->pid > 0 && has_side(s->pid));
	}
	return text;
}

/* No rolling restart is on, in which the next reload could not begin one. */
static bool is_quiet(void)
{
	char *last;

	deaths_events(&d, "rolling");
	last = strrchr(d.told, '\n');
	if (!last)
		return true;
	*last = '\0';
	last = strrchr(d.told, '\n');
	return strstr(last ? last : d.told, "state=done") != NULL;
}

/* It becomes that side wholly, or has been. */
static void await_side(struct rk_look *look, int side, const char *where)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	bool is_there[2];

	for (;;) {
		fleets_ask(is_there);
		if (is_there[side] && !is_there[!side] && is_side(look, side) && is_quiet())
			return;
		ck_assert_msg(rk_clock_ns() < end_ns, "%s: it is not %s wholly: zero %d, one %d, workers%s", where,
			      fleets[side], is_there[0], is_there[1], workers_tell(look, (char[256]){ 0 }));
		(void)poll(NULL, 0, 5);
	}
}

/* To the entry of the next system call; its number. -1: the process is gone. */
static long next_call(pid_t pid)
{
	for (;;) {
		struct __ptrace_syscall_info info;
		int status;

		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY)
			return (long)info.entry.nr;
	}
}

static bool is_wait(long nr)
{
#ifdef SYS_epoll_wait
	if (nr == SYS_epoll_wait)
		return true;
#endif
	return nr == SYS_epoll_pwait || nr == SYS_epoll_pwait2;
}

/* Whether it has been answered: the supervisor, which stands before it waits, would have done so by now. */
static bool has_ended(pid_t reload)
{
	siginfo_t si = { 0 };

	for (int i = 0; i < 50 && si.si_pid == 0; i++) {
		(void)poll(NULL, 0, 1);
		ck_assert_int_eq(waitid(P_PID, (id_t)reload, &si, WEXITED | WNOHANG | WNOWAIT), 0);
	}
	return si.si_pid == reload;
}

/*
 * Asks for a reload and kills the supervisor at the n-th system call behind the first one that makes something.
 * False: there are fewer.
 */
static bool reload_kill(pid_t supervisor, int n, bool *ret_is_there)
{
	pid_t reload;
	long nr;
	int at = -1;

	ck_assert_int_eq((int)ptrace(PTRACE_SEIZE, supervisor, NULL, PTRACE_O_TRACESYSGOOD), 0);
	ck_assert_int_eq((int)ptrace(PTRACE_INTERRUPT, supervisor, NULL, NULL), 0);
	ck_assert_int_eq(waitpid(supervisor, &(int){ 0 }, __WALL), supervisor);
	reload = reload_begin("--no-wait");
	while (at < n && (nr = next_call(supervisor)) >= 0) {
		if (at >= 0 && is_wait(nr) && has_ended(reload)) /* else it waits for keeper, in the middle of it */
			break;
		at += at >= 0 || nr == SYS_memfd_create;
	}
	ck_assert_int_ge(at, 0);
	if (at == n)
		ck_assert_int_eq(kill(supervisor, SIGKILL), 0);
	else
		ck_assert_int_eq((int)ptrace(PTRACE_DETACH, supervisor, NULL, NULL), 0);
	if (at == n)
		(void)waitpid(supervisor, NULL, __WALL);
	(void)reload_end(reload);
	if (at == n)
		ck_assert_int_ne(fleet_await_supervisor(supervisor), supervisor);
	fleets_ask(ret_is_there);
	return at == n;
}

START_TEST(a_reload_that_is_killed_at_any_call_is_the_old_configuration_or_the_new_one)
{
	int side = 0, n_old = 0, n_new = 0, n = _i;
	struct rk_look look;
	struct rk_err err;
	bool is_there[2];
	char text[16384], where[64];

	conf_write(text, sizeof(text), sides[side]);
	fleet_start_file(&d.fleet, 1, text);
	ck_assert_msg(rk_look_open(&look, "test/test", &err) == 0, "%s", err.text);
	await_side(&look, side, "before");
	for (;; n += STRIDE) {
		bool is_killed;

		conf_write(text, sizeof(text), sides[!side]);
		fleet_write_file(&d.fleet, text);
		is_killed = reload_kill(fleet_supervisor(), n, is_there);
		snprintf(where, sizeof(where), "call %d from %s", n, fleets[side]);
		if (is_there[!side]) { /* whether it came into force shows at once */
			side = !side;
			n_new++;
		} else {
			n_old++;
		}
		await_side(&look, side, where);
		if (!is_killed)
			break;
	}
	printf("# %d kills: %d times the old one, %d times the new one\n", n / STRIDE, n_old, n_new);
	ck_assert_int_gt(n_old, 1);
	ck_assert_int_gt(n_new, 1);
	rk_look_close_p(&look);
	fleet_stop(&d.fleet);
}
END_TEST

START_TEST(a_reload_under_a_stopped_keeper_changes_nothing_and_says_so)
{
	pid_t keeper, supervisor;
	struct rk_look look;
	struct rk_err err;
	char text[16384];

	conf_write(text, sizeof(text), sides[0]);
	fleet_start_file(&d.fleet, 1, text);
	ck_assert_msg(rk_look_open(&look, "test/test", &err) == 0, "%s", err.text);
	await_side(&look, 0, "before");
	keeper = d.fleet.keeper;
	supervisor = fleet_supervisor();
	ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
	conf_write(text, sizeof(text), sides[1]);
	fleet_write_file(&d.fleet, text);
	ck_assert_int_eq(reload_end(reload_begin("--no-wait")), 69);
	await_side(&look, 0, "stopped");
	ck_assert_int_eq(kill(keeper, SIGCONT), 0);
	ck_assert_int_eq(kill(supervisor, SIGKILL), 0);
	(void)fleet_await_supervisor(supervisor);
	await_side(&look, 0, "continued");
	ck_assert_int_eq(reload_end(reload_begin(NULL)), 0);
	await_side(&look, 1, "asked again");
	rk_look_close_p(&look);
	fleet_stop(&d.fleet);
}
END_TEST

/* ---- an adoption that fails ---- */

static void layout_write(int journal, uint32_t layout)
{
	ck_assert_int_eq(pwrite(journal, &layout, sizeof(layout), offsetof(struct rk_journal, layout)), sizeof(layout));
}

START_TEST(a_fleet_that_cannot_be_adopted_keeps_its_flight_recorder)
{
	pid_t worker;
	int journal;

	deaths_start(&d, 1, NULL, TEST_WORKER);
	worker = d.fleet.worker[0];
	journal = journal_open("test");
	layout_write(journal, RK_JOURNAL_LAYOUT + 1);
	(void)fleet_kill_supervisor();
	await_told("death", "cause=\"exited 1\""); /* of a successor, told by the next one */
	deaths_events(&d, "spawn");
	deaths_assert_told(&d, "worker started", 1);
	layout_write(journal, RK_JOURNAL_LAYOUT);
	await_told("start", "fleets adopted");
	deaths_events(&d, "spawn");
	deaths_assert_told(&d, "worker started", 1);
	ck_assert(fleet_lives(worker));
	(void)close(journal);
	deaths_stop(&d);
}
END_TEST

int main(int argc, char **argv)
{
	const int part = (int)(rk_clock_wall_ns() / RK_NS_PER_S % STRIDE);
	TCase *c = unit_case("successor");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, a_fleet_that_leaves_goes_on_stopping_and_who_waits_hears_of_its_end, 0,
			    (int)rk_countof(endings));
	tcase_add_test(c, a_fleet_that_is_marked_as_leaving_and_is_not_to_leave_is_started_again);
	/* Each run takes every fourth call: one of the four here, all of them when they are asked for. */
	if (argc > 1 && strcmp(argv[1], "all") == 0)
		tcase_add_loop_test(c, a_reload_that_is_killed_at_any_call_is_the_old_configuration_or_the_new_one, 0, STRIDE);
	else
		tcase_add_loop_test(c, a_reload_that_is_killed_at_any_call_is_the_old_configuration_or_the_new_one, part, part + 1);
	tcase_add_test(c, a_reload_under_a_stopped_keeper_changes_nothing_and_says_so);
	tcase_add_test(c, a_fleet_that_cannot_be_adopted_keeps_its_flight_recorder);
	return unit_run(c);
}
