/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    what rekindle prints cannot harm a terminal or a reader of JSON, whatever bytes workers
 *         and clients put into it; deaths and times read as people say them.
 * Method  tables of hostile and ordinary bytes; JSON goes through json-c and back.
 */
#include "cli/out.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macro.h"
#include "cli/last_verdict.h"
#include "cli/snapshot.h"
#include "tests/unit/unit.h"

#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t len;
	const char *clean;
	bool is_utf8;
} texts[] = {
	{ BYTES(""), "", true },
	{ BYTES("plain"), "plain", true },
	{ BYTES("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\xa5"),
	  "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\xa5", true },
	{ BYTES("\033[31mred\033[0m"), "?[31mred?[0m", true },
	{ BYTES("a\nb\tc\rd\x7f"), "a?b?c?d?", true },
	{ BYTES("a\0b"), "a", true },
	{ BYTES("\xc2\x9b"
		"31m"),
	  "?31m", true }, /* C1: CSI in one character */
	{ BYTES("\x9b"
		"31m"),
	  "?31m", false },
	{ BYTES("\xff\xfe"), "??", false },
	{ BYTES("\xc0\xaf"), "??", false },           /* overlong '/' */
	{ BYTES("\xe0\x80\xaf"), "???", false },      /* the same in three */
	{ BYTES("\xed\xa0\x80"), "???", false },      /* a surrogate */
	{ BYTES("\xf4\x90\x80\x80"), "????", false }, /* beyond Unicode */
	{ BYTES("\xe2\x82"), "??", false },           /* cut off */
	{ BYTES("x\xc3"), "x?", false },
};

START_TEST(bytes_of_others_are_made_harmless)
{
	char to[64];

	ck_assert_str_eq(rk_out_clean(to, sizeof(to), texts[_i].bytes, texts[_i].len),
			 texts[_i].clean);
	ck_assert_int_eq(rk_out_is_utf8(texts[_i].bytes, texts[_i].len), texts[_i].is_utf8);
}
END_TEST

START_TEST(what_does_not_fit_is_cut_between_characters)
{
	char to[5];

	ck_assert_str_eq(rk_out_clean(to, sizeof(to), BYTES("abcdef")), "abcd");
	ck_assert_str_eq(rk_out_clean(to, sizeof(to), BYTES("abc\xc3\xa9")), "abc");
}
END_TEST

START_TEST(json_gives_the_bytes_back)
{
	struct json_object *o = json_object_new_object(), *back, *v, *encoding;

	rk_out_json_bytes(o, "reply", texts[_i].bytes, texts[_i].len);
	back = json_tokener_parse(json_object_to_json_string(o));
	ck_assert_ptr_nonnull(back);
	ck_assert(json_object_object_get_ex(back, "reply", &v));
	ck_assert(json_object_object_get_ex(back, "reply_encoding", &encoding));
	ck_assert_str_eq(json_object_get_string(encoding), texts[_i].is_utf8 ? "utf-8" : "base64");
	if (texts[_i].is_utf8) {
		ck_assert_int_eq(json_object_get_string_len(v), (int)texts[_i].len);
		ck_assert_mem_eq(json_object_get_string(v), texts[_i].bytes, texts[_i].len);
	}
	json_object_put(o);
	json_object_put(back);
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	const char *want;
} coded[] = {
	{ BYTES("\xff"), "/w==" },
	{ BYTES("\xff\xfe"), "//4=" },
	{ BYTES("\xff\xfe\xfd"), "//79" },
	{ BYTES("\xff\xfe\xfd\xfc"), "//79/A==" },
};

START_TEST(what_is_no_text_is_in_base64)
{
	struct json_object *o = json_object_new_object(), *v;

	rk_out_json_bytes(o, "b", coded[_i].bytes, coded[_i].len);
	ck_assert(json_object_object_get_ex(o, "b", &v));
	ck_assert_str_eq(json_object_get_string(v), coded[_i].want);
	json_object_put(o);
}
END_TEST

START_TEST(nothing_is_null_with_no_encoding)
{
	struct json_object *o = json_object_new_object();

	rk_out_json_bytes(o, "b", NULL, 0);
	ck_assert_str_eq(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
			 "{\"b\":null,\"b_encoding\":null}");
	json_object_put(o);
}
END_TEST

static const struct {
	uint64_t ns;
	const char *want;
} times[] = {
	{ 0, "0 us" },
	{ 840 * RK_NS_PER_US, "840 us" },
	{ 1600 * RK_NS_PER_US, "1.6 ms" },
	{ 250 * RK_NS_PER_MS, "250 ms" },
	{ 12 * RK_NS_PER_S, "12 s" },
	{ 192 * RK_NS_PER_S, "3 min 12 s" },
	{ 7260 * RK_NS_PER_S, "2 h 1 min" },
	{ 187200 * RK_NS_PER_S, "2 d 4 h" },
};

START_TEST(times_read_as_people_say_them)
{
	char text[RK_OUT_TIME];

	ck_assert_str_eq(rk_out_time(text, times[_i].ns), times[_i].want);
}
END_TEST

static const struct {
	uint64_t ns;
	const char *want;
} spans[] = {
	{ 0, "0ms" },
	{ RK_NS_PER_S - 1, "999ms" },
	{ 12 * RK_NS_PER_S, "12s" },
	{ 3599 * RK_NS_PER_S, "59m59s" },
	{ 7260 * RK_NS_PER_S, "2h1m" },
	{ 86399 * RK_NS_PER_S, "23h59m" },
	{ 187200 * RK_NS_PER_S, "2d4h" },
	{ 8639999 * RK_NS_PER_S, "99d23h" },
	{ 8640000 * RK_NS_PER_S, "100d" },
};

