/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisors that rekindle is compared with, and rekindle: how each is configured for n
 * workers in a folder of its own, and started there. Each is once with its default restart delay
 * and, where its documentation knows a faster setting, once with the fastest.
 *
 * Who       one process, in the box (box.h): it is what orphans are left to.
 */
#ifndef RK_BENCH_PEERS_PEER_H
#define RK_BENCH_PEERS_PEER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_FLEET "bench" /* rekindle's name for it */

/* One supervisor at its place. */
struct peer_place {
	char dir[PATH_MAX / 4];    /* its own */
	char worker[PATH_MAX / 2]; /* peer_worker */
	char build[PATH_MAX / 4];  /* where rekindled lies */
	const char *roll;          /* path of the roll call's socket */
	const char *cgroup;        /* systemd's; made and removed by the box */
	uint32_t subject;
	uint32_t n_workers;
};

struct peer {
	const char *name; /* program and setting */
	bool is_fastest;  /* documented setting, where that is not the default */
	const char *program;
	/* Why it cannot run here; NULL: it can. */
	const char *(*missing)(const struct peer *self, const struct peer_place *place);
	void (*lay)(const struct peer *self, const struct peer_place *place); /* writes its configuration */
	void (*exec)(const struct peer_place *place); /* in the child; does not return */
};

/* All of them; the first is rekindle. */
extern const struct peer peers[];
extern const uint32_t n_peers;

/* The floor: the worker alone, without a supervisor. */
extern const struct peer peer_bare;

/* Starts one, configured before; its output goes to DIR/log. */
pid_t peer_start(const struct peer *peer, const struct peer_place *place);

/* Kills all processes below the caller, and what they leave, until none is left. */
void peer_end_all(void);

/* Calls visit with each process below pid. */
void peer_tree(pid_t pid, void (*visit)(pid_t pid, void *arg), void *arg);

#endif
