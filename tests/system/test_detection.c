/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    With real processes and real looks: on a calm, a crowded, a throttled and a stormy
 *         machine no healthy worker would be killed; each sick one gets its verdict; what was
 *         seen, judged again, gives the same. A worker that /proc hides is reported unseen.
 *         A watcher that gets no CPU itself may find a hang too late for us to wait for it, but
 *         says nothing wrong.
 * Method  The lab's scenes (bench/lab_scene.h), with figures as JSON in comments, beside fixed
 *         rules on the same data. Of times only what no busy machine exceeds is asserted: the
 *         documented ones are shown in virtual time (tests/unit/test_detect.c).
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/lab_scene.h"
#include "tests/fault/tap.h"

static const enum rk_verdict verdict_of[LAB_DEEDS] = {
	[LAB_DEADLOCK] = RK_VERDICT_ASLEEP,     [LAB_LOOP] = RK_VERDICT_LOOP,
	[LAB_LIVELOCK] = RK_VERDICT_LIVELOCK,   [LAB_DISK] = RK_VERDICT_DISK,
	[LAB_STOP] = RK_VERDICT_STOPPED,
	[LAB_STOP_PARKED] = RK_VERDICT_STOPPED, [LAB_TRACE] = RK_VERDICT_TRACED,
	[LAB_FREEZE_V1] = RK_VERDICT_FROZEN,    [LAB_FREEZE_V2] = RK_VERDICT_FROZEN,
};

static bool is_right(const struct lab_subject *s, bool must_be_found)
{
	if (!must_be_found && s->verdict == RK_VERDICT_FINE)
		return true;
	return s->verdict == verdict_of[s->deed] &&
	       (s->n_kills > 0) == !lab_deed_is_healthy(s->deed);
}

/* What it got, against what it should: its deed's verdict, FINE for the healthy. */
static void subject_check(struct tap *t, const struct lab_subject *s, enum lab_scene scene)
{
	bool must_be_found = scene != LAB_SICK_HOGS;
	char claim[160];

	(void)snprintf(claim, sizeof(claim), "%s: %s%s gets %s%s", lab_scene_name(scene),
		       lab_deed_name(s->deed), s->bounds.is_nonblocking ? ", Blocking=no," : "",
		       rk_verdict_name(verdict_of[s->deed]), must_be_found ? "" : ", if any");
	if (s->is_missing)
		tap_skip(t, claim, "cgroup: no such cgroup can be made here");
	else if (!tap_result(t, is_right(s, must_be_found), claim))
		printf("# %s\n", s->line);
}

static void replay_check(struct tap *t, struct lab *played, enum lab_scene scene)
{
	struct lab *l = calloc(1, sizeof(*l));
	bool same = true;

	if (!l)
		abort();
	lab_scene_fill(l, scene);
	rewind(played->tape);
	same = lab_replay(l, played->tape) == 0;
	for (uint32_t i = 0; i < l->n; i++)
		same &= l->subject[i].verdict == played->subject[i].verdict &&
			l->subject[i].n_kills == played->subject[i].n_kills;
	(void)tap_result(t, same, "a replay of its tape gives the same");
	free(l);
}

static void scene_check(struct tap *t, enum lab_scene scene)
{
	struct lab *l = calloc(1, sizeof(*l));
	const char *why;

	if (!l)
		abort();
	l->tape = tmpfile();
	lab_scene_fill(l, scene);
	why = lab_scene_play(l, scene);
	if (why) {
		tap_skip(t, lab_scene_name(scene), why);
	} else {
		lab_print(l, lab_scene_name(scene));
		for (uint32_t i = 0; i < l->n; i++)
			subject_check(t, &l->subject[i], scene);
		replay_check(t, l, scene);
	}
	(void)fclose(l->tape);
	free(l);
}

/* In a mount namespace of its own, as another user: 0 = it is seen to be hidden, 77 = cannot be
 * tried. */
static int look_hidden(pid_t pid)
{
	static struct rk_observatory shared;
	struct rk_observe *o;
	struct rk_look l;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, "hidepid=2") < 0 || setgid(65534) < 0 ||
	    setuid(65534) < 0)
		return 77;
	rk_observatory_init(&shared);
	if (rk_observe_open(&shared, pid, -1, &o) < 0)
		return 1;
	rk_observe_look(o, true, rk_clock_ns(), &l);
	return l.error != 0 && !l.is_gone && l.n_threads == 0 ? 0 : 2;
}

static void hidden_check(struct tap *t)
{
	static const char claim[] = "whom /proc hides is unseen, not gone";
	pid_t us = getpid(), pid = fork();
	int status;

	if (pid == 0)
		_exit(look_hidden(us));
	if (waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		tap_skip(t, claim, "root: a /proc of our own cannot be mounted");
	else
		(void)tap_result(t, status == 0, claim);
}

int main(void)
{
	struct tap t = { 0 };

	hidden_check(&t);
	for (int scene = 0; scene < LAB_SCENES; scene++)
		scene_check(&t, (enum lab_scene)scene);
	return tap_end(&t);
}
