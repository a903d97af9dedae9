/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Of a fleet whose journal is lost a new one says what can be known from the shared words: who
 *         runs which slot, whose each partition is, who the clients are; a slot that nobody holds is
 *         repaired or started, and nothing that was used before is given away.
 * Method  A fleet in private memory whose words are what workers, clients and a dead supervisor leave;
 *         this process and a child are the workers.
 */
#include "supervisor/collect.h"

#include <check.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "shm/beat.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/fsm.h"
#include "supervisor/journal.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define SLOTS 4u
#define TID 4711u /* of the thread that holds a lease */

static struct fixture *f; /* one test per process */

static void setup(void)
{
	f = fixture_new(NULL, 0);
}

static void teardown(void)
{
	fixture_free(f);
}

/* ---- whose unit ---- */

static const struct {
	const char *text, *unit;
} units[] = {
	{ "0::/system.slice/rekindle@demo.service\n", "/system.slice/rekindle@demo.service" },
	{ "0::/system.slice/rekindle@demo.service/rekindle-demo-7/words/3\n", "/system.slice/rekindle@demo.service" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/rekindle@demo.service/x\n",
	  "/user.slice/user-1000.slice/user@1000.service/app.slice/rekindle@demo.service" },
	{ "12:pids:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n", "/system.slice/a.service" },
	{ "12:pids:/x.service\n1:name=systemd:/\n0::/a.service/b\n", "/a.service" },
	{ "0::/system.slice/a.services/b\n", "" },
	{ "0::/system.slice/a.service.d/b\n", "" },
	{ "0::/user.slice\n", "" },
	{ "", "" },
};

START_TEST(the_unit_is_the_last_service_of_the_path)
{
	char unit[128], tight[8];

	ck_assert_str_eq(rk_collect_unit(units[_i].text, unit, sizeof(unit)), units[_i].unit);
	ck_assert_str_eq(rk_collect_unit(units[_i].text, tight, sizeof(tight)), ""); /* half a name is none */
}
END_TEST

/* ---- the journal ---- */

static pid_t whose(uint32_t tid, void *arg)
{
	return tid == TID ? *(pid_t *)arg : 0;
}

static void lease_set(uint32_t slot, uint32_t word)
{
	atomic_store(rk_beat_lease_word(rk_shm_beat(&f->m, slot)), word);
}

static void used(uint32_t slot, uint64_t incarnation, uint32_t state)
{
	atomic_store(&rk_shm_beat(&f->m, slot)->incarnation, incarnation);
	atomic_store(&rk_shm_beat(&f->m, slot)->state, state);
}

static void collect(uint32_t n_wanted)
{
	pid_t us = getpid();

	rk_collect_journal(&f->m, n_wanted, whose, &us);
}

static const struct rk_journal_note *note(uint32_t slot)
{
	return rk_journal_noted(&f->m, slot);
}

static const struct {
	uint64_t incarnation;
	uint32_t beat, lease, n_wanted;
	uint32_t state;
	bool lives, is_wanted;
} slots[] = {
	{ 5, RK_BEAT_READY, TID, 0, RK_FSM_READY, true, true },
	{ 5, RK_BEAT_RUNNING, TID | FUTEX_WAITERS, 4, RK_FSM_READY, true, true },
	{ 5, RK_BEAT_STARTING, TID, 4, RK_FSM_STARTING, true, true },
	{ 5, RK_BEAT_READY, TID | FUTEX_OWNER_DIED, 4, RK_FSM_DOWN, false, true },
	{ 5, RK_BEAT_READY, TID + 1, 4, RK_FSM_DOWN, false, true },
	{ 5, RK_BEAT_READY, 0, 0, RK_FSM_DOWN, false, false },
	{ 0, 0, 0, 4, RK_FSM_STARTING, false, true },
	{ 0, 0, 0, 0, RK_FSM_EMPTY, false, false },
};

