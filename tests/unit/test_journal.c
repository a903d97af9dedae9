/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What a supervisor writes down its successor reads back, every word of it; a process is found
 *         again if it is the one that is meant, and no other of that number; nothing half written is
 *         taken for whole.
 * Method  A journal in private memory that two "supervisors" use in turn; children of this test as the
 *         processes. Deaths between two words are played by writing what they leave (and at every
 *         instruction by tests/fault/step_journal.c).
 */
#include "supervisor/journal.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

static struct fixture *f; /* one test per process */
static const struct rk_shm *m;

static void setup(void)
{
	f = fixture_new(NULL, 0);
	m = &f->m;
}

static void teardown(void)
{
	fixture_free(f);
}

static const struct rk_journal_slot *slot(uint32_t i)
{
	return &rk_journal_slots(m->journal)[i];
}

static pid_t child_start(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	ck_assert_int_gt(pid, 0);
	return pid;
}

static void child_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static int open_of(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	ck_assert_int_ge(pidfd, 0);
	return pidfd;
}

static bool is_over(int pidfd)
{
	siginfo_t si = { 0 };

	return waitid((idtype_t)P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid != 0;
}

/* ---- who a process is ---- */

START_TEST(a_process_is_found_again_and_held)
{
	pid_t pid = child_start();
	int pidfd = open_of(pid), found;
	struct rk_journal_who who = rk_journal_who(pid, pidfd);

	(void)close(pidfd);
	ck_assert_int_eq(who.pid, pid);
	ck_assert_msg(!who.pidfd_inode != !who.begun, "by one of the two");
	found = rk_journal_find(&who);
	ck_assert_int_ge(found, 0);
	ck_assert(!is_over(found));
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitid((idtype_t)P_PIDFD, (id_t)found, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	(void)close(found);
	/* Dead and not reaped yet: it is still that one, and who finds it sees that it is over. */
	found = rk_journal_find(&who);
	ck_assert_int_ge(found, 0);
	ck_assert(is_over(found));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	(void)close(found);
	ck_assert_int_eq(rk_journal_find(&who), -ESRCH);
}
END_TEST

/* Before Linux 6.9 all pidfds share one inode, and the start tells. */
START_TEST(without_an_inode_a_process_is_known_by_its_start)
{
	pid_t pid = child_start();
	struct rk_journal_who who = rk_journal_who(pid, -1), first = rk_journal_who(1, -1);

	ck_assert_uint_eq(who.pidfd_inode, 0);
	ck_assert_uint_gt(who.begun, 0);
	ck_assert_uint_gt(who.begun, first.begun);
	ck_assert_uint_eq(rk_journal_who(pid, -1).begun, who.begun);
	child_end(pid);
	ck_assert_uint_eq(rk_journal_who(pid, -1).begun, 0);
}
END_TEST

START_TEST(another_process_of_that_number_is_not_taken_for_it)
{
	pid_t pid = child_start();
	int pidfd = open_of(pid);
	struct rk_journal_who who = rk_journal_who(pid, pidfd), other = who;

	if (who.pidfd_inode)
		other.pidfd_inode++;
	else
		other.begun--;
	ck_assert_int_eq(rk_journal_find(&other), -ESRCH);
	other = (struct rk_journal_who){ .pid = pid }; /* neither was written */
	ck_assert_int_eq(rk_journal_find(&other), -ESRCH);
	child_end(pid);
	(void)close(pidfd);
}
END_TEST

START_TEST(a_number_that_is_no_process_is_nobody)
{
	static const int32_t pids[] = { 0, -1, INT32_MIN, INT32_MAX };

	for (size_t i = 0; i < rk_countof(pids); i++)
		ck_assert_int_eq(rk_journal_find(&(struct rk_journal_who){ .pid = pids[i], .begun = 1 }), -ESRCH);
}
END_TEST

static void *thread_tell(void *arg)
{
	atomic_store((_Atomic pid_t *)arg, (pid_t)syscall(SYS_gettid));
	for (;;)
		(void)pause();
	return NULL;
}

START_TEST(a_thread_of_that_number_is_nobody)
{
	_Atomic pid_t tid = 0;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, thread_tell, &tid), 0);
	while (atomic_load(&tid) == 0)
		(void)sched_yield();
	ck_assert_int_eq(rk_journal_find(&(struct rk_journal_who){ .pid = atomic_load(&tid), .begun = 1 }), -ESRCH);
}
END_TEST

