/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    what a worker or a reader is doing can be seen from outside: rk_calling() and rk_beat()
 *         on the board, and a reader stopped inside its section by its pid.
 * Method  real fleets of tests/system/test_worker, whose job stops where something is to be seen;
 *         'rekindle status --internals -o json' is what is looked at.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/look.h"
#include "shm/fault.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

static struct fleet fleet;

static void assert_declares(const char *what)
{
	struct json_object *status = fleet_status(), *workers = fleet_member(status, "workers", NULL);
	const char *declared = json_object_get_string(
		fleet_member(json_object_array_get_idx(workers, 0), "declared", NULL));

	ck_assert_str_eq(declared, what);
	json_object_put(status);
}

START_TEST(a_worker_that_waits_for_somebody_says_so_and_counts_its_beats)
{
	struct rk_request request = { .key = "k", .body = "calling", .len = 7, .timeout_ms = FLEET_WAIT_MS };
	struct rk_reply reply = { 0 };
	struct rk_look look;
	struct rk_err err;
	struct rk_client *c;
	uint64_t until_ns;

	fleet_start(&fleet, 1, NULL, NULL);
	ck_assert_msg(rk_look_open(&look, NULL, &err) == 0, "%s", err.text);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	fleet_await_state(fleet.worker[0], 'T');
	assert_declares("calling");
	until_ns = rk_shm_beat(&look.m, 0)->calling_until_ns;
	ck_assert_uint_gt(until_ns, rk_clock_ns());
	ck_assert_uint_le(until_ns, rk_clock_ns() + 60 * RK_NS_PER_S);
	ck_assert_uint_eq(rk_shm_beat(&look.m, 0)->beats, 0);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0); /* from here on it is not stopped before the second stop */
	fleet_await_state(fleet.worker[0], 'T');
	assert_declares("running");
	ck_assert_uint_eq(rk_shm_beat(&look.m, 0)->calling_until_ns, 0);
	ck_assert_uint_eq(rk_shm_beat(&look.m, 0)->beats, 3);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_DONE);
	rk_client_close(c);
	rk_look_close_p(&look);
	fleet_stop(&fleet);
}
END_TEST

/* A reader that stops between entering its section and leaving it. */
static pid_t stopped_reader(void)
{
	pid_t pid = fleet_fork();

	if (pid == 0) {
		struct rk_client *reader = fleet_client(NULL);
		uint32_t partition, worker;
		int owner;

		rk_fault_arm(RK_KP_EPOCH_ENTERED, 1, SIGSTOP);
		(void)rk_client_where(reader, "k", 1, &partition, &worker, &owner);
		_exit(1);
	}
	fleet_await_state(pid, 'T');
	return pid;
}

static int64_t internal(struct json_object *status, const char *name)
{
	return json_object_get_int64(fleet_member(status, "internals", name, NULL));
}

static bool names(struct json_object *status, pid_t pid)
{
	struct json_object *pids = fleet_member(status, "internals", "stalled_pids", NULL);

	for (size_t i = 0; i < json_object_array_length(pids); i++)
		if (json_object_get_int(json_object_array_get_idx(pids, i)) == pid)
			return internal(status, "stalled_readers") == 1;
	return false;
}

/* One job, so that a death is followed by a commit and by views. */
static void work(struct rk_client *c)
{
	struct rk_request request = { .key = "k", .body = "add", .len = 3, .timeout_ms = FLEET_WAIT_MS };
	struct rk_reply reply = { 0 };

	ck_assert_int_eq(rk_call_retry(c, &request, &reply), RK_DONE);
	rk_reply_release(c, &reply);
}

/*
 * The worker's death, a job of its successor, and the event line that follows the views of both.
 * The board may be behind: then it is asked for the owner in vain.
 */
static void make_views(struct rk_client *c)
{
	work(c);
	if (fleet_kill_owner(c, "k")) {
		work(c);
		fleet_await_line(&fleet, "SIGKILL");
	}
}

START_TEST(a_reader_stopped_in_its_section_is_named_and_views_go_on_without_it)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	struct json_object *status;
	struct rk_client *c;
	bool named = false, coalesced = false;
	int64_t version;
	pid_t reader;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	reader = stopped_reader();
	while (!named) {
		ck_assert_msg(rk_clock_ns() < end_ns, "the stopped reader is never named");
		make_views(c);
		status = fleet_status();
		named = names(status, reader);
		json_object_put(status);
	}
	/* Until no buffer is left: from then on the board stands, and everything else goes on. */
	for (int i = 0; i < 5; i++)
		make_views(c);
	status = fleet_status();
	ck_assert(names(status, reader));
	version = internal(status, "view_version");
	json_object_put(status);
	ck_assert_int_eq(kill(reader, SIGKILL), 0);
	ck_assert_int_eq(waitpid(reader, NULL, 0), reader);
	while (!coalesced) {
		ck_assert_msg(rk_clock_ns() < end_ns, "no view was coalesced, or none came after it");
		make_views(c);
		status = fleet_status();
		coalesced = internal(status, "coalesced_views") > 0 && internal(status, "view_version") > version &&
			    internal(status, "stalled_readers") == 0;
		json_object_put(status);
	}
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("signs");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_worker_that_waits_for_somebody_says_so_and_counts_its_beats);
	tcase_add_test(c, a_reader_stopped_in_its_section_is_named_and_views_go_on_without_it);
	return unit_run(c);
}
