/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Every kind of value is read whole or refused with a sentence that says what would do;
 *         what was refused changes nothing; what is printed reads back as the same value.
 * Method  Tables of good values with their canonical form and of bad ones with what is said.
 */
#include "supervisor/respond.h"
#include "supervisor/value.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "supervisor/respond.h"
#include "tests/unit/unit.h"

static struct rk_fleet_options o;

static const struct rk_key *key(const char *name)
{
	const struct rk_key *k = rk_key_find(RK_INI_FLEET, name);

	ck_assert_msg(k != NULL, "%s", name);
	return k;
}

static int set(const char *name, const char *text, struct rk_err *err)
{
	*err = (struct rk_err){ 0 };
	return rk_value_parse(key(name), text, &o, err);
}

static void expect(const char *name, const char *text)
{
	rk_cleanup(rk_free_p) char *printed = rk_value_text(key(name), &o);

	ck_assert_str_eq(printed, text);
}

static const struct {
	const char *key, *text, *canonical;
} good[] = {
	{ "Workers", "12", "12" },
	{ "Partitions", "16384", "16384" },
	{ "MaxState", "1024K", "1M" },
	{ "MemoryMax", "infinity", "infinity" },
	{ "StopTimeout", "0", "0" },
	{ "StopTimeout", "60s", "1min" },
	{ "StartTimeout", "infinity", "infinity" },
	{ "Blocking", "off", "no" },
	{ "Blocking", "1", "yes" },
	{ "Restart", "on-failure", "on-failure" },
	{ "Kind", "native", "native" },
	{ "WorkingDirectory", "/a b", "/a b" },
	{ "Exec", "'a b'  c \"\"", "\"a b\" c \"\"" },
	{ "ExecStartPre", "-/bin/a b", "-/bin/a b" },
	{ "Environment", "A=1 'B=x y' C=", "A=1 \"B=x y\" C=" },
	{ "EnvironmentFile", "-/a /b", "-/a /b" },
	{ "After", "a b.1", "a b.1" },
	{ "KillSignal", "INT", "SIGINT" },
	{ "KillSignal", "SIGUSR2", "SIGUSR2" },
	{ "JobTimeoutSignal", "USR1", "SIGUSR1" },
	{ "JobTimeoutSignal", "", "" },
	{ "SuccessExitStatus", "255 SIGHUP 0 3 PIPE", "0 3 255 SIGHUP SIGPIPE" },
	{ "CPUAffinity", "8,0-2 1023", "0-2,8,1023" },
	{ "User", "0", "0" },
	{ "User", "root", "root" },
	{ "Group", "12345", "12345" },
	{ "UMask", "27", "0027" },
	{ "SocketMode", "0660", "0660" },
	{ "LimitNOFILE", "1024:4096", "1024:4096" },
	{ "LimitNOFILE", "7", "7" },
	{ "LimitCORE", "infinity", "infinity" },
	{ "LimitAS", "1G:infinity", "1G:infinity" },
	{ "Nice", "-20", "-20" },
	{ "Nice", "19", "19" },
	{ "Output", "null", "null" },
	{ "Output", "file:/var/log/x", "file:/var/log/x" },
	{ "Batch", "256", "256" },
	{ "Kind", "notify", "notify" },
	{ "Preset", "redis", "redis" },
	{ "Framing", "netstring", "netstring" },
	{ "AnswerId", "1", "1" },
	{ "AnswerId", ".meta.id", ".meta.id" },
	{ "Terminal", "both", "both" },
	{ "Port", "7001", "7001" },
	{ "Socket", "%d/redis.sock", "%d/redis.sock" },
	{ "StateDirectory", "/srv/%f %i", "/srv/%f %i" },
	{ "Address", "[::1]:%p", "[::1]:%p" },
	{ "Send", "PING\\r\\n", "PING\\r\\n" },
	{ "Send", "\\x50 \\\\\\x0a\\x1B\\t\\x20", "P \\\\\\n\\x1b\\t\\x20" },
	{ "Expect", "+PONG", "+PONG" },
	{ "HealthPath", "/health?full=1", "/health?full=1" },
	{ "ProbeExec", "redis-cli -p %p ping", "redis-cli -p %p ping" },
	{ "KeyHeader", "X-Key", "X-Key" },
	{ "Listen", "127.0.0.1:%p [::1]:80 /run/a.sock  %d/b 0.0.0.0:65535", "127.0.0.1:%p [::1]:80 /run/a.sock %d/b 0.0.0.0:65535" },
	{ "CheckpointLine", "BGSAVE\\r\\n", "BGSAVE\\r\\n" },
	{ "CheckpointInterval", "60s", "1min" },
	{ "RestoreExec", "cp %d/a %d/b", "cp %d/a %d/b" },
};

