/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindled: keeper and supervisor of a fleet, one program. Started by hand it is keeper, which
 * starts it again with the same arguments and REKINDLE_KEEPER_FD as the supervisor.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/control.h"
#include "supervisor/keeper.h"
#include "supervisor/link.h"
#include "supervisor/loop.h"
#include "supervisor/spawn.h"

enum { EXIT_USAGE = 64, EXIT_PERMISSION = 77, EXIT_CONFIG = 78 };

/* The conf module keeps these two apart from what the system says: -EINVAL and -ERANGE. */
static int conf_status(int r)
{
	return r == -ERANGE ? EXIT_CONFIG : EXIT_USAGE;
}

static int run_status(int r)
{
	switch (r) {
	case 0:
		return EXIT_SUCCESS;
	case -EPERM:
	case -EACCES:
		return EXIT_PERMISSION;
	case -ENOMEM: /* the sizes are right, but not on this machine */
		return EXIT_CONFIG;
	default:
		return EXIT_FAILURE;
	}
}

static int supervise(const struct rk_conf *conf, int link)
{
	char path[PATH_MAX], doubt[160];
	struct rk_err err = { 0 };
	int r;

	(void)prctl(PR_SET_NAME, "rekindled-sup"); /* /proc/self/exe would be called "exe" */
	if (rk_spawn_find(conf->command[0], path, &err) < 0) {
		rk_log(RK_LOG_ERROR, "%s", err.text);
		return EXIT_FAILURE;
	}
	if (rk_conf_doubt(conf, doubt, sizeof(doubt)))
		rk_log(RK_LOG_WARNING, "%s", doubt);
	r = rk_loop_run(conf, link, &err);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "%s", err.text);
	return run_status(r);
}

static void log_begin(bool debug)
{
	rk_log_init(&(struct rk_log_conf){ .name = "rekindled",
					   .most = debug ? RK_LOG_DEBUG : RK_LOG_INFO });
}

int main(int argc, char **argv)
{
	struct rk_conf conf;
	struct rk_err err = { 0 };
	int link = rk_link_take();
	int r;

	log_begin(false);
	if (link == -ENOENT)
		return rk_keeper_run(argv);
	r = rk_conf_parse(&conf, argc, argv, &err);
	if (r == RK_CONF_HELP || r == RK_CONF_VERSION) {
		(void)fputs(r == RK_CONF_HELP ? rk_conf_usage()
					      : "rekindled " PACKAGE_VERSION "\n",
			    stdout);
		return EXIT_SUCCESS;
	}
	if (r < 0) {
		rk_log(RK_LOG_ERROR, "%s", err.text);
		return conf_status(r);
	}
	log_begin(conf.debug);
	return supervise(&conf, link);
}