START_TEST(a_slot_is_what_its_words_say)
{
	const struct rk_journal_slot *j = &rk_journal_slots(f->m.journal)[2];

	used(2, slots[_i].incarnation, slots[_i].beat);
	lease_set(2, slots[_i].lease);
	collect(slots[_i].n_wanted);
	ck_assert_uint_eq(note(2)->state, slots[_i].state);
	ck_assert_uint_eq(note(2)->incarnation, slots[_i].incarnation);
	ck_assert_int_eq((note(2)->flags & RK_JOURNAL_WANTED) != 0, slots[_i].is_wanted);
	ck_assert_int_eq(atomic_load(&j->state) == RK_JOURNAL_LIVE, slots[_i].lives);
	ck_assert_int_eq(j->pid == getpid() && j->incarnation == slots[_i].incarnation, slots[_i].lives);
	/* What is there no more is laid down by who adopts it, as in the middle of its death. */
	ck_assert_int_eq((note(2)->flags & (RK_JOURNAL_ACTING | RK_JOURNAL_MANNED)) == (RK_JOURNAL_ACTING | RK_JOURNAL_MANNED),
			 slots[_i].state == RK_FSM_DOWN);
	ck_assert(rk_journal_is_marked(&f->m, RK_JOURNAL_RUNS));
}
END_TEST

START_TEST(partitions_are_their_owners)
{
	struct fixture_owner w[2] = { 0 };

	fixture_own(f, &w[0], 1, 3);
	fixture_own(f, &w[1], 2, 0);
	collect(SLOTS);
	ck_assert_uint_eq(*rk_journal_owner(&f->m, 1), 3);
	ck_assert_uint_eq(*rk_journal_owner(&f->m, 2), 0);
	fixture_disown(&w[0]);
	fixture_disown(&w[1]);
}
END_TEST

/* The published view's, with a client on the first page. */
static struct rk_view_client *view_clients(void)
{
	struct rk_view *view = rk_shm_view(&f->m, atomic_load(&f->m.board->view) % RK_VIEWS);

	return (struct rk_view_client *)(void *)((char *)view + f->m.l.view_clients);
}

START_TEST(clients_are_those_that_were_seen_last_and_no_id_comes_again)
{
	struct rk_view_client *seen = view_clients();
	const struct rk_journal_client *j = rk_journal_clients(&f->m, f->m.journal);

	atomic_store(&rk_shm_client_ids(&f->m)[0], 70);
	seen[0] = (struct rk_view_client){ .id = 70, .pid = getpid(), .flags = RK_CLIENT_USED | RK_CLIENT_NAMED };
	memset(seen[0].name, 'n', sizeof(seen[0].name)); /* without an end */
	atomic_store(&rk_shm_client_ids(&f->m)[1], 90); /* came behind the last view */
	collect(SLOTS);
	ck_assert_uint_eq(j[0].id, 70);
	ck_assert_int_eq(j[0].pid, getpid());
	ck_assert_uint_eq(j[0].flags, RK_CLIENT_USED | RK_CLIENT_NAMED);
	ck_assert_uint_eq(strnlen(j[0].name, sizeof(j[0].name)), sizeof(j[0].name) - 1);
	ck_assert_uint_eq(j[1].id, 90);
	ck_assert_uint_eq(j[1].flags, RK_CLIENT_USED);
	ck_assert_uint_eq(j[2].flags, 0);
	ck_assert_uint_gt(rk_journal_next_client(&f->m), 90 + (UINT64_C(1) << 31));
}
END_TEST

START_TEST(a_reader_line_is_its_living_process_s)
{
	const struct rk_journal_reader *j = rk_journal_readers(&f->m, f->m.journal);
	pid_t dead = fork();

	if (dead == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(dead, NULL, 0), dead);
	view_clients()[1] = (struct rk_view_client){ .id = 3, .pid = getpid(), .flags = RK_CLIENT_USED | RK_CLIENT_ALIVE };
	atomic_store(&rk_shm_reader(&f->m, 0)->pid, (uint32_t)getpid());
	atomic_store(&rk_shm_reader(&f->m, 1)->pid, (uint32_t)dead);
	collect(SLOTS);
	ck_assert_int_eq((pid_t)j[0].pid, getpid());
	ck_assert_uint_eq(j[0].page, 1 + 1);
	ck_assert_uint_eq(j[0].answered, 1);
	ck_assert_uint_eq(j[1].pid, 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("collect");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, the_unit_is_the_last_service_of_the_path, 0, (int)rk_countof(units));
	tcase_add_loop_test(c, a_slot_is_what_its_words_say, 0, (int)rk_countof(slots));
	tcase_add_test(c, partitions_are_their_owners);
	tcase_add_test(c, clients_are_those_that_were_seen_last_and_no_id_comes_again);
	tcase_add_test(c, a_reader_line_is_its_living_process_s);
	return unit_run(c);
}
