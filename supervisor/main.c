/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindled: keeper and supervisor of a fleet, one program. Started by hand it is keeper, which
 * starts it again with the same arguments and REKINDLE_KEEPER_FD as the supervisor. What only
 * asks for something (--check, --help) becomes neither, nor does the sweep behind a stop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/conf_ask.h"
#include "supervisor/conf_frozen.h"
#include "supervisor/conf_wrap.h"
#include "supervisor/journald.h"
#include "supervisor/keeper.h"
#include "supervisor/link.h"
#include "supervisor/loop.h"
#include "supervisor/program.h"
#include "supervisor/reopen.h"
#include "supervisor/setup.h"
#include "supervisor/sweep.h"

#define PROGRAM "rekindled"
#define SETTLE_MS 500
#define DESCRIPTORS_MOST 16384u /* to make room for at the start: 128 KiB of the kernel's memory */

static struct rk_journald journald; /* as long as there is a process it may have something to say */

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
	rk_log_init(&(struct rk_log_conf){ .name = PROGRAM, .most = most });
}

/* Where stderr is the journal; without its socket the lines go to stderr all the same. */
static void log_divert(void)
{
	if (rk_log_is_journal(STDERR_FILENO) &&
	    rk_journald_open(&journald, RK_JOURNALD_SOCKET, PROGRAM) == 0)
		rk_log_divert(rk_journald_take, &journald);
}

/* The process ends with this status; a journal that stands still is waited for that long. */
static int log_end(int status)
{
	if (rk_log_keeps_fields())
		(void)rk_journald_settle(&journald, SETTLE_MS);
	return status;
}

/* What is allowed and hardly meant. */
static void conf_doubt(const struct rk_conf *conf)
{
	char text[512];

	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		if (rk_conf_doubt(&conf->fleets[i], text, sizeof(text)))
			rk_log(RK_LOG_WARNING, "%s", text);
		if (rk_conf_wrap_doubt(&conf->fleets[i], text, sizeof(text)))
			rk_log(RK_LOG_WARNING, "%s", text);
	}
}

/* A dead supervisor's, as it was in force; else what stands in the command line and the files. */
static enum rk_exit conf_take(int argc, char **argv, struct rk_inherit *in, struct rk_conf *ret,
			      struct rk_conf *ret_leaving)
{
	const struct rk_heirloom *frozen = rk_inherit_memory(in, RK_LINK_TAG_COMMON, RK_CONF_FROZEN);
	struct rk_err err = { 0 };

	if (!frozen)
		return rk_conf_begin(argc, argv, ret);
	if (rk_conf_thaw(frozen->fd, ret, ret_leaving, &err) == 0)
		return RK_EXIT_OK;
	rk_log(RK_LOG_ERROR, "%s", err.text);
	return RK_EXIT_CONFIG;
}

/* For each worker its pidfd twice, what tells of it, its group, its gate and its standby's; for each client the same, nearly. */
static uint32_t n_descriptors(const struct rk_conf *conf)
{
	uint32_t n = 64;

	for (uint32_t i = 0; i < conf->n_fleets; i++)
		n += 32 + 8 * conf->fleets[i].geometry.n_workers + 4 * conf->fleets[i].geometry.n_clients;
	return n < DESCRIPTORS_MOST ? n : DESCRIPTORS_MOST;
}

static enum rk_exit supervise(int argc, char **argv, int link)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 }, leaving = { 0 };
	rk_cleanup(rk_inherit_close) struct rk_inherit in = { 0 };
	struct rk_err err = { 0 };
	enum rk_exit status;
	int r;

	(void)prctl(PR_SET_NAME, "rekindled-sup"); /* executed by descriptor: older kernels call us by its number */
	rk_program_take();
	rk_setup_descriptors_allow(); /* keeper may hand over more than the soft limit */
	r = rk_inherit_receive(link, &in, &err);

	if (r < 0) {
		rk_log(RK_LOG_ERROR, "%s", err.text);
		return RK_EXIT_FAILED;
	}
	status = conf_take(argc, argv, &in, &conf, &leaving);
	if (status != RK_EXIT_OK)
		return status;
	rk_setup_descriptors_reserve(n_descriptors(&conf));
	log_begin((enum rk_log_level)(RK_LOG_ERROR + conf.supervisor.log_level));
	rk_log_whose(conf.name);
	if (!rk_inherit_is_successor(&in))
		conf_doubt(&conf);
	r = rk_loop_run(
		&(struct rk_loop_start){ .conf = &conf,
					 .leaving = &leaving,
					 .argc = argc,
					 .argv = argv,
					 .link = link,
					 .inherit = &in },
		&err);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "%s", err.text);
	return run_status(r);
}

int main(int argc, char **argv)
{
	int link = rk_link_take();

	log_begin(RK_LOG_INFO);
	if (link == -ENOENT && rk_conf_request_is_ask(argc, argv))
		return rk_conf_answer(argc, argv);
	log_divert();
	if (link != -ENOENT)
		return log_end(supervise(argc, argv, link));
	if (argc == 3 && strcmp(argv[1], "--sweep") == 0)
		return log_end(rk_sweep_run(argv[2]));
	if (argc == 2 && strcmp(argv[1], "--reopen") == 0)
		return log_end(rk_reopen_run());
	return log_end(rk_keeper_run(argv));
}
