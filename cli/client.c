/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <errno.h>

#include "shm/rundir.h"

int rk_cli_client_open(struct rk_client **ret, const struct rk_args *a, const char *name,
		       struct rk_err *err)
{
	char fleet[RK_NAME_MAX];
	int r = rk_rundir_choose(rk_args_text(a, "name"), fleet, err);

	if (r < 0)
		return r;
	r = rk_client_open(ret, fleet, name);
	return r < 0 ? rk_err_set(err, r, "%s", rk_client_error()) : 0;
}

void rk_cli_client_close_p(struct rk_client **client)
{
	rk_client_close(*client);
	*client = NULL;
}

int rk_cli_key_check(const char *key, struct rk_err *err)
{
	return key[0] ? 0 : rk_err_set(err, -EINVAL, "the KEY is empty: a job needs one");
}
