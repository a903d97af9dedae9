/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Specifier: what stands for a slot's port, socket and so on in a wrapped program's command, in its
 * Address= and elsewhere.
 *
 *   %p port   %i slot   %s socket   %d state directory   %f fleet   %% a '%'
 *
 * %s and %d are what Socket= and StateDirectory= say, with the specifiers that stand there themselves.
 *
 * Who       supervisor, bridge, library and command line, which so say the same; any thread; pure.
 * Blocking  never; allocates where it says so.
 */
#ifndef RK_BASE_SPECIFIER_H
#define RK_BASE_SPECIFIER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/wordlist.h"

/* Bytes of a socket's or state directory's path with its NUL. */
#define RK_SPECIFIER_MAX 1024u

/* Of which keys each may stand in them; what rk_specifier_check() takes. */
#define RK_SPECIFIERS_ALL "pisdf"
#define RK_SPECIFIERS_SOCKET "pidf"
#define RK_SPECIFIERS_DIRECTORY "pif"

/* What they stand for. A text that is NULL or "" was not said. */
struct rk_specifiers {
	const char *fleet;
	uint32_t slot;
	uint32_t port; /* of slot 0, as Port= says, 0 = none; slot i has the i-th behind it */
	const char *socket;    /* as Socket= says */
	const char *directory; /* as StateDirectory= says */
};

/*
 * Writes pattern with its specifiers replaced. Returns 0; -EINVAL for one that is unknown, may not
 * stand there, or stands for something that was not said; -ERANGE: the slot's port is beyond 65535;
 * -ENAMETOOLONG: it does not fit into size bytes. With a sentence that names the pattern; ret is of
 * no use then.
 */
RK_MUST_USE int rk_specifier_expand(const char *pattern, const struct rk_specifiers *with, char *ret,
				    size_t size, struct rk_err *err);

/*
 * Appends each word, expanded: a command. Returns as rk_specifier_expand(), or -ENOMEM; what it has
 * appended before an error stays.
 */
RK_MUST_USE int rk_specifier_words(const struct rk_wordlist *words, const struct rk_specifiers *with,
				   struct rk_wordlist *ret, struct rk_err *err);

/*
 * Whether no other specifiers than these letters stand in pattern. Returns 0; -EINVAL with a sentence
 * that names the one that does.
 */
RK_MUST_USE int rk_specifier_check(const char *pattern, const char *letters, struct rk_err *err);

/* The slot's port; 0 = it has none. */
uint32_t rk_specifier_port(const struct rk_specifiers *with);

#endif
