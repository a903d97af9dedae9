/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a supervisor may be killed at any instruction of applying a reload: its successor ends with the new
 *         configuration, whole, and starts nothing twice. Before keeper has confirmed that it holds the new one
 *         nothing of it is done: killed together with a keeper that had not read it, the old one is there, whole.
 * Method  the real program, both times; this process is its keeper. The supervisor is stepped from keeper's
 *         confirmation to the answer to whoever asked, one instruction at a time. Whenever a journal has changed,
 *         or keeper was told something, a successor is started on what keeper holds, and looked at when it is
 *         through; then it is killed, and the memory put back. The fleets of the reload, of which one leaves, one
 *         comes and one is scaled and gets another environment, wait for one that never gets ready: so no worker of
 *         theirs writes to the memory meanwhile, and none is restarted. What a reload does before: test_successor.c, at each system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "shm/fault.h"
#include "supervisor/cgroup.h"
#include "supervisor/conf_frozen.h"
#include "supervisor/held.h"
#include "supervisor/journal.h"
#include "tests/fault/scene.h"
#include "tests/fault/tap.h"

#define NAME "step"
#define WAIT_NS (20 * RK_NS_PER_S) /* nothing that works takes so long */
#define MAPS_MAX 64u
#define EARS 64u /* instructions, after which keeper listens: that is one more system call */
#define OLD_WANTED 2u /* workers of fleet test */
#define NEW_WANTED 1u

#define SIZES "Partitions=4\nMaxClients=2\nSlots=2\nMaxState=4K\nDeadLetters=1\n"
#define FLEET(name, more) "[Fleet " name "]\nExec=/bin/sleep 1000\nAfter=gate\n" SIZES more
#define GATE "[Fleet gate]\nExec=/bin/sleep 1000\nStartTimeout=1h\nWorkers=1\n" SIZES

static const char old_text[] = GATE FLEET("test", "Workers=2\n") FLEET("zero", "Workers=1\n");
static const char new_text[] = GATE FLEET("test", "Workers=1\nEnvironment=SIDE=1\nRestartBurst=9\n") FLEET("one", "Workers=1\n");
static const char *const old_fleets = "gate test zero", *const new_fleets = "gate one test"; /* sorted */

static char directory[64], conf_path[96], program[4096];

static void bail(const char *why)
{
	printf("Bail out! %s: %s\n", why, strerror(errno));
	exit(EXIT_FAILURE);
}

/* ---- memory, as keeper has it ---- */

struct map {
	uint64_t tag;
	char name[RK_NAME_MAX];
	char *at, *saved;
	size_t len;
};

static struct map maps[MAPS_MAX];
static uint32_t n_maps;

/* What a supervisor without workers and clients writes to. */
static bool is_written(const char *name)
{
	return strcmp(name, "journal") == 0 || strcmp(name, "board") == 0 || strcmp(name, "beats") == 0 ||
	       strcmp(name, "parts") == 0 || strcmp(name, "readers") == 0;
}

static void map_add(const struct rk_link_msg *msg, int fd)
{
	struct map *m = &maps[n_maps];
	struct stat st;

	if (msg->tag == RK_LINK_TAG_COMMON || !is_written(msg->name))
		return;
	if (n_maps == MAPS_MAX || fstat(fd, &st) < 0)
		bail("cannot map memory");
	*m = (struct map){ .tag = msg->tag, .len = (size_t)st.st_size, .saved = malloc((size_t)st.st_size) };
	memcpy(m->name, msg->name, sizeof(m->name));
	m->at = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->at == MAP_FAILED || !m->saved)
		bail("cannot map memory");
	n_maps++;
}

static void maps_save(void)
{
	for (uint32_t i = 0; i < n_maps; i++)
		memcpy(maps[i].saved, maps[i].at, maps[i].len);
}

static void maps_restore(void)
{
	for (uint32_t i = 0; i < n_maps; i++)
		memcpy(maps[i].at, maps[i].saved, maps[i].len);
}