START_TEST(a_span_has_room_in_six_columns)
{
	char text[RK_OUT_TIME];

	ck_assert_str_eq(rk_out_span(text, spans[_i].ns), spans[_i].want);
	ck_assert_uint_le(strlen(text), 6);
}
END_TEST

START_TEST(the_future_is_now)
{
	ck_assert_int_eq(rk_out_ms_since(5 * RK_NS_PER_S, 2 * RK_NS_PER_S), 0);
	ck_assert_int_eq(rk_out_ms_since(2 * RK_NS_PER_S, 5 * RK_NS_PER_S), 3000);
}
END_TEST

#define DIED(code, status)                                                                         \
	{                                                                                          \
		.died_ns = RK_NS_PER_S, .died_pid = 815, .exit_code = (code),                      \
		.exit_status = (status)                                                            \
	}

static const struct {
	struct rk_view_slot slot;
	const char *want;
	const char *verdict;
} deaths[] = {
	{ { 0 }, "-", NULL },
	{ DIED(CLD_KILLED, SIGKILL), "SIGKILL 12s ago (pid 815)", NULL },
	{ DIED(CLD_DUMPED, SIGSEGV), "SIGSEGV, core dumped, 12s ago (pid 815)", NULL },
	{ DIED(CLD_KILLED, SIGKILL), "killed: hung, 12s ago (pid 815)", "hung" },
	{ DIED(CLD_DUMPED, SIGABRT), "killed: looped, core dumped, 12s ago (pid 815)", "looped" },
	{ DIED(CLD_EXITED, 3), "exit 3 12s ago (pid 815)", "hung" },
	{ DIED(CLD_EXITED, 3), "exit 3 12s ago (pid 815)", NULL },
	{ DIED(CLD_KILLED, 34), "signal 34 12s ago (pid 815)", NULL },
	{ DIED(-1, 0), "unknown cause 12s ago (pid 815)", NULL },
	{ DIED(12345, 67), "unknown cause 12s ago (pid 815)", NULL },
};

START_TEST(a_death_is_told_with_its_cause)
{
	char text[96];

	ck_assert_str_eq(rk_snapshot_death(&deaths[_i].slot, deaths[_i].verdict, 13 * RK_NS_PER_S,
					   text, sizeof(text)),
			 deaths[_i].want);
}
END_TEST

/* One event about a process of pid 815, in a list of its own. */
static void add_verdict(struct rk_recall_list *l, const char *fleet, uint32_t slot,
			uint64_t incarnation, const char *text)
{
	struct rk_recalled *e = calloc(1, sizeof(*e) + strlen(text) + 1);

	ck_assert_ptr_nonnull(e);
	e->record =
		(struct rk_flight_record){ .slot = slot, .pid = 815, .incarnation = incarnation };
	strcpy(e->record.fleet, fleet);
	strcpy(e->text, text);
	l->event = realloc(l->event, (l->n + 1) * sizeof(struct rk_recalled *));
	ck_assert_ptr_nonnull(l->event);
	l->event[l->n++] = e;
}

static const struct {
	const char *fleet;
	uint32_t slot;
	uint64_t incarnation;
	const char *text, *words, *name;
} verdicts[] = {
	{ "a", 2, 7, "worker hung verdict=asleep job=1 response=kill", "hung", "asleep" },
	{ "a", 2, 7, "worker hung, waking and sleeping, verdict=livelock response=kill",
	  "hung, waking and sleeping", "livelock" },
	{ "a", 2, 7, "worker hung verdict=asleep response=report", NULL, NULL },
	{ "a", 3, 7, "worker hung verdict=asleep response=kill", NULL, NULL },
	{ "b", 2, 7, "worker hung verdict=asleep response=kill", NULL, NULL },
	{ "a", 2, 8, "worker hung verdict=asleep response=kill", NULL, NULL }, /* the successor */
};

START_TEST(a_verdict_is_told_of_the_process_that_died_of_it)
{
	const struct rk_snapshot_worker w = { .slot = 2,
					      .view = { .pid = 816,
							.incarnation = 8,
							.died_ns = 1,
							.died_pid = 815,
							.exit_code = CLD_KILLED } };
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list l = { 0 };
	char name[32];

	add_verdict(&l, verdicts[_i].fleet, verdicts[_i].slot, verdicts[_i].incarnation,
		    verdicts[_i].text);
	rk_last_verdicts_keep(&l);
	ck_assert_pstr_eq(rk_last_verdict_words(&l, "a", &w), verdicts[_i].words);
	ck_assert_pstr_eq(rk_last_verdict(&l, "a", &w, name, sizeof(name)), verdicts[_i].name);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("cli_out");

	tcase_add_loop_test(c, bytes_of_others_are_made_harmless, 0, rk_countof(texts));
	tcase_add_test(c, what_does_not_fit_is_cut_between_characters);
	tcase_add_loop_test(c, json_gives_the_bytes_back, 0, rk_countof(texts));
	tcase_add_loop_test(c, what_is_no_text_is_in_base64, 0, rk_countof(coded));
	tcase_add_test(c, nothing_is_null_with_no_encoding);
	tcase_add_loop_test(c, times_read_as_people_say_them, 0, rk_countof(times));
	tcase_add_loop_test(c, a_span_has_room_in_six_columns, 0, rk_countof(spans));
	tcase_add_test(c, the_future_is_now);
	tcase_add_loop_test(c, a_verdict_is_told_of_the_process_that_died_of_it, 0,
			    rk_countof(verdicts));
	tcase_add_loop_test(c, a_death_is_told_with_its_cause, 0, rk_countof(deaths));
	return unit_run(c);
}
