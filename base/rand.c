/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include <assert.h>

struct rk_rand rk_rand_init(uint64_t seed)
{
	return (struct rk_rand){ .state = seed };
}

uint64_t rk_rand_u64(struct rk_rand *r)
{
	uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t rk_rand_below(struct rk_rand *r, uint64_t n)
{
	uint64_t rest, x;

	assert(n > 0);
	rest = -n % n; /* 2^64 mod n: that many values would favor the small results */
	do
		x = rk_rand_u64(r);
	while (x < rest);
	return x % n;
}