/* ---- slots ---- */

START_TEST(a_slot_goes_from_intent_to_process_to_death)
{
	const struct rk_journal_who who = { .pid = 4711, .pidfd_inode = 1ull << 40, .begun = 77 };

	ck_assert_uint_eq(atomic_load(&slot(2)->state), RK_JOURNAL_DOWN);
	for (uint64_t n = 1; n < 4; n++) {
		rk_journal_intent(m, 2, n, n + 100);
		ck_assert_uint_eq(atomic_load(&slot(2)->state), RK_JOURNAL_INTENT);
		ck_assert_uint_eq(slot(2)->incarnation, n);
		ck_assert_uint_eq(slot(2)->cgroup, n + 100);
		ck_assert_int_eq(slot(2)->pid, 0); /* not its predecessor's */
		ck_assert_uint_eq(slot(2)->pidfd_inode, 0);
		ck_assert_uint_eq(slot(2)->begun, 0);
		rk_journal_live(m, 2, &who);
		ck_assert_uint_eq(atomic_load(&slot(2)->state), RK_JOURNAL_LIVE);
		ck_assert_int_eq(slot(2)->pid, who.pid);
		ck_assert_uint_eq(slot(2)->pidfd_inode, who.pidfd_inode);
		ck_assert_uint_eq(slot(2)->begun, who.begun);
		ck_assert_uint_eq(slot(2)->incarnation, n);
		rk_journal_down(m, 2);
		ck_assert_uint_eq(atomic_load(&slot(2)->state), RK_JOURNAL_DOWN);
		ck_assert_uint_eq(slot(2)->n_exits, n);
		ck_assert_int_eq(slot(2)->exit_code, -1); /* not known yet, and not its predecessor's */
		rk_journal_cause(m, 2, CLD_EXITED, 3);
		ck_assert_int_eq(slot(2)->exit_code, CLD_EXITED);
		ck_assert_int_eq(slot(2)->exit_status, 3);
	}
	ck_assert_uint_eq(atomic_load(&slot(1)->state), RK_JOURNAL_DOWN);
	ck_assert_uint_eq(slot(1)->n_exits + slot(3)->n_exits, 0);
}
END_TEST

static struct rk_journal_note note_of(int n)
{
	struct rk_journal_note note;

	memset(&note, n, sizeof(note));
	return note;
}

START_TEST(a_note_is_the_last_one_that_was_written_whole)
{
	struct rk_journal_note note = note_of(0);
	struct rk_journal_slot *s = &rk_journal_slots(m->journal)[3];

	ck_assert_mem_eq(rk_journal_noted(m, 3), &note, sizeof(note)); /* before the first */
	for (int n = 1; n < 10; n++) {
		note = note_of(n);
		rk_journal_note(m, 3, &note);
		ck_assert_mem_eq(rk_journal_noted(m, 3), &note, sizeof(note));
		note = note_of(n - 1); /* the one before was not touched */
		ck_assert_mem_eq(&s->notes[!atomic_load(&s->note)], &note, sizeof(note));
		note = note_of(n);
		rk_journal_note(m, 3, &note);
		/* The next one's writer dies: whatever it got written, the index still names this one. */
		memset(&s->notes[!atomic_load(&s->note)], 0xee, sizeof(note) / 2);
		ck_assert_mem_eq(rk_journal_noted(m, 3), &note, sizeof(note));
	}
	ck_assert_mem_eq(rk_journal_noted(m, 2), &(struct rk_journal_note){ 0 }, sizeof(note));
}
END_TEST

