/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Pages and reader lines go to one client at a time: ids are never given twice, a page
 *         passes on only when no call of its last holder is left, a name finds its page again
 *         and is refused while its holder lives.
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
	tcase_add_test(c, some_names_are_the_operator_s);
	return unit_run(c);
}
