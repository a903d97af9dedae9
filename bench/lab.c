/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/lab.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "bench/lab_deed.h"

#define MS RK_NS_PER_MS

const uint32_t lab_rule_ms[LAB_RULES] = { 50, 200, 1000 };

void lab_add(struct lab *l, enum lab_deed deed, struct rk_detect_bounds bounds)
{
	l->subject[l->n++] = (struct lab_subject){ .deed = deed, .bounds = bounds };
}

/* ---- subjects ---- */

static void subject_start(struct lab *l, struct lab_subject *s, uint64_t sick_ns)
{
	s->beat =
		mmap(NULL, RK_BEAT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->beat == MAP_FAILED)
		abort();
	s->beat->incarnation = 1;
	s->sick_ns = lab_deed_is_healthy(s->deed) ? 0 : sick_ns;
	s->pid = fork();
	if (s->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (l->enter)
			l->enter(l->enter_arg);
		lab_deed_live(s->deed, s->beat, sick_ns);
	}
	if (s->pid < 0 || rk_observe_open(&l->shared, s->pid, -1, &s->observe) < 0)
		abort();
}

static void subject_strike(struct lab_subject *s)
{
	s->sick_ns = rk_clock_ns();
	if (s->deed == LAB_STOP_PARKED)
		s->pending_ns = s->sick_ns;
	s->is_missing = !lab_deed_do_to(s->deed, s->pid);
}

static void subject_end(struct lab_subject *s)
{
	lab_deed_undo(s->deed, s->pid);
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
	rk_observe_close(s->observe);
	(void)munmap(s->beat, RK_BEAT_SIZE);
}

/* ---- watching ---- */

static void rules_follow(struct lab_subject *s, const struct rk_detect_input *in)
{
	bool is_idle = rk_detect_is_idle(&in->beat, in->pending_since_ns);

	if (is_idle || in->beat.job != s->heard.job || in->beat.n_jobs != s->heard.n_jobs ||
	    !s->progress_ns) {
		s->progress_ns = in->now_ns;
		s->is_killed = false;
		memset(s->is_rule_killed, 0, sizeof(s->is_rule_killed));
	}
	s->heard = in->beat;
	for (uint32_t i = 0; i < LAB_RULES; i++) {
		if (s->is_rule_killed[i] || in->now_ns - s->progress_ns < lab_rule_ms[i] * MS)
			continue;
		s->is_rule_killed[i] = true;
		s->n_rule_kills[i]++;
	}
}

static void judge(struct lab_subject *s, const struct rk_detect_input *in, struct rk_finding *f)
{
	static const struct rk_policies kill_all = { RK_POLICY_KILL, RK_POLICY_KILL, 0 };

	rules_follow(s, in);
	rk_detect_step(&s->bounds, &s->detect, in, f);
	if (s->is_killed || rk_respond(f->verdict, &kill_all, f->blamed_for_ns) < RK_RESPOND_ABORT)
		return;
	s->is_killed = true;
	s->n_kills++;
	if (s->verdict != RK_VERDICT_FINE)
		return;
	s->verdict = f->verdict;
	s->found_ns = s->sick_ns ? in->now_ns - s->sick_ns : 0;
	(void)rk_detect_format(f, s->line);
}

#define TAPE_WORDS 32u

static void tape_write(FILE *tape, uint32_t at, uint64_t sick_ns, const struct rk_detect_input *in)
{
	static const struct rk_look none;
	const struct rk_detect_beat *b = &in->beat;
	const struct rk_look *k = in->look ? in->look : &none;
	uint64_t flags = (uint64_t)k->is_first | (uint64_t)k->is_listed << 1 |
			 (uint64_t)k->is_cut << 2 | (uint64_t)k->is_frozen << 3 |
			 (uint64_t)k->is_stopped << 4 | (uint64_t)k->is_traced << 5 |
			 (uint64_t)k->is_gone << 6 | (uint64_t)(in->look != NULL) << 7;
	const uint64_t word[TAPE_WORDS] = { at,
					    sick_ns,
					    in->now_ns,
					    in->lateness_ns,
					    in->boot_ns,
					    in->pending_since_ns,
					    b->incarnation,
					    b->job,
					    b->deadline_ns,
					    b->calling_until_ns,
					    b->beats,
					    b->n_jobs,
					    b->state,
					    b->partition,
					    k->n_processes,
					    k->n_threads,
					    k->n_running,
					    k->n_starved,
					    k->n_asleep,
					    k->n_disk,
					    k->n_stopped,
					    k->n_traced,
					    k->n_dead,
					    k->n_unread,
					    k->n_new,
					    k->ran_ns,
					    k->delayed_ns,
					    flags,
					    (uint64_t)-k->error };

	for (uint32_t i = 0; i < 29; i++)
		(void)fprintf(tape, i ? " %" PRIu64 : "%" PRIu64, word[i]);
	(void)fputc('\n', tape);
}

