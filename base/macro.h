/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small compiler helpers that every layer uses.
 */
#ifndef RK_BASE_MACRO_H
#define RK_BASE_MACRO_H

#include <stddef.h>
#include <stdint.h>

#define RK_MUST_USE __attribute__((warn_unused_result))
#define RK_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

/* Bytes that two processes must not share if one of them writes often. */
#define RK_CACHELINE 64

#define rk_likely(x) __builtin_expect(!!(x), 1)
#define rk_unlikely(x) __builtin_expect(!!(x), 0)

/* Tells the processor that this loop waits for another one. */
static inline void rk_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

/* Elements of an array; a pointer does not compile. */
#define rk_countof(a)                                                                              \
	(sizeof(a) / sizeof((a)[0]) +                                                              \
	 0 * sizeof(char[1 - 2 * __builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0]))]))

/* Rounds up to a multiple of align, which is a power of two. Constant if its arguments are. */
#define RK_ALIGN_UP(x, align) (((x) + ((align) - 1)) & ~((__typeof__(x))(align) - 1))

static inline uint32_t rk_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t rk_max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint64_t rk_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t rk_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline size_t rk_min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t rk_max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

#endif
