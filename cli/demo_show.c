/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_show.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/out.h"

#define TABLE_LINES 5 /* and one each for supervisor, poison and hogs, if there are */
#define RATE_REACHED 0.9 /* of what was asked for; when a deed is due is drawn */
#define RATE_NOISE 3     /* deeds that a short run may be off */

/* A number with separators; as many at once as one line may need. */
struct number {
	char text[RK_NUM_TEXT];
};

#define NUMBER(v) rk_num_format((struct number){ 0 }.text, v)
#define COUNTED(v) NUMBER(v), rk_num_plural(v) /* for "%s word%s" */
#define PASSIVE(v) NUMBER(v), were(v)          /* for "%s word%s counted" */
#define TIME(ns) rk_out_time((struct time_text){ 0 }.text, ns)

struct time_text {
	char text[RK_OUT_TIME];
};

static const char *were(uint64_t n)
{
	return n == 1 ? " was" : "s were";
}

void rk_demo_show_init(struct rk_demo_show *s, const struct rk_demo_plan *plan)
{
	const char *term = getenv("TERM");

	*s = (struct rk_demo_show){ .plan = plan, .is_terminal = isatty(STDOUT_FILENO) && term &&
								 strcmp(term, "dumb") != 0 };
}

uint64_t rk_demo_show_every_ns(const struct rk_demo_show *s)
{
	return s->is_terminal ? RK_NS_PER_S / 5 : RK_NS_PER_S;
}

/* One row of the table; what stood there before is cleared. */
static void row(const char *head, const char *text)
{
	(void)printf("\r\033[K  %-12s%s\n", head, text);
}

static void show_table(struct rk_demo_show *s, const struct rk_demo_moment *m, const struct rk_demo_chaos *c)
{
	char text[200];

	if (s->n_lines)
		(void)printf("\033[%uA", s->n_lines);
	(void)snprintf(text, sizeof(text), "%.1f s%s%s", (double)m->elapsed_ns / RK_NS_PER_S,
		       s->plan->seconds ? " of " : "", s->plan->seconds ? NUMBER(s->plan->seconds) : "");
	row("time", text);
	(void)snprintf(text, sizeof(text), "%s acknowledged, %s per second", NUMBER(m->n_acked), NUMBER(m->per_s));
	row("words", text);
	(void)snprintf(text, sizeof(text), "%u, %s killed, %s stopped for a while; %s time%s inside a job, %s inside a reply",
		       s->plan->n_workers, NUMBER(c->n_done[RK_DEMO_KILL_WORKER]),
		       NUMBER(c->n_done[RK_DEMO_STOP_WORKER]), COUNTED(c->n_in_job), NUMBER(c->n_in_reply));
	row("workers", text);
	(void)snprintf(text, sizeof(text), "%u, %s killed, %s stopped for a while; %s answer%s came to a successor",
		       s->plan->n_clients, NUMBER(c->n_done[RK_DEMO_KILL_CLIENT]),
		       NUMBER(c->n_done[RK_DEMO_STOP_CLIENT]), COUNTED(m->n_resumed));
	row("clients", text);
	(void)snprintf(text, sizeof(text), "%s%s", c->n_recoveries ? TIME(c->last_recovery_ns) : "-",
		       c->n_recoveries ? " from the last SIGKILL to the successor's first commit" : "");
	row("recovery", text);
	if (rk_demo_chaos_has_census(c)) {
		(void)snprintf(text, sizeof(text), "%s killed; %s duplicate%s; the next one ready %s behind the last SIGKILL",
			       NUMBER(c->n_done[RK_DEMO_KILL_SUPERVISOR]), COUNTED(c->census.n_duplicates),
			       c->reign.n_gaps ? TIME(c->reign.last_ns) : "-");
		row("supervisor", text);
	}
	if (s->plan->n_poisons) {
		(void)snprintf(text, sizeof(text), "%s of %s job%s quarantined", NUMBER(m->n_quarantined),
			       COUNTED(s->plan->n_poisons));
		row("poison", text);
	}
	if (s->plan->n_hogs) {
		(void)snprintf(text, sizeof(text), "%u burn%s CPU", s->plan->n_hogs, s->plan->n_hogs == 1 ? "s" : "");
		row("hogs", text);
	}
	s->n_lines = TABLE_LINES + rk_demo_chaos_has_census(c) + (s->plan->n_poisons > 0) + (s->plan->n_hogs > 0);
}

