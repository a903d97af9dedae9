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

/* Leaves the deadly ones, their words cut off behind the verdict's name: what people read, a NUL,
 * the name. */
static void keep(struct rk_recall_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct rk_recalled *e = l->event[i];
		char *verdict;

		if (!is_deadly(e->text)) {
			rk_free_p(&e);
			continue;
		}
		verdict = strstr(e->text, VERDICT);
		*verdict = '\0';
		verdict += strlen(VERDICT);
		verdict[strcspn(verdict, " ")] = '\0';
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
		return; /* most fleets, and 1,024 reads less */
	if (rk_recall_open(&c, name, NULL) < 0 || rk_recall_load(&c, &filter, false, ret) < 0)
		rk_recall_list_tail(ret, 0);
	keep(ret);
}

const char *rk_last_verdict_words(const struct rk_recall_list *l, const struct rk_view_slot *slot)
{
	for (size_t i = l->n; i > 0 && was_killed(slot); i--)
		if (l->event[i - 1]->record.pid == slot->died_pid)
			return l->event[i - 1]->text + strlen(WORKER);
	return NULL;
}

const char *rk_last_verdict(const struct rk_recall_list *l, const struct rk_view_slot *slot,
			    char *text, size_t size)
{
	const char *words = rk_last_verdict_words(l, slot);

	if (!words)
		return NULL;
	(void)snprintf(text, size, "%s", words + strlen(words) + strlen(VERDICT));
	return text;
}
