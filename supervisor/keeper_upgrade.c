/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeper, upgrade: to another binary, through the door of a supervisor's death:
 *
 *   STEADY --UPGRADE--> ASKED --it ended--> TRYING --READY--> FIT --told--> keeper executes it in place --> OVER
 *                                             |                | 10 s: keeper stays                         ^ |
 *                                             | ended, 10 s    +--------------------------------------------+ |
 *                                             v                                                             | | NOTED
 *                                           BACK: the old one again ----READY-------------------------------+ v
 *                                                                                                           STEADY
 *
 * FIT   what systemd has not been told yet, a descriptor to store above all, goes out first: the table does
 *       not say that it is late. The supervisor is the new one already, and its end one like any other.
 *
 * OVER keeper tells each supervisor how it has ended, until one has recorded it: whoever waits for an
 * upgrade waits for that record.
 *
 * Both binaries are held by descriptor, so whatever stands at their paths does not matter.
 *
 * Executing in place keeps the pid, the children and every descriptor; what is only in memory goes
 * along as a table in a memfd. A new binary must read the table of each older version: its head says
 * which it is, and "rekindled --adopts" what it can read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "shm/board_socket.h"
#include "supervisor/keeper_private.h"
#include "supervisor/options.h"

#define PROGRAM_NAME "rekindled"
#define TRY_NS (10 * RK_NS_PER_S)
#define TELL_NS (10 * RK_NS_PER_S)
#define TABLE_ENVIRONMENT "REKINDLE_KEEPER_TABLE"
#define TABLE_MAGIC 0x656c62617472656bull /* "kertable", little endian */
#define HELD_MAX 65536u

/* What goes along. Never changed, only followed by another version. */
struct table_one {
	int32_t fd;
	uint32_t kind;
	int32_t pid;
	int32_t code;
	int32_t status;
	uint32_t is_reported;
	uint64_t tag;
	uint64_t value;
	uint32_t stored; /* its number in systemd's store (store.h); 0 = it is not there */
	uint32_t reserved;
	char name[RK_NAME_MAX];
};
RK_ABI_SIZE(struct table_one, 112);

struct table {
	uint64_t magic;
	uint32_t version; /* RK_KEEPER_TABLE */
	uint32_t n_held;
	int32_t link;
	int32_t exe;
	int32_t supervisor;
	uint32_t n_handed;
	uint32_t hup_reloads;
	uint32_t stopping;
	uint32_t is_told;
	uint32_t signal;
	uint32_t is_stored;
	uint32_t is_sync_awaited;
	uint32_t n_deaths;
	uint32_t is_activated;
	uint64_t stop_timeout_ns, kill_at_ns, since_ns, progress_ns;
	uint64_t n_files_soft, n_files_hard;
	uint64_t upgrade_group;
	char name[RK_NAME_MAX];
};
RK_ABI_SIZE(struct table, 184);

/* ---- the supervisor's part ---- */

void rk_keeper_upgrade_ask(struct rk_keeper *k, const struct rk_link_msg *msg, int *exe)
{
	struct rk_keeper_upgrade *u = &k->upgrade;

	if (u->stage != RK_KEEPER_STEADY && u->stage != RK_KEEPER_OVER)
		return; /* one at a time: a supervisor that knows of one does not ask */
	*u = (struct rk_keeper_upgrade){ .stage = RK_KEEPER_ASKED, .exe = rk_take_fd(exe), .group = msg->value };
}

static void give_up(struct rk_keeper_upgrade *u, const char *how)
{
	u->stage = RK_KEEPER_BACK;
	rk_close_p(&u->exe);
	if (!u->why[0])
		(void)snprintf(u->why, sizeof(u->why), "it ended before it was ready, %s", how);
	rk_log(RK_LOG_ERROR, "the new release is given up, the old one supervises again: %s", u->why);
}

bool rk_keeper_upgrade_on_end(struct rk_keeper *k, const char *how)
{
	struct rk_keeper_upgrade *u = &k->upgrade;

	if (u->stage == RK_KEEPER_ASKED) {
		(void)snprintf(k->end.name, sizeof(k->end.name), RK_LINK_WAY);
		u->stage = RK_KEEPER_TRYING;
		u->until_ns = rk_clock_ns() + TRY_NS;
		return true;
	}
	u->is_told = false;
	if (u->stage != RK_KEEPER_TRYING || k->killed)
		return false;
	give_up(u, how);
	return true;
}

