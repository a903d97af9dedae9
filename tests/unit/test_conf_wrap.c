/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What is said of wrapped programs and does not fit together is told where it can be changed, by a
 *         sentence that says what would do; what nobody says follows from the kind; a fleet whose hangs
 *         nobody would notice is doubted.
 * Method  Tables of configurations.
 */
#include "supervisor/conf_wrap.h"

#include <check.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/conf_fixture.h"
#include "tests/unit/unit.h"

#define N "[Fleet a]\nExec=/bin/cat\nKind=native\n"
#define L "[Fleet a]\nExec=/bin/cat\nKind=lines\n"
#define H "[Fleet a]\nExec=/bin/cat\nKind=http\n"
#define T "[Fleet a]\nExec=/bin/cat\nKind=tcp\n"
#define X "[Fleet a]\nExec=/bin/cat\nKind=exec\n"
#define B "[Fleet b]\nExec=/bin/cat\nKind=tcp\n"

static const struct {
	const char *text;
	uint32_t line;
	const char *says;
} bad[] = {
	/* keys of another kind */
	{ N "Framing=netstring\n", 4, "Framing= is for Kind=lines, and fleet 'a' is Kind=native: take it out, or change Kind=" },
	{ "[Fleet a]\nExec=/bin/cat\nStateDirectory=/a\n", 3, "StateDirectory= is for any Kind= but native, and fleet 'a' is Kind=native" },
	{ T "AnswerId=1\n", 4, "AnswerId= is for Kind=lines," },
	{ X "Window=2\n", 4, "Window= is for Kind=lines or http," },
	{ L "Expect=a\n", 4, "Expect= is for Kind=http, tcp, notify or exec," },
	{ L "Listen=127.0.0.1:%p\n", 4, "Listen= is for Kind=http, tcp, notify or exec," },
	{ T "HttpPath=/a\n", 4, "HttpPath= is for Kind=http," },
	/* specifiers */
	{ "[Fleet a]\nKind=tcp\nExec=/bin/cat %q\n", 3,
	  "Exec=: '%q' stands for nothing: there are %p (port), %i (slot), %s (socket), %d (state directory), %f (fleet) and "
	  "%% (a percent sign)" },
	{ "[Fleet a]\nKind=lines\nPort=80\nExec=/bin/cat 100%\n", 4, "a '%' stands at the end of a word" },
	{ "[Fleet a]\nKind=lines\nSocket=/a\nExec=/bin/cat --port %p\n", 4, "has no port: give Port= that of slot 0, or write %%p" },
	{ "[Fleet a]\nKind=lines\nExec=/bin/cat\nWorkingDirectory=/a/%s\n", 4, "WorkingDirectory=: '%s' stands for nothing" },
	{ "[Fleet a]\nKind=tcp\nExec=/bin/cat %s\n", 3, "has no socket: give Socket= its path, or write %%s" },
	{ "[Fleet a]\nKind=lines\nExec=/bin/cat\nCheckpointExec=/bin/echo %d\n", 4, "write %%d for what the program is to see" },
	{ T "Socket=/run/%s\n", 4, "Socket=: '%s' stands for nothing: there are %p (port), %i (slot), %d (state directory), %f" },
	{ T "StateDirectory=/var/%d\n", 4, "StateDirectory=: '%d' stands for nothing: there are %p (port), %i (slot), %f" },
	{ T "Address=h:%x\n", 4, "Address=: '%x'" },
	{ T "ProbeExec=/bin/true %z\n", 4, "ProbeExec=: '%z'" },
	{ T "CheckpointExec=/bin/true %z\n", 4, "CheckpointExec=: '%z'" },
	{ T "RestoreExec=/bin/true %z\n", 4, "RestoreExec=: '%z'" },
	{ T "Listen=127.0.0.1:%z\nWorkers=1\n", 4, "Listen=: '%z'" },
	/* ports and addresses */
	{ T "Port=65533\n", 4, "Port=65533 and Workers=4 end at port 65536, and the last one is 65535: lower Port= to 65532 or less" },
	{ T "Port=7002\n" B, 5, "fleet 'b' has ports 7000 to 7003, and fleet 'a' has 7002 to 7005: give Port= to one of them, 7006" },
	{ T B, 4, "fleet 'b' has ports 7000 to 7003, and fleet 'a' has 7000 to 7003" },
	{ T "Listen=127.0.0.1:80\n", 4, "Listen=127.0.0.1:80 is one address for 4 workers: put %p or %i into it, or set Workers=1" },
	/* probes */
	{ T "Send=PING\n", 4, "every stopped server still accepts connections" },
	{ T "Expect=a\nHealthPath=/\n", 5, "Expect=, HealthPath= and ProbeExec= are three probes" },
	{ T "HealthPath=/\nProbeExec=/bin/true\n", 5, "keep one" },
	{ X "Expect=a\n", 4, "Expect= has nothing to connect to: give Port= or Socket=" },
	{ T "Port=0\nHealthPath=/\n", 5, "HealthPath= has nothing to connect to" },
	/* checkpoints */
	{ L "CheckpointExec=/bin/true\nCheckpointLine=SAVE\n", 5, "three ways to one checkpoint" },
	{ H "CheckpointPath=/save\nCheckpointExec=/bin/true\n", 4, "three ways to one checkpoint" },
	{ T "CheckpointLine=SAVE\n", 4, "CheckpointLine= is for Kind=lines," },
	{ L "CheckpointInterval=1s\n", 4, "CheckpointInterval= has nothing to do" },
	{ H "Port=0\nCheckpointPath=/save\n", 5, "CheckpointPath= has nothing to connect to" },
	/* what native workers have of them */
	{ N "Port=65533\n", 4, "Port=65533 and Workers=4 end at port 65536" },
	{ N "Port=7000\n" B, 5, "fleet 'b' has ports 7000 to 7003, and fleet 'a' has 7000 to 7003" },
	{ N "Address=h:%p\n", 4, "Address= says %p, and fleet 'a' has no port" },
	{ N "Socket=/a/%s\n", 4, "Socket=: '%s' stands for nothing" },
};

