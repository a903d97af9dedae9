/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Pages and reader lines go to one client at a time: ids are never given twice, a page
 *         passes on only when no call of its last holder is left, a name finds its page again
 *         and is refused while its holder lives. All of that holds over supervisors' deaths.
 * Method  A real fleet's segments, and peers that are processes of this test, held by pidfd.
 */
#include "supervisor/clients.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/call.h"
#include "shm/words.h"
#include "supervisor/segments.h"
#include "tests/unit/unit.h"

#define N_CLIENTS 3u

struct office {
	struct rk_segments s;
	struct rk_clients *c;
	struct rk_err err;
};

static void office_open(struct office *o)
{
	struct rk_geometry g;

	rk_geometry_default(&g);
	g.n_clients = N_CLIENTS;
	g.n_readers = N_CLIENTS + 1;
	g.n_partitions = 4;
	ck_assert_int_eq(rk_segments_create(&o->s, &g, &o->err), 0);
	ck_assert_int_eq(rk_clients_new(&o->s.m, &o->c), 0);
}

static void office_close(struct office *o)
{
	rk_clients_free(o->c);
	rk_segments_close(&o->s);
}

static struct rk_peer peer_start(void)
{
	struct rk_peer p = { .pid = fork() };

	if (p.pid == 0)
		for (;;)
			(void)pause();
	p.pidfd = (int)syscall(SYS_pidfd_open, p.pid, 0);
	ck_assert_int_ge(p.pidfd, 0);
	return p;
}

static void peer_end(struct rk_peer *p)
{
	(void)kill(p->pid, SIGKILL);
	ck_assert_int_eq(waitpid(p->pid, NULL, 0), p->pid);
}

static struct rk_grant must_open(struct office *o, const char *name, const struct rk_peer *p)
{
	struct rk_grant g = { 0 };

	ck_assert_msg(rk_clients_open(o->c, name, p, &g, &o->err) == 0, "%s", o->err.text);
	return g;
}

static void gone(struct office *o, const struct rk_grant *g)
{
	rk_clients_release(o->c, g->page);
	rk_clients_release_reader(o->c, g->reader);
}

static uint64_t id_on_board(struct office *o, uint32_t page)
{
	return atomic_load(&rk_shm_client_ids(&o->s.m)[page]);
}

/* Leaves a call in a partition's ring, as a client that died does. */
static void call_leave(struct office *o, const struct rk_grant *g)
{
	struct rk_caller caller = { .m = &o->s.m, .page = g->page, .id = g->id };
	struct rk_call_request r = { .key = "k", .key_len = 1, .body = "b", .len = 1 };
	struct rk_call call;

	ck_assert_int_eq(rk_call_start(&caller, 0, &r, &call), RK_CALL_STARTED);
}

/* Makes every reference in partition 0 vanish, as its owner would. */
static void calls_consume(struct office *o)
{
	struct rk_shm *m = &o->s.m;
	uint64_t ref;

	for (uint64_t at = 0; (ref = rk_queue_peek(m, 0, at)) != 0; at++) {
		ck_assert(rk_queue_take(m, 0, at, ref));
		rk_queue_recycle(m, 0, at, rk_ref_with(ref, RK_REF_TAKEN));
	}
}

