/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle dead list, rekindle dead show: a table of the letters, and all of one: its job's bytes,
 * and from the flight recorder how each attempt ended.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/dead.h"
#include "cli/out.h"
#include "cli/recall.h"
#include "cli/snapshot.h"
#include "shm/rundir.h"
#include "shm/words.h"

#define KEY_SHOWN 32
#define HEX_WIDTH 16u

static uint64_t age_ns(const struct rk_dead_letter *l)
{
	uint64_t now_ns = rk_clock_wall_ns();

	return l->realtime_ns < now_ns ? now_ns - l->realtime_ns : 0;
}

/* "2026-01-31 12:00:00" of here, as in 'rekindle events', or "2026-01-31T11:00:00Z" for programs.
 */
static const char *time_format(char text[static 32], uint64_t wall_ns, bool is_utc)
{
	time_t s = (time_t)(wall_ns / RK_NS_PER_S);
	struct tm tm;

	if (!(is_utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) ||
	    strftime(text, 32, is_utc ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(text, 32, "?");
	return text;
}

/* ---- JSON ---- */

struct json_object *rk_cli_dead_json(const struct rk_dead_letter *l)
{
	bool has_end = rk_letter_end((char[RK_LETTER_END]){ 0 }, &l->cause)[0] != '-';
	struct json_object *o = json_object_new_object();
	char name[RK_LETTER_NAME], end[RK_LETTER_END], when[32];

	rk_out_json_text(o, "letter", rk_letter_name(name, l->partition, l->job));
	rk_out_json_int(o, "partition", l->partition);
	rk_out_json_int(o, "job", (int64_t)l->job);
	rk_out_json_int(o, "worker", rk_deadword_worker(l->word));
	rk_out_json_text(o, "verdict", rk_letter_verdict(l->cause.verdict));
	rk_out_json_text(o, "end", has_end ? rk_letter_end(end, &l->cause) : NULL);
	rk_out_json_int(o, "attempts", l->attempts);
	rk_out_json_text(o, "time", time_format(when, l->realtime_ns, true));
	rk_out_json_int(o, "age_ms", (int64_t)(age_ns(l) / RK_NS_PER_MS));
	rk_out_json_int(o, "client_id", (int64_t)l->client_id);
	rk_out_json_int(o, "sequence", (int64_t)l->sequence);
	json_object_object_add(o, "retrying", json_object_new_boolean(l->is_retrying));
	rk_out_json_bytes(o, "key", l->key_len ? l->bytes : "", l->key_len);
	rk_out_json_int(o, "size_bytes", l->len);
	return o;
}

static struct json_object *json_blocked(const struct rk_shm *m)
{
	struct json_object *all = json_object_new_array();

	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		if (rk_dead_is_blocked(m, p))
			json_object_array_add(all, json_object_new_int64(p));
	return all;
}

/* ---- list ---- */

static void print_line(const struct rk_dead_letter *l)
{
	char name[RK_LETTER_NAME], end[RK_LETTER_END], age[RK_OUT_TIME], key[KEY_SHOWN + 1];

	(void)printf("%-12s %6u  %-8s %-9s %8u %7s %7u  %s%s%s\n",
		     rk_letter_name(name, l->partition, l->job), rk_deadword_worker(l->word),
		     rk_letter_verdict(l->cause.verdict), rk_letter_end(end, &l->cause),
		     l->attempts, rk_out_span(age, age_ns(l)), l->len,
		     rk_out_clean(key, sizeof(key), l->bytes, l->key_len),
		     l->key_len > KEY_SHOWN ? "..." : "",
		     l->is_retrying ? "  (is being sent again)" : "");
}

/* How much room there is, and who waits for it. */
static void print_room(const struct rk_shm *m, uint32_t n)
{
	uint32_t n_blocked = 0;

	(void)printf("\n%u of %u places taken\n", n, m->g.n_dead);
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		if (rk_dead_is_blocked(m, p)) {
			if (n_blocked++ == 0)
				rk_out_color(RK_OUT_RED, 0, "wait for room, until a letter is dropped: partitions");
			(void)printf(" %u", p);
		}
	if (n_blocked)
		(void)putchar('\n');
}

static void list_text(const struct rk_dead_command *c, const struct rk_letters *l)
{
	if (l->n == 0) {
		(void)puts("no dead letters");
		return;
	}
	rk_out_color(RK_OUT_BOLD, 0,
		     "LETTER       WORKER  VERDICT  ENDED     ATTEMPTS     AGE    SIZE  KEY");
	(void)putchar('\n');
	for (uint32_t i = 0; i < l->n; i++)
		print_line(&l->at[i].is);
	print_room(&c->look.m, l->n);
}

static void list_json(const struct rk_dead_command *c, const struct rk_letters *l)
{
	struct json_object *o = json_object_new_object(), *all = json_object_new_array();

	for (uint32_t i = 0; i < l->n; i++)
		json_object_array_add(all, rk_cli_dead_json(&l->at[i].is));
	rk_out_json_text(o, "name", c->look.ask.fleet);
	rk_out_json_int(o, "room", c->look.m.g.n_dead);
	json_object_object_add(o, "blocked_partitions", json_blocked(&c->look.m));
	json_object_object_add(o, "letters", all);
	rk_out_json(o);
}

int rk_cli_dead_list(struct rk_dead_command *c)
{
	rk_cleanup(rk_letters_free_p) struct rk_letters l = { 0 };
	struct rk_err err = { 0 };

	if (rk_letters_read(&l, &c->look, &err) < 0)
		return rk_cli_fail(&err);
	if (rk_args_json(&c->a))
		list_json(c, &l);
	else
		list_text(c, &l);
	return RK_CLI_OK;
}

/* ---- show ---- */

/* Whether a person may be shown these bytes as they are. */
static bool is_text(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)bytes[i]) && bytes[i] != '\n' && bytes[i] != '\t')
			return false;
	return rk_out_is_utf8(bytes, len);
}