static struct rk_journal *journal_of(uint32_t map)
{
	return strcmp(maps[map].name, "journal") == 0 ? (struct rk_journal *)(void *)maps[map].at : NULL;
}

/* ---- keeper ---- */

struct keeper {
	struct rk_held held;
	int link;
	pid_t supervisor;
	bool is_ready, is_first; /* is_first: its memory is what we look at */
	bool is_mute;            /* does not answer SYNC */
	uint32_t n_syncs, n_configurations, n_heard;
};

static void say(struct keeper *k, uint32_t op)
{
	const struct rk_link_msg msg = { .op = op };

	if (rk_link_send(k->link, &msg, -1) < 0)
		bail("the supervisor does not listen");
}

static void keep(struct keeper *k, const struct rk_link_msg *msg, int fd)
{
	if (msg->kind == RK_LINK_MEMORY && k->is_first)
		map_add(msg, fd);
	k->n_configurations += strcmp(msg->name, RK_CONF_FROZEN) == 0;
	if (rk_held_keep(&k->held, msg, fd) < 0)
		bail("cannot hold what the supervisor has");
}

static void hear(struct keeper *k, const struct rk_link_msg *msg, int fd)
{
	k->n_heard++;
	switch (msg->op) {
	case RK_LINK_KEEP:
		keep(k, msg, fd);
		break;
	case RK_LINK_FORGET:
		rk_held_forget(&k->held, msg->kind, msg->tag);
		break;
	case RK_LINK_RETAG:
		rk_held_retag(&k->held, msg->value, msg->tag);
		break;
	case RK_LINK_DROP:
		rk_held_drop(&k->held, msg->tag, msg->value);
		break;
	case RK_LINK_READY:
		k->is_ready = true;
		break;
	case RK_LINK_SYNC:
		k->n_syncs++;
		if (!k->is_mute)
			say(k, RK_LINK_SYNCED);
		break;
	default:
		break;
	}
}

/* Hears all that has been said. */
static void listen_to(struct keeper *k)
{
	struct rk_link_msg msg;
	int fd;

	while (rk_link_recv(k->link, &msg, &fd) == 0)
		hear(k, &msg, fd);
}

static void become(int link)
{
	char config[128];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setsid();
	if (dup2(open("/dev/null", O_RDWR), STDOUT_FILENO) < 0 || dup2(STDOUT_FILENO, STDERR_FILENO) < 0 || dup2(link, 3) < 0)
		_exit(1);
	(void)close_range(4, ~0u, 0);
	(void)setenv(RK_LINK_ENVIRONMENT, "3", 1);
	/* One instruction that fills a buffer takes a step for each byte; glibc has others that do it. */
	(void)setenv("GLIBC_TUNABLES", "glibc.cpu.x86_rep_stosb_threshold=1073741824:glibc.cpu.x86_rep_movsb_threshold=1073741824", 1);
	(void)snprintf(config, sizeof(config), "--config=%s", conf_path);
	execl(program, "rekindled", "--name=" NAME, config, (char *)NULL);
	_exit(1);
}

/* Starts a supervisor, and hands over what is held. */
static void start(struct keeper *k, pid_t predecessor)
{
	struct rk_link_msg begin = rk_held_begin(&k->held), msg;
	int pair[2], fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		bail("no socket");
	k->link = pair[0];
	if (fcntl(k->link, F_SETFL, O_NONBLOCK) < 0)
		bail("no socket");
	k->supervisor = fork();
	if (k->supervisor < 0)
		bail("fork");
	if (k->supervisor == 0)
		become(pair[1]);
	(void)close(pair[1]);
	begin.kind = RK_LINK_OUTLIVED | RK_LINK_SERVED;
	begin.pid = predecessor;
	begin.code = predecessor ? CLD_KILLED : 0;
	begin.status = predecessor ? SIGKILL : 0;
	if (rk_link_send(k->link, &begin, -1) < 0)
		bail("the supervisor does not listen");
	for (; rk_held_next(&k->held, 0, &msg, &fd); rk_held_handed(&k->held))
		if (rk_link_send(k->link, &msg, fd) < 0)
			bail("the supervisor does not listen");
}

