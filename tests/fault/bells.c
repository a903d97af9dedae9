/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    nobody sleeps for ever because somebody died, or stopped, between doing something and
 *         ringing for it: a parked worker whose ring holds a job is awake, a client whose call has
 *         an outcome is awake.
 * Method  a real sleeper without a deadline, seen asleep in the kernel, on the worker's or the
 *         client's bell. The actor dies (or stops, and is evicted) at each kill point in turn; then
 *         the supervisor does what it does after that, a successor works, and the sleeper must
 *         come back if there is something to come back for.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/bell.h"
#include "shm/fault.h"
#include "shm/queue.h"
#include "tests/fault/scene.h"
#include "tests/fault/tap.h"

#define PATIENCE_NS (5 * RK_NS_PER_S)

/* A bell, who stands before it in which scene, and when its sleeper must be awake. */
struct nap {
	const char *claim;
	const char *scene;
	bool worker_sleeps; /* worker 2 does; else client 0 */
	bool no_effect;     /* the job turns out to be nobody's: its client learns that it was not applied */
	int signal;
};

static const struct nap naps[] = {
	{ "a parked worker is woken whose client died", "client: fill and publish", true, false, SIGKILL },
	{ "a waiting client is woken whose worker died", "worker: take, touch, commit, deliver, recycle", false,
	  false, SIGKILL },
	{ "a waiting client is woken whose worker died over a job without effect",
	  "worker: take, touch, commit, deliver, recycle", false, true, SIGKILL },
	{ "a waiting client is woken whose successor died while it recovered", "worker: recover, roll back", false,
	  false, SIGKILL },
	{ "a waiting client is woken whose worker stopped and was evicted",
	  "worker: take, touch, commit, deliver, recycle", false, false, SIGSTOP },
	{ "a waiting client is woken whose worker stopped over a job without effect and was evicted",
	  "worker: take, touch, commit, deliver, recycle", false, true, SIGSTOP },
};

static const struct scene *scene_called(const char *name)
{
	for (unsigned int i = 0; i < n_scenes; i++)
		if (strcmp(scenes[i].name, name) == 0)
			return &scenes[i];
	printf("Bail out! no scene '%s'\n", name);
	exit(EXIT_FAILURE);
}

static pid_t fork_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0) {
		printf("Bail out! fork: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(77);
	return pid;
}

static void pause_a_little(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* The kernel's letter for this process: 'S' asleep, 'T' stopped, 'Z' dead; '?' when there is none. */
static char state_of(pid_t pid)
{
	char path[64], text[256];
	const char *end = NULL;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f && fgets(text, sizeof(text), f))
		end = strrchr(text, ')');
	if (f)
		(void)fclose(f);
	return end && end[1] == ' ' ? end[2] : '?';
}

static bool reaches(pid_t pid, char state)
{
	uint64_t until = rk_clock_ns() + PATIENCE_NS;

	while (state_of(pid) != state && rk_clock_ns() < until)
		pause_a_little();
	return state_of(pid) == state;
}

static pid_t sleeper(_Atomic uint32_t *bell)
{
	pid_t pid;
	uint32_t word = rk_bell_park(bell);

	/* Announced by its parent, so that asleep can only mean: on the bell. */
	pid = fork_child();
	if (pid == 0) {
		while (rk_bell_wait(bell, word, 0) == -EINTR)
			;
		_exit(0);
	}
	return pid;
}

static void end_child(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

/* Runs the act in a child armed with this point. Returns it if it died or stopped there, else 0. */
static pid_t struck_at(struct stage *s, const struct scene *scene, enum rk_kill_point point, int sig)
{
	pid_t pid = fork_child();
	int status;

	if (pid == 0) {
		rk_fault_arm(point, 1, sig);
		scene->act(s);
		_exit(0);
	}
	if (waitpid(pid, &status, WUNTRACED) == pid && (WIFSIGNALED(status) || WIFSTOPPED(status)))
		return pid;
	return 0;
}

static bool has_reason(struct stage *s, const struct nap *nap)
{
	struct client *c = &s->w.shared->client[0];
	enum rk_call_state state;

	if (nap->worker_sleeps)
		return rk_queue_has_work(&s->w.m, 1);
	state = rk_call_look(&c->caller, &c->slot[0].call);
	return state == RK_CALL_DONE || state == RK_CALL_NOT_APPLIED;
}

/* What the world does after it: the scene's burial, or an eviction; the death rings for what is pending. */
static void repair(struct stage *s, const struct scene *scene, const struct nap *nap)
{
	struct worker k;
	int r = 1;

	if (nap->signal == SIGSTOP)
		for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
			(void)world_evict(&s->w, p, 2);
	else
		scene->bury(s);
	rk_bell_ring_pending(&s->w.m);
	if (nap->worker_sleeps)
		return;
	worker_init(&k, 2);
	while (r > 0)
		r = worker_pass(&s->w, &k);
}

/* One point of one nap. Returns whether somebody was struck there. */
static bool try_point(struct stage *s, const struct nap *nap, enum rk_kill_point point, char *why, size_t len)
{
	const struct scene *scene = scene_called(nap->scene);
	_Atomic uint32_t *bell = nap->worker_sleeps ? &rk_shm_bell(&s->w.m, 2)->bell : &rk_shm_page(&s->w.m, 0)->bell;
	pid_t asleep, struck;

	stage_restart(s);
	if (nap->no_effect) /* the board names somebody else for this page */
		atomic_store_explicit(&rk_shm_client_ids(&s->w.m)[0], 77, memory_order_release);
	asleep = sleeper(bell);
	if (!reaches(asleep, 'S'))
		(void)snprintf(why, len, "the sleeper does not fall asleep");
	struck = struck_at(s, scene, point, nap->signal);
	if (struck) {
		repair(s, scene, nap);
		if (has_reason(s, nap) && !reaches(asleep, 'Z') && !why[0])
			(void)snprintf(why, len, "at %s: asleep for ever", rk_kill_point_name(point));
		if (nap->signal == SIGSTOP)
			end_child(struck);
	}
	end_child(asleep);
	return struck != 0;
}

int main(void)
{
	struct tap tap = { 0 };

	for (size_t i = 0; i < rk_countof(naps); i++) {
		const struct nap *nap = &naps[i];
		const struct scene *scene = scene_called(nap->scene);
		unsigned int n_struck = 0;
		struct stage s;
		char why[160] = "";

		stage_open(&s, scene, false, 2);
		stage_prepare(&s, scene->prepare);
		for (int p = 0; p < RK_KILL_POINT_COUNT; p++)
			n_struck += try_point(&s, nap, (enum rk_kill_point)p, why, sizeof(why));
		if (s.n_bad && !why[0])
			(void)snprintf(why, sizeof(why), "%s", s.why);
		(void)tap_result(&tap, n_struck && !why[0], nap->claim);
		printf("# struck at %u points%s%s\n", n_struck, why[0] ? "; " : "", why);
		stage_close(&s);
	}
	return tap_end(&tap);
}
