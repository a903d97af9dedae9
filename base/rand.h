/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers for jitter, seeds and tests (splitmix64): fast, repeatable from its seed,
 * not for secrets. The state is the caller's; one thread uses it at a time.
 */
#ifndef RK_BASE_RAND_H
#define RK_BASE_RAND_H

#include <stdint.h>

struct rk_rand {
	uint64_t state;
};

/* Any seed is good, 0 included. */
struct rk_rand rk_rand_init(uint64_t seed);

uint64_t rk_rand_u64(struct rk_rand *r);

/* Uniform in 0..n-1; n must not be 0. */
uint64_t rk_rand_below(struct rk_rand *r, uint64_t n);

#endif
