/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle-bridge: runs somebody else's program as a worker.
 */
#include "workers/bridge/options.h"

int main(void)
{
	return 64;
}