START_TEST(what_does_not_fit_is_told_where_it_can_be_changed)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	conf_of(bad[_i].text, &conf, &c);
	expect_complaint(&c, bad[_i].line, bad[_i].says);
}
END_TEST

static const char *const good[] = {
	L,
	H,
	T,
	X,
	N "Framing=line\nWindow=64\nProbeFailures=3\nListenAs=systemd\n", /* the defaults of other kinds change nothing */
	"[Fleet a]\nExec=/bin/date +%q\n",				    /* native programs have their '%' for themselves */
	"[Fleet a]\nKind=tcp\nExec=/bin/cat %p %i %d %f %% 100%% %s\nSocket=%d/%p-%i-%f%%\nPort=7\n"
	"WorkingDirectory=%d\n",
	"[Fleet a]\nKind=lines\nExec=/bin/awk '{printf \"%%d\", 1}'\n",
	"[Fleet a]\nKind=lines\nExec=/bin/cat %d\nStateDirectory=/srv/%i\n",
	L "AnswerId=2\nFraming=netstring\nTerminal=both\nWindow=1\n",
	L "CheckpointLine=save\nCheckpointInterval=1s\n",
	N "Port=7100\nSocket=/run/%i\nAddress=h:%p\n",
	T "Port=65532\n",
	T "Port=7004\n" B,
	T B "Disabled=yes\n",
	T B "Port=0\n",
	T "Listen=127.0.0.1:80\nWorkers=1\n",
	T "Listen=127.0.0.1:%p [::]:%p /run/%i.sock\n",
	T "Expect=220\n", /* a server that speaks first */
	T "Send=PING\\r\\n\nExpect=+PONG\n",
	"[Fleet a]\nKind=lines\nExec=/bin/awk '{printf \"%d%% %p %x\", $1}'\n", /* without a place they are awk's own */
	T "Send=PING\nExpect=a\nExpect=\nSend=\nHealthPath=/\n",
	X "ProbeExec=/bin/true\n",
};

START_TEST(what_fits_gives_no_complaint)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	good_conf_of(good[_i], &conf);
}
END_TEST

