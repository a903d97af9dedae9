/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: what the bridge is told by the supervisor, in the environment variable REKINDLE_BRIDGE: a
 * `Key=value` a line, a newline in a value as \n and a backslash as \\, lists as several lines. The
 * names are those of rekindle.conf(5), and Name, Fleet, ListenFd and KeptFd; times are ns, UINT64_MAX for
 * infinity, sizes bytes, commands as base/wordlist.h prints them.
 *
 * Who       the bridge, before anything else.
 * Blocking  never; allocates.
 */
#ifndef RK_BRIDGE_OPTIONS_H
#define RK_BRIDGE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/wordlist.h"

enum rk_bridge_kind {
	RK_BRIDGE_LINES,
	RK_BRIDGE_HTTP,
	RK_BRIDGE_TCP,
	RK_BRIDGE_NOTIFY,
	RK_BRIDGE_EXEC,
	RK_BRIDGE_KINDS
};

enum rk_bridge_terminal { RK_TERMINAL_NO, RK_TERMINAL_OUTPUT, RK_TERMINAL_BOTH };
enum rk_bridge_listen_as { RK_LISTEN_AS_SYSTEMD, RK_LISTEN_AS_NGINX, RK_LISTEN_AS_FD };

#define RK_BRIDGE_LISTEN_MAX 16u
#define RK_BRIDGE_KEPT_MAX 64u

/* A descriptor that an earlier process of the slot sent with FDSTORE=1. */
struct rk_bridge_kept {
	int fd;
	char *name;
};

/* Texts are "" where nothing was said; specifiers in them are not expanded yet. */
struct rk_bridge_options {
	enum rk_bridge_kind kind;
	char *name;  /* of the configuration */
	char *fleet; /* within it */

	/* lines */
	bool is_netstring;
	char *answer_id;
	enum rk_bridge_terminal terminal;
	uint32_t window; /* jobs that the program has at a time; http too */

	/* where it is reached */
	uint16_t port; /* of slot 0; 0 = none */
	char *socket, *address, *state_directory;
	char *working_directory; /* what has a '%' is the bridge's to go to, else it is there */

	/* signs of life */
	char *send, *expect; /* unescaped; no NUL in them */
	char *health_path;
	struct rk_wordlist probe_exec;
	uint64_t probe_interval_ns, probe_timeout_ns;
	uint32_t n_probe_failures;

	/* http */
	char *http_path, *key_header;
	bool http_full; /* the answer's head is part of the reply */

	/* sockets */
	struct rk_wordlist listen; /* addresses, in the order of listen_fd */
	int listen_fd[RK_BRIDGE_LISTEN_MAX];
	uint32_t n_listen;
	enum rk_bridge_listen_as listen_as;
	uint32_t n_kept_max; /* FileDescriptorStoreMax */
	struct rk_bridge_kept kept[RK_BRIDGE_KEPT_MAX];
	uint32_t n_kept;
	int store_fd; /* on which it asks for more to be kept (supervisor/kit.h says how); 0 = none are */

	/* checkpoints */
	struct rk_wordlist checkpoint_exec, restore_exec;
	char *checkpoint_line, *checkpoint_path;
	uint64_t checkpoint_interval_ns; /* 0 = on stop alone */

	/* life */
	uint64_t start_timeout_ns, stop_timeout_ns, hang_after_ns;
	int kill_signal;
};

/*
 * Reads the variable's text. Returns 0; -ENOMEM; -EINVAL with a sentence that names the line: it was not
 * written by rekindled, or by another release. rk_bridge_options_free() in any case.
 */
RK_MUST_USE int rk_bridge_options_read(struct rk_bridge_options *o, const char *text, struct rk_err *err);

/* Frees all; its descriptors stay open. */
void rk_bridge_options_free(struct rk_bridge_options *o);

#endif