static void print_hex(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += HEX_WIDTH) {
		(void)printf("  %06zx ", i);
		for (size_t k = i; k < i + HEX_WIDTH; k++)
			if (k < len)
				(void)printf(" %02x", bytes[k]);
			else
				(void)fputs("   ", stdout);
		(void)fputs("  ", stdout);
		for (size_t k = i; k < len && k < i + HEX_WIDTH; k++)
			(void)putchar(bytes[k] >= 0x20 && bytes[k] < 0x7f ? bytes[k] : '.');
		(void)putchar('\n');
	}
}

static void print_bytes(const char *title, const char *bytes, size_t len)
{
	(void)printf("%-10s%zu byte%s\n", title, len, len == 1 ? "" : "s");
	if (!is_text(bytes, len))
		print_hex((const unsigned char *)bytes, len);
	else if (len)
		(void)printf("  %.*s%s", (int)len, bytes, bytes[len - 1] == '\n' ? "" : "\n");
}

static void show_text(const struct rk_dead_letter *l, const struct rk_recall_list *history)
{
	const char *bytes = l->bytes;
	char name[RK_LETTER_NAME], end[RK_LETTER_END], age[RK_OUT_TIME], when[32];

	(void)printf("letter    ");
	rk_out_color(RK_OUT_BOLD, 0, rk_letter_name(name, l->partition, l->job));
	(void)printf(": job %" PRIu64 " of partition %u%s\n", l->job, l->partition,
		     l->is_retrying ? ", is being sent again" : "");
	(void)printf("verdict   %s; the last process ended with %s\n",
		     rk_letter_verdict(l->cause.verdict), rk_letter_end(end, &l->cause));
	(void)printf("attempts  %u\n", l->attempts);
	(void)printf("time      %s, %s ago, by worker %u\n",
		     time_format(when, l->realtime_ns, false), rk_out_time(age, age_ns(l)),
		     rk_deadword_worker(l->word));
	(void)printf("client    id %" PRIu64 ", its call %" PRIu64 "\n", l->client_id, l->sequence);
	print_bytes("key", bytes, l->key_len);
	print_bytes("body", bytes + l->key_len, l->len);
	rk_out_color(RK_OUT_BOLD, 0, "\nits attempts");
	(void)puts(history->n ? "" : ": nothing that the flight recorder still knows");
	for (size_t i = 0; i < history->n; i++)
		rk_recall_print(NULL, history->event[i]);
}

