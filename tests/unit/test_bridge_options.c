/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What the supervisor writes for a bridge, the bridge reads back: every key, whatever is in it, and
 *         with the defaults of those that nobody has said. Any other text is refused with the line that is
 *         wrong, and does no harm.
 * Method  Both sides in one program: configurations are written and read; then texts that somebody else
 *         wrote, every good text without one line or with one twice, and 200,000 texts made of pieces of good
 *         ones. The seed is printed; RK_TEST_SEED repeats a run.
 */
#include "workers/bridge/options.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/rand.h"
#include "supervisor/bridge_options.h"
#include "supervisor/keys.h"
#include "supervisor/value.h"
#include "tests/unit/conf_fixture.h"
#include "tests/unit/unit.h"

#define ODD "a=b\\\\x \t\"'%$#;\x7f\xc3\xa9\x01"

static struct rk_err err;

/* Of the only fleet; the variable's value, which the caller frees with its name. */
static char *text_of(const struct rk_conf *conf, const int *listen, uint32_t n_listen,
		     const struct rk_bridge_plan_fd *kept, uint32_t n_kept)
{
	const struct rk_bridge_plan p = { .name = "shop",
					  .fleet = conf->fleets[0].name,
					  .o = &conf->fleets[0].o,
					  .state_directory = "/state/%f-%i",
					  .listen = listen,
					  .n_listen = n_listen,
					  .kept = kept,
					  .n_kept = n_kept };
	char *text = rk_bridge_options_text(&p);

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(strncmp(text, "REKINDLE_BRIDGE=", 16), 0);
	return text;
}

static void read_back(const char *text, struct rk_bridge_options *o)
{
	ck_assert_msg(rk_bridge_options_read(o, strchr(text, '=') + 1, &err) == 0, "%s", err.text);
}

static void expect_words(const struct rk_wordlist *w, const char *text)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist want = { 0 };

	ck_assert_int_eq(rk_wordlist_split(&want, text, 100, NULL), 0);
	ck_assert_uint_eq(w->n, want.n);
	for (uint32_t i = 0; i < w->n; i++)
		ck_assert_str_eq(w->at[i], want.at[i]);
}

START_TEST(what_nobody_has_said_arrives_as_its_default)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	struct rk_bridge_options o;

	good_conf_of("[Fleet words]\nExec=jq\nKind=lines\n", &conf);
	text = text_of(&conf, NULL, 0, NULL, 0);
	read_back(text, &o);
	ck_assert_int_eq(o.kind, RK_BRIDGE_LINES);
	ck_assert_str_eq(o.name, "shop");
	ck_assert_str_eq(o.fleet, "words");
	ck_assert(!o.is_netstring && !o.http_full);
	ck_assert_int_eq(o.terminal, RK_TERMINAL_NO);
	ck_assert_int_eq(o.listen_as, RK_LISTEN_AS_SYSTEMD);
	ck_assert_uint_eq(o.window, 64);
	ck_assert_uint_eq(o.port, 0);
	ck_assert_str_eq(o.state_directory, ""); /* of filters '%' is their own, unless they have a place */
	ck_assert_str_eq(o.http_path, "/");
	ck_assert_str_eq(o.key_header, "X-Rekindle-Key");
	ck_assert_uint_eq(o.probe_interval_ns, 1000000000);
	ck_assert_uint_eq(o.probe_timeout_ns, 1000000000);
	ck_assert_uint_eq(o.n_probe_failures, 3);
	ck_assert_uint_eq(o.checkpoint_interval_ns, 0);
	ck_assert_uint_eq(o.start_timeout_ns, UINT64_C(60000000000));
	ck_assert_uint_eq(o.stop_timeout_ns, UINT64_C(5000000000));
	ck_assert_uint_eq(o.hang_after_ns, UINT64_C(10000000000));
	ck_assert_int_eq(o.kill_signal, SIGTERM);
	ck_assert_uint_eq(o.n_kept_max | o.n_kept | o.n_listen | o.listen.n, 0);
	ck_assert_uint_eq(o.probe_exec.n | o.checkpoint_exec.n | o.restore_exec.n, 0);
	ck_assert(!*o.answer_id && !*o.socket && !*o.address && !*o.send && !*o.expect && !*o.health_path &&
		  !*o.checkpoint_line && !*o.checkpoint_path && !*o.working_directory);
	rk_bridge_options_free(&o);
}
END_TEST

