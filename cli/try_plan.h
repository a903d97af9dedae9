/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plan: what of a configuration, or of a command line, is tried: one fleet with one worker, in a configuration of
 * its own.
 *
 * Who       rekindle check --try. Asks rekindled, which alone knows configurations and presets.
 * Blocking  until rekindled has answered.
 */
#ifndef RK_CLI_TRY_PLAN_H
#define RK_CLI_TRY_PLAN_H

#include "base/wordlist.h"
#include "cli/args.h"
#include "shm/abi.h"

#define RK_TRY_FLEETS_MAX 64u

struct rk_try_plan {
	char *cat; /* as rekindled --cat prints it */
	char fleets[RK_TRY_FLEETS_MAX][RK_NAME_MAX];
	uint32_t n_fleets;
};

/* One fleet of it. */
struct rk_try_fleet {
	char name[RK_NAME_MAX], kind[16];
	struct rk_wordlist exec;
	bool has_user, has_probe;
	uint16_t port; /* 0 = none */
	uint64_t start_timeout_ns, stop_timeout_ns;
};

/* Returns 0; > 0: rekindled has said what is wrong, its exit status; -errno with a sentence. Free in any case. */
RK_MUST_USE int rk_try_plan_make(struct rk_try_plan *p, const struct rk_args *a, struct rk_err *err);
void rk_try_plan_free_p(struct rk_try_plan *p);

/* Reads the nth fleet. 0 or -errno. Free in any case. */
RK_MUST_USE int rk_try_plan_fleet(const struct rk_try_plan *p, uint32_t n, struct rk_try_fleet *ret, struct rk_err *err);
void rk_try_fleet_free_p(struct rk_try_fleet *f);

/* Writes a configuration of that fleet alone: one worker, state below `directory`. 0 or -errno with a sentence. */
RK_MUST_USE int rk_try_plan_write(const struct rk_try_plan *p, const struct rk_try_fleet *f, const char *path,
				  const char *directory, struct rk_err *err);

#endif
