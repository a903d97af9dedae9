/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_lines_ledger.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/rand.h"

#define ROOM_FIRST 65536u
#define ID "rk-"

int rk_demo_lines_open(struct rk_demo_lines_ledger *l, uint32_t n_keys, uint64_t seed, bool is_exact)
{
	*l = (struct rk_demo_lines_ledger){ .n_max = ROOM_FIRST, .seed = seed, .n_keys = n_keys, .is_exact = is_exact };
	l->at = calloc(l->n_max, sizeof(*l->at));
	l->n_of_key = calloc(n_keys, sizeof(*l->n_of_key));
	return l->at && l->n_of_key ? 0 : -ENOMEM;
}

void rk_demo_lines_close(struct rk_demo_lines_ledger *l)
{
	free(l->at);
	free(l->n_of_key);
	*l = (struct rk_demo_lines_ledger){ 0 };
}

/* ---- lines ---- */

/* That nobody hits by chance: of a line that was cut off, or made of two. */
static uint32_t check_of(const struct rk_demo_lines_ledger *l, uint64_t i)
{
	struct rk_rand r = rk_rand_init(l->seed ^ i * 0x9e3779b97f4a7c15u);

	return (uint32_t)(rk_rand_u64(&r) >> 32);
}

static size_t line_write(const struct rk_demo_lines_ledger *l, uint64_t i, char text[static RK_DEMO_LINE_MAX])
{
	const struct rk_demo_line *e = &l->at[i];

	return (size_t)snprintf(text, RK_DEMO_LINE_MAX, "{\"id\":\"" ID "%llu-%08x\",\"key\":\"k%u\",\"n\":%u}",
				(unsigned long long)i, check_of(l, i), e->key, e->n);
}

uint64_t rk_demo_lines_note(struct rk_demo_lines_ledger *l, uint32_t key)
{
	if (l->n == l->n_max) {
		struct rk_demo_line *larger = realloc(l->at, 2 * l->n_max * sizeof(*l->at));

		if (!larger)
			return UINT64_MAX;
		l->at = larger;
		l->n_max *= 2;
	}
	l->at[l->n] = (struct rk_demo_line){ .key = key, .n = l->n_of_key[key]++ };
	l->n_open++;
	return l->n++;
}

size_t rk_demo_lines_send(struct rk_demo_lines_ledger *l, uint64_t i, uint64_t now_ns, char text[static RK_DEMO_LINE_MAX])
{
	struct rk_demo_line *e = &l->at[i];

	e->turn = l->n_turns++;
	e->sent_ns = e->n_sent ? e->sent_ns : now_ns;
	e->n_sent++;
	return line_write(l, i, text);
}

/* The line whose id stands first in a text; UINT64_MAX: none. */
static uint64_t line_of(const struct rk_demo_lines_ledger *l, const char *text, size_t len)
{
	const char *at = memmem(text, len, ID, sizeof(ID) - 1);
	char copy[40];
	unsigned long long i;
	unsigned int check;
	size_t n;

	if (!at)
		return UINT64_MAX;
	n = rk_min_size((size_t)(text + len - at), sizeof(copy) - 1);
	memcpy(copy, at, n);
	copy[n] = '\0';
	if (sscanf(copy, ID "%llu-%8x", &i, &check) != 2 || i >= l->n || check != check_of(l, i))
		return UINT64_MAX;
	return i;
}

static bool is_answer_of(const struct rk_demo_lines_ledger *l, uint64_t i, const char *text, size_t len)
{
	char line[RK_DEMO_LINE_MAX];

	if (!l->is_exact)
		return line_of(l, text, len) == i;
	return line_write(l, i, line) == len && memcmp(line, text, len) == 0;
}

void rk_demo_lines_answer(struct rk_demo_lines_ledger *l, uint64_t i, uint64_t job, uint64_t now_ns, const char *text,
			  size_t len)
{
	struct rk_demo_line *e = &l->at[i];

	if (e->answered_ns) {
		l->n_doubled++;
		return;
	}
	e->answered_ns = now_ns;
	e->job = job;
	e->is_refused = !text;
	e->is_wrong = text && !is_answer_of(l, i, text, len);
	l->n_open--;
	l->n_answered++;
}

/* ---- what the filters were given ---- */

struct notes {
	struct rk_demo_lines_ledger *l;
	struct rk_demo_lines_verdict *v;
	uint64_t *last; /* of each key, in this filter: turn + 1 of the last line; 0 = none yet */
};

