/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, adopted: what a supervisor does with what its dead predecessor left: the fleets that keeper
 * holds memory of, their workers and clients.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/child.h"
#include "supervisor/journal.h"
#include "supervisor/loop_private.h"

/* Under a new keeper nobody but its journal knows of them. */
static void processes_kill(const struct rk_shm *m)
{
	for (uint32_t i = 0; i < m->g.n_workers; i++) {
		const struct rk_journal_slot *j = &rk_journal_slots(m->journal)[i];
		const struct rk_journal_who who = { j->pid, j->pidfd_inode, j->begun };
		rk_cleanup(rk_close_p) int pidfd = -1;

		/* Acquire: J1. */
		if (atomic_load_explicit(&j->state, memory_order_acquire) == RK_JOURNAL_LIVE)
			pidfd = rk_journal_find(&who);
		if (pidfd >= 0)
			rk_child_kill(&(struct rk_spawned){ .pid = j->pid, .pidfd = pidfd, .gate = -1 });
	}
}

static void left_kill(struct rk_inherit *in, uint64_t tag)
{
	int fd[RK_SEGMENT_KINDS];
	struct rk_segments s;

	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		struct rk_heirloom *one = rk_inherit_memory(in, tag, rk_segment_name(k));

		fd[k] = one ? rk_take_fd(&one->fd) : -1;
	}
	if (rk_segments_adopt(&s, fd, NULL) < 0)
		return; /* another release's, or damaged: its workers end by OrphanTimeout */
	processes_kill(&s.m);
	rk_board_end(&s.m);
	rk_segments_close(&s);
}

/* Of no use to anybody: nothing says what it shall run. */
static void leave(struct rk_loop *l, const struct rk_fleet_left *left)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_NOTE);
	const struct rk_link_msg drop = { .op = RK_LINK_DROP,
					  .tag = rk_link_memory_tag(left->number),
					  .value = left->number };

	note.level = RK_LOG_WARNING;
	(void)rk_recorder_note(&l->recorder, &note,
			       "memory of fleet %s is given up why=\"the configuration in force has no such fleet\"",
			       left->name[0] ? left->name : "?");
	left_kill(l->inherit, drop.tag);
	if (rk_link_send(l->link, &drop, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper holds the memory of a fleet that is gone");
}

/* It keeps the sizes that it was made with, whatever its keys would make of them now. */
static void geometry_keep(struct rk_conf_fleet *conf, const struct rk_fleet *f)
{
	conf->geometry = f->segments.m.g;
	conf->reserved = f->segments.m.l.total_len;
}

static struct rk_conf_fleet *fleet_of(struct rk_loop_conf *c, const char *name)
{
	for (uint32_t i = 0; c && i < c->conf.n_fleets; i++)
		if (strcmp(c->conf.fleets[i].name, name) == 0)
			return &c->conf.fleets[i];
	return NULL;
}

/*
 * By what it goes on: the configuration in force. If that does not have it, or the journal says that it ends, by
 * the one that it ran by. NULL: neither is there, so it was made for a reload that never came into force.
 */
static struct rk_conf_fleet *conf_choose(struct rk_loop *l, const struct rk_fleet_left *left, bool *ret_leaves)
{
	struct rk_conf_fleet *now = fleet_of(l->conf, left->name), *then = fleet_of(l->conf->older, left->name);

	*ret_leaves = left->is_leaving || !now || now->o.is_disabled;
	if (!*ret_leaves || (!then && left->is_leaving))
		return now;
	return then;
}

int rk_loop_adopt(struct rk_loop *l, struct rk_err *err)
{
	struct rk_fleet_left left;
	uint32_t at = 0;

	while (rk_fleet_next_left(l->inherit, &at, &left)) {
		bool leaves;
		struct rk_conf_fleet *c = conf_choose(l, &left, &leaves);
		int r;

		if (!c) {
			leave(l, &left);
			continue;
		}
		r = rk_loop_open_fleet(l, c, left.number, l->inherit, err);
		if (r < 0)
			return rk_err_prefix(err, r, left.name);
		l->fleets.at[l->fleets.n - 1]->is_leaving = leaves;
		geometry_keep(c, l->fleets.at[l->fleets.n - 1]);
	}
	return 0;
}

void rk_loop_go_on(struct rk_loop *l)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_START);
	uint32_t n_workers = 0, n_clients = 0;

	rk_loop_group_adopt(l);
	for (uint32_t i = 0; i < l->fleets.n; i++) {
		struct rk_fleet *f = l->fleets.at[i];

		if (!f->is_adopted)
			continue;
		n_clients += rk_control_adopt(l->control, f, l->inherit);
		n_workers += rk_fleet_go_on(f, l->inherit);
		if (f->is_leaving)
			rk_loop_leave_on(l, f);
	}
	rk_loop_reload_on(l);
	if (rk_loop_tell_keeper(l) < 0)
		rk_log(RK_LOG_WARNING, "keeper could not be told how long a stop may take");
	rk_inherit_forget_rest(l->inherit, l->link);
	note.message = RK_MESSAGE_ADOPTED;
	(void)rk_recorder_note(&l->recorder, &note, "fleets adopted workers=%u clients=%u after_ms=%llu.%03llu", n_workers,
			       n_clients, (unsigned long long)((rk_clock_ns() - l->env.started_ns) / RK_NS_PER_MS),
			       (unsigned long long)((rk_clock_ns() - l->env.started_ns) / RK_NS_PER_US % 1000));
	rk_say(&l->say, "rekindle: the supervisor was replaced: %u worker%s and %u client%s go on", n_workers,
	       n_workers == 1 ? "" : "s", n_clients, n_clients == 1 ? "" : "s");
}

/* One that ended before it came to that has not said itself that it was there: an upgrade's, or one that fails at once. */
static void start_record(struct rk_loop *l, const struct rk_link_msg *p)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_START);

	if (!(p->kind & RK_LINK_UNREADY) || !p->pid || rk_recorder_has_started(&l->recorder, p->pid))
		return;
	note.pid = p->pid;
	(void)rk_recorder_note(&l->recorder, &note, "supervisor was started, and ended before it could say so keeper=%d",
			       (int)getppid());
}

void rk_loop_mourn(struct rk_loop *l)
{
	const struct rk_link_msg *p = &l->inherit->predecessor;
	const char *signal = p->code == CLD_EXITED ? NULL : sigabbrev_np(p->status);
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_DEATH);

	if (!rk_inherit_is_successor(l->inherit))
		return;
	start_record(l, p);
	note.message = RK_MESSAGE_SUPERVISOR_DIED;
	note.level = strncmp(p->name, RK_LINK_WAY, sizeof(p->name)) == 0 ? RK_LOG_INFO : RK_LOG_WARNING;
	note.pid = p->pid;
	if (!p->pid)
		(void)rk_recorder_note(&l->recorder, &note, "keeper and supervisor died, workers go on%s",
				       l->n_collected ? "; nobody else had kept the memory, it is collected from them" : "");
	else if (signal)
		(void)rk_recorder_note(&l->recorder, &note, "supervisor died, workers go on cause=\"SIG%s\" by=\"%s\"",
				       signal, p->name);
	else
		(void)rk_recorder_note(&l->recorder, &note, "supervisor died, workers go on cause=\"exited %d\"",
				       p->status);
}
