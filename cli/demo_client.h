/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client: one of the processes that demo sends words with: notes its intent, calls, notes the
 * answer, releases the reply; several calls in flight.
 *
 * Who       a process of its own, started by demo (rk_demo_client_argv()).
 * Crash     that is its purpose: demo kills it anywhere and starts another at its place. Of a
 *           named one, the successor resolves every open intent; of an anonymous one they are
 *           ABANDONED.
 * Blocking  until demo says stop and every answer has come, at most RK_DEMO_DRAIN_MS after that.
 */
#ifndef RK_CLI_DEMO_CLIENT_H
#define RK_CLI_DEMO_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#define RK_DEMO_DRAIN_MS 15000u
#define RK_DEMO_IN_FLIGHT_MAX 64u
#define RK_DEMO_LEDGER_FD 3 /* in a client */

struct rk_demo_client_conf {
	const char *fleet;
	uint32_t place;
	bool named;
	uint32_t n_in_flight; /* at most RK_DEMO_IN_FLIGHT_MAX */
	uint32_t timeout_ms;  /* of one call; what was not applied then is sent again */
};

/* Every other client has a name, if not all have. */
static inline bool rk_demo_client_is_named(uint32_t place, bool all)
{
	return all || place % 2 == 0;
}

/* Name of the client at a place: "demo-3". */
#define RK_DEMO_CLIENT_NAME "demo-%u"

/* The hidden first argument that makes `rekindle demo` a client. */
#define RK_DEMO_CLIENT_ARGUMENT "--as-client"

/* Room for the text of all numbers of the arguments. */
struct rk_demo_client_argv {
	char number[4][16];
	char *argv[10];
};

/* The command line of a client. Fills ret, which borrows from conf. */
void rk_demo_client_argv(struct rk_demo_client_argv *ret, const struct rk_demo_client_conf *conf);

/* main() of a client; argv[0] is RK_DEMO_CLIENT_ARGUMENT. Returns its exit status: 0 every word was answered. */
int rk_demo_client_main(int argc, char **argv);

#endif