/* Another one that holds the same, but for a configuration, if one is given: what a store has of it. */
static struct keeper heir_of(const struct keeper *k, int configuration)
{
	struct keeper heir = { .link = -1 };

	for (uint32_t i = 0; i < k->held.n; i++) {
		const struct rk_held_one *one = &k->held.at[i];
		struct rk_link_msg msg = { .op = RK_LINK_KEEP, .kind = one->kind, .pid = one->pid, .tag = one->tag, .value = one->value };
		bool is_conf = strcmp(one->name, RK_CONF_FROZEN) == 0;

		memcpy(msg.name, one->name, sizeof(msg.name));
		if (rk_held_keep(&heir.held, &msg,
				 fcntl(is_conf && configuration >= 0 ? configuration : one->fd, F_DUPFD_CLOEXEC, 3)) < 0)
			bail("cannot hold it twice");
	}
	return heir;
}

static pid_t process_of(const struct keeper *k, uint32_t *ret_n)
{
	pid_t pid = 0;

	*ret_n = 0;
	for (uint32_t i = 0; i < k->held.n; i++)
		if (k->held.at[i].kind == RK_LINK_PROCESS) {
			pid = k->held.at[i].pid;
			++*ret_n;
		}
	return pid;
}

static void end(struct keeper *k, pid_t spared)
{
	(void)kill(k->supervisor, SIGKILL);
	(void)waitpid(k->supervisor, NULL, __WALL);
	if (k->link >= 0)
		listen_to(k);
	for (uint32_t i = 0; i < k->held.n; i++)
		if (k->held.at[i].kind == RK_LINK_PROCESS && k->held.at[i].pid != spared) {
			(void)kill(k->held.at[i].pid, SIGKILL);
			(void)waitpid(k->held.at[i].pid, NULL, 0);
		}
	(void)close(k->link);
	rk_held_close(&k->held);
}

/* ---- what there is ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The fleets that are held, by their journals: "gate test zero". */
static const char *fleets_of(const struct keeper *k, char text[static 256])
{
	static char names[MAPS_MAX][RK_NAME_MAX];
	const char *sorted[MAPS_MAX];
	uint32_t n = 0;
	size_t at = 0;

	for (uint32_t i = 0; i < n_maps; i++) {
		const struct rk_journal *j = journal_of(i);
		bool is_held = false;

		for (uint32_t h = 0; j && h < k->held.n; h++)
			is_held = is_held || (k->held.at[h].kind == RK_LINK_MEMORY && k->held.at[h].tag == maps[i].tag);
		if (!is_held)
			continue;
		memcpy(names[n], j->fleet, sizeof(names[n]));
		sorted[n] = names[n];
		n++;
	}
	qsort(sorted, n, sizeof(sorted[0]), by_name);
	text[0] = '\0';
	for (uint32_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, 256 - at, "%s%.20s", i ? " " : "", sorted[i]);
	return text;
}

static struct rk_shm shm_of(const char *fleet)
{
	struct rk_shm m = { 0 };

	for (uint32_t i = 0; i < n_maps && !m.journal; i++)
		if (journal_of(i) && strcmp(journal_of(i)->fleet, fleet) == 0)
			m.journal = journal_of(i);
	if (!m.journal)
		bail("a fleet has no journal");
	return m;
}

static uint32_t n_wanted(void)
{
	struct rk_shm m = shm_of("test");
	uint32_t n = 0;

	for (uint32_t i = 0; i < OLD_WANTED; i++)
		n += (rk_journal_noted(&m, i)->flags & RK_JOURNAL_WANTED) != 0;
	return n;
}

/* ---- findings ---- */

static struct {
	unsigned long n_steps, n_checks, n_bad;
	char why[256];
} found;

static void fail(const char *why, const char *what)
{
	found.n_bad++;
	if (!found.why[0])
		(void)snprintf(found.why, sizeof(found.why), "at check %lu: %.120s: %.100s", found.n_checks, why, what);
}

