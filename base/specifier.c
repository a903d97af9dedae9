/* SPDX-License-Identifier: Apache-2.0 */
#include "base/specifier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/percent.h"

#define PORT_MAX 65535u

/* The letter of the next specifier from *at on, behind which it is set; 0 at the end. A lone '%' has '%'s letter. */
static char next(const char **at)
{
	const char *c = strchr(*at, '%');

	if (!c)
		return '\0';
	*at = c + (c[1] ? 2 : 1);
	return c[1] ? c[1] : ' ';
}

int rk_specifier_check(const char *pattern, const char *letters, struct rk_err *err)
{
	const char *at = pattern;

	for (char c; (c = next(&at)) != '\0';)
		if (c != '%' && !strchr(letters, c))
			return rk_err_set(err, -EINVAL, "'%.120s': '%%%c' %s; a '%%' is written %%%%", pattern, c,
					  strchr(RK_SPECIFIERS_ALL, c) ? "may not stand here" : "stands for nothing");
	return 0;
}

uint32_t rk_specifier_port(const struct rk_specifiers *with)
{
	return with->port && with->port <= PORT_MAX && with->slot <= PORT_MAX - with->port ? with->port + with->slot : 0;
}

static int port_print(const char *pattern, const struct rk_specifiers *with, char *ret, size_t size, struct rk_err *err)
{
	uint32_t port = rk_specifier_port(with);

	if (!with->port)
		return rk_err_set(err, -EINVAL, "'%.120s': '%%p' stands for nothing without Port=", pattern);
	if (!port)
		return rk_err_set(err, -ERANGE, "slot %u has no port: Port=%u and %u more is beyond %u", with->slot,
				  with->port, with->slot, PORT_MAX);
	(void)snprintf(ret, size, "%u", port);
	return 0;
}

static int path_expand(const char *pattern, const char *path, const char *letters, const struct rk_specifiers *with,
		       char *ret, struct rk_err *err);

static int expand(const char *pattern, const struct rk_specifiers *with, char *ret, size_t size, struct rk_err *err)
{
	char port[16] = "", slot[16], socket[RK_SPECIFIER_MAX] = "", directory[RK_SPECIFIER_MAX] = "";
	const struct rk_percent each[] = { { 'p', port },	    { 'i', slot },	{ 's', socket },
					   { 'd', directory }, { 'f', with->fleet }, { 0, NULL } };
	int r = 0;

	(void)snprintf(slot, sizeof(slot), "%u", with->slot);
	if (rk_percent_has(pattern, 'f') && (!with->fleet || !*with->fleet))
		r = rk_err_set(err, -EINVAL, "'%.120s': '%%f' stands for nothing: the fleet has no name", pattern);
	if (r == 0 && rk_percent_has(pattern, 'p'))
		r = port_print(pattern, with, port, sizeof(port), err);
	if (r == 0 && rk_percent_has(pattern, 's'))
		r = path_expand(pattern, with->socket, RK_SPECIFIERS_SOCKET, with, socket, err);
	if (r == 0 && rk_percent_has(pattern, 'd'))
		r = path_expand(pattern, with->directory, RK_SPECIFIERS_DIRECTORY, with, directory, err);
	return r < 0 ? r : rk_percent_expand(pattern, each, ret, size, err);
}

/* Of a key's value that stands in pattern. What may stand in it ends there: twice at most. */
static int path_expand(const char *pattern, const char *path, const char *letters, const struct rk_specifiers *with,
		       char *ret, struct rk_err *err)
{
	bool is_socket = strchr(letters, 'd') != NULL;
	int r;

	if (!path || !*path)
		return rk_err_set(err, -EINVAL, "'%.120s': '%%%c' stands for nothing without %s=", pattern,
				  is_socket ? 's' : 'd', is_socket ? "Socket" : "StateDirectory");
	r = rk_specifier_check(path, letters, err);
	return r < 0 ? r : expand(path, with, ret, RK_SPECIFIER_MAX, err);
}

int rk_specifier_expand(const char *pattern, const struct rk_specifiers *with, char *ret, size_t size, struct rk_err *err)
{
	int r = rk_specifier_check(pattern, RK_SPECIFIERS_ALL, err);

	return r < 0 ? r : expand(pattern, with, ret, size, err);
}

/* Room for the word, whatever stands in it. */
static size_t room_for(const char *word)
{
	size_t len = strlen(word) + 1;

	for (const char *at = word; next(&at) != '\0';)
		len += RK_SPECIFIER_MAX;
	return len;
}

int rk_specifier_words(const struct rk_wordlist *words, const struct rk_specifiers *with, struct rk_wordlist *ret,
		       struct rk_err *err)
{
	for (uint32_t i = 0; i < words->n; i++) {
		size_t size = room_for(words->at[i]);
		rk_cleanup(rk_free_p) char *text = malloc(size);
		int r = text ? rk_specifier_expand(words->at[i], with, text, size, err) : -ENOMEM;

		if (r == 0)
			r = rk_wordlist_add(ret, text);
		if (r == -ENOMEM)
			return rk_err_set(err, r, "no memory for a command");
		if (r < 0)
			return r;
	}
	return 0;
}
