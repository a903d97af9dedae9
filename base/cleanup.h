/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Release by scope: a local owns its resource until it is taken away.
 *
 *	rk_cleanup(rk_close_p) int fd = open(...);
 *	...
 *	*ret_fd = rk_take_fd(&fd);
 *
 * Every cleanup keeps errno and accepts the empty value (-1, NULL).
 */
#ifndef RK_BASE_CLEANUP_H
#define RK_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define rk_cleanup(fn) __attribute__((cleanup(fn)))

/* Closes *fd unless it is negative and makes it -1. */
static inline void rk_close_p(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

/* Frees the pointer that p points to; p is the address of a pointer of any type. */
static inline void rk_free_p(void *p)
{
	int saved = errno;
	void *mem;

	memcpy(&mem, p, sizeof(mem)); /* the pointer's own type is unknown here */
	free(mem);
	errno = saved;
}

/* Returns *fd and leaves -1: the caller owns it now. */
static inline int rk_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Returns *p and leaves NULL: the caller owns it now. */
#define rk_take_ptr(p)                                                                             \
	__extension__({                                                                            \
		__typeof__(p) rk_take_at_ = (p);                                                   \
		__typeof__(*rk_take_at_) rk_taken_ = *rk_take_at_;                                 \
		*rk_take_at_ = NULL;                                                               \
		rk_taken_;                                                                         \
	})

#endif
