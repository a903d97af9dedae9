/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a worker or a client that is handed memory it must not trust - shrunk, unsealed, of
 *         another fleet, kind or release, or no memory at all - says so and gives up: never a
 *         crash, never a wait without end, never a descriptor left open.
 * Method  two sets of a fleet's segments without a fleet. A worker program is started with one
 *         set of which one descriptor is exchanged; clients meet an impostor at the control
 *         socket, a child of the test, which answers with such descriptors, or with anything.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/rand.h"
#include "shm/layout.h"
#include "supervisor/segments.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define WORKER_FD 80 /* where the worker finds its nine descriptors */

static struct rk_segments own, other; /* two fleets' memory */

static void make_segments(void)
{
	struct rk_geometry g;
	struct rk_err err;

	rk_geometry_default(&g);
	g.n_workers = 2;
	g.n_clients = 64;
	ck_assert_msg(rk_segments_create(&own, &g, &err) == 0, "%s", err.text);
	ck_assert_msg(rk_segments_create(&other, &g, &err) == 0, "%s", err.text);
}

/* ---- descriptors nobody should trust ---- */

/* A memfd that begins as the segment does, its head changed, and has this length and these seals. */
static int forge(enum rk_segment_kind kind, struct rk_segment head, uint64_t len, int seals)
{
	static char page[1 << 16];
	int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n = pread(own.fd[kind], page, sizeof(page), 0);

	ck_assert(fd >= 0 && n > (ssize_t)sizeof(head));
	memcpy(page, &head, sizeof(head));
	ck_assert_int_eq(pwrite(fd, page, (size_t)n, 0), n);
	ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct rk_segment head_of(enum rk_segment_kind kind)
{
	struct rk_segment head;

	ck_assert_int_eq(pread(own.fd[kind], &head, sizeof(head), 0), (ssize_t)sizeof(head));
	return head;
}

static int genuine(enum rk_segment_kind kind)
{
	return fcntl(own.fd[kind], F_DUPFD_CLOEXEC, 0);
}

static int shrunk(enum rk_segment_kind kind)
{
	struct rk_segment head = head_of(kind);

	return forge(kind, head, head.size / 2 & ~4095ull, SEALS);
}

/* And its head says so. */
static int small(enum rk_segment_kind kind)
{
	struct rk_segment head = head_of(kind);

	head.size = 4096;
	return forge(kind, head, 4096, SEALS);
}

static int shrinkable(enum rk_segment_kind kind)
{
	struct rk_segment head = head_of(kind);

	return forge(kind, head, head.size, F_SEAL_GROW);
}

static int unsealed(enum rk_segment_kind kind)
{
	struct rk_segment head = head_of(kind);

	return forge(kind, head, head.size, 0);
}

static int other_version(enum rk_segment_kind kind)
{
	struct rk_segment head = head_of(kind);

	head.abi++;
	return forge(kind, head, head.size, SEALS);
}

static int other_magic(enum rk_segment_kind kind)
{
	struct rk_segment head = head_of(kind);

	head.magic ^= 1;
	return forge(kind, head, head.size, SEALS);
}

static int other_kind(enum rk_segment_kind kind)
{
	return fcntl(own.fd[kind == RK_SEGMENT_QUEUES ? RK_SEGMENT_PARTS : RK_SEGMENT_QUEUES], F_DUPFD_CLOEXEC, 0);
}

static int foreign(enum rk_segment_kind kind)
{
	return fcntl(other.fd[kind], F_DUPFD_CLOEXEC, 0);
}

static int empty(enum rk_segment_kind kind)
{
	(void)kind;
	return memfd_create("empty", MFD_CLOEXEC);
}

static int zero_device(enum rk_segment_kind kind)
{
	(void)kind;
	return open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static int silent_pipe(enum rk_segment_kind kind)
{
	int ends[2];

	(void)kind;
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	return ends[0]; /* the other one stays open: who reads it waits */
}

static int directory(enum rk_segment_kind kind)
{
	(void)kind;
	return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const struct {
	const char *what;
	int (*make)(enum rk_segment_kind kind);
	const char *sentence; /* that the error contains */
} forgeries[] = {
	{ "shrunk", shrunk, "bytes" },
	{ "small", small, "" }, /* the board's says that its geometry does not fit */
	{ "sealed against growing alone", shrinkable, "not a sealed memfd" },
	{ "unsealed", unsealed, "not a sealed memfd" },
	{ "of another release", other_version, "one release" },
	{ "not ours", other_magic, "not made by rekindle" },
	{ "of another kind", other_kind, "another kind" },
	{ "of another fleet", foreign, "another fleet" },
	{ "empty", empty, "not a sealed memfd" },
	{ "/dev/zero", zero_device, "not a sealed memfd" },
	{ "a pipe", silent_pipe, "not a sealed memfd" },
	{ "a directory", directory, "not a sealed memfd" },
};
#define N_FORGERIES (int)(sizeof(forgeries) / sizeof(forgeries[0]))

/* ---- a worker ---- */

static const enum rk_segment_kind worker_kinds[] = { RK_SEGMENT_BOARD,	RK_SEGMENT_BEATS, RK_SEGMENT_CALLS,
						     RK_SEGMENT_QUEUES, RK_SEGMENT_PARTS, RK_SEGMENT_STATE,
						     RK_SEGMENT_DEAD };
enum { NEWS = 7, N_WORKER_FDS = 9 };

/* Own descriptors, the last two for news and, only to be held, the readers. */
static void worker_descriptors(int fd[N_WORKER_FDS])
{
	for (int i = 0; i < NEWS; i++)
		fd[i] = genuine(worker_kinds[i]);
	fd[NEWS] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd[NEWS + 1] = genuine(RK_SEGMENT_READERS);
}

/* In the child: the program with these descriptors from WORKER_FD on (-1: closed). */
static void become_worker(const char *environment, const int fd[N_WORKER_FDS], int err)
{
	char path[4096];

	fleet_path(path, "tests/system/test_worker");
	(void)dup2(err, 2);
	for (int i = 0; i < N_WORKER_FDS; i++)
		if (fd[i] >= 0)
			(void)dup2(fd[i], WORKER_FD + i);
	(void)setenv("REKINDLE_WORKER", environment, 1);
	(void)execl(path, path, (char *)NULL);
	_exit(127);
}

struct end {
	int status; /* as waitpid() says */
	char text[1024]; /* standard error */
};

static struct end run_worker(const char *environment, const int fd[N_WORKER_FDS])
{
	struct pollfd p = { .events = POLLIN };
	struct end end = { 0 };
	size_t len = 0;
	int err[2];
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	pid = fleet_fork();
	if (pid == 0)
		become_worker(environment, fd, err[1]);
	(void)close(err[1]);
	p.fd = err[0];
	do {
		ck_assert_msg(poll(&p, 1, (int)FLEET_WAIT_MS) == 1, "the worker goes on with '%s'", environment);
		n = read(err[0], end.text + len, sizeof(end.text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len < sizeof(end.text) - 1);
	(void)close(err[0]);
	ck_assert_int_eq(waitpid(pid, &end.status, 0), pid);
	return end;
}

static void assert_gave_up(const struct end *end, int exit_status, const char *sentence, const char *what)
{
	ck_assert_msg(WIFEXITED(end->status) && WEXITSTATUS(end->status) == exit_status,
		      "%s: the worker ended with %#x instead of exit status %d: %s", what, (unsigned int)end->status,
		      exit_status, end->text);
	ck_assert_msg(strstr(end->text, "rekindle worker") && strstr(end->text, sentence), "%s: it says: %s", what,
		      end->text);
}

#define ABI_TEXT_(v) #v
#define ABI_TEXT(v) ABI_TEXT_(v)
#define FDS "fds=80:81:82:83:84:85:86:87:88"
#define GOOD "abi=2 worker=0 incarnation=1 " FDS

START_TEST(a_worker_refuses_any_segment_that_is_not_its_fleets)
{
	make_segments();
	for (size_t i = 0; i < sizeof(worker_kinds) / sizeof(worker_kinds[0]); i++) {
		int fd[N_WORKER_FDS];
		char what[96];
		struct end end;

		if (worker_kinds[i] == RK_SEGMENT_BOARD && forgeries[_i].make == foreign)
			continue; /* then it is the others that are foreign */
		worker_descriptors(fd);
		(void)close(fd[i]);
		fd[i] = forgeries[_i].make(worker_kinds[i]);
		snprintf(what, sizeof(what), "%s is %s", rk_segment_name(worker_kinds[i]), forgeries[_i].what);
		end = run_worker(GOOD, fd);
		assert_gave_up(&end, 78, forgeries[_i].sentence, what);
		for (int k = 0; k < N_WORKER_FDS; k++)
			(void)close(fd[k]);
	}
}
END_TEST

static const struct {
	const char *environment;
	int exit_status;
	const char *sentence;
} environments[] = {
	{ "", 64, "unset it" },
	{ "abi=2", 64, "unset it" },
	{ "abi=2 worker=0 incarnation=1 fds=80:81", 64, "unset it" },
	{ GOOD ":88", 64, "unset it" },
	{ GOOD "x", 64, "unset it" },
	{ "abi=1 worker=0 incarnation=1 " FDS, 64, "one release" },
	{ "abi=2 worker=2 incarnation=1 " FDS, 78, "2 slots" },
	{ "abi=2 worker=4294967295 incarnation=1 " FDS, 78, "2 slots" },
	{ "abi=2 worker=0 incarnation=1 fds=80:81:82:83:84:85:86:87:900", 64, "closed" },
	{ "abi=2 worker=0 incarnation=1 fds=-1:81:82:83:84:85:86:87:88", 64, "closed" },
	{ "abi=2 worker=0 incarnation=1 fds=2:81:82:83:84:85:86:87:88", 78, "not a sealed memfd" },
	{ "abi=2 worker=0 incarnation=1 fds=80:80:80:80:80:80:80:87:88", 78, "another kind" },
	{ "abi=2 standby=-1 " FDS, 64, "unset it" },
	{ "abi=2 standby=11 worker=0 incarnation=1 " FDS, 64, "unset it" },
	{ "abi=1 standby=80 " FDS, 64, "one release" },
	{ "abi=2 standby=900 " FDS, 64, "closed" },
	{ "abi=2 standby=80 " FDS, 78, "order is not understood" }, /* no socket */
	{ "abi=2 standby=80 fds=80:80:80:80:80:80:80:87:88", 78, "another kind" },
};

START_TEST(a_worker_refuses_an_environment_that_is_none)
{
	int fd[N_WORKER_FDS];
	struct end end;

	ck_assert_str_eq(ABI_TEXT(RK_ABI_VERSION), "2u"); /* else the rows above are wrong */
	make_segments();
	worker_descriptors(fd);
	end = run_worker(environments[_i].environment, fd);
	assert_gave_up(&end, environments[_i].exit_status, environments[_i].sentence, environments[_i].environment);
}
END_TEST

/* ---- a standby ---- */

static const struct {
	uint32_t words[5]; /* of the order */
	size_t len;
	int exit_status;
	const char *sentence; /* NULL: it says nothing */
} orders[] = {
	{ { 2, 0, 1, 0 }, 16, 78, "2 slots" },
	{ { UINT32_MAX, 0, 1, 0 }, 16, 78, "2 slots" },
	{ { 0, 1, 1, 0 }, 16, 78, "order is not understood" },
	{ { 0, 0, 1, 0 }, 15, 78, "order is not understood" },
	{ { 0, 0, 1, 0, 0 }, 20, 78, "order is not understood" },
	{ { 0 }, 0, 3, NULL }, /* the supervisor wants it no more */
};

START_TEST(a_standby_refuses_an_order_that_is_none)
{
	int fd[N_WORKER_FDS], pair[2];
	struct end end;
	char text[96];

	make_segments();
	worker_descriptors(fd);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	if (orders[_i].len)
		ck_assert_int_eq(send(pair[0], orders[_i].words, orders[_i].len, 0), (ssize_t)orders[_i].len);
	ck_assert_int_eq(shutdown(pair[0], SHUT_WR), 0);
	snprintf(text, sizeof(text), "abi=2 standby=%d " FDS, pair[1]);
	end = run_worker(text, fd);
	if (orders[_i].sentence)
		assert_gave_up(&end, orders[_i].exit_status, orders[_i].sentence, text);
	else
		ck_assert_msg(WIFEXITED(end.status) && WEXITSTATUS(end.status) == orders[_i].exit_status && !end.text[0],
			      "%#x: %s", (unsigned int)end.status, end.text);
}
END_TEST

/* The board with random words where its geometry stands. */
static int board_of(struct rk_rand *r)
{
	int fd = forge(RK_SEGMENT_BOARD, head_of(RK_SEGMENT_BOARD), own.m.l.board_len, SEALS);

	for (uint64_t n = 1 + rk_rand_below(r, 3); n-- > 0;) {
		uint32_t value = (uint32_t)(rk_rand_u64(r) >> rk_rand_below(r, 64));

		ck_assert_int_eq(pwrite(fd, &value, sizeof(value),
					(off_t)(sizeof(struct rk_segment) + 4 * rk_rand_below(r, 14))),
				 (ssize_t)sizeof(value));
	}
	return fd;
}

/* A worker that may take what it is given: then it says so, and is stopped. */
static int try_worker(const int fd[N_WORKER_FDS])
{
	struct pollfd p[2] = { { .fd = fd[NEWS], .events = POLLIN } };
	int end[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe2(end, O_CLOEXEC), 0);
	pid = fleet_fork();
	if (pid == 0)
		become_worker(GOOD, fd, end[1]);
	(void)close(end[1]);
	p[1] = (struct pollfd){ .fd = end[0] }; /* hung up when it has ended */
	ck_assert_msg(poll(p, 2, (int)FLEET_WAIT_MS) > 0, "the worker neither works nor ends");
	if (p[0].revents & POLLIN)
		(void)kill(pid, SIGTERM);
	p[0].fd = -1;
	ck_assert_msg(poll(p, 2, (int)FLEET_WAIT_MS) == 1, "the worker does not end");
	(void)close(end[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* The rows above fail for their own reason alone. */
START_TEST(with_genuine_segments_the_worker_works)
{
	int fd[N_WORKER_FDS];

	make_segments();
	worker_descriptors(fd);
	ck_assert_int_eq(try_worker(fd), 0);
}
END_TEST

/* A geometry that needs less than is there is taken; no other one, and none is the worker's end by a signal. */
START_TEST(no_geometry_makes_a_worker_crash)
{
	uint64_t seed = rk_clock_ns();
	struct rk_rand r = rk_rand_init(seed);

	printf("# seed %llu\n", (unsigned long long)seed);
	make_segments();
	for (int i = 0; i < 100; i++) {
		int fd[N_WORKER_FDS], status;

		worker_descriptors(fd);
		(void)close(fd[0]);
		fd[0] = board_of(&r);
		status = try_worker(fd);
		/* SIGTERM is ours: it may come to one that says why it gives up. */
		ck_assert_msg((WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 78)) ||
				      (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM),
			      "status %#x", (unsigned int)status);
		for (int k = 0; k < N_WORKER_FDS; k++)
			(void)close(fd[k]);
	}
}
END_TEST

/* ---- a client ---- */

/* An impostor's answer: bytes, then descriptors of these kinds, one of them forged. */
struct answer {
	const char *text;
	size_t len;
	int n_fds;                                  /* of them the first four are what a client expects */
	int forged;                                 /* which one; -1 = none */
	int (*make)(enum rk_segment_kind kind);
	bool stays;                                 /* and says no more, instead of hanging up */
	bool drips;                                 /* one more byte now and then */
};

#define OK_TEXT "{\"ok\":true,\"page\":1,\"id\":7,\"reader\":2,\"named\":false}"

static const enum rk_segment_kind client_kinds[] = { RK_SEGMENT_BOARD, RK_SEGMENT_CALLS, RK_SEGMENT_QUEUES,
						     RK_SEGMENT_READERS };

static char runtime[64];

/* Listens where a fleet of this name would. */
static int listen_as(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!runtime[0]) {
		strcpy(runtime, "/tmp/rk-foreign-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(runtime));
		ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", runtime, 1), 0);
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", runtime, name);
	ck_assert_int_eq(mkdir(address.sun_path, 0700), 0);
	strcat(address.sun_path, "/control");
	ck_assert_int_eq(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(sock, 4), 0);
	return sock;
}

static void remove_runtime(const char *const *names)
{
	char path[128];

	for (; *names; names++) {
		snprintf(path, sizeof(path), "%s/%s/control", runtime, *names);
		(void)unlink(path);
		*strrchr(path, '/') = '\0';
		(void)rmdir(path);
	}
	(void)rmdir(runtime);
}

static void send_answer(int sock, const struct answer *a)
{
	union {
		char bytes[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec bytes = { (void *)(uintptr_t)a->text, a->len };
	struct msghdr m = { .msg_iov = &bytes, .msg_iovlen = 1 };
	int fd[64];

	for (int i = 0; i < a->n_fds; i++)
		fd[i] = (i == a->forged ? a->make : genuine)(client_kinds[i % 4]);
	if (a->n_fds) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE((size_t)a->n_fds * sizeof(int));
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN((size_t)a->n_fds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fd, (size_t)a->n_fds * sizeof(int));
	}
	if (a->len)
		(void)sendmsg(sock, &m, MSG_NOSIGNAL);
	for (int i = 0; i < a->n_fds; i++)
		(void)close(fd[i]);
}

/* Answers one client; returns when it has hung up. */
static void impersonate(int listener, const struct answer *a)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct pollfd p = { .fd = sock, .events = POLLIN };
	char request[512];

	(void)!read(sock, request, sizeof(request));
	send_answer(sock, a);
	while (a->drips && poll(&p, 1, 100) == 0)
		(void)send(sock, " ", 1, MSG_NOSIGNAL);
	if (a->stays)
		(void)!read(sock, request, 1);
	(void)close(sock);
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

/* Opens a client of an impostor that answers so. Returns what rk_client_open() does. */
static int meet(const char *name, const struct answer *a)
{
	int listener = listen_as(name), before, r, status;
	struct rk_client *c = NULL;
	pid_t pid = fleet_fork();

	if (pid == 0) {
		impersonate(listener, a);
		_exit(0);
	}
	(void)close(listener);
	before = count_descriptors();
	r = rk_client_open(&c, name, NULL);
	if (r == 0)
		rk_client_close(c);
	else
		ck_assert_msg(rk_client_error()[0], "an error without a sentence: %d", r);
	ck_assert_int_eq(count_descriptors(), before);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	remove_runtime((const char *const[]){ name, NULL });
	return r;
}

START_TEST(a_client_refuses_any_segment_that_is_not_its_fleets)
{
	make_segments();
	for (int i = 0; i < 4; i++) {
		struct answer a = { OK_TEXT, sizeof(OK_TEXT), 4, i, forgeries[_i].make, false, false };
		bool others = i == 0 && forgeries[_i].make == foreign;
		int r = meet("impostor", &a);

		ck_assert_msg(r == -EPROTO, "%s is %s: %d", rk_segment_name(client_kinds[i]), forgeries[_i].what, r);
		ck_assert_msg(others || strstr(rk_client_error(), forgeries[_i].sentence), "%s is %s: %s",
			      rk_segment_name(client_kinds[i]), forgeries[_i].what, rk_client_error());
		runtime[0] = '\0';
	}
}
END_TEST

#define ROW(text, n_fds, error) { text, sizeof(text), n_fds, error }

static const struct {
	const char *text;
	size_t len; /* with its NUL */
	int n_fds;
	int error;
} answers[] = {
	ROW(OK_TEXT, 4, 0),
	ROW(OK_TEXT, 0, -EPROTO),
	ROW(OK_TEXT, 1, -EPROTO),
	ROW(OK_TEXT, 3, -EPROTO),
	ROW(OK_TEXT, 5, -EPROTO),
	ROW(OK_TEXT, 16, -EPROTO),
	ROW(OK_TEXT, 17, -EMSGSIZE),
	ROW(OK_TEXT, 60, -EMSGSIZE),
	ROW("", 4, -EPROTO),
	ROW("garbage", 4, -EPROTO),
	ROW("{\"ok\":", 4, -EPROTO),
	ROW("[true]", 4, -EPROTO),
	ROW("null", 4, -EPROTO),
	ROW("\"ok\"", 4, -EPROTO),
	ROW("{}", 4, -EPROTO),
	ROW("\xff\xfe{\"ok\":true}", 4, -EPROTO),
	ROW("{\"ok\":true}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":\"1\",\"id\":7,\"reader\":2}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":64,\"id\":7,\"reader\":2}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":-1,\"id\":7,\"reader\":2}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":4294967297,\"id\":7,\"reader\":2}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":99999999999999999999999999,\"id\":7,\"reader\":2}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":1,\"id\":0,\"reader\":2}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":1,\"id\":7,\"reader\":4096}", 4, -EPROTO),
	ROW("{\"ok\":true,\"page\":1,\"id\":7}", 4, -EPROTO),
	ROW("{\"ok\":false,\"code\":\"EBUSY\",\"error\":\"is busy\"}", 4, -EBUSY),
	ROW("{\"ok\":false,\"code\":\"EWEIRD\",\"error\":\"is weird\"}", 0, -EREMOTEIO),
	ROW("{\"ok\":false,\"code\":7,\"error\":[]}", 4, -EREMOTEIO),
	ROW("{\"ok\":false}", 0, -EREMOTEIO),
	ROW("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 4, -EPROTO),
	/* Cut off, it asks again, and the impostor answers nobody twice. */
	{ OK_TEXT, sizeof(OK_TEXT) - 1, 4, -ENOENT }, /* no NUL, then the end */
	{ "", 0, 0, -ENOENT },                        /* nothing, then the end */
};

START_TEST(a_client_survives_any_answer)
{
	struct answer a = { answers[_i].text, answers[_i].len, answers[_i].n_fds, -1, NULL, false, false };
	int r;

	make_segments();
	r = meet("impostor", &a);
	ck_assert_msg(r == answers[_i].error, "'%s' with %d descriptors: %d instead of %d: %s", a.text, a.n_fds, r,
		      answers[_i].error, rk_client_error());
}
END_TEST

START_TEST(an_answer_without_an_end_is_cut_off)
{
	static char text[100000];
	struct answer a = { text, sizeof(text), 0, -1, NULL, true, false };

	memset(text, ' ', sizeof(text));
	make_segments();
	ck_assert_int_eq(meet("impostor", &a), -EPROTO);
}
END_TEST

/* Those who only wait, all at the same time. */
static const struct answer silent[] = {
	{ "", 0, 0, -1, NULL, true, false },                                /* says nothing */
	{ OK_TEXT, sizeof(OK_TEXT) - 1, 4, -1, NULL, true, false },         /* says all but the NUL */
	{ OK_TEXT, sizeof(OK_TEXT) - 1, 4, -1, NULL, false, true },         /* and a blank now and then */
};
enum { N_SILENT = sizeof(silent) / sizeof(silent[0]) };
static const char *const silent_names[] = { "silent", "endless", "dripping", NULL };

static void *open_silent(void *arg)
{
	struct rk_client *c;
	int *r = arg;

	*r = rk_client_open(&c, silent_names[*r], NULL);
	return NULL;
}

START_TEST(a_client_does_not_wait_for_ever)
{
	uint64_t start_ns = rk_clock_ns();
	pthread_t thread[N_SILENT];
	int before, r[N_SILENT];

	make_segments();
	for (int i = 0; i < N_SILENT; i++) {
		int listener = listen_as(silent_names[i]);

		if (fleet_fork() == 0) {
			impersonate(listener, &silent[i]);
			_exit(0);
		}
		(void)close(listener);
	}
	before = count_descriptors();
	for (int i = 0; i < N_SILENT; i++) {
		r[i] = i;
		ck_assert_int_eq(pthread_create(&thread[i], NULL, open_silent, &r[i]), 0);
	}
	for (int i = 0; i < N_SILENT; i++) {
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
		ck_assert_msg(r[i] == -ETIMEDOUT, "%s: %d", silent_names[i], r[i]);
	}
	ck_assert_uint_lt(rk_clock_ns() - start_ns, FLEET_WAIT_MS * RK_NS_PER_MS);
	ck_assert_int_eq(count_descriptors(), before);
	remove_runtime(silent_names);
}
END_TEST

/* The command line at an impostor's. */
static const struct {
	const char *command;
	struct answer answer;
	const char *sentence;
} commands[] = {
	{ "status", { OK_TEXT, sizeof(OK_TEXT), 4, -1, NULL, false, false }, "descriptors" },
	{ "status", { "garbage", 8, 5, -1, NULL, false, false }, "not understood" },
	{ "status", { "{\"ok\":true,\"reader\":2}", 23, 6, -1, NULL, false, false }, "another kind" },
	{ "call k", { OK_TEXT, sizeof(OK_TEXT), 4, 1, shrunk, false, false }, "bytes" },
	{ "call k", { "garbage", 8, 4, -1, NULL, false, false }, "not understood" },
	{ "put k", { OK_TEXT, sizeof(OK_TEXT), 3, -1, NULL, false, false }, "descriptors" },
	{ "stop", { "garbage", 8, 0, -1, NULL, false, false }, "not understood" },
};

START_TEST(the_command_line_says_what_is_wrong_and_fails)
{
	char rekindle[4096], command[4200], text[1024];
	int listener, status;
	FILE *out;
	size_t n;
	pid_t pid;

	make_segments();
	listener = listen_as("impostor");
	pid = fleet_fork();
	if (pid == 0) {
		impersonate(listener, &commands[_i].answer);
		_exit(0);
	}
	(void)close(listener);
	fleet_path(rekindle, "rekindle");
	snprintf(command, sizeof(command), "exec '%s' %s --name impostor 2>&1", rekindle, commands[_i].command);
	out = popen(command, "re");
	ck_assert_ptr_nonnull(out);
	n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = '\0';
	status = pclose(out);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	remove_runtime((const char *const[]){ "impostor", NULL });
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: status %#x: %s", commands[_i].command,
		      (unsigned int)status, text);
	ck_assert_msg(strstr(text, commands[_i].sentence) != NULL, "%s: %s", commands[_i].command, text);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("foreign");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, with_genuine_segments_the_worker_works);
	tcase_add_loop_test(c, a_worker_refuses_any_segment_that_is_not_its_fleets, 0, N_FORGERIES);
	tcase_add_loop_test(c, a_worker_refuses_an_environment_that_is_none, 0,
			    (int)(sizeof(environments) / sizeof(environments[0])));
	tcase_add_loop_test(c, a_standby_refuses_an_order_that_is_none, 0, (int)(sizeof(orders) / sizeof(orders[0])));
	tcase_add_test(c, no_geometry_makes_a_worker_crash);
	tcase_add_loop_test(c, a_client_refuses_any_segment_that_is_not_its_fleets, 0, N_FORGERIES);
	tcase_add_loop_test(c, a_client_survives_any_answer, 0, (int)(sizeof(answers) / sizeof(answers[0])));
	tcase_add_test(c, an_answer_without_an_end_is_cut_off);
	tcase_add_test(c, a_client_does_not_wait_for_ever);
	tcase_add_loop_test(c, the_command_line_says_what_is_wrong_and_fails, 0,
			    (int)(sizeof(commands) / sizeof(commands[0])));
	return unit_run(c);
}