static void note_read(const struct notes *n, const char *text, size_t len)
{
	uint64_t i = line_of(n->l, text, len);
	struct rk_demo_line *e;

	if (i == UINT64_MAX) {
		n->v->strange++;
		return;
	}
	e = &n->l->at[i];
	n->v->given++;
	n->v->redelivered += e->n_given == 1;
	e->n_given++;
	n->v->most_given = rk_max_u64(n->v->most_given, e->n_given);
	if (e->n_sent > 1)
		return; /* which time this was nobody can tell */
	n->v->out_of_order += n->last[e->key] > e->turn;
	n->last[e->key] = e->turn + 1;
}

static int file_read(const struct notes *n, const char *directory, const char *name, struct rk_err *err)
{
	char path[512], text[RK_DEMO_LINE_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "re");
	if (!f)
		return rk_err_set(err, -errno, "%s: %s", path, strerror(errno));
	memset(n->last, 0, n->l->n_keys * sizeof(*n->last));
	while (fgets(text, sizeof(text), f)) {
		size_t len = strlen(text);

		if (len && text[len - 1] == '\n') /* else it was killed in its note: it has not passed it on */
			note_read(n, text, len - 1);
	}
	(void)fclose(f);
	return 0;
}

static int notes_read(const struct notes *n, const char *directory, struct rk_err *err)
{
	DIR *d = opendir(directory);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return rk_err_set(err, -errno, "%s: %s", directory, strerror(errno));
	while (r == 0 && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			r = file_read(n, directory, e->d_name, err);
	(void)closedir(d);
	return r;
}

/* ---- the verdict ---- */

struct taken {
	uint64_t turn, job;
	uint32_t key;
};

static int taken_compare(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->turn < y->turn ? -1 : x->turn > y->turn;
}

/* Lines of one key, in the order of sending, have to be jobs of rising numbers. */
static uint64_t disorder_count(const struct rk_demo_lines_ledger *l, struct taken *t)
{
	uint64_t n = 0, n_bad = 0;

	for (uint64_t i = 0; i < l->n; i++)
		if (l->at[i].answered_ns)
			t[n++] = (struct taken){ .turn = l->at[i].turn, .job = l->at[i].job, .key = l->at[i].key };
	qsort(t, n, sizeof(*t), taken_compare);
	for (uint64_t i = 1; i < n; i++)
		n_bad += t[i].key == t[i - 1].key && t[i].job <= t[i - 1].job;
	return n_bad;
}

static int number_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void times_take(const struct rk_demo_lines_ledger *l, uint64_t *t, struct rk_demo_lines_verdict *v)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < l->n; i++)
		if (l->at[i].answered_ns)
			t[n++] = l->at[i].answered_ns - l->at[i].sent_ns;
	if (!n)
		return;
	qsort(t, n, sizeof(*t), number_compare);
	v->p50_ns = t[(n - 1) / 2];
	v->p99_ns = t[(n - 1) * 99 / 100];
	v->max_ns = t[n - 1];
}

static void lines_count(const struct rk_demo_lines_ledger *l, struct rk_demo_lines_verdict *v)
{
	for (uint64_t i = 0; i < l->n; i++) {
		const struct rk_demo_line *e = &l->at[i];

		v->lost += !e->answered_ns;
		v->refused += e->is_refused;
		v->wrong += e->is_wrong;
		v->unread += e->answered_ns && !e->is_refused && !e->n_given;
	}
}

int rk_demo_lines_judge(struct rk_demo_lines_ledger *l, const char *notes, struct rk_demo_lines_verdict *ret,
			struct rk_err *err)
{
	rk_cleanup(rk_free_p) uint64_t *last = calloc(l->n_keys, sizeof(*last));
	rk_cleanup(rk_free_p) void *room = calloc(l->n + 1, sizeof(struct taken));
	struct rk_demo_lines_verdict v = { .sent = l->n, .doubled = l->n_doubled };
	const struct notes n = { .l = l, .v = &v, .last = last };
	int r;

	if (!last || !room)
		return rk_err_set(err, -ENOMEM, "no memory for the checker");
	r = notes_read(&n, notes, err);
	if (r < 0)
		return r;
	lines_count(l, &v);
	v.answered = v.sent - v.lost - v.refused;
	v.out_of_order += disorder_count(l, room);
	times_take(l, room, &v);
	*ret = v;
	return 0;
}

bool rk_demo_lines_is_good(const struct rk_demo_lines_verdict *v)
{
	return v->answered && !v->lost && !v->refused && !v->doubled && !v->wrong && !v->out_of_order && !v->unread && !v->strange;
}
