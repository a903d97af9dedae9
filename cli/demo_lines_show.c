/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_lines_show.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/out.h"

struct number {
	char text[RK_NUM_TEXT];
};

struct time_text {
	char text[RK_OUT_TIME];
};

#define NUMBER(v) rk_num_format((struct number){ 0 }.text, v)
#define COUNTED(v) NUMBER(v), rk_num_plural(v) /* for "%s line%s" */
#define WERE(v) NUMBER(v), (v) == 1 ? " was" : "s were"
#define TIME(ns) rk_out_time((struct time_text){ 0 }.text, ns)

static uint64_t n_programs(const struct rk_demo_lines_chaos *c)
{
	return c->n_killed[RK_DEMO_FILTER] + c->n_killed[RK_DEMO_COMMAND];
}

static uint64_t per_s(const struct rk_demo_lines_plan *p, const struct rk_demo_lines_verdict *v)
{
	return p->elapsed_ns ? (uint64_t)((double)v->answered * RK_NS_PER_S / (double)p->elapsed_ns) : 0;
}

void rk_demo_lines_show_begin(const struct rk_demo_lines_plan *p)
{
	if (p->json)
		return;
	(void)printf("lines through %u of '%s', %u client%s; seed %llu\n", p->n_workers, p->command, p->n_clients,
		     rk_num_plural(p->n_clients), (unsigned long long)p->seed);
	(void)fflush(stdout);
}

void rk_demo_lines_show_moment(const struct rk_demo_lines_plan *p, uint64_t elapsed_ns, uint64_t n_answered, uint64_t rate,
			       const struct rk_demo_lines_chaos *c)
{
	if (p->json)
		return;
	(void)printf("%3.0f s: %s line%s answered, %s per second; killed %s program%s, %s bridge%s\n",
		     (double)elapsed_ns / RK_NS_PER_S, COUNTED(n_answered), NUMBER(rate), COUNTED(n_programs(c)),
		     COUNTED(c->n_killed[RK_DEMO_BRIDGE]));
	(void)fflush(stdout);
}

static void put_ms(struct json_object *to, const char *name, uint64_t ns)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.3f", (double)ns / RK_NS_PER_MS);
	json_object_object_add(to, name, json_object_new_double_s(strtod(text, NULL), text));
}

static void show_json(const struct rk_demo_lines_plan *p, const struct rk_demo_lines_verdict *v,
		      const struct rk_demo_lines_chaos *c)
{
	struct json_object *o = json_object_new_object(), *kills = json_object_new_object(), *times = json_object_new_object();
	const struct {
		struct json_object *to;
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ o, "sent", v->sent }, { o, "answered", v->answered }, { o, "lost", v->lost },
		{ o, "redelivered", v->redelivered }, { o, "given", v->given }, { o, "most_given", v->most_given },
		{ o, "doubled", v->doubled }, { o, "wrong", v->wrong }, { o, "out_of_order", v->out_of_order },
		{ o, "refused", v->refused }, { o, "unread", v->unread }, { o, "strange", v->strange },
		{ kills, "programs", n_programs(c) }, { kills, "bridges", c->n_killed[RK_DEMO_BRIDGE] },
		{ o, "jobs_per_s", per_s(p, v) }, { o, "elapsed_ms", p->elapsed_ns / RK_NS_PER_MS }, { o, "seed", p->seed },
	};

	json_object_object_add(o, "kind", json_object_new_string("lines"));
	rk_out_json_text(o, "command", p->command);
	for (size_t i = 0; i < rk_countof(numbers); i++)
		json_object_object_add(numbers[i].to, numbers[i].name, json_object_new_uint64(numbers[i].value));
	put_ms(times, "p50", v->p50_ns);
	put_ms(times, "p99", v->p99_ns);
	put_ms(times, "max", v->max_ns);
	json_object_object_add(o, "kills", kills);
	json_object_object_add(o, "answer_ms", times);
	json_object_object_add(o, "ok", json_object_new_boolean(rk_demo_lines_is_good(v)));
	rk_out_json(o);
}

static void show_faults(const struct rk_demo_lines_verdict *v)
{
	const struct {
		uint64_t n;
		const char *name, *what;
	} faults[] = {
		{ v->lost, "LOST", "never answered" },
		{ v->doubled, "DOUBLED", "answered once more" },
		{ v->wrong, "WRONG", "answered with what is not the answer to it" },
		{ v->out_of_order, "DISORDER", "taken before one of the same key that was sent earlier" },
		{ v->refused, "REFUSED", "answered with an error" },
		{ v->unread, "UNREAD", "answered, and no program was given it" },
		{ v->strange, "STRANGE", "given to programs, and nobody has sent it" },
	};

	for (size_t i = 0; i < rk_countof(faults); i++)
		if (faults[i].n)
			(void)printf("  %s: %s line%s %s.\n", faults[i].name, WERE(faults[i].n), faults[i].what);
	if (!v->answered)
		(void)printf("  NOTHING was answered.\n");
}

static void show_text(const struct rk_demo_lines_plan *p, const struct rk_demo_lines_verdict *v,
		      const struct rk_demo_lines_chaos *c)
{
	bool good = rk_demo_lines_is_good(v);

	(void)printf("\n%s line%s sent, %s answered, %s per second.\n", COUNTED(v->sent), NUMBER(v->answered), NUMBER(per_s(p, v)));
	(void)printf("%s program%s and %s bridge%s were killed with SIGKILL.\n", COUNTED(n_programs(c)),
		     COUNTED(c->n_killed[RK_DEMO_BRIDGE]));
	(void)printf("From sending a line to its answer: median %s, 99 %% within %s, longest %s.\n", TIME(v->p50_ns), TIME(v->p99_ns),
		     TIME(v->max_ns));
	(void)printf("%s line%s given to a program more than once, one of them %s time%s: at least once, not exactly once,\n"
		     "is what a program gets that does not link librekindle.\n",
		     WERE(v->redelivered), COUNTED(v->most_given));
	(void)printf("\nVerdict of the checker, which knows what was sent, what programs were given, and what came back:\n");
	rk_out_color(good ? RK_OUT_GREEN : RK_OUT_RED, 0,
		     good ? "  nothing lost: each line got one answer, its own, in the order of its key" : "  THE PROMISES WERE BROKEN");
	(void)printf("\n");
	show_faults(v);
}

void rk_demo_lines_show_result(const struct rk_demo_lines_plan *p, const struct rk_demo_lines_verdict *v,
			       const struct rk_demo_lines_chaos *c)
{
	if (p->json)
		show_json(p, v, c);
	else
		show_text(p, v, c);
	(void)fflush(stdout);
}
