/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/leases.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "shm/beat.h"

/* The kernel finds a word at this distance from its node. */
#define WORD_OFFSET ((long)(offsetof(struct rk_beat, keeper) - offsetof(struct rk_beat, keeper_next)))

static struct rk_beat *page(const struct rk_leases_fleet *f, uint32_t i)
{
	return (struct rk_beat *)(void *)(f->at + RK_BEAT_SIZE * (1ull + i));
}

static struct robust_list *node(struct rk_beat *beat)
{
	return (struct robust_list *)(void *)&beat->keeper_next;
}

static_assert(sizeof(struct robust_list) == sizeof(((struct rk_beat *)0)->keeper_next), "a node is an address");

static bool list_open(struct rk_leases *l)
{
	if (l->is_open)
		return true;
	l->head = (struct robust_list_head){ .list.next = &l->head.list, .futex_offset = WORD_OFFSET };
	if (syscall(SYS_set_robust_list, &l->head, sizeof(l->head)) < 0) {
		rk_log(RK_LOG_WARNING, "workers will not hear of keeper's death: %m");
		return false;
	}
	l->is_open = true;
	return true;
}

/* ---- one fleet ---- */

/* The list first, then the word: what is in the list without its word the kernel passes by. */
static void page_take(struct rk_leases *l, struct rk_beat *beat, uint32_t tid)
{
	node(beat)->next = l->head.list.next;
	atomic_signal_fence(memory_order_seq_cst); /* against a kill, which sees this thread's order */
	l->head.list.next = node(beat);
	atomic_signal_fence(memory_order_seq_cst);
	rk_beat_keep(beat, tid);
	l->n++;
}

/* Anew, of all that there are: behind the loss of one. */
static void list_link(struct rk_leases *l)
{
	uint32_t tid = (uint32_t)gettid();

	l->n = 0;
	l->head.list.next = &l->head.list;
	atomic_signal_fence(memory_order_seq_cst);
	for (uint32_t f = 0; f < l->n_fleets; f++)
		for (uint32_t i = 0; i < l->fleet[f].n; i++)
			page_take(l, page(&l->fleet[f], i), tid);
}

static uint32_t room_for(const struct rk_leases *l, uint64_t n_pages)
{
	uint32_t left = RK_LEASES_MAX - l->n, kept = RK_LEASES_OTHERS - rk_min_u32(l->n_fleets, RK_LEASES_OTHERS);

	return (uint32_t)rk_min_u64(n_pages, left > kept ? left - kept : left > 0);
}

static void fleet_add(struct rk_leases *l, const struct rk_held_one *one, const struct stat *st)
{
	struct rk_leases_fleet *f = &l->fleet[l->n_fleets];
	uint64_t n_pages = (uint64_t)st->st_size / RK_BEAT_SIZE;
	void *at;

	if (n_pages < 2 || l->n_fleets == RK_LEASES_FLEETS_MAX || !list_open(l))
		return;
	at = mmap(NULL, (size_t)st->st_size, PROT_READ | PROT_WRITE, MAP_SHARED, one->fd, 0);
	if (at == MAP_FAILED) {
		rk_log(RK_LOG_WARNING, "workers will not hear of keeper's death: %m");
		return;
	}
	(void)madvise(at, (size_t)st->st_size, MADV_DONTFORK);
	*f = (struct rk_leases_fleet){ .tag = one->tag, .inode = st->st_ino, .at = at, .len = (uint64_t)st->st_size };
	f->n = room_for(l, n_pages - 1);
	l->n_fleets++;
	for (uint32_t i = 0; i < f->n; i++)
		page_take(l, page(f, i), (uint32_t)gettid());
}

/* ---- what is held ---- */

static bool is_beats(const struct rk_held_one *one)
{
	return one->kind == RK_LINK_MEMORY && strcmp(one->name, "beats") == 0;
}

static bool is_held(const struct rk_leases_fleet *f, const struct rk_held *held)
{
	struct stat st;

	for (uint32_t i = 0; i < held->n; i++)
		if (held->at[i].tag == f->tag && is_beats(&held->at[i]))
			return fstat(held->at[i].fd, &st) == 0 && st.st_ino == f->inode;
	return false;
}

static bool is_known(const struct rk_leases *l, uint64_t tag)
{
	for (uint32_t f = 0; f < l->n_fleets; f++)
		if (l->fleet[f].tag == tag)
			return true;
	return false;
}

static void lost_forget(struct rk_leases *l, const struct rk_held *held)
{
	struct rk_leases_fleet lost[RK_LEASES_FLEETS_MAX];
	uint32_t n_lost = 0;

	for (uint32_t f = 0; f < l->n_fleets;) {
		if (is_held(&l->fleet[f], held)) {
			f++;
			continue;
		}
		lost[n_lost++] = l->fleet[f];
		l->fleet[f] = l->fleet[--l->n_fleets];
	}
	if (n_lost == 0)
		return;
	list_link(l); /* before their pages are gone: the kernel may go through it at any time */
	while (n_lost-- > 0)
		(void)munmap(lost[n_lost].at, lost[n_lost].len);
}

void rk_leases_follow(struct rk_leases *l, const struct rk_held *held)
{
	struct stat st;

	lost_forget(l, held);
	for (uint32_t i = 0; i < held->n; i++)
		if (is_beats(&held->at[i]) && !is_known(l, held->at[i].tag) && fstat(held->at[i].fd, &st) == 0)
			fleet_add(l, &held->at[i], &st);
}
