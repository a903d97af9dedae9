/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/last_verdict.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/out.h"

#define WORKER "worker "
#define VERDICT " verdict="

/* "worker hung verdict=asleep … response=kill …", as supervisor/slot_end.c has it. */
static bool is_deadly(const char *text)
{
	return strncmp(text, WORKER, strlen(WORKER)) == 0 && strstr(text, VERDICT) &&
	       (strstr(text, " response=kill") || strstr(text, " response=abort"));
}

static bool was_killed(const struct rk_view_slot *slot)
{
	return slot->died_ns && (slot->exit_code == CLD_KILLED || slot->exit_code == CLD_DUMPED);
}

/* To what people read, a NUL, the verdict's name: it moves there from where it stood. */
static void cut(char *text)
{
	char *verdict = strstr(text, VERDICT), *name = verdict + strlen(VERDICT);

	name[strcspn(name, " ")] = '\0';
	if (verdict[-1] == ',') /* "hung, uninterruptible," goes on in its record, and ends here */
		verdict--;
	*verdict = '\0';
	memmove(verdict + 1, name, strlen(name) + 1);
}

void rk_last_verdicts_keep(struct rk_recall_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct rk_recalled *e = l->event[i];

		if (!is_deadly(e->text)) {
			rk_free_p(&e);
			continue;
		}
		cut(e->text);
		l->event[n++] = e;
	}
	l->n = n;
}

void rk_last_verdicts_load(const struct rk_snapshot *s, const char *name,
			   struct rk_recall_list *ret)
{
	const struct rk_recall_filter filter = { .worker = RK_FLIGHT_NOBODY,
						 .kinds = 1ull << RK_FLIGHT_VERDICT };
	rk_cleanup(rk_recall_close_p) struct rk_recall c = { .reader.fd = -1 };
	bool has_killed = false;

	for (uint32_t i = 0; i < s->n_workers; i++)
		has_killed = has_killed || was_killed(&s->workers[i].view);
	if (!has_killed)
		return; /* most fleets, and three times FlightRecords= reads less */
	if (rk_recall_open(&c, name, NULL) < 0 || rk_recall_load(&c, &filter, false, ret) < 0)
		rk_recall_list_tail(ret, 0);
	rk_last_verdicts_keep(ret);
}

/* Pids come again, in other slots and fleets too. What lives now has not died of anything yet. */
static bool is_about(const struct rk_flight_record *r, const char *fleet,
		     const struct rk_snapshot_worker *w)
{
	const struct rk_view_slot *v = &w->view;

	return r->pid == v->died_pid && r->slot == w->slot &&
	       r->incarnation + (v->pid > 0) <= v->incarnation &&
	       (!fleet[0] || strcmp(r->fleet, fleet) == 0);
}

const char *rk_last_verdict_words(const struct rk_recall_list *l, const char *fleet,
				  const struct rk_snapshot_worker *w)
{
	for (size_t i = l->n; i > 0 && was_killed(&w->view); i--)
		if (is_about(&l->event[i - 1]->record, fleet, w))
			return l->event[i - 1]->text + strlen(WORKER);
	return NULL;
}

const char *rk_last_verdict(const struct rk_recall_list *l, const char *fleet,
			    const struct rk_snapshot_worker *w, char *text, size_t size)
{
	const char *words = rk_last_verdict_words(l, fleet, w);

	if (!words)
		return NULL;
	(void)snprintf(text, size, "%s", words + strlen(words) + 1);
	return text;
}
