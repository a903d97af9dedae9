/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    every kill point of shm/fault.h is a place where a process may die: the others recover, a
 *         completed publish is answered, the books are right. A point that nobody reaches fails.
 * Method  walks the list; at each point every scene (scene.h) runs in a child that kills itself
 *         there. Those the child dies in are buried and checked, as in step_calls.
 *
 * The list is one with the comments in shm/: this is the test that keeps it so. OWNER_INIT and
 * UPGRADE_*, STANDBY_ORDERED and WORKER_LEASED lie in workers/lib; tests/system/test_client,
 * test_upgrade and test_standby kill real workers there.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/fault.h"
#include "tests/fault/scene.h"
#include "tests/fault/tap.h"

/* Runs the act in a child armed with this point. Returns whether it died there. */
static bool dies_at(struct stage *s, const struct scene *scene, enum rk_kill_point point)
{
	pid_t parent = getpid(), child = fork();
	int status;

	if (child < 0) {
		printf("Bail out! fork: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (child == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(77);
		rk_fault_arm(point, 1, SIGKILL);
		scene->act(s);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		return false;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* What came of one point in all scenes. */
struct point {
	unsigned int n_died; /* scenes in which somebody died there */
	char why[256];       /* the first finding */
};

/* One scene, at every point. */
static void walk_points(const struct scene *scene, bool wrap, struct point *points)
{
	struct stage s;

	stage_open(&s, scene, wrap, 2);
	stage_prepare(&s, scene->prepare);
	for (int i = 0; i < RK_KILL_POINT_COUNT; i++) {
		struct point *p = &points[i];

		if (dies_at(&s, scene, (enum rk_kill_point)i)) {
			p->n_died++;
			scene->bury(&s);
			stage_check(&s);
		}
		if (s.n_bad && !p->why[0])
			(void)snprintf(p->why, sizeof(p->why), "%s: %s", scene->name, s.why);
		s.n_bad = 0;
		s.why[0] = '\0';
		stage_restart(&s);
	}
	stage_close(&s);
}

int main(void)
{
	static struct point points[RK_KILL_POINT_COUNT];
	struct tap tap = { 0 };
	const char *without = stage_without_ptrace(); /* some scenes are prepared with it */

	for (unsigned int i = 0; i < 2 * n_scenes && !without; i++)
		walk_points(&scenes[i / 2], i % 2, points);
	for (int i = 0; i < RK_KILL_POINT_COUNT; i++) {
		const struct point *p = &points[i];
		char claim[160];

		if (i == RK_KP_OWNER_INIT || (i >= RK_KP_UPGRADE_RAN && i <= RK_KP_WORKER_LEASED))
			continue;
		(void)snprintf(claim, sizeof(claim), "killed at %s: %s", rk_kill_point_name((enum rk_kill_point)i),
			       rk_kill_point_what((enum rk_kill_point)i));
		if (without)
			tap_skip(&tap, claim, without);
		else if (tap_result(&tap, p->n_died && !p->why[0], claim))
			printf("# in %u scenes\n", p->n_died);
		else
			printf("# %s\n", p->n_died ? p->why : "never reached");
	}
	return tap_end(&tap);
}
