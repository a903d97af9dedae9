/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spelling.h"

#include <string.h>

struct rk_spelling rk_spell(const char *arg)
{
	struct rk_spelling s = { .arg = arg };
	const char *equals = strchr(arg, '=');

	if (arg[1] != '-') {
		s.len = 2;
		s.value = arg[2] ? arg + 2 : NULL;
		return s;
	}
	s.len = equals ? (size_t)(equals - arg) : strlen(arg);
	s.value = equals ? equals + 1 : NULL;
	return s;
}

bool rk_spelling_is(const struct rk_spelling *s, const char *name, char letter)
{
	if (s->arg[1] != '-')
		return letter && s->arg[1] == letter;
	return strlen(name) == s->len - 2 && memcmp(name, s->arg + 2, s->len - 2) == 0;
}
