/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/http.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "workers/bridge/http_module.h"

struct rk_http {
	const struct rk_http_module *module;
	struct rk_http_engine *engine;
};

/* ---- the module ---- */

static bool is_there(int len, const char *path)
{
	return len > 0 && len < PATH_MAX && access(path, R_OK) == 0;
}

static int module_find(char path[static PATH_MAX], const char *told, struct rk_err *err)
{
	static const char *const beside[] = { "/", "/.libs/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (told)
		return is_there(snprintf(path, PATH_MAX, "%s", told), path) ?
			       0 :
			       rk_err_set(err, -ENOENT, "there is no module at %s", told);
	self[n < 0 ? 0 : n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; slash && i < rk_countof(beside); i++)
		if (is_there(snprintf(path, PATH_MAX, "%s%s" RK_HTTP_MODULE_FILE, self, beside[i]), path))
			return 0;
	if (is_there(snprintf(path, PATH_MAX, RK_PKGLIBEXECDIR "/" RK_HTTP_MODULE_FILE), path))
		return 0;
	return rk_err_set(err, -ENOENT,
			  "cannot find %s: it is neither beside this program nor in %s: install rekindle again",
			  RK_HTTP_MODULE_FILE, RK_PKGLIBEXECDIR);
}

static int module_load(const char *told, const struct rk_http_module **ret, struct rk_err *err)
{
	const struct rk_http_module *m;
	char path[PATH_MAX];
	void *file;
	int r = module_find(path, told, err);

	if (r < 0)
		return r;
	/* It is never unloaded: the libraries behind it leave handlers for the end of the process. */
	file = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	m = file ? dlsym(file, RK_HTTP_MODULE_SYMBOL) : NULL;
	if (!m)
		return rk_err_set(err, -ELIBBAD, "the module for Kind=http cannot be loaded: %s", dlerror());
	if (m->version != RK_HTTP_MODULE_VERSION)
		return rk_err_set(err, -ELIBBAD,
				  "%s is of another release (%u, not %u): install rekindle again, all of it", path,
				  m->version, RK_HTTP_MODULE_VERSION);
	*ret = m;
	return 0;
}

/* ---- the configuration ---- */

/* Of a header's name (RFC 9110's token). */
static bool is_token(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", *text))
			return false;
	return true;
}

static bool is_plain(const char *text, bool may_be_blank)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text == 0x7f || (*text == ' ' && !may_be_blank))
			return false;
	return true;
}

static int conf_check(const struct rk_http_conf *c, struct rk_err *err)
{
	size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);
	bool has_socket = c->socket && c->socket[0];

	if (!has_socket && c->port == 0)
		return rk_err_set(err, -EINVAL, "Kind=http has neither Port= nor Socket=");
	if (has_socket && strlen(c->socket) >= room)
		return rk_err_set(err, -EINVAL, "Socket= has %zu bytes; a unix socket's path has at most %zu",
				  strlen(c->socket), room - 1);
	if (!c->path || c->path[0] != '/' || !is_plain(c->path, false))
		return rk_err_set(err, -EINVAL, "HttpPath= does not begin with '/', or holds a blank");
	if (!c->key_header || !is_token(c->key_header))
		return rk_err_set(err, -EINVAL, "KeyHeader= is not the name of a header");
	if (c->content_type && !is_plain(c->content_type, true))
		return rk_err_set(err, -EINVAL, "the type of the requests is none");
	return c->window > 0 ? 0 : rk_err_set(err, -EINVAL, "Window= is 0");
}

/* ---- the public face ---- */

int rk_http_open(const struct rk_http_conf *conf, struct ev_loop *loop, rk_on_answer on_answer, void *arg,
		 struct rk_http **ret, struct rk_err *err)
{
	const struct rk_http_module *module = NULL;
	struct rk_http *h;
	int r = conf_check(conf, err);

	if (r == 0)
		r = module_load(conf->module, &module, err);
	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h)
		return rk_err_set(err, -ENOMEM, "no memory");
	h->module = module;
	r = module->open(conf, loop, on_answer, arg, &h->engine, err);
	if (r < 0)
		free(h);
	else
		*ret = h;
	return r;
}

int rk_http_send(struct rk_http *http, const struct rk_http_job *job)
{
	return http->module->send(http->engine, job);
}

int rk_http_cancel(struct rk_http *http, uint64_t id)
{
	return http->module->cancel(http->engine, id);
}

void rk_http_close(struct rk_http *http)
{
	if (!http)
		return;
	http->module->close(http->engine);
	free(http);
}