START_TEST(nothing_is_concluded_from_a_kind_that_was_refused)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	conf_of("[Fleet a]\nExec=/bin/cat %q\nKind=tpc\nPort=7\nSend=a\n", &conf, &c);
	expect_complaint(&c, 3, "'tpc' is none of native|lines|http|tcp|notify|exec");
}
END_TEST

static const struct {
	const char *text;
	uint32_t port, n_window;
	const char *address; /* NULL: none */
} unsaid[] = {
	{ N, 0, 64, NULL },
	{ L, 0, 64, NULL },
	{ L "Port=9\n", 9, 64, NULL },
	{ H, 7000, 16, "127.0.0.1:%p" },
	{ H "Window=64\n", 7000, 64, "127.0.0.1:%p" },
	{ H "Socket=/a%i\n", 0, 16, "unix:%s" },
	{ T, 7000, 64, "127.0.0.1:%p" },
	{ T "Port=1\nAddress=h:%p\n", 1, 64, "h:%p" },
	{ T "Port=0\n", 0, 64, NULL },
	{ T "Port=0\nPort=\n", 7000, 64, "127.0.0.1:%p" },
	{ T "Socket=/a%i\nPort=5\n", 5, 64, "127.0.0.1:%p" },
	{ X, 0, 64, NULL },
	{ X "Port=8000\n", 8000, 64, "127.0.0.1:%p" },
};

START_TEST(what_nobody_says_follows_from_the_kind)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	const struct rk_fleet_options *o;

	good_conf_of(unsaid[_i].text, &conf);
	o = &conf.fleets[0].o;
	ck_assert_uint_eq(o->port, unsaid[_i].port);
	ck_assert_uint_eq(o->n_window, unsaid[_i].n_window);
	ck_assert(o->move_after_ns == (o->kind == RK_KIND_TCP || o->kind == RK_KIND_EXEC ? RK_INFINITE : 30 * RK_NS_PER_S));
	ck_assert_str_eq(o->address ? o->address : "", unsaid[_i].address ? unsaid[_i].address : "");
}
END_TEST

static const struct {
	const char *text, *says; /* NULL: nothing */
} doubtful[] = {
	{ N, NULL },
	{ L, NULL },
	{ H "Workers=1\n", NULL }, /* its requests have a deadline */
	{ T, "has 4 workers with a port each, and its command does not say which: put %p" },
	{ "[Fleet a]\nKind=tcp\nExec=/bin/cat %p\nExpect=a\n", NULL },
	{ T "Workers=1\n", "fleet 'a' has no probe: a worker that dies is noticed, one that hangs is not; say Send= and Expect=" },
	{ X, "one that hangs is not" },
	{ "[Fleet a]\nExec=/bin/cat\nKind=notify\n", "unless its program sends WATCHDOG=1" },
	{ T "Workers=1\nExpect=a\n", NULL },
	{ T "Workers=1\nHealthPath=/\n", NULL },
	{ X "ProbeExec=/bin/true\n", NULL },
};

START_TEST(a_fleet_whose_hangs_nobody_would_notice_is_doubted)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	const char *doubt;
	char text[300];

	good_conf_of(doubtful[_i].text, &conf);
	doubt = rk_conf_wrap_doubt(&conf.fleets[0], text, sizeof(text));
	ck_assert_int_eq(doubt != NULL, doubtful[_i].says != NULL);
	if (doubt)
		ck_assert_msg(strstr(doubt, doubtful[_i].says) != NULL, "%s", doubt);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("conf_wrap");

	tcase_add_loop_test(c, what_does_not_fit_is_told_where_it_can_be_changed, 0, (int)rk_countof(bad));
	tcase_add_loop_test(c, what_fits_gives_no_complaint, 0, (int)rk_countof(good));
	tcase_add_test(c, nothing_is_concluded_from_a_kind_that_was_refused);
	tcase_add_loop_test(c, what_nobody_says_follows_from_the_kind, 0, (int)rk_countof(unsaid));
	tcase_add_loop_test(c, a_fleet_whose_hangs_nobody_would_notice_is_doubted, 0, (int)rk_countof(doubtful));
	return unit_run(c);
}