START_TEST(ids_are_never_given_twice)
{
	struct office o;
	struct rk_peer p = peer_start();
	uint64_t last = 0;

	office_open(&o);
	for (int i = 0; i < 20; i++) {
		struct rk_grant g = must_open(&o, NULL, &p);

		ck_assert_uint_gt(g.id, last);
		ck_assert_uint_eq(id_on_board(&o, g.page), g.id);
		last = g.id;
		gone(&o, &g);
		ck_assert_uint_eq(id_on_board(&o, g.page), 0);
	}
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(a_page_with_calls_waits_until_they_are_gone)
{
	struct office o;
	struct rk_peer p = peer_start();
	struct rk_grant all[N_CLIENTS], g;

	office_open(&o);
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		all[i] = must_open(&o, NULL, &p);
	ck_assert_int_eq(rk_clients_open(o.c, NULL, &p, &g, &o.err), -ENOSPC);
	call_leave(&o, &all[1]);
	gone(&o, &all[1]);
	ck_assert_uint_eq(rk_clients_progress(o.c), 1);
	/* Its jobs may still run, so the board names it still. */
	ck_assert_uint_eq(id_on_board(&o, all[1].page), all[1].id);
	ck_assert_int_eq(rk_clients_open(o.c, NULL, &p, &g, &o.err), -EAGAIN);
	calls_consume(&o);
	g = must_open(&o, NULL, &p);
	ck_assert_uint_eq(g.page, all[1].page);
	ck_assert_uint_gt(g.id, all[2].id);
	ck_assert_uint_eq(rk_clients_progress(o.c), 0);
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(a_name_is_refused_while_its_holder_lives_and_found_again_when_it_died)
{
	struct office o;
	struct rk_peer p = peer_start(), q = peer_start();
	struct rk_grant g, again;

	office_open(&o);
	g = must_open(&o, "bob", &p);
	ck_assert(g.is_named);
	ck_assert_int_eq(rk_clients_open(o.c, "bob", &q, &again, &o.err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(o.err.text, "bob"));
	call_leave(&o, &g);
	/* It is dead, but its connection's end has not been told yet: no refusal. */
	peer_end(&p);
	again = must_open(&o, "bob", &q);
	ck_assert_uint_eq(again.page, g.page);
	ck_assert_uint_eq(again.id, g.id);
	ck_assert(rk_page_has_calls(&o.s.m, again.page));
	peer_end(&q);
	office_close(&o);
}
END_TEST

START_TEST(a_name_keeps_its_page_until_none_is_left)
{
	struct office o;
	struct rk_peer p = peer_start();
	struct rk_grant old, kept, anonymous, g;

	office_open(&o);
	kept = must_open(&o, "with-calls", &p);
	call_leave(&o, &kept);
	gone(&o, &kept);
	old = must_open(&o, "without", &p);
	gone(&o, &old);
	anonymous = must_open(&o, NULL, &p);
	ck_assert_uint_ne(anonymous.page, old.page);
	ck_assert_uint_ne(anonymous.page, kept.page);
	g = must_open(&o, NULL, &p); /* none is free: the name without calls gives way */
	ck_assert_uint_eq(g.page, old.page);
	ck_assert_uint_gt(g.id, anonymous.id);
	ck_assert_int_eq(rk_clients_open(o.c, "without", &p, &g, &o.err), -ENOSPC);
	g = must_open(&o, "with-calls", &p);
	ck_assert_uint_eq(g.id, kept.id);
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(a_bad_name_takes_nothing)
{
	struct office o;
	struct rk_peer p = peer_start();
	struct rk_grant g;

	office_open(&o);
	for (uint32_t i = 0; i < 2 * N_CLIENTS; i++) /* more often than there are lines */
		ck_assert_int_eq(rk_clients_open(o.c, "../x", &p, &g, &o.err), -EINVAL);
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		(void)must_open(&o, NULL, &p);
	/* A refusal for want of a page gives the reader line back. */
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(rk_clients_open(o.c, NULL, &p, &g, &o.err), -ENOSPC);
	ck_assert_int_eq(rk_clients_read(o.c, &p, &g.reader, &o.err), 0);
	ck_assert_int_eq(rk_clients_read(o.c, &p, &g.reader, &o.err), -ENOSPC);
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(a_reader_is_dead_when_its_process_is_or_when_nobody_has_the_line)
{
	struct office o;
	struct rk_peer p = peer_start();
	uint32_t line;

	office_open(&o);
	ck_assert(rk_clients_reader_is_dead(o.c, 0));
	ck_assert_int_eq(rk_clients_read(o.c, &p, &line, &o.err), 0);
	ck_assert_uint_eq(atomic_load(&rk_shm_reader(&o.s.m, line)->pid), (uint32_t)p.pid);
	atomic_store(&rk_shm_reader(&o.s.m, line)->active, 3); /* inside a section, for ever */
	ck_assert(!rk_clients_reader_is_dead(o.c, line));
	peer_end(&p);
	ck_assert(rk_clients_reader_is_dead(o.c, line));
	rk_clients_release_reader(o.c, line);
	ck_assert_uint_eq(atomic_load(&rk_shm_reader(&o.s.m, line)->active), 0);
	office_close(&o);
}
END_TEST

START_TEST(the_view_and_the_journal_say_who_is_there)
{
	struct office o;
	struct rk_peer p = peer_start();
	static char room[1 << 16];
	struct rk_view *v = (struct rk_view *)(void *)room;
	struct rk_view_client *in_view;
	struct rk_journal_client *in_journal;
	struct rk_grant g;

	office_open(&o);
	ck_assert_uint_le(o.s.m.l.view_stride, sizeof(room));
	g = must_open(&o, "bob", &p);
	rk_clients_fill(o.c, v);
	in_view = &rk_view_clients(&o.s.m, v)[g.page];
	in_journal = &rk_journal_clients(&o.s.m, o.s.m.journal)[g.page];
	ck_assert_str_eq(in_view->name, "bob");
	ck_assert_int_eq(in_view->pid, p.pid);
	ck_assert_uint_eq(in_view->flags, RK_CLIENT_USED | RK_CLIENT_NAMED | RK_CLIENT_ALIVE);
	ck_assert_uint_eq(in_journal->id, g.id);
	ck_assert_str_eq(in_journal->name, "bob");
	gone(&o, &g);
	rk_clients_fill(o.c, v);
	ck_assert_uint_eq(in_view->flags, RK_CLIENT_USED | RK_CLIENT_NAMED);
	ck_assert_uint_eq(in_journal->flags, RK_CLIENT_USED | RK_CLIENT_NAMED);
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(the_view_says_whether_a_client_that_is_gone_left_calls)
{
	struct office o;
	struct rk_peer p = peer_start();
	static char room[1 << 16];
	struct rk_view *v = (struct rk_view *)(void *)room;
	const struct rk_view_client *in_view;
	struct rk_grant g;

	office_open(&o);
	g = must_open(&o, "bob", &p);
	in_view = &rk_view_clients(&o.s.m, v)[g.page];
	call_leave(&o, &g);
	rk_clients_fill(o.c, v);
	ck_assert_uint_eq(in_view->flags & RK_CLIENT_HAS_CALLS, 0); /* while it lives it is its own matter */
	gone(&o, &g);
	rk_clients_fill(o.c, v);
	ck_assert_uint_eq(in_view->flags,
			  RK_CLIENT_USED | RK_CLIENT_NAMED | RK_CLIENT_HAS_CALLS);
	calls_consume(&o); /* nobody has read its reply all the same */
	rk_clients_fill(o.c, v);
	ck_assert_uint_ne(in_view->flags & RK_CLIENT_HAS_CALLS, 0);
	g = must_open(&o, "bob", &p);
	rk_clients_fill(o.c, v);
	ck_assert_uint_eq(in_view->flags & RK_CLIENT_HAS_CALLS, 0);
	peer_end(&p);
	office_close(&o);
}
END_TEST

/* ---- of a dead supervisor ---- */

/* Another supervisor: nothing but the memory is left. */
static void office_inherit(struct office *o)
{
	rk_clients_free(o->c);
	ck_assert_int_eq(rk_clients_new(&o->s.m, &o->c), 0);
	rk_clients_adopt(o->c);
}

/* The client of this line is there still, as it was found by its connection. */
static void must_hold(struct office *o, const struct rk_grant *g, const struct rk_peer *p)
{
	struct rk_journal_who who, was = rk_journal_who(p->pid, p->pidfd);
	uint32_t page;

	ck_assert(rk_clients_was(o->c, g->reader, &who, &page));
	ck_assert_int_eq(who.pid, was.pid);
	ck_assert_uint_eq(who.pidfd_inode, was.pidfd_inode);
	ck_assert_uint_eq(who.begun, was.begun);
	ck_assert_uint_eq(page, g->page);
	rk_clients_hold(o->c, g->reader, page, p);
}

static bool was_somebody_s(struct office *o, uint32_t reader)
{
	struct rk_journal_who who;
	uint32_t page;

	return rk_clients_was(o->c, reader, &who, &page);
}

START_TEST(who_is_there_still_keeps_page_line_and_name)
{
	struct office o;
	struct rk_peer p = peer_start(), q = peer_start();
	struct rk_grant bob, nameless, g;

	office_open(&o);
	bob = must_open(&o, "bob", &p);
	rk_clients_answered(o.c, bob.reader);
	nameless = must_open(&o, NULL, &q);
	rk_clients_answered(o.c, nameless.reader);
	for (int supervisor = 0; supervisor < 3; supervisor++) {
		office_inherit(&o);
		must_hold(&o, &bob, &p);
		must_hold(&o, &nameless, &q);
		rk_clients_settle(o.c);
		ck_assert(rk_clients_holds(o.c, bob.page, &p));
		ck_assert(rk_clients_holds(o.c, nameless.page, &q));
		ck_assert_uint_eq(id_on_board(&o, bob.page), bob.id);
		ck_assert_uint_eq(id_on_board(&o, nameless.page), nameless.id);
		ck_assert(!rk_clients_reader_is_dead(o.c, bob.reader));
		ck_assert_int_eq(rk_clients_open(o.c, "bob", &q, &g, &o.err), -EBUSY);
		g = must_open(&o, NULL, &q);
		ck_assert_uint_eq(g.page, 3 - bob.page - nameless.page); /* the third one */
		ck_assert_uint_ne(g.reader, bob.reader);
		ck_assert_uint_ne(g.reader, nameless.reader);
		gone(&o, &g);
	}
	gone(&o, &bob);
	g = must_open(&o, "bob", &q);
	ck_assert_uint_eq(g.page, bob.page);
	ck_assert_uint_eq(g.id, bob.id);
	peer_end(&p);
	peer_end(&q);
	office_close(&o);
}
END_TEST

START_TEST(who_died_meanwhile_leaves_what_it_would_have_left)
{
	struct office o;
	struct rk_peer p = peer_start(), q = peer_start();
	struct rk_grant bob, with_calls, without, g;

	office_open(&o);
	bob = must_open(&o, "bob", &p);
	with_calls = must_open(&o, NULL, &p);
	without = must_open(&o, NULL, &p);
	call_leave(&o, &bob);
	call_leave(&o, &with_calls);
	rk_clients_answered(o.c, bob.reader);
	rk_clients_answered(o.c, with_calls.reader);
	rk_clients_answered(o.c, without.reader);
	peer_end(&p);
	office_inherit(&o);
	rk_clients_settle(o.c); /* nobody of them was found */
	ck_assert_uint_eq(id_on_board(&o, bob.page), bob.id);
	ck_assert_uint_eq(id_on_board(&o, with_calls.page), with_calls.id);
	ck_assert_uint_eq(id_on_board(&o, without.page), 0);
	ck_assert_uint_eq(rk_clients_progress(o.c), 1);
	for (uint32_t i = 0; i <= N_CLIENTS; i++)
		ck_assert(rk_clients_reader_is_dead(o.c, i) && !was_somebody_s(&o, i));
	g = must_open(&o, "bob", &q);
	ck_assert_uint_eq(g.page, bob.page);
	ck_assert_uint_eq(g.id, bob.id);
	g = must_open(&o, NULL, &q);
	ck_assert_uint_eq(g.page, without.page);
	ck_assert_uint_gt(g.id, without.id);
	calls_consume(&o);
	ck_assert_uint_eq(rk_clients_progress(o.c), 0);
	ck_assert_uint_eq(id_on_board(&o, with_calls.page), 0);
	peer_end(&q);
	office_close(&o);
}
END_TEST

START_TEST(who_had_left_before_is_not_forgotten)
{
	struct office o;
	struct rk_peer p = peer_start();
	struct rk_grant bob, nameless, g;

	office_open(&o);
	bob = must_open(&o, "bob", &p);
	nameless = must_open(&o, NULL, &p);
	call_leave(&o, &nameless);
	gone(&o, &bob);
	gone(&o, &nameless);
	for (int supervisor = 0; supervisor < 3; supervisor++) {
		office_inherit(&o);
		rk_clients_settle(o.c);
		ck_assert_uint_eq(id_on_board(&o, bob.page), bob.id);
		ck_assert_uint_eq(id_on_board(&o, nameless.page), nameless.id);
		ck_assert_uint_eq(rk_clients_progress(o.c), 1);
	}
	g = must_open(&o, "bob", &p);
	ck_assert_uint_eq(g.id, bob.id);
	calls_consume(&o);
	ck_assert_uint_eq(rk_clients_progress(o.c), 0);
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(who_was_not_answered_asks_again_and_leaves_nothing)
{
	struct office o;
	struct rk_peer p = peer_start();
	struct rk_grant bob, nameless, again;
	uint32_t line;

	office_open(&o);
	bob = must_open(&o, "bob", &p);
	nameless = must_open(&o, NULL, &p);
	ck_assert_int_eq(rk_clients_read(o.c, &p, &line, &o.err), 0);
	office_inherit(&o);
	ck_assert(!was_somebody_s(&o, bob.reader));
	ck_assert(!was_somebody_s(&o, nameless.reader));
	ck_assert(!was_somebody_s(&o, line));
	rk_clients_settle(o.c);
	again = must_open(&o, "bob", &p); /* no refusal: the name is nobody's */
	ck_assert_uint_eq(again.page, bob.page);
	ck_assert_uint_eq(again.id, bob.id);
	for (uint32_t i = 1; i < N_CLIENTS; i++)
		ck_assert_uint_gt(must_open(&o, NULL, &p).id, nameless.id);
	ck_assert_int_eq(rk_clients_read(o.c, &p, &line, &o.err), 0); /* all lines but those are free */
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(a_line_without_a_page_stays_its_reader_s)
{
	struct office o;
	struct rk_peer p = peer_start();
	struct rk_journal_who who;
	uint32_t line, page;

	office_open(&o);
	ck_assert_int_eq(rk_clients_read(o.c, &p, &line, &o.err), 0);
	rk_clients_answered(o.c, line);
	atomic_store(&rk_shm_reader(&o.s.m, line)->active, 3); /* inside a section */
	office_inherit(&o);
	ck_assert(rk_clients_was(o.c, line, &who, &page));
	ck_assert_uint_eq(page, RK_CLIENTS_NONE);
	rk_clients_hold(o.c, line, page, &p);
	rk_clients_settle(o.c);
	ck_assert(!rk_clients_reader_is_dead(o.c, line));
	ck_assert_uint_eq(atomic_load(&rk_shm_reader(&o.s.m, line)->active), 3); /* its view is not written */
	office_inherit(&o);
	rk_clients_settle(o.c); /* now it is gone */
	ck_assert_uint_eq(atomic_load(&rk_shm_reader(&o.s.m, line)->active), 0);
	ck_assert_uint_eq(atomic_load(&rk_shm_reader(&o.s.m, line)->pid), 0);
	peer_end(&p);
	office_close(&o);
}
END_TEST

/* Killed between the journal and the word on the board, in both directions. */
START_TEST(a_page_that_was_half_given_or_half_cleared_is_free)
{
	struct office o;
	struct rk_peer p = peer_start();
	struct rk_grant g, next;

	office_open(&o);
	g = must_open(&o, NULL, &p);
	if (_i == 0) { /* given in the journal: its client was told nothing */
		atomic_store(&rk_shm_client_ids(&o.s.m)[g.page], 0);
	} else { /* cleared in the journal, and workers take its calls still */
		rk_clients_release_reader(o.c, g.reader);
		rk_journal_client(&o.s.m, g.page, 0, 0, 0, NULL);
	}
	office_inherit(&o);
	rk_clients_settle(o.c);
	ck_assert_uint_eq(rk_clients_progress(o.c), 0);
	ck_assert_uint_eq(id_on_board(&o, g.page), 0);
	next = must_open(&o, NULL, &p);
	ck_assert_uint_eq(next.page, g.page);
	ck_assert_uint_gt(next.id, g.id);
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(a_journal_that_is_damaged_gives_nobody_another_one_s_page)
{
	struct office o;
	struct rk_peer p = peer_start();
	static char room[1 << 16];
	struct rk_view *v = (struct rk_view *)(void *)room;
	struct rk_journal_who who;
	struct rk_grant g;
	uint32_t page;

	office_open(&o);
	g = must_open(&o, NULL, &p);
	rk_clients_answered(o.c, g.reader);
	rk_journal_readers(&o.s.m, o.s.m.journal)[g.reader].page = N_CLIENTS + 1 + (uint32_t)_i * 0x7fffffffu;
	memset(rk_journal_clients(&o.s.m, o.s.m.journal)[g.page].name, 'x', RK_NAME_MAX); /* no end */
	office_inherit(&o);
	ck_assert(rk_clients_was(o.c, g.reader, &who, &page));
	ck_assert_uint_eq(page, RK_CLIENTS_NONE);
	rk_clients_hold(o.c, g.reader, page, &p);
	rk_clients_settle(o.c);
	ck_assert(!rk_clients_holds(o.c, g.page, &p));
	rk_clients_fill(o.c, v);
	ck_assert_uint_lt(strnlen(rk_view_clients(&o.s.m, v)[g.page].name, RK_NAME_MAX), RK_NAME_MAX);
	peer_end(&p);
	office_close(&o);
}
END_TEST

START_TEST(some_names_are_the_operator_s)
{
	ck_assert(rk_clients_is_reserved("rekindle.dead"));
	ck_assert(rk_clients_is_reserved("rekindle."));
	ck_assert(!rk_clients_is_reserved("rekindle"));
	ck_assert(!rk_clients_is_reserved("rekindle-dead"));
	ck_assert(!rk_clients_is_reserved("my.rekindle.dead"));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("clients");

	tcase_add_test(c, ids_are_never_given_twice);
	tcase_add_test(c, a_page_with_calls_waits_until_they_are_gone);
	tcase_add_test(c, a_name_is_refused_while_its_holder_lives_and_found_again_when_it_died);
	tcase_add_test(c, a_name_keeps_its_page_until_none_is_left);
	tcase_add_test(c, a_bad_name_takes_nothing);
	tcase_add_test(c, a_reader_is_dead_when_its_process_is_or_when_nobody_has_the_line);
	tcase_add_test(c, the_view_and_the_journal_say_who_is_there);
	tcase_add_test(c, the_view_says_whether_a_client_that_is_gone_left_calls);
	tcase_add_test(c, who_is_there_still_keeps_page_line_and_name);
	tcase_add_test(c, who_died_meanwhile_leaves_what_it_would_have_left);
	tcase_add_test(c, who_had_left_before_is_not_forgotten);
	tcase_add_test(c, who_was_not_answered_asks_again_and_leaves_nothing);
	tcase_add_test(c, a_line_without_a_page_stays_its_reader_s);
	tcase_add_loop_test(c, a_page_that_was_half_given_or_half_cleared_is_free, 0, 2);
	tcase_add_loop_test(c, a_journal_that_is_damaged_gives_nobody_another_one_s_page, 0, 2);
	tcase_add_test(c, some_names_are_the_operator_s);
	return unit_run(c);
}
