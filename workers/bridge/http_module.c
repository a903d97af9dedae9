/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module of Kind=http: libcurl's multi interface, driven by libev.
 *
 *     libcurl says which sockets it waits for (on_socket) and until when (on_timeout); the loop tells it what came of
 *     them (on_io, on_timer); then whatever ended is collected (ended_collect), outside of libcurl's callbacks, so
 *     that on_answer may do everything.
 */
#include "workers/bridge/http_module.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "workers/bridge/timer.h"

#define CONNECT_MS 3000L /* the kernel answers at once unless as many wait as may */
#define RETRY_AFTER_MOST 3600
#define KEPT_MOST 65536u /* of an answer's memory, between two answers */

/* A socket that libcurl waits for. */
struct watch {
	LIST_ENTRY(watch) link;
	struct rk_http_engine *engine;
	ev_io io;
};

/* One request at a time, with its handle for the next one. */
struct request {
	struct rk_http_engine *engine;
	CURL *easy; /* NULL = never used */
	bool is_used;
	bool is_too_long, is_head_done;
	uint64_t id;
	struct curl_slist *headers;
	char *bytes; /* of the answer */
	size_t len, room;
	size_t body_len; /* of it */
	char error[CURL_ERROR_SIZE];
};

struct rk_http_engine {
	struct ev_loop *loop;
	rk_on_answer on_answer;
	void *arg;
	CURLM *multi;
	ev_timer timer;
	LIST_HEAD(watches, watch) watches;
	bool is_collecting;
	bool is_closed; /* while it is collecting */
	bool is_full;
	size_t max_reply;
	char *url, *socket, *key_header, *type_line;
	uint32_t window;
	struct request requests[];
};

static void engine_close(struct rk_http_engine *e);

/* ---- what is answered ---- */

/* Keeps the bytes, unless that is too much. */
static bool answer_add(struct request *r, const char *bytes, size_t n)
{
	size_t max = r->engine->max_reply, room = r->room;
	char *more;

	r->is_too_long = r->is_too_long || n > max - r->len;
	if (r->is_too_long)
		return false;
	if (room - r->len < n) {
		room = rk_min_size(rk_max_size(2 * room, rk_max_size(r->len + n, 1024)), max);
		more = realloc(r->bytes, room);
		if (!more)
			return false;
		r->bytes = more;
		r->room = room;
	}
	if (n > 0)
		memcpy(r->bytes + r->len, bytes, n);
	r->len += n;
	return true;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct request *r = arg;

	r->body_len += size * n;
	return answer_add(r, bytes, size * n) ? size * n : 0; /* 0 ends the transfer */
}

/* A line of the head at a time; what stands ahead of the last head (100 Continue) or behind it is none of it. */
static size_t on_head(char *bytes, size_t size, size_t n, void *arg)
{
	struct request *r = arg;
	size_t len = size * n;

	if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
		r->len = 0;
		r->is_head_done = false;
	}
	if (r->is_head_done)
		return len;
	r->is_head_done = (len == 2 && memcmp(bytes, "\r\n", 2) == 0) || (len == 1 && *bytes == '\n');
	return !r->engine->is_full || answer_add(r, bytes, len) ? len : 0;
}

/* ---- one request ---- */

static void request_release(struct request *r)
{
	(void)curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(r->headers);
	r->headers = NULL;
	r->is_used = false;
}

static void answer_fill(struct request *r, CURLcode code, struct rk_http_answer *a)
{
	long status = 0, head_len = 0;
	curl_off_t after = 0;
	bool is_silent, is_whole;

	(void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(r->easy, CURLINFO_HEADER_SIZE, &head_len);
	(void)curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after);
	is_silent = (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_GOT_NOTHING ||
		     code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR) &&
		    head_len == 0 && r->body_len == 0;
	a->id = r->id;
	a->status = (int)status;
	a->retry_after_ns = (uint64_t)(after < 0 ? 0 : after > RETRY_AFTER_MOST ? RETRY_AFTER_MOST : after) *
			    RK_NS_PER_S;
	/* libcurl takes a head whose end is missing, because the program died there, for an answer. */
	is_whole = code == CURLE_OK && r->is_head_done;
	a->end = is_whole	? RK_HTTP_ANSWERED :
		 r->is_too_long ? RK_HTTP_TOO_LONG :
		 is_silent	? RK_HTTP_NOT_REACHED :
				  RK_HTTP_BROKEN;
	a->reason = is_whole		? NULL :
		    r->is_too_long	? "its answer is too long" :
		    code == CURLE_OK	? "the head of its answer is cut short" :
		    r->error[0] != '\0' ? r->error :
					  curl_easy_strerror(code);
}

/* Tells how it ended. Its place is free for the next one by then, so that on_answer may send that. */
static void request_end(struct rk_http_engine *e, struct request *r, CURLcode code)
{
	struct rk_http_answer a = { .body = "" };
	char *bytes = rk_take_ptr(&r->bytes);
	size_t room = r->room;
	char reason[CURL_ERROR_SIZE] = "";

	answer_fill(r, code, &a);
	if (a.reason) /* it may lie in r, which is free for another one */
		a.reason = memcpy(reason, a.reason, strnlen(a.reason, sizeof(reason) - 1));
	if (a.end == RK_HTTP_ANSWERED && r->len > 0) {
		a.body = bytes;
		a.len = r->len;
	}
	r->room = 0;
	request_release(r);
	e->on_answer(&a, e->arg);
	if (r->bytes || room > KEPT_MOST) {
		free(bytes);
	} else {
		r->bytes = bytes;
		r->room = room;
	}
}