uint64_t rk_keeper_upgrade_due_ns(const struct rk_keeper *k)
{
	enum rk_keeper_stage stage = k->upgrade.stage;

	return stage == RK_KEEPER_TRYING || stage == RK_KEEPER_FIT ? k->upgrade.until_ns : RK_INFINITE;
}

static void over(struct rk_keeper_upgrade *u, enum rk_link_upgraded outcome)
{
	rk_close_p(&u->exe);
	u->stage = RK_KEEPER_OVER;
	u->outcome = outcome;
	u->is_told = false;
}

/* Keeper goes on as it is, under the new supervisor, whose binary those that follow it are of as well. */
static void stay(struct rk_keeper *k, const char *why)
{
	struct rk_keeper_upgrade *u = &k->upgrade;

	rk_log(RK_LOG_ERROR, "keeper goes on as the old release, the supervisor is the new one: %s", why);
	(void)snprintf(u->why, sizeof(u->why), "keeper could not be replaced: %s", why);
	rk_close_p(&k->exe);
	k->exe = rk_take_fd(&u->exe);
	over(u, RK_LINK_UPGRADED_SUPERVISOR);
}

void rk_keeper_upgrade_expire(struct rk_keeper *k)
{
	if (k->upgrade.stage == RK_KEEPER_FIT) {
		stay(k, "systemd does not read");
		return;
	}
	(void)snprintf(k->upgrade.why, sizeof(k->upgrade.why), "it was not ready after 10 s");
	k->upgrade.until_ns = RK_INFINITE;
	if (k->supervisor) {
		(void)snprintf(k->end.name, sizeof(k->end.name), "keeper: the new release was not ready after 10 s");
		(void)kill(k->supervisor, SIGKILL);
	} else {
		give_up(&k->upgrade, ""); /* it could not even be started */
	}
}

int rk_keeper_upgrade_exe(const struct rk_keeper *k)
{
	enum rk_keeper_stage stage = k->upgrade.stage;

	return stage == RK_KEEPER_TRYING || stage == RK_KEEPER_FIT ? k->upgrade.exe : k->exe;
}

bool rk_keeper_upgrade_is_idle(const struct rk_keeper *k)
{
	enum rk_keeper_stage stage = k->upgrade.stage;

	return stage == RK_KEEPER_STEADY || stage == RK_KEEPER_FIT || stage == RK_KEEPER_OVER;
}

bool rk_keeper_upgrade_tell(struct rk_keeper *k)
{
	struct rk_keeper_upgrade *u = &k->upgrade;
	struct rk_link_msg msg = { .op = RK_LINK_UPGRADED, .code = u->outcome, .value = u->group };

	if (u->stage != RK_KEEPER_OVER || u->is_told)
		return true;
	memcpy(msg.name, u->why, sizeof(msg.name));
	u->is_told = rk_keeper_say(k, &msg, -1) == 0;
	return u->is_told;
}

void rk_keeper_upgrade_noted(struct rk_keeper *k, const struct rk_link_msg *msg)
{
	if (k->upgrade.stage == RK_KEEPER_OVER && msg->value == k->upgrade.group)
		k->upgrade = (struct rk_keeper_upgrade){ .exe = -1 };
}

/* ---- keeper's own part ---- */

static struct table table_of(const struct rk_keeper *k)
{
	struct table t = { .magic = TABLE_MAGIC,
			   .version = RK_KEEPER_TABLE,
			   .n_held = k->held.n,
			   .link = k->link,
			   .exe = k->upgrade.exe,
			   .supervisor = k->supervisor,
			   .n_handed = k->held.n_handed,
			   .hup_reloads = k->hup_reloads,
			   .stopping = k->stopping,
			   .is_told = k->is_told,
			   .signal = k->signal,
			   .is_stored = k->store.is_on,
			   .is_sync_awaited = k->store.is_awaited || k->sync_is_due,
			   .n_deaths = k->n_deaths,
			   .is_activated = k->store.is_activated,
			   .stop_timeout_ns = k->stop_timeout_ns,
			   .kill_at_ns = k->kill_at_ns,
			   .since_ns = k->since_ns,
			   .progress_ns = k->progress_ns,
			   .n_files_soft = k->n_files.rlim_cur,
			   .n_files_hard = k->n_files.rlim_max,
			   .upgrade_group = k->upgrade.group };

