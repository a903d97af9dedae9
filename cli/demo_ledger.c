/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_ledger.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static uint64_t aligned(uint64_t at)
{
	return RK_ALIGN_UP(at, (uint64_t)RK_CACHELINE);
}

static void lay_out(struct rk_demo_ledger_head *h, const struct rk_demo_text *text,
		    const struct rk_demo_ledger_size *size)
{
	*h = (struct rk_demo_ledger_head){ .n_records = size->n_records, .n_text = text->n_text,
					   .chars_len = text->chars_len, .n_words = text->n_words,
					   .n_places = size->n_places, .n_poisons = size->n_poisons };
	h->words_at = aligned(sizeof(*h));
	h->chars_at = aligned(h->words_at + h->n_words * sizeof(uint32_t));
	h->text_at = aligned(h->chars_at + h->chars_len);
	h->places_at = aligned(h->text_at + h->n_text * sizeof(uint32_t));
	h->poisons_at = aligned(h->places_at + h->n_places * sizeof(struct rk_demo_place));
	h->records_at = aligned(h->poisons_at + h->n_poisons * sizeof(struct rk_demo_record));
	h->len = h->records_at + h->n_records * sizeof(struct rk_demo_record);
}

static void view(struct rk_demo_ledger *l, void *at, int fd)
{
	struct rk_demo_ledger_head *h = at;
	char *bytes = at;

	*l = (struct rk_demo_ledger){
		.head = h,
		.words = (const uint32_t *)(bytes + h->words_at),
		.chars = bytes + h->chars_at,
		.text = (const uint32_t *)(bytes + h->text_at),
		.places = (struct rk_demo_place *)(bytes + h->places_at),
		.poisons = (struct rk_demo_record *)(bytes + h->poisons_at),
		.records = (struct rk_demo_record *)(bytes + h->records_at),
		.fd = fd,
	};
}

/* Without MAP_NORESERVE a long run would have to pay for records that it may never write. */
static void *map(int fd, uint64_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
}

int rk_demo_ledger_create(struct rk_demo_ledger *ret, const struct rk_demo_text *text,
			  const struct rk_demo_ledger_size *size, struct rk_err *err)
{
	struct rk_demo_ledger_head head;
	rk_cleanup(rk_close_p) int fd = memfd_create("rekindle-demo-ledger", MFD_CLOEXEC);
	char *at;

	lay_out(&head, text, size);
	if (fd < 0 || ftruncate(fd, (off_t)head.len) < 0)
		return rk_err_set(err, -errno, "cannot make the ledger: %s", strerror(errno));
	at = map(fd, head.len);
	if (at == MAP_FAILED)
		return rk_err_set(err, -errno, "cannot map the ledger: %s", strerror(errno));
	memcpy(at, &head, sizeof(head));
	memcpy(at + head.words_at, text->words, head.n_words * sizeof(uint32_t));
	memcpy(at + head.chars_at, text->chars, head.chars_len);
	memcpy(at + head.text_at, text->text, head.n_text * sizeof(uint32_t));
	view(ret, at, rk_take_fd(&fd));
	return 0;
}

int rk_demo_ledger_attach(struct rk_demo_ledger *ret, int fd, struct rk_err *err)
{
	struct stat st;
	void *at;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(struct rk_demo_ledger_head))
		return rk_err_set(err, -EBADF, "descriptor %d is not demo's ledger", fd);
	at = map(fd, (uint64_t)st.st_size);
	if (at == MAP_FAILED)
		return rk_err_set(err, -errno, "cannot map the ledger: %s", strerror(errno));
	if (((struct rk_demo_ledger_head *)at)->len != (uint64_t)st.st_size) {
		(void)munmap(at, (size_t)st.st_size);
		return rk_err_set(err, -EPROTO, "descriptor %d is not demo's ledger", fd);
	}
	view(ret, at, fd);
	return 0;
}

void rk_demo_ledger_close(struct rk_demo_ledger *l)
{
	if (!l->head)
		return;
	(void)munmap(l->head, l->head->len);
	rk_close_p(&l->fd);
	*l = (struct rk_demo_ledger){ .fd = -1 };
}

bool rk_demo_ledger_has_more(const struct rk_demo_ledger *l, uint32_t place)
{
	/* Relaxed: this place's own client wrote it, or a predecessor that is confirmed dead. */
	uint64_t next = atomic_load_explicit(&l->places[place].next, memory_order_relaxed);

	return rk_demo_ledger_index(l, place, next) < l->head->n_records;
}

uint64_t rk_demo_ledger_note(const struct rk_demo_ledger *l, uint32_t place)
{
	struct rk_demo_place *p = &l->places[place];
	uint64_t next = atomic_load_explicit(&p->next, memory_order_relaxed);
	uint64_t i = rk_demo_ledger_index(l, place, next);

	l->records[i].word = l->text[i % l->head->n_text];
	/* Killed before this: no intent. Between the two: rk_demo_ledger_recover() counts it. */
	atomic_store_explicit(&l->records[i].state, RK_DEMO_INTENT, memory_order_release);
	atomic_store_explicit(&p->next, next + 1, memory_order_release);
	return i;
}

void rk_demo_ledger_answer(const struct rk_demo_ledger *l, uint64_t i, enum rk_demo_state state,
			   uint64_t count)
{
	struct rk_demo_record *r = &l->records[i];
	enum rk_demo_state now = rk_demo_ledger_state(l, i);

	if (now != RK_DEMO_INTENT) {
		if (now != state || r->count != count)
			atomic_store_explicit(&r->state, RK_DEMO_CONTRADICTED, memory_order_release);
		return;
	}
	r->count = count;
	atomic_store_explicit(&r->state, state, memory_order_release);
}

void rk_demo_ledger_note_poison(const struct rk_demo_ledger *l, uint32_t k)
{
	struct rk_demo_record *r = &l->poisons[k];

	/* Spread over the dictionary, so that all partitions get some. */
	r->word = (uint32_t)((uint64_t)k * l->head->n_words / l->head->n_poisons);
	atomic_store_explicit(&r->state, RK_DEMO_INTENT, memory_order_release);
}

void rk_demo_ledger_answer_poison(const struct rk_demo_ledger *l, uint32_t k, enum rk_demo_state state)
{
	atomic_store_explicit(&l->poisons[k].state, state, memory_order_release);
}

void rk_demo_ledger_recover(const struct rk_demo_ledger *l, uint32_t place)
{
	struct rk_demo_place *p = &l->places[place];
	uint64_t next = atomic_load_explicit(&p->next, memory_order_relaxed);

	if (rk_demo_ledger_has_more(l, place) &&
	    rk_demo_ledger_state(l, rk_demo_ledger_index(l, place, next)) != RK_DEMO_EMPTY)
		atomic_store_explicit(&p->next, next + 1, memory_order_release);
}

uint64_t rk_demo_ledger_n_noted(const struct rk_demo_ledger *l)
{
	uint64_t most = 0;

	for (uint32_t p = 0; p < l->head->n_places; p++)
		most = rk_max_u64(most, atomic_load_explicit(&l->places[p].next, memory_order_relaxed));
	return rk_min_u64((most + 1) * l->head->n_places, l->head->n_records);
}
