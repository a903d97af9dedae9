/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    whoever is killed or stopped at any instruction of any operation on shared memory, the
 *         others go on, a completed publish is answered, and the books are right.
 * Method  the operation runs in a child under PTRACE_SINGLESTEP, in objects built with production
 *         flags. At every distinct state of the memory: (killed) the world as after its confirmed
 *         death - sweep, successor, resume - must recover, answer a probe call through every
 *         partition and balance; (stopped) the world goes on by more than a lap, or evicts it,
 *         then it is continued, and all must be right again. Pairs: the first stands at each of
 *         its states while the second is stepped through its own; at each, both die; and the second
 *         completes, the first then continues.
 *
 *	step_calls [PART-OF-A-CLAIM]
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fault/scene.h"
#include "tests/fault/step.h"
#include "tests/fault/tap.h"

static const char *name_of(unsigned int i)
{
	return i < n_scenes ? scenes[i].name : duets[i - n_scenes].name;
}

/* One row of results per scene and duet; counters from 0, or from just before their wraps. */
static void step_all(bool wrap, const char *wanted, struct step_result *results)
{
	for (unsigned int i = 0; i < n_scenes + n_duets; i++) {
		if (wanted && !strstr(name_of(i), wanted))
			continue;
		if (i < n_scenes)
			step_scene(&scenes[i], wrap, &results[i]);
		else
			step_duet(&duets[i - n_scenes], wrap, &results[i]);
	}
}

static void report(struct tap *tap, bool wrap, const struct step_result *results)
{
	for (unsigned int i = 0; i < n_scenes + n_duets; i++) {
		const struct step_result *r = &results[i];
		char claim[160];

		if (!r->began_ns)
			continue;
		(void)snprintf(claim, sizeof(claim), "%s%s", name_of(i), wrap ? ", counters before their wraps" : "");
		tap_result(tap, !r->n_bad && r->n_checks, claim);
		printf("# %lu instructions, %lu states, %lu checks, %lu bad, %lu ms%s%s\n", r->n_steps, r->n_states,
		       r->n_checks, r->n_bad, r->took_ms, r->why[0] ? ": " : "", r->why);
	}
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };
	const char *without = stage_without_ptrace(), *wanted = argc > 1 ? argv[1] : NULL;
	size_t n = n_scenes + n_duets;
	struct step_result *results = mmap(NULL, 2 * n * sizeof(*results), PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), child;
	int status;

	if (without) {
		tap_skip(&tap, "every operation survives death and stop at every instruction", without);
		return tap_end(&tap);
	}
	/* Two at a time: one from the beginning of all counters, one from just before their wraps. */
	child = results == MAP_FAILED ? -1 : fork();
	if (child == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(77);
		step_all(true, wanted, results + n);
		_exit(0);
	}
	if (child < 0) {
		printf("Bail out! %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	step_all(false, wanted, results);
	tap_result(&tap, waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
		   "the run before the wraps came to its end");
	report(&tap, false, results);
	report(&tap, true, results + n);
	return tap_end(&tap);
}