static bool tape_read(FILE *tape, uint32_t *ret_at, uint64_t *ret_sick_ns,
		      struct rk_detect_input *in, struct rk_look *k)
{
	uint64_t w[29];

	for (uint32_t i = 0; i < 29; i++)
		if (fscanf(tape, "%" SCNu64, &w[i]) != 1)
			return false;
	*ret_at = (uint32_t)w[0];
	*ret_sick_ns = w[1];
	*in = (struct rk_detect_input){
		.now_ns = w[2], .lateness_ns = w[3], .boot_ns = w[4], .pending_since_ns = w[5]
	};
	in->beat = (struct rk_detect_beat){
		w[6], w[7], w[8], w[9], w[10], w[11], (uint32_t)w[12], (uint32_t)w[13]
	};
	*k = (struct rk_look){ .at_ns = w[2],
			       .n_processes = (uint32_t)w[14],
			       .n_threads = (uint32_t)w[15],
			       .n_running = (uint32_t)w[16],
			       .n_starved = (uint32_t)w[17],
			       .n_asleep = (uint32_t)w[18],
			       .n_disk = (uint32_t)w[19],
			       .n_stopped = (uint32_t)w[20],
			       .n_traced = (uint32_t)w[21],
			       .n_dead = (uint32_t)w[22],
			       .n_unread = (uint32_t)w[23],
			       .n_new = (uint32_t)w[24],
			       .ran_ns = w[25],
			       .delayed_ns = w[26],
			       .is_first = w[27] & 1,
			       .is_listed = w[27] >> 1 & 1,
			       .is_cut = w[27] >> 2 & 1,
			       .is_frozen = w[27] >> 3 & 1,
			       .is_stopped = w[27] >> 4 & 1,
			       .is_traced = w[27] >> 5 & 1,
			       .is_gone = w[27] >> 6 & 1,
			       .error = -(int)w[28] };
	in->look = w[27] >> 7 & 1 ? k : NULL;
	return true;
}

int lab_replay(struct lab *l, FILE *tape)
{
	struct rk_detect_input in;
	struct rk_finding f;
	struct rk_look look;
	uint64_t sick_ns;
	uint32_t at;

	while (tape_read(tape, &at, &sick_ns, &in, &look)) {
		if (at >= l->n)
			return -EPROTO;
		l->subject[at].sick_ns = sick_ns;
		judge(&l->subject[at], &in, &f);
	}
	return feof(tape) ? 0 : -EPROTO;
}

/* Returns whether it is suspect. */
static bool subject_watch(struct lab *l, uint32_t at, uint64_t lateness_ns)
{
	struct lab_subject *s = &l->subject[at];
	struct rk_detect_input in = { .now_ns = rk_clock_ns(),
				      .lateness_ns = lateness_ns,
				      .boot_ns = rk_clock_boot_ns(),
				      .pending_since_ns = s->pending_ns };
	enum rk_detect_need need;
	struct rk_finding f;
	struct rk_look look;

	rk_detect_hear(s->beat, 1, &in.beat);
	need = rk_detect_need(&s->bounds, &s->detect, &in);
	if (need != RK_DETECT_NOTHING) {
		rk_observe_look(s->observe, need == RK_DETECT_LIST, in.now_ns, &look);
		in.look = &look;
		s->n_looks++;
	}
	if (l->tape)
		tape_write(l->tape, at, s->sick_ns, &in);
	judge(s, &in, &f);
	return f.is_suspect;
}

/* One tick of all; when the next is due. */
static uint64_t tick(struct lab *l, uint64_t due_ns)
{
	uint64_t now_ns = rk_clock_ns(), lateness_ns = now_ns > due_ns ? now_ns - due_ns : 0;
	bool is_any_suspect = false;

	l->worst_lag_ns = rk_max_u64(l->worst_lag_ns, lateness_ns);
	for (uint32_t i = 0; i < l->n; i++)
		if (!l->subject[i].is_missing)
			is_any_suspect |= subject_watch(l, i, lateness_ns);
	return now_ns + rk_detect_next_tick_ns(is_any_suspect, false);
}