START_TEST(what_the_guard_saw_is_read_back_and_touches_no_note)
{
	struct rk_journal_note note = note_of(5);
	struct rk_journal_slot *s = &rk_journal_slots(m->journal)[3];
	struct rk_journal_watch watch;

	ck_assert_uint_eq(rk_journal_watched(m, 3)->incarnation, 0); /* before the first */
	rk_journal_note(m, 3, &note);
	for (int n = 1; n < 10; n++) {
		memset(&watch, n, sizeof(watch));
		rk_journal_watch(m, 3, &watch);
		memset(&s->watches[!atomic_load(&s->watch)], 0xee, sizeof(watch) / 2);
		ck_assert_mem_eq(rk_journal_watched(m, 3), &watch, sizeof(watch));
	}
	ck_assert_mem_eq(rk_journal_noted(m, 3), &note, sizeof(note));
	ck_assert_uint_eq(rk_journal_watched(m, 2)->incarnation, 0);
}
END_TEST

START_TEST(an_index_that_is_damaged_leads_nowhere_else)
{
	struct rk_journal_slot *s = &rk_journal_slots(m->journal)[0];

	atomic_store(&s->note, UINT32_MAX);
	ck_assert_ptr_eq(rk_journal_noted(m, 0), &s->notes[1]);
	atomic_store(&s->note, 1u << 31);
	ck_assert_ptr_eq(rk_journal_noted(m, 0), &s->notes[0]);
	atomic_store(&s->watch, UINT32_MAX);
	ck_assert_ptr_eq(rk_journal_watched(m, 0), &s->watches[1]);
}
END_TEST

START_TEST(what_a_fault_has_stopped_is_marked)
{
	rk_journal_stopped(m, 1, true);
	ck_assert_uint_eq(atomic_load(&slot(1)->stopped), 1);
	ck_assert_uint_eq(atomic_load(&slot(0)->stopped), 0);
	rk_journal_stopped(m, 1, false);
	ck_assert_uint_eq(atomic_load(&slot(1)->stopped), 0);
}
END_TEST

START_TEST(each_partition_has_its_owner)
{
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		rk_journal_own(m, p, p == 2 ? RK_WORKER_NONE : p);
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		ck_assert_uint_eq(atomic_load(rk_journal_owner(m, p)), p == 2 ? RK_WORKER_NONE : p);
}
END_TEST

/* ---- clients, readers ---- */

static const struct rk_journal_client *client(uint32_t page)
{
	return &rk_journal_clients(m, m->journal)[page];
}

START_TEST(client_ids_are_given_once_whoever_asks)
{
	for (uint64_t n = 1; n < 10; n++)
		ck_assert_uint_eq(rk_journal_next_client(m), n);
}
END_TEST

START_TEST(a_page_says_whose_it_is)
{
	static const char longest[] = "0123456789012345678901234567890123456789012345678901234567890123456789";

	rk_journal_client(m, 1, 7, 100, RK_CLIENT_USED | RK_CLIENT_NAMED | RK_CLIENT_ALIVE, "gateway-3");
	ck_assert_uint_eq(client(1)->id, 7);
	ck_assert_int_eq(client(1)->pid, 100);
	ck_assert_uint_eq(client(1)->flags, RK_CLIENT_USED | RK_CLIENT_NAMED | RK_CLIENT_ALIVE);
	ck_assert_str_eq(client(1)->name, "gateway-3");
	rk_journal_client(m, 1, 7, 0, RK_CLIENT_USED | RK_CLIENT_NAMED, "gateway-3");
	ck_assert_int_eq(client(1)->pid, 0);
	ck_assert_uint_eq(client(1)->flags, RK_CLIENT_USED | RK_CLIENT_NAMED);
	rk_journal_client(m, 1, 8, 101, RK_CLIENT_USED, NULL);
	ck_assert_mem_eq(client(1)->name, (char[RK_NAME_MAX]){ 0 }, RK_NAME_MAX); /* nothing of the one before */
	rk_journal_client(m, 1, 9, 101, RK_CLIENT_USED | RK_CLIENT_NAMED, longest);
	ck_assert_uint_eq(strnlen(client(1)->name, RK_NAME_MAX), RK_NAME_MAX - 1);
	rk_journal_client(m, 1, 0, 0, 0, NULL);
	ck_assert_mem_eq(client(1), &(struct rk_journal_client){ 0 }, sizeof(*client(1)));
	ck_assert_mem_eq(client(0), &(struct rk_journal_client){ 0 }, sizeof(*client(0)));
	ck_assert_mem_eq(client(2), &(struct rk_journal_client){ 0 }, sizeof(*client(2)));
}
END_TEST

