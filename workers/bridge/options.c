/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/options.h"

#include <errno.h>

int rk_bridge_options_read(struct rk_bridge_options *o, const char *text, struct rk_err *err)
{
	(void)text;
	*o = (struct rk_bridge_options){ 0 };
	return rk_err_set(err, -EINVAL, "not yet");
}

void rk_bridge_options_free(struct rk_bridge_options *o)
{
	(void)o;
}
