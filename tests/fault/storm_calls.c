/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    no acknowledged call is lost, none is applied twice, none that was called "not applied"
 *         is, replies and views are whole, nobody is wedged - whoever is killed or stopped where.
 * Method  3 workers, 6 clients (named and anonymous, patient and impatient) and 2 readers in
 *         one world; a storm of SIGKILL and SIGSTOP, at random times and (in the build with fault points)
 *         at random kill points, hand-overs, evictions by copy of stopped and of running owners,
 *         gates held closed; then a calm, in which every client must get an answer from every
 *         partition; then an independent ledger against the state. Every run prints its seed.
 *
 *	storm_calls [SECONDS [SEED|- [VARIANT…]]]     VARIANT: plain wrap parked small-dedup own-gate
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "tests/fault/storm.h"
#include "tests/fault/tap.h"

static bool add_variant(struct storm_conf *conf, const char *name)
{
	if (strcmp(name, "wrap") == 0)
		conf->world.wrap = true;
	else if (strcmp(name, "parked") == 0)
		conf->world.parked = true;
	else if (strcmp(name, "small-dedup") == 0)
		/* A call refused for want of an entry may run by a second reference, after its successors. */
		conf->world.n_dedup = 5, conf->world.no_retry = true;
	else if (strcmp(name, "own-gate") == 0)
		conf->world.outside_gate = false;
	else if (strncmp(name, "break=", 6) == 0)
		for (int i = 0; i < RK_BREAK_COUNT; i++)
			conf->broken = strcmp(name + 6, rk_break_name((enum rk_break)i)) == 0 ? (enum rk_break)i : conf->broken;
	else
		return strcmp(name, "plain") == 0;
	return true;
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };
	struct storm_conf conf;
	uint64_t seconds = 30, seed = rk_clock_wall_ns();
	char verdict[512], claim[128] = "the books are right after a storm:";

	if ((argc > 1 && rk_num_parse(argv[1], 1, 3600, &seconds, NULL) < 0) ||
	    (argc > 2 && strcmp(argv[2], "-") != 0 && rk_num_parse(argv[2], 0, UINT64_MAX, &seed, NULL) < 0))
		goto usage;
	storm_conf_default(&conf);
	conf.storm_ns = seconds * RK_NS_PER_S;
	conf.seed = seed;
	for (int i = 3; i < argc; i++)
		if (!add_variant(&conf, argv[i]) || strlen(claim) + strlen(argv[i]) + 2 > sizeof(claim))
			goto usage;
		else
			strcat(strcat(claim, " "), argv[i]);
	printf("# %lu s, seed %lu\n", seconds, seed);
	(void)fflush(stdout);
	if (!tap_result(&tap, storm_run(&conf, verdict, sizeof(verdict)), claim))
		printf("# %s\n", verdict);
	return tap_end(&tap);
usage:
	printf("Bail out! usage: storm_calls [SECONDS [SEED [plain|wrap|parked|small-dedup|own-gate]...]]\n");
	return EXIT_FAILURE;
}
