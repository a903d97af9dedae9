/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindled: keeper and supervisor of a fleet, one program. Started by hand it is keeper, which
 * starts it again with the same arguments and REKINDLE_KEEPER_FD as the supervisor. What only
 * asks for something (--check, --help) becomes neither.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/conf_ask.h"
#include "supervisor/keeper.h"
#include "supervisor/link.h"
#include "supervisor/loop.h"

static enum rk_exit run_status(int r)
{
	switch (r) {
	case 0:
		return RK_EXIT_OK;
	case -EPERM:
	case -EACCES:
		return RK_EXIT_PERMISSION;
	case -ENOMEM:     /* the sizes are right, but not on this machine */
	case -EOPNOTSUPP: /* the configuration is right, but not for this release */
		return RK_EXIT_CONFIG;
	default:
		return RK_EXIT_FAILED;
	}
}

static void log_begin(enum rk_log_level most)
{
	rk_log_init(&(struct rk_log_conf){ .name = "rekindled", .most = most });
}

/* What is allowed and hardly meant. */
static void conf_doubt(const struct rk_conf *conf)
{
	char text[512];

	for (uint32_t i = 0; i < conf->n_fleets; i++)
		if (rk_conf_doubt(&conf->fleets[i], text, sizeof(text)))
			rk_log(RK_LOG_WARNING, "%s", text);
}

static enum rk_exit supervise(int argc, char **argv, int link)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_err err = { 0 };
	enum rk_exit status = rk_conf_begin(argc, argv, &conf);
	int r;

	if (status != RK_EXIT_OK)
		return status;
	log_begin((enum rk_log_level)(RK_LOG_ERROR + conf.supervisor.log_level));
	(void)prctl(PR_SET_NAME, "rekindled-sup"); /* /proc/self/exe would be called "exe" */
	conf_doubt(&conf);
	r = rk_loop_run(&(struct rk_loop_start){ .conf = &conf, .argc = argc, .argv = argv, .link = link }, &err);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "%s", err.text);
	return run_status(r);
}

int main(int argc, char **argv)
{
	int link = rk_link_take();

	log_begin(RK_LOG_INFO);
	if (link != -ENOENT)
		return supervise(argc, argv, link);
	if (rk_conf_request_is_ask(argc, argv))
		return rk_conf_answer(argc, argv);
	return rk_keeper_run(argv);
}