START_TEST(a_good_value_prints_canonically_and_reads_back)
{
	struct rk_err err;

	ck_assert_int_eq(rk_options_init(RK_INI_FLEET, &o), 0);
	ck_assert_msg(set(good[_i].key, good[_i].text, &err) == 0, "%s", err.text);
	expect(good[_i].key, good[_i].canonical);
	ck_assert_int_eq(set(good[_i].key, "", &err), 0);
	expect(good[_i].key, key(good[_i].key)->normal);
	ck_assert_int_eq(set(good[_i].key, good[_i].canonical, &err), 0);
	expect(good[_i].key, good[_i].canonical);
	rk_options_free(RK_INI_FLEET, &o);
}
END_TEST

static const struct {
	const char *key, *text, *says;
} bad[] = {
	{ "Workers", "0", "1..4095" },
	{ "Workers", "4 # four", "not a number" },
	{ "Workers", "-1", "must be 1..4095" },
	{ "Workers", "99999999999999999999999", "too large" },
	{ "Workers", "infinity", "not a number" },
	{ "Partitions", "100", "power of two" },
	{ "MaxState", "12Q", "K, M, G, T" },
	{ "MaxState", "4G", "..2G" },
	{ "StopTimeout", "5", "give a unit: 5s or 5ms" },
	{ "StopTimeout", "1.5s", "unit" },
	{ "StopTimeout", "infinity", "unit" },
	{ "StopTimeout", "25h", "..24h" },
	{ "Blocking", "maybe", "neither yes nor no" },
	{ "Restart", "sometimes", "always|on-failure|no" },
	{ "Restart", "always|no", "none of" },
	{ "Kind", "https", "'https' is none of native|lines|http|tcp|notify|exec" },
	{ "Preset", "a/b", "use 1 to 63" },
	{ "Framing", "lines", "line|netstring" },
	{ "AnswerId", "0", "neither a field's number from 1" },
	{ "AnswerId", ".", "nor a .json.path such as .id" },
	{ "AnswerId", ".a b", "nor a .json.path" },
	{ "AnswerId", "id", "nor a .json.path" },
	{ "Window", "1025", "1..1024" },
	{ "Port", "65536", "..65535" },
	{ "Socket", "redis.sock", "begin it with '/' or %d" },
	{ "StateDirectory", "%f/x", "begin it with '/'" },
	{ "Send", "PING\\q", "'\\q' is no escape: there are \\r, \\n, \\t, \\\\ and \\xHH" },
	{ "Send", "a\\", "'\\' is no escape" },
	{ "Send", "\\x4", "is no escape" },
	{ "Expect", "a\\x00", "\\x00 cannot be" },
	{ "HealthPath", "health", "begin it with '/'" },
	{ "HttpPath", "/a b", "write %20" },
	{ "KeyHeader", "X Key", "cannot be a header's name" },
	{ "KeyHeader", "X:", "cannot be a header's name" },
	{ "ProbeExec", "-/bin/true", "no meaning here" },
	{ "ProbeInterval", "1ms", "10ms.." },
	{ "Listen", "8080", "'8080' is no address: write HOST:PORT" },
	{ "Listen", "127.0.0.1:0", "no address" },
	{ "Listen", "127.0.0.1:65536", "no address" },
	{ "Listen", "::1:80", "no address" },
	{ "Listen", "[]:80", "no address" },
	{ "Listen", "[::1]80", "no address" },
	{ "Listen", ":80", "no address" },
	{ "Listen", "/a /b /c /d /e /f /g /h /i /j /k /l /m /n /o /p /q", "more than 16 addresses" },
	{ "ListenAs", "inetd", "systemd|nginx|fd" },
	{ "FileDescriptorStoreMax", "65", "0..64" },
	{ "WorkingDirectory", "var", "begin it with '/'" },
	{ "Exec", "'a", "no partner" },
	{ "Exec", "''", "empty" },
	{ "Exec", "-/bin/a", "no meaning here" },
	{ "ExecStartPre", "@/bin/a", "no meaning here" },
	{ "Environment", "A=1 B", "'B' is no NAME=VALUE" },
	{ "Environment", "1A=1", "no NAME=VALUE" },
	{ "Environment", "A-B=1", "no NAME=VALUE" },
	{ "EnvironmentFile", "/a b", "no absolute path" },
	{ "After", "a/b", "use 1 to 63" },
	{ "KillSignal", "SIGFOO", "no signal" },
	{ "KillSignal", "15", "no signal" },
	{ "JobTimeoutSignal", "SIGFOO", "no signal such as SIGUSR1" },
	{ "JobTimeoutSignal", "SIGKILL", "cannot be caught" },
	{ "JobTimeoutSignal", "SIGSEGV", "means something else" },
	{ "JobTimeoutSignal", "SIGTERM", "asks a worker to end" },
	{ "JobTimeoutSignal", "INT", "use SIGUSR1 or SIGUSR2" },
	{ "KillSignal", "SIGSTOP", "asks no process to end" },
	{ "SuccessExitStatus", "0 256", "'256'" },
	{ "SuccessExitStatus", "0,2", "blanks" },
	{ "CPUAffinity", "0-", "no CPU" },
	{ "CPUAffinity", "3-1", "no CPU" },
	{ "CPUAffinity", "1024", "no CPU" },
	{ "CPUAffinity", "a", "no CPU" },
	{ "User", "no such user", "there is no user" },
	{ "Group", "nosuchgroup", "there is no group" },
	{ "User", "4294967295", "there is no user" },
	{ "UMask", "8", "octal" },
	{ "UMask", "01234", "octal" },
	{ "LimitNOFILE", "4096:1024", "above the hard" },
	{ "LimitNOFILE", "1K", "one value or SOFT:HARD" },
	{ "LimitNOFILE", "1:2:3", "one value or SOFT:HARD" },
	{ "LimitCORE", ":", "one value or SOFT:HARD" },
	{ "Nice", "20", "-20 to 19" },
	{ "Nice", "--1", "-20 to 19" },
	{ "Output", "syslog", "file:PATH" },
	{ "Output", "file:x", "no absolute path" },
	{ "Workers",
	  "11111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
	  "too long" },
};