	memcpy(t.name, k->name, sizeof(t.name));
	return t;
}

static int one_write(const struct rk_keeper *k, int fd, const struct rk_held_one *h)
{
	struct rk_link_msg about = { .kind = h->kind, .tag = h->tag };
	struct table_one one = { .fd = h->fd,
				 .kind = h->kind,
				 .pid = h->pid,
				 .code = h->code,
				 .status = h->status,
				 .is_reported = h->is_reported,
				 .tag = h->tag,
				 .value = h->value };

	memcpy(one.name, h->name, sizeof(one.name));
	memcpy(about.name, h->name, sizeof(about.name));
	if (rk_store_is_for(h->kind))
		one.stored = rk_store_number(&k->store, &about);
	return rk_write_all(fd, &one, sizeof(one));
}

static int table_write(const struct rk_keeper *k, int fd)
{
	const struct table t = table_of(k);
	int r = rk_write_all(fd, &t, sizeof(t));

	for (uint32_t i = 0; r == 0 && i < k->held.n; i++)
		r = one_write(k, fd, &k->held.at[i]);
	return r;
}

/* Everything that goes along, or back. */
static int descriptors_set(const struct rk_keeper *k, int table, int on)
{
	int r = rk_fd_cloexec(table, on);

	for (uint32_t i = 0; r == 0 && i < k->held.n; i++)
		r = rk_fd_cloexec(k->held.at[i].fd, on);
	if (r == 0 && k->link >= 0)
		r = rk_fd_cloexec(k->link, on);
	return r == 0 ? rk_fd_cloexec(k->upgrade.exe, on) : r;
}

static int environment_set(const struct rk_keeper *k, int table)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", table);
	if (setenv(TABLE_ENVIRONMENT, text, 1) < 0 || (k->store.is_on && setenv(RK_STORE_ENVIRONMENT, "1", 1) < 0))
		return -errno;
	return rk_notify_environ(&k->store.notify);
}

/* Returns only when it fails: nothing has changed then. */
static int become(struct rk_keeper *k)
{
	rk_cleanup(rk_close_p) int table = memfd_create("rekindle-keeper", MFD_CLOEXEC);
	int r = table < 0 ? -errno : table_write(k, table);

	if (r == 0)
		r = descriptors_set(k, table, 0);
	if (r == 0)
		r = environment_set(k, table);
	if (r == 0) {
		(void)execveat(k->upgrade.exe, "", k->argv, environ, AT_EMPTY_PATH);
		r = -errno;
	}
	if (table >= 0)
		(void)descriptors_set(k, table, 1);
	(void)unsetenv(TABLE_ENVIRONMENT);
	(void)unsetenv(RK_STORE_ENVIRONMENT);
	rk_notify_environ_clear();
	return r;
}

void rk_keeper_upgrade_on_ready(struct rk_keeper *k, uint64_t table)
{
	struct rk_keeper_upgrade *u = &k->upgrade;

	if (u->stage == RK_KEEPER_BACK) {
		over(u, RK_LINK_UPGRADED_NOT);
		return;
	}
	if (u->stage != RK_KEEPER_TRYING)
		return;
	/* It runs from the very descriptor that is to be executed: whatever was asked before, this is what counts. */
	if (table != RK_KEEPER_TABLE) {
		stay(k, "it has another table");
		return;
	}
	u->stage = RK_KEEPER_FIT;
	u->until_ns = rk_clock_ns() + TELL_NS;
	rk_keeper_upgrade_go_on(k);
}

void rk_keeper_upgrade_go_on(struct rk_keeper *k)
{
	if (k->upgrade.stage == RK_KEEPER_FIT && rk_store_is_told(&k->store))
		stay(k, strerror(-become(k)));
}

/* ---- in the new binary ---- */

