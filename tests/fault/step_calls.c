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
 *	step_calls [PART-OF-A-CLAIM [BREAK]]      breaks: shm/fault.h, in the build with fault points
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "shm/fault.h"
#include "tests/fault/scene.h"
#include "tests/fault/step.h"
#include "tests/fault/tap.h"

int main(int argc, char **argv)
{
	struct tap tap = { 0 };
	const char *without = stage_without_ptrace();

	if (without) {
		tap_skip(&tap, "every operation survives death and stop at every instruction", without);
		return tap_end(&tap);
	}
	for (int i = 0; argc > 2 && i < RK_BREAK_COUNT; i++)
		if (strcmp(argv[2], rk_break_name((enum rk_break)i)) == 0)
			rk_fault_break((enum rk_break)i);
	for (int wrap = 0; wrap < 2; wrap++)
		for (unsigned int i = 0; i < n_scenes + n_duets; i++) {
			struct step_result r;
			char claim[160];
			const char *name = i < n_scenes ? scenes[i].name : duets[i - n_scenes].name;

			(void)snprintf(claim, sizeof(claim), "%s%s", name, wrap ? ", counters before their wraps" : "");
			if (argc > 1 && !strstr(claim, argv[1]))
				continue;
			if (i < n_scenes)
				step_scene(&scenes[i], wrap, &r);
			else
				step_duet(&duets[i - n_scenes], wrap, &r);
			tap_result(&tap, !r.n_bad && r.n_checks, claim);
			printf("# %lu instructions, %lu states, %lu checks, %lu bad, %lu ms%s%s\n", r.n_steps,
			       r.n_states, r.n_checks, r.n_bad, r.took_ms, r.why[0] ? ": " : "", r.why);
			(void)fflush(stdout);
		}
	return tap_end(&tap);
}
