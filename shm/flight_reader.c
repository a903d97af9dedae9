/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/flight_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/boot.h"
#include "base/cleanup.h"

#define HEAD_LEN sizeof(struct rk_flight_head)

static bool word_read(int fd, size_t at, uint32_t *ret)
{
	return pread(fd, ret, sizeof(*ret), (off_t)at) == (ssize_t)sizeof(*ret);
}

int rk_flight_reader_open(struct rk_flight_reader *r, const char *path, struct rk_err *err)
{
	struct rk_flight_head head;
	uint8_t boot_id[sizeof(head.boot_id)];
	uint64_t newest;
	void *page;
	int e;

	*r = (struct rk_flight_reader){ .next = 1 };
	/* Nothing that is there instead of a file shall make us wait or become our terminal. */
	r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (r->fd < 0)
		return rk_err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	e = rk_flight_head_read(r->fd, path, &head, err);
	if (e < 0)
		return e;
	r->n = head.n_records; /* the head has been checked; no later word of the file changes it */
	page = mmap(NULL, HEAD_LEN, PROT_READ, MAP_SHARED, r->fd, 0);
	if (page == MAP_FAILED)
		return rk_err_set(err, -errno, "cannot map %s: %s", path, strerror(errno));
	r->changes = (const char *)page + offsetof(struct rk_flight_head, changes);
	memcpy(r->name, head.name, sizeof(r->name));
	rk_boot_id(boot_id);
	r->is_this_boot = memcmp(boot_id, head.boot_id, sizeof(boot_id)) == 0;
	if (rk_flight_scan(r->fd, r->n, &r->next, &newest) == 0)
		r->next = 1;
	return 0;
}

void rk_flight_reader_close_p(struct rk_flight_reader *r)
{
	if (r->changes)
		(void)munmap((char *)(uintptr_t)r->changes -
				     offsetof(struct rk_flight_head, changes),
			     HEAD_LEN);
	r->changes = NULL;
	rk_close_p(&r->fd);
}

int rk_flight_reader_look(const struct rk_flight_reader *r, uint32_t *ret_word)
{
	uint32_t state;

	/* The word first: the writer changes it last, so a state that is missed changes it yet. */
	if (!word_read(r->fd, offsetof(struct rk_flight_head, changes), ret_word) ||
	    !word_read(r->fd, offsetof(struct rk_flight_head, state), &state))
		return -EIO;
	return state < RK_FLIGHT_REPLACED ? (int)state : RK_FLIGHT_REPLACED;
}

/* How many announced records stand before `next`; negative: it is not announced. */
static int32_t announced(const struct rk_flight_reader *r)
{
	uint32_t word;

	if (!word_read(r->fd, offsetof(struct rk_flight_head, changes), &word))
		return -1;
	return (int32_t)(word - (uint32_t)r->next);
}

static int record_next(struct rk_flight_reader *r, bool is_following, struct rk_flight_record *ret)
{
	/* Bounded: a file may say anything. Twice the ring covers every honest one. */
	for (uint32_t i = 0; i < 2 * r->n; i++) {
		int32_t ahead = announced(r);
		int64_t distance = -1;

		if (ahead < 0 && is_following)
			return RK_FLIGHT_NONE;
		if (rk_flight_record_read(r->fd, r->n, (uint32_t)(r->next % r->n), ret))
			distance = (int64_t)(ret->sequence - r->next);
		if (distance == 0) {
			r->next++;
			return 0;
		}
		if (distance >
		    0) { /* the writer has lapped us: on to the oldest that can be left */
			r->n_missed += (uint64_t)distance - r->n + 1;
			r->next = ret->sequence - r->n + 1;
			continue;
		}
		if (ahead < 0)
			return RK_FLIGHT_NONE;
		r->n_missed++; /* announced, yet no record: it is being overwritten, or damaged */
		r->next++;
	}
	return RK_FLIGHT_NONE;
}

static void text_add(struct rk_flight_entry *e, size_t *at, const struct rk_flight_record *r)
{
	memcpy(e->text + *at, r->text, r->len); /* len is checked, and so is the number of parts */
	*at += r->len;
	e->text[*at] = '\0';
}

int rk_flight_reader_next(struct rk_flight_reader *r, bool is_following,
			  struct rk_flight_entry *ret)
{
	struct rk_flight_record more;
	size_t at = 0;

	if (record_next(r, is_following, &ret->record) != 0)
		return RK_FLIGHT_NONE;
	ret->record.fleet[sizeof(ret->record.fleet) - 1] = '\0';
	ret->is_cut = ret->record.part != 0;
	text_add(ret, &at, &ret->record);
	for (uint16_t part = ret->record.part + 1; part < ret->record.n_parts; part++) {
		uint64_t before = r->next;

		if (record_next(r, is_following, &more) == 0 && more.sequence == before &&
		    more.group == ret->record.group && more.part == part) {
			text_add(ret, &at, &more);
			continue;
		}
		ret->is_cut = true;
		r->next = before; /* whatever it was, it is another event's */
		break;
	}
	return 0;
}