static const char *supervisor_text(char *text, size_t size, const struct rk_demo_chaos *c)
{
	(void)snprintf(text, size, "; killed the supervisor %s time%s, %s duplicate%s",
		       COUNTED(c->n_done[RK_DEMO_KILL_SUPERVISOR]), COUNTED(c->census.n_duplicates));
	return text;
}

static const char *quarantined_text(char *text, size_t size, const struct rk_demo_moment *m)
{
	(void)snprintf(text, size, "; %s job%s quarantined", COUNTED(m->n_quarantined));
	return text;
}

void rk_demo_show_moment(struct rk_demo_show *s, const struct rk_demo_moment *m, const struct rk_demo_chaos *c)
{
	char poison[64], supervisor[128];

	if (s->plan->json)
		return;
	if (s->is_terminal)
		show_table(s, m, c);
	else if (!m->is_short)
		(void)printf("%3.0f s: %s word%s acknowledged, %s per second; killed %s worker%s, %s client%s; "
			     "last recovery %s%s%s\n",
			     (double)m->elapsed_ns / RK_NS_PER_S, COUNTED(m->n_acked), NUMBER(m->per_s),
			     COUNTED(c->n_done[RK_DEMO_KILL_WORKER]), COUNTED(c->n_done[RK_DEMO_KILL_CLIENT]),
			     c->n_recoveries ? TIME(c->last_recovery_ns) : "-",
			     rk_demo_chaos_has_census(c) ? supervisor_text(supervisor, sizeof(supervisor), c) : "",
			     s->plan->n_poisons ? quarantined_text(poison, sizeof(poison), m) : "");
	(void)fflush(stdout);
}

/* ---- the verdict ---- */

/* Poison ends workers too, which nobody counts. */
static uint64_t n_changed(const struct rk_demo_result *r)
{
	return r->verdict.poison ? 0 : r->chaos->census.n_changed;
}

bool rk_demo_result_is_good(const struct rk_demo_result *r)
{
	const struct rk_demo_census *c = &r->chaos->census;

	return rk_demo_verdict_is_good(&r->verdict) && !r->n_clients_failed && !r->n_readers_failed && !c->n_duplicates &&
	       !c->n_orphans && !n_changed(r);
}

