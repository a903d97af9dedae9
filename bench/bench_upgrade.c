/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A fleet that is upgraded to another rekindled has no supervisor for
 *         at most 5 ms in the median, also with 200 workers. With ten upgrades a
 *         second the 99th percentile of a client's calls is at most twice that
 *         without, and no call fails.
 * Method  A real fleet, upgraded to the very binary that it runs, which is work
 *         of the same kind as another's; a supervisor's end begins with its last
 *         answer, that to the upgrade. bench/succession.h says the rest.
 */
#include <stdio.h>

#include "base/clock.h"
#include "bench/fleet.h"
#include "bench/succession.h"

/* While the last one is not recorded it is refused. */
static uint64_t upgrade(const struct succession *s, pid_t old)
{
	uint64_t until_ns = rk_clock_ns() + SUCCESSION_GIVE_UP_MS * RK_NS_PER_MS;
	char request[PATH_MAX + 64];
	struct json_object *answer;

	(void)old;
	(void)snprintf(request, sizeof(request), "{\"verb\":\"upgrade\",\"do\":\"go\",\"path\":\"%s\"}", s->path);
	while (!(answer = succession_ask(BENCH_FLEET_NAME, request))) {
		bench_need(rk_clock_ns() < until_ns, "an upgrade that begins");
		bench_nap(RK_NS_PER_MS);
	}
	json_object_put(answer);
	return rk_clock_ns();
}

int main(void)
{
	struct succession s = { .bench = "upgrade", .events = "upgrades", .begin = upgrade };

	succession_measure(&s, "4");
	succession_measure(&s, "200");
	return 0;
}
