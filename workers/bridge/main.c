/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle-bridge: runs somebody else's program as a worker. Started by rekindled with the program's
 * command as its arguments, and told the rest by REKINDLE_BRIDGE (options.h).
 */
#include "workers/bridge/bridge.h"

int main(int argc, char **argv)
{
	return rk_bridge_run(argc, argv);
}