/* Everything that ended. on_answer may close the engine: it then lasts until here. */
static void ended_collect(struct rk_http_engine *e)
{
	CURLMsg *m;
	int n_left;

	e->is_collecting = true;
	while (!e->is_closed && (m = curl_multi_info_read(e->multi, &n_left))) {
		CURL *easy = m->easy_handle;
		CURLcode code = m->data.result;
		struct request *r = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
		(void)curl_multi_remove_handle(e->multi, easy); /* m is gone with it */
		request_end(e, r, code);
	}
	e->is_collecting = false;
	if (e->is_closed)
		engine_close(e);
}

/* ---- libcurl and the loop ---- */

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct watch *w = io->data;
	struct rk_http_engine *e = w->engine;
	int mask = (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0) |
		   (events & EV_ERROR ? CURL_CSELECT_ERR : 0);
	int n_running;

	(void)loop;
	(void)curl_multi_socket_action(e->multi, io->fd, mask, &n_running); /* w may be gone */
	ended_collect(e);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct rk_http_engine *e = timer->data;
	int n_running;

	(void)loop;
	(void)events;
	(void)curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
	ended_collect(e);
}

/* libcurl must not be called from here: the time 0 comes in the loop's next turn. */
static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct rk_http_engine *e = arg;

	(void)multi;
	if (timeout_ms < 0)
		ev_timer_stop(e->loop, &e->timer);
	else
		rk_timer_begin(e->loop, &e->timer, (uint64_t)timeout_ms * RK_NS_PER_MS);
	return 0;
}

static void watch_free(struct watch *w)
{
	ev_io_stop(w->engine->loop, &w->io);
	LIST_REMOVE(w, link);
	free(w);
}

static struct watch *watch_new(struct rk_http_engine *e, curl_socket_t fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->engine = e;
	ev_io_init(&w->io, on_io, fd, 0);
	w->io.data = w;
	LIST_INSERT_HEAD(&e->watches, w, link);
	(void)curl_multi_assign(e->multi, fd, w);
	return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct rk_http_engine *e = arg;
	struct watch *w = of_socket;
	int events = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			watch_free(w);
		(void)curl_multi_assign(e->multi, fd, NULL);
		return 0;
	}
	w = w ? w : watch_new(e, fd);
	if (!w)
		return -1;
	ev_io_stop(e->loop, &w->io);
	ev_io_set(&w->io, fd, events);
	ev_io_start(e->loop, &w->io);
	return 0;
}

/* ---- sending ---- */

/* Every option once: what differs between requests is set by send(). */
static CURL *easy_new(struct rk_http_engine *e, struct request *r)
{
	CURL *c = curl_easy_init();
	CURLcode bad = c ? CURLE_OK : CURLE_FAILED_INIT;

	/* clang-format off */
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(c, option, value)
	SET(CURLOPT_URL, e->url);
	SET(CURLOPT_UNIX_SOCKET_PATH, e->socket);
	SET(CURLOPT_PRIVATE, (void *)r);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* none, whatever the environment says */
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_BUFFERSIZE, 16384L);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
	SET(CURLOPT_USERAGENT, "rekindle");
	SET(CURLOPT_ERRORBUFFER, r->error);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, r);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, r);
#undef SET
	/* clang-format on */
	if (bad && c) {
		curl_easy_cleanup(c);
		return NULL;
	}
	return c;
}

/* The key's line is "Name;" for an empty key: behind a colon libcurl would leave the header out. */
static int key_line(const struct rk_http_engine *e, const struct rk_http_job *job, char **ret)
{
	size_t name_len = strlen(e->key_header), size = name_len + 3 * job->key_len + 3;
	char *line = malloc(size);

	if (!line)
		return -ENOMEM;
	(void)snprintf(line, size, "%s%s", e->key_header, job->key_len ? ": " : ";");
	if (job->key_len)
		(void)rk_http_key_encode(line + name_len + 2, size - name_len - 2, job->key, job->key_len);
	*ret = line;
	return 0;
}

static bool header_add(struct request *r, const char *line)
{
	struct curl_slist *longer = curl_slist_append(r->headers, line);

	if (longer)
		r->headers = longer;
	return longer != NULL;
}

static int headers_make(struct rk_http_engine *e, struct request *r, const struct rk_http_job *job)
{
	rk_cleanup(rk_free_p) char *key = NULL;
	uint64_t now = rk_clock_ns();
	char attempt[64], deadline[64];
	bool is_good = key_line(e, job, &key) == 0;

	(void)snprintf(attempt, sizeof(attempt), "X-Rekindle-Attempt: %u", job->attempt);
	(void)snprintf(deadline, sizeof(deadline), "X-Rekindle-Deadline-Ms: %llu",
		       (unsigned long long)(job->deadline_ns > now ? (job->deadline_ns - now) / RK_NS_PER_MS : 0));
	is_good = is_good && header_add(r, key) && header_add(r, attempt) && header_add(r, e->type_line) &&
		  header_add(r, "Expect:") && (job->deadline_ns == 0 || header_add(r, deadline));
	return is_good ? 0 : -ENOMEM;
}