START_TEST(everything_that_is_said_arrives)
{
	static const int fds[] = { 13, 14 };
	static const struct rk_bridge_plan_fd kept[] = { { 15, "db\n\\=:" }, { 16, "" } };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	struct rk_bridge_options o;

	good_conf_of("[Fleet web]\nExec=server\nKind=http\nWorkers=2\nWindow=1024\nPort=65534\nSocket=%d/a b\\c\n"
		     "Address=http://h:%p/\nStateDirectory=/srv/%f\nHttpPath=/a\\b=%20\nKeyHeader=X-K\nHttpAnswer=full\n"
		     "Send=GET\\x20\\\\n\\r\\n\\t\\x01\\x20\nExpect=\\x0a=\\x5c\nProbeInterval=2s\nProbeTimeout=20ms\n"
		     "ProbeFailures=1000\nListen=127.0.0.1:%p\nListen='/run/a b %i' \n"
		     "ListenAs=nginx\nFileDescriptorStoreMax=64\nCheckpointExec=save 'a b' \"\" '\\\\' '\\n'\nCheckpointInterval=1h\n"
		     "RestoreExec=restore %d\nKillSignal=SIGQUIT\nStopTimeout=1ms\nStartTimeout=infinity\nHangAfter=infinity\n"
		     "WorkingDirectory=%d/a b\n",
		     &conf);
	text = text_of(&conf, fds, 2, kept, 2);
	read_back(text, &o);
	ck_assert_int_eq(o.kind, RK_BRIDGE_HTTP);
	ck_assert_uint_eq(o.window, 1024);
	ck_assert_uint_eq(o.port, 65534);
	ck_assert_str_eq(o.working_directory, "%d/a b");
	ck_assert_str_eq(o.socket, "%d/a b\\c");
	ck_assert_str_eq(o.address, "http://h:%p/");
	ck_assert_str_eq(o.state_directory, "/srv/%f");
	ck_assert_str_eq(o.http_path, "/a\\b=%20");
	ck_assert_str_eq(o.key_header, "X-K");
	ck_assert(o.http_full);
	ck_assert_str_eq(o.send, "GET \\n\r\n\t\x01 ");
	ck_assert_str_eq(o.expect, "\n=\\");
	ck_assert_uint_eq(o.probe_interval_ns, 2000000000);
	ck_assert_uint_eq(o.probe_timeout_ns, 20000000);
	ck_assert_uint_eq(o.n_probe_failures, 1000);
	ck_assert_uint_eq(o.listen.n, 2);
	ck_assert_str_eq(o.listen.at[0], "127.0.0.1:%p");
	ck_assert_str_eq(o.listen.at[1], "/run/a b %i");
	ck_assert_uint_eq(o.n_listen, 2);
	ck_assert_int_eq(o.listen_fd[1], 14);
	ck_assert_int_eq(o.listen_as, RK_LISTEN_AS_NGINX);
	ck_assert_uint_eq(o.n_kept_max, 64);
	ck_assert_uint_eq(o.n_kept, 2);
	ck_assert_int_eq(o.kept[0].fd, 15);
	ck_assert_str_eq(o.kept[0].name, "db\n\\=:");
	ck_assert_str_eq(o.kept[1].name, "");
	expect_words(&o.checkpoint_exec, "save 'a b' \"\" '\\\\' '\\n'");
	expect_words(&o.restore_exec, "restore %d");
	ck_assert_uint_eq(o.checkpoint_interval_ns, UINT64_C(3600000000000));
	ck_assert_int_eq(o.kill_signal, SIGQUIT);
	ck_assert_uint_eq(o.stop_timeout_ns, 1000000);
	ck_assert_uint_eq(o.start_timeout_ns, UINT64_MAX);
	ck_assert_uint_eq(o.hang_after_ns, UINT64_MAX);
	rk_bridge_options_free(&o);
}
END_TEST

static const struct {
	const char *word;
	enum rk_bridge_kind kind;
} kinds[] = {
	{ "lines", RK_BRIDGE_LINES },   { "http", RK_BRIDGE_HTTP }, { "tcp", RK_BRIDGE_TCP },
	{ "notify", RK_BRIDGE_NOTIFY }, { "exec", RK_BRIDGE_EXEC },
};
_Static_assert(rk_countof(kinds) == RK_BRIDGE_KINDS, "every kind is tried");

