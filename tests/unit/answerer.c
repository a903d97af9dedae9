/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/answerer.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "shm/rundir.h"

void answerer_begin(struct answerer *a)
{
	struct rk_err err = { 0 };

	*a = (struct answerer){ .lock = -1, .listens = -1 };
	strcpy(a->base, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(a->base));
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", a->base, 1), 0);
	ck_assert_int_eq(unsetenv("REKINDLE_NAME"), 0);
	a->lock = rk_rundir_lock("test", &err);
	ck_assert_msg(a->lock >= 0, "%s", err.text);
}

void answerer_path(const struct answerer *a, char ret[static 108])
{
	(void)snprintf(ret, 108, "%s/test/control", a->base);
}

static void reply(struct answerer *a, int n, enum answerer_deed deed)
{
	char text[96];
	int len = deed == REFUSE ? snprintf(text, sizeof(text), "{\"ok\":false,\"code\":\"EBUSY\",\"error\":\"in use\"}")
				 : snprintf(text, sizeof(text), "{\"ok\":true,\"n\":%d}", n);

	(void)!rk_fd_send(a->sock[n], text, (size_t)len + 1, NULL); /* whoever asked may be gone */
}

static void request_read(struct answerer *a, int n)
{
	size_t len = 0, got;

	while (len < sizeof(a->request[n]) &&
	       rk_fd_recv(a->sock[n], a->request[n] + len, sizeof(a->request[n]) - len, &got, NULL) == 0 && got > 0) {
		len += got;
		if (a->request[n][len - 1] == '\0')
			return;
	}
}

static void *serve(void *arg)
{
	struct answerer *a = arg;
	int silent = 0, n;

	for (n = 0; n < ANSWERER_MAX; n++) {
		enum answerer_deed deed = a->script[n < a->n_script ? n : a->n_script - 1];
		int sock = accept4(a->listens, NULL, NULL, SOCK_CLOEXEC);

		if (sock < 0)
			break; /* it was shut down */
		a->sock[n] = sock;
		request_read(a, n);
		atomic_store_explicit(&a->n, n + 1, memory_order_release); /* before anybody hears of it */
		if (deed == SILENCE)
			silent = n;
		if (deed == ANSWER_BOTH)
			reply(a, silent, ANSWER);
		if (deed == CUT)
			rk_close_p(&a->sock[n]);
		else if (deed != SILENCE)
			reply(a, n, deed);
	}
	return NULL;
}

void answerer_listen(struct answerer *a, const enum answerer_deed *script, int n_script)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	answerer_path(a, at.sun_path);
	(void)unlink(at.sun_path);
	a->script = script;
	a->n_script = n_script;
	for (int i = 0; i < ANSWERER_MAX; i++)
		a->sock[i] = -1;
	a->listens = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(a->listens, 0);
	ck_assert_int_eq(bind(a->listens, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(a->listens, ANSWERER_MAX), 0);
	ck_assert_int_eq(pthread_create(&a->thread, NULL, serve, a), 0);
}

void answerer_unlock(struct answerer *a)
{
	rk_close_p(&a->lock);
}

void answerer_end(struct answerer *a)
{
	if (a->listens >= 0) {
		ck_assert_int_eq(shutdown(a->listens, SHUT_RDWR), 0); /* accept() ends */
		ck_assert_int_eq(pthread_join(a->thread, NULL), 0);
		rk_close_p(&a->listens);
		for (int i = 0; i < ANSWERER_MAX; i++)
			rk_close_p(&a->sock[i]);
	}
	rk_rundir_remove("test");
	answerer_unlock(a);
	ck_assert_msg(rmdir(a->base) == 0, "%s: %s", a->base, strerror(errno));
}