START_TEST(a_line_says_whose_it_is_and_whether_he_knows)
{
	const struct rk_journal_who who = { .pid = 100, .pidfd_inode = 1ull << 40, .begun = 77 };
	const struct rk_journal_reader *r = &rk_journal_readers(m, m->journal)[5];

	rk_journal_reader(m, 5, &who, 2);
	ck_assert_int_eq(atomic_load(&r->pid), 100);
	ck_assert_uint_eq(r->page, 3);
	ck_assert_uint_eq(r->pidfd_inode, who.pidfd_inode);
	ck_assert_uint_eq(r->begun, who.begun);
	ck_assert_uint_eq(atomic_load(&r->answered), 0);
	rk_journal_answered(m, 5);
	ck_assert_uint_eq(atomic_load(&r->answered), 1);
	rk_journal_reader(m, 5, &who, UINT32_MAX); /* the next one's: he does not know yet */
	ck_assert_uint_eq(r->page, 0);
	ck_assert_uint_eq(atomic_load(&r->answered), 0);
	rk_journal_reader(m, 5, &(struct rk_journal_who){ 0 }, UINT32_MAX);
	ck_assert_mem_eq(r, &(struct rk_journal_reader){ 0 }, sizeof(*r));
}
END_TEST

/* ---- the whole ---- */

START_TEST(a_supervisor_signs)
{
	rk_journal_sign(m, &(struct rk_journal_who){ .pid = 5, .pidfd_inode = 6, .begun = 7 });
	ck_assert_int_eq(m->journal->supervisor_pid, 5);
	ck_assert_uint_eq(m->journal->supervisor_inode, 6);
	ck_assert_uint_eq(m->journal->supervisor_begun, 7);
}
END_TEST

START_TEST(each_mark_is_set_and_taken_back_alone)
{
	static const uint32_t marks[] = { RK_JOURNAL_RUNS,    RK_JOURNAL_READY, RK_JOURNAL_PROVEN, RK_JOURNAL_HALTED,
					  RK_JOURNAL_LEAVING, RK_JOURNAL_ROLLS, RK_JOURNAL_HOLDS };

	for (size_t i = 0; i < rk_countof(marks); i++) {
		rk_journal_mark(m, marks[i], true);
		for (size_t k = 0; k < rk_countof(marks); k++)
			ck_assert_int_eq(rk_journal_is_marked(m, marks[k]), k <= i);
	}
	for (size_t i = 0; i < rk_countof(marks); i++) {
		rk_journal_mark(m, marks[i], false);
		for (size_t k = 0; k < rk_countof(marks); k++)
			ck_assert_int_eq(rk_journal_is_marked(m, marks[k]), k > i);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("journal");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_process_is_found_again_and_held);
	tcase_add_test(c, without_an_inode_a_process_is_known_by_its_start);
	tcase_add_test(c, another_process_of_that_number_is_not_taken_for_it);
	tcase_add_test(c, a_number_that_is_no_process_is_nobody);
	tcase_add_test(c, a_thread_of_that_number_is_nobody);
	tcase_add_test(c, a_slot_goes_from_intent_to_process_to_death);
	tcase_add_test(c, a_note_is_the_last_one_that_was_written_whole);
	tcase_add_test(c, what_the_guard_saw_is_read_back_and_touches_no_note);
	tcase_add_test(c, an_index_that_is_damaged_leads_nowhere_else);
	tcase_add_test(c, what_a_fault_has_stopped_is_marked);
	tcase_add_test(c, each_partition_has_its_owner);
	tcase_add_test(c, client_ids_are_given_once_whoever_asks);
	tcase_add_test(c, a_page_says_whose_it_is);
	tcase_add_test(c, a_line_says_whose_it_is_and_whether_he_knows);
	tcase_add_test(c, a_supervisor_signs);
	tcase_add_test(c, each_mark_is_set_and_taken_back_alone);
	return unit_run(c);
}