static void show_json(const struct rk_dead_command *c, const struct rk_dead_letter *l,
		      const struct rk_recall_list *history)
{
	struct json_object *o = rk_cli_dead_json(l), *all = json_object_new_array();

	rk_out_json_bytes(o, "body", (const char *)l->bytes + l->key_len, l->len);
	rk_out_json_int_or_null(o, "deadline_ns", l->deadline_ns != 0, (int64_t)l->deadline_ns);
	json_object_object_add(o, "history", rk_recall_json_list(history));
	json_object_array_add(all, o);
	rk_cli_dead_print(c, all);
}

/* ---- how each attempt ended ---- */

/* Whether an event is about this job itself. */
static bool names(const struct rk_recalled *e, const struct rk_dead_letter *l)
{
	char pair[64];

	(void)snprintf(pair, sizeof(pair), " job=%" PRIu64 " partition=%u ", l->job, l->partition);
	return (e->record.kind == RK_FLIGHT_RESPONSE || e->record.kind == RK_FLIGHT_QUARANTINE) &&
	       strstr(e->text, pair);
}

/* Or about the end of a process that it was charged with. */
static bool belongs(const struct rk_recall_list *all, size_t i, const struct rk_dead_letter *l)
{
	const struct rk_flight_record *r = &all->event[i]->record;

	if (names(all->event[i], l))
		return true;
	if (r->kind != RK_FLIGHT_DEATH && r->kind != RK_FLIGHT_VERDICT)
		return false;
	for (size_t k = 0; k < all->n; k++)
		if (all->event[k]->record.slot == r->slot &&
		    all->event[k]->record.incarnation == r->incarnation && names(all->event[k], l))
			return true;
	return false;
}

/* part: of several fleets the one that is meant, else NULL. */
static void history_keep(const struct rk_recall_list *all, const struct rk_dead_letter *l,
			 const char *part, struct rk_recall_list *ret)
{
	ret->event = calloc(all->n + 1, sizeof(struct rk_recalled *));
	for (size_t i = 0; ret->event && i < all->n; i++)
		if (belongs(all, i, l) &&
		    (!part || strcmp(all->event[i]->record.fleet, part) == 0))
			ret->event[ret->n++] = all->event[i]; /* borrowed */
}

/* None without a flight recorder, which is no reason to show nothing. */
static void history_read(const struct rk_dead_command *c, struct rk_recall_list *ret)
{
	const struct rk_recall_filter filter = {
		.worker = RK_FLIGHT_NOBODY,
		.kinds = 1ull << RK_FLIGHT_RESPONSE | 1ull << RK_FLIGHT_QUARANTINE |
			 1ull << RK_FLIGHT_DEATH | 1ull << RK_FLIGHT_VERDICT,
	};
	rk_cleanup(rk_recall_close_p) struct rk_recall recall = { .reader.fd = -1 };

	if (rk_recall_open(&recall, c->look.ask.fleet, NULL) < 0 ||
	    rk_recall_load(&recall, &filter, false, ret) < 0)
		return; /* with what was read so far */
}

static void show(const struct rk_dead_command *c, const struct rk_dead_letter *l)
{
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list all = { 0 };
	struct rk_recall_list history = { 0 };

	history_read(c, &all);
	history_keep(&all, l, rk_fleet_part(c->name), &history);
	if (rk_args_json(&c->a))
		show_json(c, l, &history);
	else
		show_text(l, &history);
	free(history.event);
}

int rk_cli_dead_show(struct rk_dead_command *c)
{
	rk_cleanup(rk_letters_free_p) struct rk_letters l = { 0 };
	struct rk_letter *one[1] = { NULL };
	struct rk_err err = { 0 };
	uint32_t n_missing;

	if (rk_letters_read(&l, &c->look, &err) < 0 ||
	    rk_cli_dead_choose(c, &l, one, &n_missing, &err) < 0)
		return rk_cli_fail(&err);
	if (n_missing)
		return RK_CLI_FAILED;
	if (rk_args_flag(&c->a, "body"))
		(void)fwrite((const char *)one[0]->is.bytes + one[0]->is.key_len, 1,
			     one[0]->is.len, stdout);
	else
		show(c, &one[0]->is);
	return RK_CLI_OK;
}