/* The scene is over when everybody who misbehaves has been found; a healthy one lasts its time. */
static bool is_all_found(const struct lab *l)
{
	uint32_t n_sick = 0, n_found = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		const struct lab_subject *s = &l->subject[i];

		n_sick += !lab_deed_is_healthy(s->deed);
		n_found += !lab_deed_is_healthy(s->deed) && (s->n_kills || s->is_missing);
	}
	return n_sick && n_found == n_sick;
}

static void realtime_begin(void)
{
	struct sched_param p = { .sched_priority = 1 };

	(void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p);
}

static void realtime_end(void)
{
	struct sched_param p = { 0 };

	(void)sched_setscheduler(0, SCHED_OTHER, &p);
}

void lab_run(struct lab *l, uint64_t ns)
{
	uint64_t start_ns = rk_clock_ns(), due_ns = start_ns, sick_ns = start_ns + l->sick_after_ns,
		 cpu0;
	bool is_done = false;

	rk_observatory_init(&l->shared);
	for (uint32_t i = 0; i < l->n; i++)
		subject_start(l, &l->subject[i], sick_ns);
	cpu0 = lab_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	if (l->is_realtime)
		realtime_begin();
	while (rk_clock_ns() < start_ns + ns && !is_all_found(l)) {
		uint64_t now_ns = rk_clock_ns(), wake_ns;

		if (!is_done && now_ns >= sick_ns) {
			for (uint32_t i = 0; i < l->n; i++)
				if (!lab_deed_is_healthy(l->subject[i].deed))
					subject_strike(&l->subject[i]);
			is_done = true;
		}
		if (now_ns >= due_ns)
			due_ns = tick(l, due_ns);
		wake_ns = is_done ? due_ns : rk_min_u64(due_ns, sick_ns);
		now_ns = rk_clock_ns();
		if (wake_ns > now_ns)
			lab_nap(wake_ns - now_ns);
	}
	realtime_end();
	l->cpu_ns = lab_cpu_ns(CLOCK_THREAD_CPUTIME_ID) - cpu0;
	l->watched_ns = l->n * (rk_clock_ns() - start_ns);
	for (uint32_t i = 0; i < l->n; i++)
		subject_end(&l->subject[i]);
	lab_deed_clean();
}

/* ---- figures ---- */

static void rules_print(const uint32_t n[static LAB_RULES])
{
	for (uint32_t i = 0; i < LAB_RULES; i++)
		printf(",\"kills_fixed_%u_ms\":%u", lab_rule_ms[i], n[i]);
}

static void subject_print(const struct lab_subject *s, const char *scene)
{
	printf("{\"bench\":\"detect\",\"case\":\"%s: %s\"", scene, lab_deed_name(s->deed));
	if (s->is_missing) {
		printf(",\"skipped\":\"not possible on this machine\"}\n");
		return;
	}
	printf(",\"healthy\":%s,\"verdict\":\"%s\"",
	       lab_deed_is_healthy(s->deed) ? "true" : "false", rk_verdict_name(s->verdict));
	if (s->verdict != RK_VERDICT_FINE && !lab_deed_is_healthy(s->deed))
		printf(",\"found_ms\":%.1f", (double)s->found_ns / 1e6);
	printf(",\"kills_evidence\":%u", s->n_kills);
	rules_print(s->n_rule_kills);
	printf(",\"looks\":%u}\n", s->n_looks);
}

void lab_print(const struct lab *l, const char *scene)
{
	uint32_t n_rule_kills[LAB_RULES] = { 0 }, n_kills = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		const struct lab_subject *s = &l->subject[i];

		subject_print(s, scene);
		if (!lab_deed_is_healthy(s->deed))
			continue;
		n_kills += s->n_kills;
		for (uint32_t k = 0; k < LAB_RULES; k++)
			n_rule_kills[k] += s->n_rule_kills[k];
	}
	printf("{\"bench\":\"detect\",\"case\":\"%s: false kills of healthy workers\"", scene);
	printf(",\"worker_s\":%.1f,\"kills_evidence\":%u", (double)l->watched_ns / 1e9, n_kills);
	rules_print(n_rule_kills);
	printf(",\"worst_lag_ms\":%.1f,\"watch_cpu_ms\":%.1f}\n", (double)l->worst_lag_ns / 1e6,
	       (double)l->cpu_ns / 1e6);
	(void)fflush(stdout);
}
