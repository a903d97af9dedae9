/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define PID_ROOM 12u

/* "listen:listen:NAME": no name holds a colon. */
static char *names_of(const struct rk_bridge_options *o)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	(void)fputs("LISTEN_FDNAMES=", to);
	for (uint32_t i = 0; i < o->n_listen; i++)
		(void)fprintf(to, "%slisten", i ? ":" : "");
	for (uint32_t i = 0; i < o->n_kept; i++)
		(void)fprintf(to, "%s%s", o->n_listen + i ? ":" : "", o->kept[i].name);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

static char *nginx_of(const struct rk_bridge_options *o)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	(void)fputs("NGINX=", to);
	for (uint32_t i = 0; i < o->n_listen; i++)
		(void)fprintf(to, "%u;", 3 + i);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

static bool add(struct rk_sockets_told *t, char *variable)
{
	if (variable)
		t->variables[t->n_variables++] = variable;
	return variable != NULL;
}

static bool tell_as_systemd(const struct rk_bridge_options *o, struct rk_sockets_told *t)
{
	static const char pid[] = "LISTEN_PID=";
	char *count = NULL, *room = calloc(1, sizeof(pid) + PID_ROOM);

	if (asprintf(&count, "LISTEN_FDS=%u", t->n_fds) < 0)
		count = NULL;
	if (room)
		memcpy(room, pid, sizeof(pid));
	t->pid_variable = room;
	return (add(t, count) & add(t, room) & add(t, names_of(o))) != 0;
}

int rk_sockets_tell(const struct rk_bridge_options *o, struct rk_sockets_told *t, struct rk_err *err)
{
	bool is_told = true;

	*t = (struct rk_sockets_told){ 0 };
	for (uint32_t i = 0; i < o->n_listen; i++)
		t->fds[t->n_fds++] = o->listen_fd[i];
	for (uint32_t i = 0; i < o->n_kept; i++)
		t->fds[t->n_fds++] = o->kept[i].fd;
	if (t->n_fds && o->listen_as == RK_LISTEN_AS_SYSTEMD)
		is_told = tell_as_systemd(o, t);
	else if (o->n_listen && o->listen_as == RK_LISTEN_AS_NGINX)
		is_told = add(t, nginx_of(o));
	if (is_told)
		return 0;
	rk_sockets_told_free(t);
	return rk_err_set(err, -ENOMEM, "no memory for the names of sockets");
}

void rk_sockets_told_free(struct rk_sockets_told *t)
{
	for (uint32_t i = 0; i < t->n_variables; i++)
		free(t->variables[i]);
	*t = (struct rk_sockets_told){ 0 };
}

int rk_sockets_port_is_free(uint16_t port, struct rk_err *err)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	rk_cleanup(rk_close_p) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return 0;
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 && errno == EADDRINUSE)
		return rk_err_set(err, -EADDRINUSE,
				  "port %u is in use by another program ('ss -ltnp' shows it): end that, or choose others with Port=",
				  port);
	return 0;
}