START_TEST(every_kind_arrives)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	struct rk_bridge_options o;
	char file[64];

	(void)snprintf(file, sizeof(file), "[Fleet a]\nExec=a\nKind=%s\n", kinds[_i].word);
	good_conf_of(file, &conf);
	text = text_of(&conf, NULL, 0, NULL, 0);
	read_back(text, &o);
	ck_assert_int_eq(o.kind, kinds[_i].kind);
	ck_assert_uint_eq(o.port, o.kind == RK_BRIDGE_HTTP || o.kind == RK_BRIDGE_TCP ? 7000 : 0);
	rk_bridge_options_free(&o);
}
END_TEST

/* ---- every key by itself ---- */

/* Where a key's value is among the bridge's own, or NULL: the test above looks at it. */
static const char *text_at(const struct rk_bridge_options *o, const char *key)
{
	const struct {
		const char *key, *text;
	} all[] = {
		{ "AnswerId", o->answer_id },         { "Socket", o->socket },
		{ "Address", o->address },            { "StateDirectory", o->state_directory },
		{ "Send", o->send },                  { "Expect", o->expect },
		{ "HealthPath", o->health_path },     { "HttpPath", o->http_path },
		{ "KeyHeader", o->key_header },       { "CheckpointLine", o->checkpoint_line },
		{ "CheckpointPath", o->checkpoint_path },
	};

	for (size_t i = 0; i < rk_countof(all); i++)
		if (strcmp(all[i].key, key) == 0)
			return all[i].text;
	return NULL;
}

static bool is_text(const struct rk_key *k)
{
	return k->type == RK_VALUE_TEXT || k->type == RK_VALUE_ESCAPED || k->type == RK_VALUE_PATTERN ||
	       k->type == RK_VALUE_URL_PATH || k->type == RK_VALUE_HEADER || k->type == RK_VALUE_FIELD;
}

START_TEST(odd_characters_arrive_in_every_text)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	size_t n, n_texts = 0;
	const struct rk_key *k = rk_keys(&n);

	good_conf_of("[Fleet a]\nExec=a\nKind=tcp\n", &conf);
	for (size_t i = 0; i < n; i++) {
		char **at = (char **)(void *)((char *)&conf.fleets[0].o + k[i].at);
		rk_cleanup(rk_free_p) char *text = NULL;
		struct rk_bridge_options o;

		if (k[i].group != RK_GROUP_WRAP || !is_text(&k[i]))
			continue;
		free(*at);
		*at = strdup(ODD "\n\\n\n"); /* past what the key would let in */
		text = text_of(&conf, NULL, 0, NULL, 0);
		read_back(text, &o);
		ck_assert_ptr_nonnull(text_at(&o, k[i].name));
		ck_assert_str_eq(text_at(&o, k[i].name), *at);
		rk_bridge_options_free(&o);
		n_texts++;
	}
	ck_assert_uint_eq(n_texts, 11);
}
END_TEST

START_TEST(every_key_of_a_wrapped_program_is_told)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	good_conf_of("[Fleet a]\nExec=a\nKind=tcp\nListen=/a%i\n", &conf);
	text = text_of(&conf, NULL, 0, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		char line[80];

		(void)snprintf(line, sizeof(line), "\n%s=", k[i].name);
		if (k[i].group == RK_GROUP_WRAP)
			ck_assert_msg(strstr(text, line) != NULL, "%s", k[i].name);
	}
}
END_TEST

/* ---- what is none ---- */

static char *good; /* a whole text */

static void good_make(void)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;

	good_conf_of("[Fleet a]\nExec=a\nKind=tcp\nWorkers=1\nListen=/a /b\nSend=\\n\\\\a\nExpect=b\nProbeInterval=5s\n", &conf);
	text = text_of(&conf, (const int[]){ 7, 8 }, 2, &(const struct rk_bridge_plan_fd){ 9, "x" }, 1);
	good = strdup(strchr(text, '=') + 1);
	ck_assert_ptr_nonnull(good);
}

static void good_drop(void)
{
	free(good);
}

