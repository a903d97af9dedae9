/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/complaints.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1000u /* bytes of a sentence */
#define GROW_BY 32u

static struct rk_complaint *room(struct rk_complaints *c)
{
	struct rk_complaint *at = c->at;

	if (c->n == RK_COMPLAINTS_MAX)
		return NULL;
	if (c->n % GROW_BY == 0) {
		at = realloc(at, (c->n + GROW_BY) * sizeof(*at));
		if (!at)
			return NULL;
		c->at = at;
	}
	return &c->at[c->n];
}

void rk_complain(struct rk_complaints *c, const char *file, uint32_t line, const char *fmt, ...)
{
	struct rk_complaint *to = room(c);
	char text[TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (char *t = text; *t; t++)
		if ((unsigned char)*t < 0x20 || *t == 0x7f)
			*t = '?';
	if (to)
		*to = (struct rk_complaint){ .file = file ? strdup(file) : NULL,
					     .line = line,
					     .order = c->n,
					     .text = strdup(text) };
	if (to && to->text && (to->file || !file)) {
		c->n++;
		return;
	}
	if (to) {
		free(to->text);
		free(to->file);
	}
	c->n_dropped++;
}

static int compare(const void *left, const void *right)
{
	const struct rk_complaint *a = left, *b = right;
	int by_file = strcmp(a->file ? a->file : "", b->file ? b->file : "");

	if (by_file != 0)
		return by_file;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

void rk_complaints_sort(struct rk_complaints *c)
{
	if (c->n > 1)
		qsort(c->at, c->n, sizeof(*c->at), compare);
}

void rk_complaints_print(struct rk_complaints *c, const char *prefix, FILE *to)
{
	rk_complaints_sort(c);
	for (uint32_t i = 0; i < c->n; i++) {
		const struct rk_complaint *a = &c->at[i];

		(void)fputs(prefix, to);
		if (a->file)
			(void)fprintf(to, "%s:", a->file);
		if (a->file && a->line)
			(void)fprintf(to, "%u:", a->line);
		(void)fprintf(to, "%s%s\n", a->file ? " " : "", a->text);
	}
	if (c->n_dropped)
		(void)fprintf(to, "%sand %u more\n", prefix, c->n_dropped);
}

void rk_complaints_free_p(struct rk_complaints *c)
{
	int saved = errno;

	for (uint32_t i = 0; i < c->n; i++) {
		free(c->at[i].file);
		free(c->at[i].text);
	}
	free(c->at);
	*c = (struct rk_complaints){ 0 };
	errno = saved;
}
