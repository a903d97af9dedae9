/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Only whom the options name may use a fleet; a socket lets in whom any of its fleets
 *         names; a peer is who it was when it connected.
 * Method  A table of peers; a socket pair to oneself.
 */
#include "supervisor/access.h"

#include <check.h>
#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static gid_t some_groups[] = { 7, 30 };

static const struct {
	const char *what;
	struct rk_access_peer peer;
	bool by_user, by_group;
} cases[] = {
	{ "ClientUser", { 1, 20, 20, NULL, 0 }, true, false },
	{ "one whose group it is", { 1, 21, 30, NULL, 0 }, false, true },
	{ "one that is a member beside", { 1, 21, 21, some_groups, 2 }, false, true },
	{ "one that is a member of others", { 1, 21, 21, some_groups, 1 }, false, false },
	{ "one whose uid is the group's number", { 1, 30, 21, NULL, 0 }, false, false },
	{ "one whose gid is the user's number", { 1, 21, 20, NULL, 0 }, false, false },
	{ "nobody", { 1, 65534, 65534, NULL, 0 }, false, false },
};

START_TEST(only_whom_the_options_name_may_use_a_fleet)
{
	const struct rk_fleet_options none = { 0 };
	const struct rk_fleet_options user = { .client_user = { .is_set = true, .id = 20 } };
	const struct rk_fleet_options group = { .client_group = { .is_set = true, .id = 30 } };

	ck_assert_msg(!rk_access_may_use(&none, &cases[_i].peer), "%s", cases[_i].what);
	ck_assert_msg(rk_access_may_use(&user, &cases[_i].peer) == cases[_i].by_user, "%s",
		      cases[_i].what);
	ck_assert_msg(rk_access_may_use(&group, &cases[_i].peer) == cases[_i].by_group, "%s",
		      cases[_i].what);
}
END_TEST

START_TEST(a_socket_lets_in_whom_any_fleet_names)
{
	const struct rk_fleet_options closed = { .socket_mode = { .bits = 0600 } };
	const struct rk_fleet_options open = { .socket_mode = { .bits = 0660 },
					       .client_user = { .is_set = true, .id = 20 },
					       .client_group = { .is_set = true, .id = 30 } };
	struct rk_access_socket s = { (uid_t)-1, (gid_t)-1, 0 };

	rk_access_admit(&s, &closed);
	ck_assert(s.uid == (uid_t)-1 && s.gid == (gid_t)-1 && s.mode == 0600);
	rk_access_admit(&s, &open);
	rk_access_admit(&s, &closed);
	ck_assert(s.uid == 20 && s.gid == 30 && s.mode == 0660);
}
END_TEST

START_TEST(a_peer_comes_with_all_its_groups)
{
	struct rk_access_peer p;
	gid_t mine[1024];
	int n = getgroups(1024, mine), pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(rk_access_peer(pair[0], &p), 0);
	ck_assert(p.pid == getpid() && p.uid == getuid() && p.gid == getgid());
	ck_assert_uint_eq(p.n_groups, (unsigned int)n);
	for (int i = 0; i < n; i++)
		ck_assert_uint_eq(p.groups[i], mine[i]);
	rk_access_peer_free_p(&p);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("access");

	tcase_add_loop_test(c, only_whom_the_options_name_may_use_a_fleet, 0,
			    (int)rk_countof(cases));
	tcase_add_test(c, a_socket_lets_in_whom_any_fleet_names);
	tcase_add_test(c, a_peer_comes_with_all_its_groups);
	return unit_run(c);
}