static void expect_refused(const char *text, const char *says)
{
	struct rk_bridge_options o;

	err = (struct rk_err){ 0 };
	ck_assert_int_eq(rk_bridge_options_read(&o, text, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
	rk_bridge_options_free(&o);
}

static bool is_list(const char *line)
{
	return strncmp(line, "Listen=", 7) == 0 || strncmp(line, "ListenFd=", 9) == 0 || strncmp(line, "KeptFd=", 7) == 0;
}

/* Of the line that begins at `at`: another text without it, and one that has it and all behind it again. */
static char *without(const char *at)
{
	char *text = NULL;

	ck_assert_int_ge(asprintf(&text, "%.*s%s", (int)(at - good), good, strchr(at, '\n') + 1), 0);
	return text;
}

static char *twice(const char *at)
{
	char *text = NULL;

	ck_assert_int_ge(asprintf(&text, "%.*s%s", (int)(strchr(at, '\n') + 1 - good), good, at), 0);
	return text;
}

START_TEST(a_line_that_is_missing_or_stands_twice_is_named)
{
	uint32_t n = 0;

	for (const char *at = good; *at; at = strchr(at, '\n') + 1, n++) {
		rk_cleanup(rk_free_p) char *less = without(at);
		rk_cleanup(rk_free_p) char *more = twice(at);
		char key[40];

		if (is_list(at))
			continue;
		(void)snprintf(key, sizeof(key), "%.*s= ", (int)strcspn(at, "="), at);
		expect_refused(less, "is missing");
		ck_assert_msg(strstr(err.text, key) != NULL, "%s: %s", key, err.text);
		expect_refused(more, "stands there twice");
		ck_assert_msg(strstr(err.text, key) != NULL, "%s: %s", key, err.text);
	}
	ck_assert_uint_gt(n, 35);
}
END_TEST

static const struct {
	const char *line, *says;
} lines[] = {
	{ "Teleport=yes\n", "line 1: there is no key 'Teleport'" },
	{ "Name\n", "line 1: 'Name' is no Key=value" },
	{ "\n", "line 1: '' is no Key=value" },
	{ "=x\n", "there is no key ''" },
	{ "Kind=native\n", "Kind: 'native' is none of lines|http" },
	{ "Kind=\n", "Kind: '' is none of" },
	{ "Framing=lines\n", "none of line|netstring" },
	{ "Window=0\n", "Window: " },
	{ "Window=-1\n", "Window: " },
	{ "Port=65536\n", "Port: " },
	{ "Port=7000 \n", "Port: " },
	{ "ProbeInterval=1s\n", "ProbeInterval: " },
	{ "StopTimeout=18446744073709551616\n", "StopTimeout: " },
	{ "KillSignal=0\n", "KillSignal: " },
	{ "KillSignal=SIGTERM\n", "KillSignal: " },
	{ "ProbeExec='a\n", "ProbeExec: a ' has no partner" },
	{ "Send=a\\q\n", "Send= has a backslash" },
	{ "Send=a\\\n", "Send= has a backslash" },
	{ "ListenFd=-1\n", "ListenFd: " },
	{ "ListenFd=2147483648\n", "ListenFd: " },
	{ "ListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\n"
	  "ListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\nListenFd=1\n",
	  "line 17: ListenFd: there are more than 16" },
	{ "ListenFd=5\n", "more descriptors than addresses" },
	{ "KeptFd=5\n", "no NUMBER:NAME" },
	{ "KeptFd=:x\n", "KeptFd: " },
	{ "KeptFd=a:x\n", "KeptFd: " },
	{ "FileDescriptorStoreMax=65\n", "FileDescriptorStoreMax: " },
};

START_TEST(a_line_that_is_wrong_is_named)
{
	rk_cleanup(rk_free_p) char *text = NULL;

	ck_assert_int_ge(asprintf(&text, "%s%s", lines[_i].line, good), 0);
	expect_refused(text, lines[_i].says);
	ck_assert_int_eq(strncmp(err.text, "REKINDLE_BRIDGE", 15), 0);
}
END_TEST

START_TEST(nothing_at_all_is_refused)
{
	expect_refused("", "Name= is missing");
}
END_TEST

/* ---- anything ---- */

#define ROUNDS 200000
#define TEXT_ROOM 8192

/* Pieces of the good text and single bytes, in any order: most lines are nearly right. */
static void garble(struct rk_rand *r, char text[TEXT_ROOM])
{
	size_t whole = strlen(good), len = 0;
	uint64_t n = rk_rand_below(r, 12);

	if (n < 4) { /* one byte of a good one */
		memcpy(text, good, whole + 1);
		text[rk_rand_below(r, whole)] = (char)(1 + rk_rand_below(r, 255));
		return;
	}
	for (; n > 0; n--) {
		size_t from = rk_rand_below(r, whole), piece = rk_rand_below(r, 400);

		piece = rk_min_size(piece, whole - from);
		if (len + piece + 2 >= TEXT_ROOM)
			break;
		memcpy(text + len, good + from, piece);
		len += piece;
		text[len++] = "\n=\\:\xff"[rk_rand_below(r, 5)];
	}
	text[len] = '\0';
}

START_TEST(no_text_does_harm)
{
	const char *said = getenv("RK_TEST_SEED");
	uint64_t seed = said ? strtoull(said, NULL, 0) : rk_clock_ns();
	struct rk_rand r = rk_rand_init(seed);
	char text[TEXT_ROOM];

	(void)fprintf(stderr, "RK_TEST_SEED=%" PRIu64 "\n", seed);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct rk_bridge_options o;
		int status;

		garble(&r, text);
		err = (struct rk_err){ 0 };
		status = rk_bridge_options_read(&o, text, &err);
		ck_assert_msg(status == 0 || (status == -EINVAL && *err.text), "%s", text);
		if (status == 0)
			ck_assert(o.kind < RK_BRIDGE_KINDS && o.n_listen <= o.listen.n && o.n_kept <= RK_BRIDGE_KEPT_MAX && o.name &&
				  o.restore_exec.n <= 1024);
		rk_bridge_options_free(&o);
	}
}
END_TEST

/* ---- where state is ---- */

static const struct {
	bool is_root;
	const char *environment[3];
	const char *path;
} states[] = {
	{ true, { "HOME=/root", "XDG_STATE_HOME=/x", NULL }, "/var/lib/rekindle/shop/%f-%i" },
	{ false, { "HOME=/home/a%b", NULL }, "/home/a%%b/.local/state/rekindle/shop/%f-%i" },
	{ false, { "XDG_STATE_HOME=/x%", "HOME=/home/a", NULL }, "/x%%/rekindle/shop/%f-%i" },
	{ false, { "XDG_STATE_HOME=", "HOME=/home/a", NULL }, "/home/a/.local/state/rekindle/shop/%f-%i" },
	{ false, { "XDG_STATE_HOME=x", "HOME=/home/a", NULL }, "/home/a/.local/state/rekindle/shop/%f-%i" },
	{ false, { "STATE_DIRECTORY=/var/lib/rekindle/shop:/other", "HOME=/home/a", NULL }, "/var/lib/rekindle/shop/%f-%i" },
	{ true, { "STATE_DIRECTORY=/s%", NULL }, "/s%%/%f-%i" },
	{ false, { "HOMER=/x", NULL }, "/var/lib/rekindle/shop/%f-%i" },
};

START_TEST(state_is_where_its_user_keeps_it)
{
	rk_cleanup(rk_free_p) char *path = rk_bridge_state_directory("shop", states[_i].is_root, (char *const *)(uintptr_t)states[_i].environment);

	ck_assert_ptr_nonnull(path);
	ck_assert_str_eq(path, states[_i].path);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bridge_options");

	tcase_set_timeout(c, 60); /* with sanitizers, beside other tests */
	tcase_add_checked_fixture(c, good_make, good_drop);
	tcase_add_test(c, what_nobody_has_said_arrives_as_its_default);
	tcase_add_test(c, everything_that_is_said_arrives);
	tcase_add_loop_test(c, every_kind_arrives, 0, (int)rk_countof(kinds));
	tcase_add_test(c, odd_characters_arrive_in_every_text);
	tcase_add_test(c, every_key_of_a_wrapped_program_is_told);
	tcase_add_test(c, a_line_that_is_missing_or_stands_twice_is_named);
	tcase_add_loop_test(c, a_line_that_is_wrong_is_named, 0, (int)rk_countof(lines));
	tcase_add_test(c, nothing_at_all_is_refused);
	tcase_add_test(c, no_text_does_harm);
	tcase_add_loop_test(c, state_is_where_its_user_keeps_it, 0, (int)rk_countof(states));
	return unit_run(c);
}