START_TEST(a_bad_value_is_refused_and_changes_nothing)
{
	rk_cleanup(rk_free_p) char *before = NULL;
	struct rk_err err;

	ck_assert_int_eq(rk_options_init(RK_INI_FLEET, &o), 0);
	before = rk_value_text(key(bad[_i].key), &o);
	ck_assert_int_lt(set(bad[_i].key, bad[_i].text, &err), 0);
	ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s: %s", bad[_i].text, err.text);
	expect(bad[_i].key, before);
	rk_options_free(RK_INI_FLEET, &o);
}
END_TEST

START_TEST(a_list_collects_and_an_empty_value_resets_it)
{
	struct rk_err err;

	ck_assert_int_eq(rk_options_init(RK_INI_FLEET, &o), 0);
	ck_assert_int_eq(set("Environment", "A=1", &err), 0);
	ck_assert_int_eq(set("Environment", "B=2", &err), 0);
	expect("Environment", "A=1 B=2");
	ck_assert_int_lt(set("Environment", "C=3 D", &err), 0);
	expect("Environment", "A=1 B=2");
	ck_assert_int_eq(set("Environment", "", &err), 0);
	expect("Environment", "");
	ck_assert_int_eq(set("ExecStartPre", "a", &err), 0);
	ck_assert_int_eq(set("ExecStartPre", "b c", &err), 0);
	ck_assert_uint_eq(o.exec_start_pre.n, 2);
	ck_assert_str_eq(o.exec_start_pre.at[1].at[1], "c");
	ck_assert_int_eq(set("Exec", "a b", &err), 0);
	ck_assert_int_eq(set("Exec", "c", &err), 0); /* no list: replaced */
	expect("Exec", "c");
	ck_assert_int_eq(set("CPUAffinity", "1", &err), 0);
	ck_assert_int_eq(set("CPUAffinity", "3", &err), 0);
	expect("CPUAffinity", "1,3");
	rk_options_free(RK_INI_FLEET, &o);
}
END_TEST

START_TEST(values_arrive_where_programs_look_for_them)
{
	struct rk_err err;

	ck_assert_int_eq(rk_options_init(RK_INI_FLEET, &o), 0);
	ck_assert_int_eq(o.nice, RK_NICE_KEEP);
	ck_assert(o.is_blocking && !o.user.is_set && !o.umask.is_set && !o.cpus.is_set);
	ck_assert_uint_eq(o.kill_signal, SIGTERM);
	ck_assert_uint_eq(o.memory_max, RK_INFINITE);
	ck_assert_uint_eq(o.on_hang, RK_POLICY_KILL);
	ck_assert_uint_eq(o.on_paused, RK_POLICY_REPORT);
	ck_assert_uint_eq(o.stop_timeout_ns, 5 * RK_NS_PER_S);
	ck_assert_int_eq(set("Strategy", "rest-for-one", &err), 0);
	ck_assert_uint_eq(o.strategy, RK_STRATEGY_REST_FOR_ONE);
	ck_assert_int_eq(set("Restart", "no", &err), 0);
	ck_assert_uint_eq(o.restart, RK_RESTART_NO);
	ck_assert_int_eq(set("Output", "file:/x", &err), 0);
	ck_assert_uint_eq(o.output.to, RK_OUTPUT_FILE);
	ck_assert_str_eq(o.output.path, "/x");
	ck_assert_int_eq(set("SuccessExitStatus", "200 HUP", &err), 0);
	ck_assert_uint_eq(o.success.statuses[3], UINT64_C(1) << (200 - 192));
	ck_assert_uint_eq(o.success.signals, UINT64_C(1) << SIGHUP);
	ck_assert_int_eq(set("User", "root", &err), 0);
	ck_assert(o.user.is_set && o.user.id == 0 && o.user.gid == 0);
	rk_options_free(RK_INI_FLEET, &o);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("value");

	tcase_add_loop_test(c, a_good_value_prints_canonically_and_reads_back, 0,
			    (int)(sizeof(good) / sizeof(good[0])));
	tcase_add_loop_test(c, a_bad_value_is_refused_and_changes_nothing, 0,
			    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(c, a_list_collects_and_an_empty_value_resets_it);
	tcase_add_test(c, values_arrive_where_programs_look_for_them);
	return unit_run(c);
}