/* Whoever waits for the end of a reload finds it by its group, which is there before what leads to it. */
static void groups_check(void)
{
	struct rk_shm zero = shm_of("zero"), one = shm_of("one"), test = shm_of("test");
	uint64_t group = one.journal->join_group;

	if (!group)
		fail("a fleet that is to come knows no group", "one");
	if (rk_journal_is_marked(&zero, RK_JOURNAL_LEAVING) && zero.journal->leave_group != group)
		fail("a fleet that leaves does not know for whom", "zero");
	for (uint32_t i = 0; i < RK_JOURNAL_CHANGES; i++)
		if (test.journal->changes[i] && test.journal->changes[i] != group)
			fail("a change is nobody's", "test");
}

/* A successor, which ends with one side, whole. */
static void successor_check(const struct keeper *k, int configuration, bool is_new)
{
	struct keeper heir = heir_of(k, configuration);
	uint64_t end_ns = rk_clock_ns() + WAIT_NS;
	const char *fleets = is_new ? new_fleets : old_fleets;
	uint32_t wanted = is_new ? NEW_WANTED : OLD_WANTED, n_processes;
	pid_t gate = process_of(k, &n_processes);
	char text[256] = "";
	bool is_good = false;

	found.n_checks++;
	maps_save();
	for (uint32_t i = 0; i < n_maps; i++)
		if (journal_of(i)) /* whom it would kill, if he lived */
			journal_of(i)->supervisor_pid = 0;
	start(&heir, k->supervisor);
	while (!is_good && rk_clock_ns() < end_ns && waitpid(heir.supervisor, NULL, WNOHANG) == 0) {
		(void)poll(&(struct pollfd){ .fd = heir.link, .events = POLLIN }, 1, 20);
		listen_to(&heir);
		is_good = heir.is_ready && strcmp(fleets_of(&heir, text), fleets) == 0 && n_wanted() == wanted;
	}
	if (!is_good)
		fail(is_new ? "not wholly new" : "not wholly old", text);
	if (process_of(&heir, &n_processes) != gate || n_processes != 1)
		fail("a process was started twice, or lost", "gate");
	end(&heir, gate);
	maps_restore();
}

/* ---- one instruction at a time ---- */

static bool has_changed(void)
{
	for (uint32_t i = 0; i < n_maps; i++)
		if (journal_of(i) && memcmp(maps[i].at, maps[i].saved, maps[i].len) != 0)
			return true;
	return false;
}

static bool is_readable(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) > 0;
}

/* Until the supervisor has answered. */
static void walk(struct keeper *k, int asker)
{
	int status;

	maps_save();
	while (found.n_steps % EARS || !is_readable(asker)) {
		uint32_t n_heard = k->n_heard;

		if (!stage_step(k->supervisor, &status))
			bail("the supervisor ended by itself");
		if (WSTOPSIG(status) != SIGTRAP)
			bail("the supervisor has crashed");
		if (++found.n_steps % EARS == 0)
			listen_to(k);
		if (k->n_heard == n_heard && !has_changed())
			continue;
		listen_to(k); /* what it had sent counts */
		groups_check();
		successor_check(k, -1, true);
	}
	successor_check(k, -1, true);
}

static void stop_for_steps(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_EXITKILL) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 ||
	    waitpid(pid, &status, __WALL) != pid)
		bail("ptrace");
}

/* ---- the scene ---- */

