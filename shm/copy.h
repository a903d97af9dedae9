/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies bytes into and out of memory that another process may be writing.
 *
 * Every shared word is moved by one atomic access of 8 bytes: in by release
 * stores, so that the bytes come after whatever withdrew the cell before them;
 * out by acquire loads, so that a later look at the cell's word comes after
 * them (the copy is discarded when that word changed). On x86-64 both are
 * plain moves.
 *
 * Who       anybody. Blocking never. Units bytes; shared areas are aligned to
 *           8 and their length is rounded up to 8, which abi.h's layout leaves room for.
 */
#ifndef RK_SHM_COPY_H
#define RK_SHM_COPY_H

#include <string.h>

#include "shm/abi.h"

static inline void rk_copy_in(void *shared, const void *from, size_t len)
{
	_Atomic uint64_t *to = shared;
	const char *source = from;

	for (; len >= 8; len -= 8, source += 8, to++) {
		uint64_t word;

		memcpy(&word, source, 8);
		atomic_store_explicit(to, word, memory_order_release);
	}
	if (len) {
		uint64_t word = 0;

		memcpy(&word, source, len);
		atomic_store_explicit(to, word, memory_order_release);
	}
}

static inline void rk_copy_out(void *to, const void *shared, size_t len)
{
	/* A const atomic cannot be loaded portably before C23: the cast only drops const. */
	_Atomic uint64_t *from = (_Atomic uint64_t *)(uintptr_t)shared;
	char *target = to;

	for (; len >= 8; len -= 8, target += 8, from++) {
		uint64_t word = atomic_load_explicit(from, memory_order_acquire);

		memcpy(target, &word, 8);
	}
	if (len) {
		uint64_t word = atomic_load_explicit(from, memory_order_acquire);

		memcpy(target, &word, len);
	}
}

#endif
