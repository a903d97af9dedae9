/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the tests have teeth: each safeguard of shm/fault.h that is taken out of the real code is
 *         missed by a storm or by single-step.
 * Method  for each break, short storms with one seed after the other, then the scenes and duets of
 *         single-step, until something is wrong. With nothing broken the same must find nothing.
 *
 *	breaks [NAME…]
 */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/fault.h"
#include "tests/fault/scene.h"
#include "tests/fault/step.h"
#include "tests/fault/storm.h"
#include "tests/fault/tap.h"

enum { STORMS = 8, CALM_STORMS = 2 }; /* the most, with something broken and without */
#define STORM_NS (2 * RK_NS_PER_S)
#define STEPS_NS (30 * RK_NS_PER_S)

/* Whether a storm of this seed finds something wrong; says what. */
static bool storm_finds(enum rk_break which, uint64_t seed, char *what, size_t len)
{
	struct storm_conf conf;
	char verdict[400];

	storm_conf_default(&conf);
	conf.storm_ns = STORM_NS;
	conf.seed = seed;
	conf.broken = which;
	if (storm_run(&conf, verdict, sizeof(verdict)))
		return false;
	(void)snprintf(what, len, "storm, seed %lu: %s", (unsigned long)seed, verdict);
	return true;
}

/* They take a meeting that storms seldom see: each has a scene or a duet of its own, which comes first. */
static const struct {
	enum rk_break which;
	const char *scene;
} own_scenes[] = {
	{ RK_BREAK_LAP, "worker: recycles, its ring a lap on" },
	{ RK_BREAK_WRITING, "deliver against time-out" },
	{ RK_BREAK_NOINC, "commit and delivery against evict" },
	{ RK_BREAK_LOGRESET, "worker: rolls back while an eviction copies it" },
	{ RK_BREAK_UNCONS, "client: publish, its last cell still named by a ring" },
	{ RK_BREAK_CHARGETWICE, "supervisor: charge" },
	{ RK_BREAK_DEADTWICE, "worker: a dead letter" },
	{ RK_BREAK_DEADLOOK, "worker: a dead letter" },
};

static const char *own_scene(enum rk_break which)
{
	for (size_t i = 0; i < rk_countof(own_scenes); i++)
		if (own_scenes[i].which == which)
			return own_scenes[i].scene;
	return NULL;
}

/* The scenes, then the duets, as one list. */
static const char *name_of(unsigned int i)
{
	return i < n_scenes ? scenes[i].name : duets[i - n_scenes].name;
}

static bool steps_find(enum rk_break which, uint64_t until_ns, char *what, size_t len)
{
	const char *own = own_scene(which);
	unsigned int first = 0;

	while (own && first + 1 < n_scenes + n_duets && strcmp(name_of(first), own) != 0)
		first++;
	rk_fault_break(which);
	for (unsigned int n = 0; n < n_scenes + n_duets && rk_clock_ns() < until_ns; n++) {
		unsigned int i = (first + n) % (n_scenes + n_duets);
		struct step_result r;

		if (i < n_scenes)
			step_scene(&scenes[i], false, &r);
		else
			step_duet(&duets[i - n_scenes], false, &r);
		if (r.n_bad) {
			rk_fault_break(RK_BREAK_NONE);
			(void)snprintf(what, len, "%s: %s", name_of(i), r.why);
			return true;
		}
	}
	rk_fault_break(RK_BREAK_NONE);
	return false;
}

/* In a child, so that what a break does to the process stays there; it tells through its exit status. */
static bool is_caught(enum rk_break which)
{
	pid_t parent = getpid(), child = fork();
	int status = 0;

	if (child == 0) {
		char what[512] = "";
		bool steps_first = own_scene(which) != NULL, caught = false;
		uint64_t n_storms = which == RK_BREAK_NONE ? CALM_STORMS : STORMS;

		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(77);
		for (int turn = 0; turn < 2 && !caught; turn++) {
			if ((turn == 0) != steps_first)
				for (uint64_t seed = 1; seed <= n_storms && !caught; seed++)
					caught = storm_finds(which, seed, what, sizeof(what));
			else if (which != RK_BREAK_NONE && !stage_without_ptrace())
				caught = steps_find(which, rk_clock_ns() + STEPS_NS, what, sizeof(what));
		}
		if (caught)
			printf("# %s: %s\n", rk_break_name(which), what);
		(void)fflush(stdout);
		_exit(caught ? 1 : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	/* One that crashes or never ends its calls is caught as well. */
	return which == RK_BREAK_NONE ? status != 0 : !WIFEXITED(status) || WEXITSTATUS(status) == 1;
}

static bool is_wanted(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };

	for (int b = RK_BREAK_NONE; b < RK_BREAK_COUNT; b++) {
		const char *name = rk_break_name((enum rk_break)b);
		bool caught;
		char claim[160];

		if (!is_wanted(argc, argv, name))
			continue;
		(void)snprintf(claim, sizeof(claim), b ? "%s is caught: %s" : "with %s broken nothing is found", b ? name : "nothing",
			       rk_break_what((enum rk_break)b));
		caught = is_caught((enum rk_break)b);
		(void)tap_result(&tap, b ? caught : !caught, claim);
	}
	return tap_end(&tap);
}
