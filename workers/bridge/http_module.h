/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Http module: what http.c finds in the file that it loads. The contracts are those of http.h.
 */
#ifndef RK_BRIDGE_HTTP_MODULE_H
#define RK_BRIDGE_HTTP_MODULE_H

#include "workers/bridge/http.h"

#define RK_HTTP_MODULE_FILE "rekindle-bridge-http.so"
#define RK_HTTP_MODULE_SYMBOL "rk_http_module"
#define RK_HTTP_MODULE_VERSION 1u /* goes up with every change of these structs or those of http.h */

struct rk_http_engine;

struct rk_http_module {
	uint32_t version;
	/* conf is checked. */
	int (*open)(const struct rk_http_conf *conf, struct ev_loop *loop, rk_on_answer on_answer, void *arg,
		    struct rk_http_engine **ret, struct rk_err *err);
	int (*send)(struct rk_http_engine *e, const struct rk_http_job *job);
	int (*cancel)(struct rk_http_engine *e, uint64_t id);
	void (*close)(struct rk_http_engine *e);
};

extern const struct rk_http_module rk_http_module;

#endif
