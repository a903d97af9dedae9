/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of addresses, for the scripts that look at one from outside:
 *
 *   locate FLEET [TIMEOUT_MS]
 *
 * Opens the fleet's addresses and answers each line of standard input, a key, with a line: ADDRESS STATE
 * PARTITION WORKER; or with "late" and these where TIMEOUT_MS is given and was up. Ends with status 1 and
 * a complaint when it cannot open them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/lib/rekindle.h"

static const char *const states[] = { "ready", "wait", "none" };

static int answer(struct rk_addresses *addresses, const char *key, const char *timeout)
{
	struct rk_address a;
	int r = timeout ? rk_addresses_wait(addresses, key, 0, (uint32_t)strtoul(timeout, NULL, 10), &a)
			: rk_addresses_find(addresses, key, 0, &a);

	if (r < 0 && r != -ETIMEDOUT)
		return r;
	(void)printf("%s%s %s %u %u\n", r < 0 ? "late " : "", a.text ? a.text : "-", states[a.state], a.partition, a.worker);
	return fflush(stdout) == 0 ? 0 : -errno;
}

int main(int argc, char **argv)
{
	struct rk_addresses *addresses;
	char key[256];
	int r = argc < 2 ? -EINVAL : rk_addresses_open(&addresses, argv[1]);

	if (r < 0) {
		(void)fprintf(stderr, "locate: %s: %s\n", strerror(-r), rk_client_error());
		return 1;
	}
	while (r == 0 && fgets(key, sizeof(key), stdin)) {
		key[strcspn(key, "\n")] = '\0';
		r = answer(addresses, key, argc > 2 ? argv[2] : NULL);
	}
	rk_addresses_close(addresses);
	return r < 0 ? 1 : 0;
}