static int read_all(int fd, void *to, size_t len)
{
	ssize_t n = read(fd, to, len);

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EPROTO;
}

static void table_take(struct rk_keeper *k, const struct table *t)
{
	k->link = t->link;
	k->exe = t->exe;
	k->supervisor = t->supervisor;
	k->hup_reloads = t->hup_reloads != 0;
	k->stopping = t->stopping != 0;
	k->is_told = t->is_told != 0;
	k->signal = t->signal;
	k->n_deaths = t->n_deaths;
	k->stop_timeout_ns = t->stop_timeout_ns;
	k->kill_at_ns = t->kill_at_ns;
	k->since_ns = t->since_ns;
	k->progress_ns = t->progress_ns;
	k->n_files = (struct rlimit){ .rlim_cur = t->n_files_soft, .rlim_max = t->n_files_hard };
	k->has_begun = k->had_memory = k->was_ready = k->is_ready = true;
	memcpy(k->name, t->name, sizeof(k->name));
	k->name[sizeof(k->name) - 1] = '\0';
	k->upgrade = (struct rk_keeper_upgrade){ .stage = RK_KEEPER_OVER,
						 .exe = -1,
						 .group = t->upgrade_group,
						 .outcome = RK_LINK_UPGRADED_ALL };
}

static int one_take(struct rk_keeper *k, int fd)
{
	struct table_one one;
	struct rk_link_msg about;
	int r = read_all(fd, &one, sizeof(one));

	if (r < 0)
		return r;
	about = (struct rk_link_msg){ .kind = one.kind, .pid = one.pid, .tag = one.tag, .value = one.value };
	memcpy(about.name, one.name, sizeof(about.name));
	r = rk_fd_cloexec(one.fd, 1);
	if (r == 0)
		r = rk_held_keep(&k->held, &about, one.fd);
	if (r < 0)
		return r;
	if (one.code && rk_held_ended(&k->held, one.pid, one.code, one.status) && one.is_reported)
		rk_held_reported(&k->held, k->held.n - 1);
	if (one.stored)
		rk_store_known(&k->store, &about, one.stored, one.fd);
	return 0;
}

/* What was to be taken and is not cannot be had again: better a keeper that dies, and systemd's next one. */
static int table_read(struct rk_keeper *k, int fd)
{
	struct table t;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : read_all(fd, &t, sizeof(t));

	if (r == 0 && (t.magic != TABLE_MAGIC || t.version != RK_KEEPER_TABLE || t.n_held > HELD_MAX))
		r = -EPROTO;
	if (r < 0)
		return r;
	table_take(k, &t);
	rk_store_open(&k->store, &k->held);
	k->store.is_activated = t.is_activated != 0;
	for (uint32_t i = 0; r == 0 && i < t.n_held; i++)
		r = one_take(k, fd);
	k->held.n_handed = k->held.n;
	if (r == 0 && t.is_sync_awaited)
		k->sync_is_due = rk_store_ask(&k->store);
	if (r == 0)
		r = rk_fd_cloexec(k->link, 1);
	return r == 0 ? rk_fd_cloexec(k->exe, 1) : r;
}

int rk_keeper_upgrade_restore(struct rk_keeper *k)
{
	const char *text = getenv(TABLE_ENVIRONMENT);
	rk_cleanup(rk_close_p) int table = -1;
	struct rk_err err = { 0 };
	uint64_t fd;
	int r;

	if (!text)
		return -ENOENT;
	if (rk_num_parse(text, 3, 1 << 20, &fd, NULL) < 0)
		return -EBADF;
	(void)unsetenv(TABLE_ENVIRONMENT);
	table = (int)fd;
	r = table_read(k, table);
	if (r < 0)
		return r;
	k->board = rk_board_socket_open(k->name, &err);
	if (k->board < 0)
		rk_log(RK_LOG_WARNING, "%s", err.text);
	rk_log_whose(k->name);
	rk_log(RK_LOG_INFO, "keeper is release " PACKAGE_VERSION " now");
	(void)prctl(PR_SET_NAME, PROGRAM_NAME); /* older kernels call us by the descriptor's number */
	(void)raise(SIGCHLD); /* that of a death which the old binary had not looked at may be read already */
	return 0;
}