static void conf_write(const char *text)
{
	FILE *f = fopen(conf_path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		bail("cannot write the configuration");
}

static int reload_ask(void)
{
	static const char request[] = "{\"verb\":\"reload\",\"remove\":[\"zero\"]}";
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/r/" NAME "/control", directory);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    write(fd, request, sizeof(request)) != (ssize_t)sizeof(request))
		bail("cannot ask for a reload");
	return fd;
}

static void await(struct keeper *k, const uint32_t *count, uint32_t n)
{
	uint64_t end_ns = rk_clock_ns() + WAIT_NS;

	while (*count < n && rk_clock_ns() < end_ns) {
		(void)poll(&(struct pollfd){ .fd = k->link, .events = POLLIN }, 1, 20);
		listen_to(k);
	}
	if (*count < n)
		bail("the supervisor does not get there");
}

static int configuration_of(const struct keeper *k)
{
	for (uint32_t i = 0; i < k->held.n; i++)
		if (strcmp(k->held.at[i].name, RK_CONF_FROZEN) == 0)
			return fcntl(k->held.at[i].fd, F_DUPFD_CLOEXEC, 3);
	return -1;
}

/* The old side, with the process of gate. */
static void begin(struct keeper *k)
{
	uint32_t n = 0;

	conf_write(old_text);
	start(k, 0);
	for (uint64_t end_ns = rk_clock_ns() + WAIT_NS; (n == 0 || !k->is_ready) && rk_clock_ns() < end_ns;) {
		(void)poll(&(struct pollfd){ .fd = k->link, .events = POLLIN }, 1, 20);
		listen_to(k);
		(void)process_of(k, &n);
	}
	if (n != 1)
		bail("the fleet does not start");
}

static void scene(struct tap *tap)
{
	struct keeper k = { .link = -1, .is_first = true };
	char claim[160];
	int asker, old;

	begin(&k);
	old = configuration_of(&k);
	k.is_mute = true;
	conf_write(new_text);
	k.n_syncs = k.n_configurations = 0;
	asker = reload_ask();
	await(&k, &k.n_configurations, 1); /* the new one; first asked was for the new fleet's memory */
	say(&k, RK_LINK_SYNCED);
	await(&k, &k.n_syncs, 2);
	stop_for_steps(k.supervisor); /* it would not wait for ever; what keeper says comes before its timer */
	successor_check(&k, old, false);
	successor_check(&k, -1, true);
	(void)tap_result(tap, !found.n_bad, "before keeper confirms: what it holds of the configuration is there, whole");
	say(&k, RK_LINK_SYNCED);
	walk(&k, asker);
	(void)snprintf(claim, sizeof(claim), "killed anywhere in a reload that is in force: it is there, whole");
	(void)tap_result(tap, !found.n_bad && found.n_checks > 8, claim);
	printf("# %lu instructions, %lu successors, %lu bad%s%s\n", found.n_steps, found.n_checks, found.n_bad,
	       found.why[0] ? ": " : "", found.why);
	(void)close(asker);
	(void)close(old);
	end(&k, 0);
}

static void paths_make(void)
{
	const char *build = getenv("RK_TEST_BUILD");
	char self[3072], runtime[96];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		bail("where am I");
	self[n] = '\0';
	for (int up = 0; up < 3; up++) /* BUILD/tests/fault/step_reload */
		*strrchr(self, '/') = '\0';
	(void)snprintf(program, sizeof(program), "%s/rekindled", build ? build : self);
	(void)snprintf(directory, sizeof(directory), "/tmp/rk-step-reload-XXXXXX");
	if (!mkdtemp(directory))
		bail("no directory");
	(void)snprintf(runtime, sizeof(runtime), "%s/r", directory);
	(void)snprintf(conf_path, sizeof(conf_path), "%s/step.conf", directory);
	(void)setenv("REKINDLE_RUNTIME_DIR", runtime, 1);
	(void)unsetenv("NOTIFY_SOCKET");
}

static void paths_remove(void)
{
	char command[128];

	rk_cgroup_remove(NAME, getpid());
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	(void)!system(command); /* NOLINT: the name is our own */
}

int main(void)
{
	const char *without = stage_without_ptrace();
	struct tap tap = { 0 };

	if (rk_fault_from_environment() == -EINVAL)
		return EXIT_FAILURE;
	if (without) {
		tap_skip(&tap, "a reload survives its supervisor's death", without);
		return tap_end(&tap);
	}
	paths_make();
	scene(&tap);
	paths_remove();
	return tap_end(&tap);
}