static int request_begin(struct rk_http_engine *e, struct request *r, const struct rk_http_job *job)
{
	bool is_good = headers_make(e, r, job) == 0;

	r->id = job->id;
	r->len = r->body_len = 0;
	r->is_too_long = r->is_head_done = false;
	r->error[0] = '\0';
	is_good = is_good && curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers) == CURLE_OK &&
		  curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)job->len) == CURLE_OK &&
		  curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, job->len ? job->body : "") == CURLE_OK &&
		  curl_multi_add_handle(e->multi, r->easy) == CURLM_OK;
	if (!is_good)
		request_release(r);
	return is_good ? 0 : -ENOMEM;
}

static int engine_send(struct rk_http_engine *e, const struct rk_http_job *job)
{
	struct request *r = NULL;

	for (uint32_t i = 0; i < e->window && !r; i++)
		if (!e->requests[i].is_used)
			r = &e->requests[i];
	if (!r)
		return -EBUSY;
	r->engine = e;
	if (!r->easy)
		r->easy = easy_new(e, r);
	if (!r->easy)
		return -ENOMEM;
	r->is_used = true;
	return request_begin(e, r, job);
}

static int engine_cancel(struct rk_http_engine *e, uint64_t id)
{
	for (uint32_t i = 0; i < e->window; i++) {
		struct request *r = &e->requests[i];

		if (!r->is_used || r->id != id)
			continue;
		(void)curl_multi_remove_handle(e->multi, r->easy);
		request_release(r);
		return 0;
	}
	return -ENOENT;
}

/* ---- its life ---- */

static void engine_close(struct rk_http_engine *e)
{
	e->is_closed = true;
	if (e->is_collecting)
		return;
	for (uint32_t i = 0; i < e->window; i++) {
		struct request *r = &e->requests[i];

		if (r->is_used)
			(void)engine_cancel(e, r->id);
		if (r->easy)
			curl_easy_cleanup(r->easy);
		free(r->bytes);
	}
	if (e->multi)
		(void)curl_multi_cleanup(e->multi);
	while (!LIST_EMPTY(&e->watches))
		watch_free(LIST_FIRST(&e->watches));
	ev_timer_stop(e->loop, &e->timer);
	free(e->url);
	free(e->socket);
	free(e->key_header);
	free(e->type_line);
	free(e);
}

static int texts_copy(struct rk_http_engine *e, const struct rk_http_conf *c)
{
	bool has_socket = c->socket && c->socket[0];
	int n;

	e->key_header = strdup(c->key_header);
	if (has_socket)
		e->socket = strdup(c->socket);
	if (!e->key_header || (has_socket && !e->socket))
		return -ENOMEM;
	n = has_socket ? asprintf(&e->url, "http://localhost%s", c->path) :
			 asprintf(&e->url, "http://127.0.0.1:%u%s", c->port, c->path);
	if (n < 0)
		e->url = NULL;
	n = n < 0 ? n :
		    asprintf(&e->type_line, "Content-Type: %s",
			     c->content_type ? c->content_type : "application/octet-stream");
	if (n < 0)
		e->type_line = NULL;
	return n < 0 ? -ENOMEM : 0;
}

static int multi_open(struct rk_http_engine *e)
{
	e->multi = curl_multi_init();
	if (!e->multi)
		return -ENOMEM;
	(void)curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
	(void)curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	(void)curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
	(void)curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)e->window);
	return 0;
}

static int engine_open(const struct rk_http_conf *conf, struct ev_loop *loop, rk_on_answer on_answer, void *arg,
		       struct rk_http_engine **ret, struct rk_err *err)
{
	struct rk_http_engine *e;
	int r;

	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) /* there is no TLS here */
		return rk_err_set(err, -EIO, "libcurl cannot be used");
	e = calloc(1, sizeof(*e) + conf->window * sizeof(e->requests[0]));
	if (!e)
		return rk_err_set(err, -ENOMEM, "no memory");
	e->loop = loop;
	e->on_answer = on_answer;
	e->arg = arg;
	e->is_full = conf->is_full;
	e->max_reply = conf->max_reply;
	e->window = conf->window;
	LIST_INIT(&e->watches);
	ev_init(&e->timer, on_timer);
	e->timer.data = e;
	r = texts_copy(e, conf);
	if (r == 0)
		r = multi_open(e);
	if (r < 0) {
		engine_close(e);
		return rk_err_set(err, r, "no memory");
	}
	*ret = e;
	return 0;
}

const struct rk_http_module rk_http_module = {
	.version = RK_HTTP_MODULE_VERSION,
	.open = engine_open,
	.send = engine_send,
	.cancel = engine_cancel,
	.close = engine_close,
};