uint64_t rk_demo_percentile(const uint64_t *sorted, uint32_t n, uint32_t percent)
{
	uint64_t rank = ((uint64_t)n * percent + 99) / 100;

	return n ? sorted[rank ? rank - 1 : 0] : 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static uint64_t jobs_per_s(const struct rk_demo_result *r)
{
	return r->moment.elapsed_ns ? (uint64_t)((double)r->verdict.acknowledged * RK_NS_PER_S /
						 (double)r->moment.elapsed_ns) : 0;
}

static void put_ms(struct json_object *to, const char *name, const uint64_t *sorted, uint32_t n, uint32_t percent)
{
	char text[32];

	if (!n) {
		json_object_object_add(to, name, NULL);
		return;
	}
	(void)snprintf(text, sizeof(text), "%.3f",
		       (double)rk_demo_percentile(sorted, n, percent) / RK_NS_PER_MS);
	json_object_object_add(to, name, json_object_new_double_s(strtod(text, NULL), text));
}

static void put_times(struct json_object *to, const uint64_t *sorted, uint32_t n)
{
	put_ms(to, "p50", sorted, n, 50);
	put_ms(to, "p99", sorted, n, 99);
	put_ms(to, "max", sorted, n, 100);
}

static void show_json(const struct rk_demo_show *s, const struct rk_demo_result *r)
{
	struct json_object *o = json_object_new_object(), *kills = json_object_new_object(),
			   *stops = json_object_new_object(), *recovery = json_object_new_object(),
			   *gap = json_object_new_object();
	const struct rk_demo_verdict *v = &r->verdict;
	const struct rk_demo_chaos *c = r->chaos;
	const struct {
		struct json_object *to;
		const char *name;
		uint64_t value;
	} first[] = {
		{ o, "sent", v->sent }, { o, "acknowledged", v->acknowledged }, { o, "applied", v->applied },
		{ o, "lost", v->lost }, { o, "doubled", v->doubled }, { o, "unresolved", v->unresolved },
		{ o, "poison", v->poison }, { o, "quarantined", v->quarantined },
		{ o, "dead_letters", v->dead_letters }, { o, "innocents_quarantined", v->innocents },
		{ o, "hogs", s->plan->n_hogs },
		{ kills, "workers", c->n_done[RK_DEMO_KILL_WORKER] },
		{ kills, "clients", c->n_done[RK_DEMO_KILL_CLIENT] },
		{ kills, "readers", c->n_done[RK_DEMO_KILL_READER] },
		{ kills, "standbys", c->n_done[RK_DEMO_KILL_STANDBY] },
		{ kills, "supervisors", c->n_done[RK_DEMO_KILL_SUPERVISOR] },
		{ kills, "inside_a_job", c->n_in_job }, { kills, "inside_a_reply", c->n_in_reply },
		{ stops, "workers", c->n_done[RK_DEMO_STOP_WORKER] },
		{ stops, "clients", c->n_done[RK_DEMO_STOP_CLIENT] },
		{ stops, "readers", c->n_done[RK_DEMO_STOP_READER] },
		{ o, "duplicates", c->census.n_duplicates }, { o, "orphans", c->census.n_orphans },
		{ o, "changed", n_changed(r) }, { o, "same", c->census.n_same },
		{ gap, "n", c->reign.n_gaps }, { gap, "unmeasured", c->reign.n_unmeasured },
		{ recovery, "n", c->n_recoveries }, { recovery, "unmeasured", c->n_unmeasured },
	}, last[] = {
		{ o, "jobs_per_s", jobs_per_s(r) }, { o, "elapsed_ms", r->moment.elapsed_ns / RK_NS_PER_MS },
		{ o, "words", v->n_words }, { o, "words_exact", v->n_words_exact },
		{ o, "unresolved_applied", v->unresolved_applied }, { o, "unanswered", v->unanswered },
		{ o, "refused", v->refused }, { o, "contradicted", v->contradicted }, { o, "invalid", v->invalid },
		{ o, "clients_failed", r->n_clients_failed }, { o, "readers_failed", r->n_readers_failed },
		{ o, "sent_again", r->moment.n_again },
		{ o, "resumed", r->moment.n_resumed }, { o, "left_out", r->n_left_out }, { o, "seed", s->plan->seed },
	};

	for (size_t i = 0; i < rk_countof(first); i++)
		json_object_object_add(first[i].to, first[i].name, json_object_new_uint64(first[i].value));
	put_times(recovery, c->recoveries_ns, c->n_recoveries);
	put_times(gap, c->reign.gaps_ns, c->reign.n_gaps);
	json_object_object_add(o, "kills", kills);
	json_object_object_add(o, "stops", stops);
	json_object_object_add(o, "recovery_ms", recovery);
	json_object_object_add(o, "supervisor_ms", gap);
	for (size_t i = 0; i < rk_countof(last); i++)
		json_object_object_add(last[i].to, last[i].name, json_object_new_uint64(last[i].value));
	json_object_object_add(o, "ok", json_object_new_boolean(rk_demo_result_is_good(r)));
	rk_out_json(o);
}

static void show_faults(const struct rk_demo_result *r)
{
	const struct rk_demo_census *c = &r->chaos->census;
	const struct rk_demo_verdict *v = &r->verdict;

	if (v->lost)
		(void)printf("  LOST: %s acknowledged word%s not in the final counts.\n", COUNTED(v->lost));
	if (v->doubled)
		(void)printf("  DOUBLED: %s word%s counted that nobody sent.\n", PASSIVE(v->doubled));
	if (v->has_worst)
		(void)printf("  For instance '%s': its final count is %s, %s were acknowledged, %s more may have been "
			     "counted.\n", r->worst_word, NUMBER(v->worst_final), NUMBER(v->worst_acknowledged),
			     NUMBER(v->worst_unresolved));
	if (v->contradicted)
		(void)printf("  CONTRADICTED: %s word%s answered twice, and not with the same count.\n",
			     PASSIVE(v->contradicted));
	if (v->invalid)
		(void)printf("  INVALID: %s record%s of the ledger without sense.\n", COUNTED(v->invalid));
	if (r->n_readers_failed)
		(void)printf("  READERS: %u ended, since a view of the board changed under them or could not be seen.\n",
			     r->n_readers_failed);
	if (v->innocents)
		(void)printf("  INNOCENT: %s word%s quarantined, which nobody had poisoned.\n", PASSIVE(v->innocents));
	if (v->quarantined != v->poison || v->dead_letters != v->poison)
		(void)printf("  POISON: of %s job%s to kill every worker, %s answered as quarantined, and %s kept as "
			     "dead letters.\n", COUNTED(v->poison), NUMBER(v->quarantined), NUMBER(v->dead_letters));
	if (c->n_duplicates)
		(void)printf("  DUPLICATES: %s worker%s started although a living one had the slot.\n",
			     PASSIVE(c->n_duplicates));
	if (c->n_orphans)
		(void)printf("  ORPHANS: %s process%s of the fleet that the board does not know.\n", NUMBER(c->n_orphans),
			     c->n_orphans == 1 ? "" : "es");
	if (n_changed(r))
		(void)printf("  CHANGED: %s worker%s replaced, and nobody had killed them.\n", PASSIVE(n_changed(r)));
	if (v->unanswered || r->n_clients_failed)
		(void)printf("  UNANSWERED: %s word%s, and %u client%s ended without all answers.\n",
			     COUNTED(v->unanswered), r->n_clients_failed, rk_num_plural(r->n_clients_failed));
}

/* A rate that was asked for and not reached: the machine, or the aiming, was too slow for it. */
static void show_rate(const struct rk_demo_result *r, enum rk_demo_deed deed, const char *what)
{
	double seconds = (double)r->moment.elapsed_ns / RK_NS_PER_S;
	double due = seconds * r->chaos->conf.per_s[deed], done = (double)r->chaos->n_done[deed];

	if (done < due * RATE_REACHED && done < due - RATE_NOISE)
		(void)printf("Asked to %s at %s per second, it did at %.1f per second.\n", what,
			     NUMBER(r->chaos->conf.per_s[deed]), done / seconds);
}

static void show_rates(const struct rk_demo_result *r)
{
	show_rate(r, RK_DEMO_KILL_WORKER, "kill workers");
	show_rate(r, RK_DEMO_KILL_CLIENT, "kill clients");
	show_rate(r, RK_DEMO_STOP_WORKER, "stop workers");
	show_rate(r, RK_DEMO_STOP_CLIENT, "stop clients");
	show_rate(r, RK_DEMO_KILL_SUPERVISOR, "kill the supervisor");
}

static void show_supervisor(const struct rk_demo_show *s, const struct rk_demo_result *r)
{
	const struct rk_demo_chaos *c = r->chaos;
	const struct rk_demo_reign *g = &c->reign;

	if (!rk_demo_chaos_has_census(c))
		return;
	(void)printf("The supervisor was killed %s time%s: %s duplicate%s, %s orphan%s",
		     COUNTED(c->n_done[RK_DEMO_KILL_SUPERVISOR]), COUNTED(c->census.n_duplicates),
		     COUNTED(c->census.n_orphans));
	if (c->census.n_same == s->plan->n_workers)
		(void)printf(", the same %u pid%s before and after", c->census.n_same, rk_num_plural(c->census.n_same));
	(void)printf(".\n");
	if (g->n_gaps)
		(void)printf("From its SIGKILL until the next one had everybody: median %s, 99 %% within %s, longest %s.\n",
			     TIME(rk_demo_percentile(g->gaps_ns, g->n_gaps, 50)),
			     TIME(rk_demo_percentile(g->gaps_ns, g->n_gaps, 99)),
			     TIME(rk_demo_percentile(g->gaps_ns, g->n_gaps, 100)));
}

static void show_text(const struct rk_demo_show *s, const struct rk_demo_result *r)
{
	const struct rk_demo_verdict *v = &r->verdict;
	const struct rk_demo_chaos *c = r->chaos;

	(void)printf("\n%s word%s sent, %s acknowledged, %s per second.\n", COUNTED(v->sent), NUMBER(v->acknowledged),
		     NUMBER(jobs_per_s(r)));
	(void)printf("%s worker%s and %s client%s were killed with SIGKILL, %s and %s stopped for a while;\n"
		     "%s worker%s caught in the middle of a job, %s in the middle of a reply.\n",
		     COUNTED(c->n_done[RK_DEMO_KILL_WORKER]), COUNTED(c->n_done[RK_DEMO_KILL_CLIENT]),
		     NUMBER(c->n_done[RK_DEMO_STOP_WORKER]), NUMBER(c->n_done[RK_DEMO_STOP_CLIENT]),
		     PASSIVE(c->n_in_job), NUMBER(c->n_in_reply));
	show_rates(r);
	if (c->n_done[RK_DEMO_KILL_STANDBY])
		(void)printf("%s standby%s killed before being needed.\n",
			     PASSIVE(c->n_done[RK_DEMO_KILL_STANDBY]));
	if (c->n_done[RK_DEMO_KILL_READER] || c->n_done[RK_DEMO_STOP_READER])
		(void)printf("%s reader%s of the board killed, %s stopped for a while.\n",
			     COUNTED(c->n_done[RK_DEMO_KILL_READER]), NUMBER(c->n_done[RK_DEMO_STOP_READER]));
	if (c->n_recoveries)
		(void)printf("From a worker's SIGKILL to its successor's first commit: median %s, 99 %% within %s, "
			     "longest %s.\n",
			     TIME(rk_demo_percentile(c->recoveries_ns, c->n_recoveries, 50)),
			     TIME(rk_demo_percentile(c->recoveries_ns, c->n_recoveries, 99)),
			     TIME(rk_demo_percentile(c->recoveries_ns, c->n_recoveries, 100)));
	show_supervisor(s, r);
	if (v->unresolved)
		(void)printf("%s word%s in flight in anonymous clients that were killed: nobody was left to be told\n"
			     "(%s of them had been counted).\n",
			     PASSIVE(v->unresolved), NUMBER(v->unresolved_applied));
	if (v->poison)
		(void)printf("%s job%s sent to crash or hang every worker; %s quarantined, %s.\n",
			     PASSIVE(v->poison), NUMBER(v->quarantined), v->innocents ? "others too" : "and no other job");
	if (s->plan->n_poisons > v->poison)
		(void)printf("Asked to send %s of them, it had time for %s.\n", NUMBER(s->plan->n_poisons),
			     NUMBER(v->poison));
	if (s->plan->n_hogs)
		(void)printf("%u process%s burned CPU meanwhile.\n", s->plan->n_hogs, s->plan->n_hogs == 1 ? "" : "es");
	if (v->refused)
		(void)printf("%s word%s refused by wordcount, which says so when its table is full.\n",
			     PASSIVE(v->refused));
	if (r->n_left_out)
		(void)printf("%s word%s of the text left out: longer than %u letters.\n",
			     COUNTED(r->n_left_out), RK_DEMO_WORD_MAX);
	(void)printf("\nVerdict of the checker, which compared every answer with the final counts of %s word%s:\n",
		     COUNTED(v->n_words));
	rk_out_color(rk_demo_result_is_good(r) ? RK_OUT_GREEN : RK_OUT_RED, 0,
		     rk_demo_result_is_good(r) ? "  nothing lost, nothing counted twice, every living client got all its "
						 "answers" :
						 "  THE PROMISES WERE BROKEN");
	(void)printf("\n");
	show_faults(r);
}

void rk_demo_show_result(struct rk_demo_show *s, const struct rk_demo_result *r)
{
	qsort(r->chaos->recoveries_ns, r->chaos->n_recoveries, sizeof(uint64_t), compare);
	if (r->chaos->reign.n_gaps)
		qsort(r->chaos->reign.gaps_ns, r->chaos->reign.n_gaps, sizeof(uint64_t), compare);
	if (s->plan->json)
		show_json(s, r);
	else
		show_text(s, r);
	(void)fflush(stdout);
}
