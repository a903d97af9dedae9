/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue, commit and recovery (DESIGN §6 steps 2 to 4 and §7; shm/queue.c,
 * owner.c, state.c, deliver.c, part.c): two publishers, an owner, its
 * successors, the supervisor after a confirmed death.
 *
 * What dies   each publisher, at any step, for ever (one stopped for ever is
 *             the same); the owner, at any step, KILLS times; the supervisor
 *             once between A1 and A2, which it then repeats. A death is drawn
 *             after each store: one later, behind loads alone, leaves the same
 *             memory, and so the same runs.
 * Claims      every published job is applied exactly once, in order, and
 *             replied to before its place is recycled; a completed publish
 *             survives; no place is taken for another lap's; the state has
 *             no half job at a commit; the ring never wedges (who finds it
 *             full waits for room, and quiet with one waiting is an error);
 *             there is no cycle: every retry is paid for by somebody's step.
 * Bounds      N places, A + B jobs of the two publishers, KILLS deaths of the
 *             owner, BATCH jobs in one commit. Positions wrap at POS: the run
 *             starts two jobs before the wrap and ends before a lap's number
 *             comes round again (2^42 laps in the code). Incarnations wrap too.
 * Abstract    interleavings of single shared accesses, sequentially
 *             consistent: memory order itself is for the label review. A job
 *             has a cell of its own (reuse of cells: deliver_timeout.pml). The
 *             state is a counter per job and their sum, the undo log two
 *             entries a job. A reply is one mark. Bells are guards (bell.pml).
 * Labels      are the code's: Q publish, T take, S state, G gate, D deliver,
 *             A assign, O owner.
 * Teeth       BREAK_HELP, _LAP, _FREED, _RECYCLE, _UNDO, _TOMB as in
 *             shm/fault.h; BREAK_LOGWORD: the log's word forgets whose it is.
 */
#ifndef A
#define A 3
#endif
#ifndef B
#define B 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef BATCH
#define BATCH 2
#endif
#define N 2
#define POS 16
#define FIRST 14
#define JOBS (A + B)
#define N_LOG (BATCH * 2 * (KILLS + 1))

/* ---- words ---- */
#define FREE 0
#define READY 1
#define TAKEN 2
#define TOMB 3
#define REF(p, c, s) (((p) / N) << 5 | (c) << 2 | (s)) /* lap:3 | cell:3 | state:2 */
#define LAP(r) ((r) >> 5)
#define CELL(r) ((r) >> 2 & 7)
#define STATE(r) ((r) & 3)
#define ADD(p, n) (((p) + (n)) % POS)
#define BEFORE(a, b) ((b) != (a) && ADD((b), POS - (a)) < POS / 2)
#define COMMIT(i, p) ((i) << 4 | (p)) /* incarnation:2 | cursor:4 */
#define CURSOR(c) ((c) & 15)
#define INC(c) ((c) >> 4)
#define NEXT_INC(i) ((i) == 3 -> 1 : (i) + 1)

/* ---- shared memory ---- */
byte place[N] = REF(FIRST, 0, FREE); /* FIRST is a multiple of N */
byte tail = FIRST;
byte commit = COMMIT(3, FIRST);
byte freed = FIRST;
byte released = FIRST;
byte owner = 3;     /* the incarnation that may run */
byte logjob = POS;  /* log word: whose entries ... */
byte logn;          /* ... and how many */
byte log_at[N_LOG]; /* counter, or JOBS for the sum */
byte log_old[N_LOG];
byte st[JOBS];      /* state: times applied */
byte sum;

/* ---- who may still die ---- */
byte kills = KILLS;
bool lapse = true; /* the supervisor, between A1 and A2 */

/* ---- what the checks know; no step depends on it ---- */
bool published[JOBS];
bool withdrawn[JOBS];
bool replied[JOBS];
byte at[JOBS];  /* where it was published */
byte n_through; /* publishers that are dead or done */

/* Everything below `cursor` and nothing else is applied, once, and entirely. */
inline check_state(cursor) {
	i = 0; total = 0;
	do
	:: i < JOBS ->
		assert(st[i] == (published[i] && !withdrawn[i] && BEFORE(at[i], cursor)));
		total = total + st[i];
		i++
	:: else -> break
	od;
	assert(sum == total);
	i = 0; total = 0
}

/* help_tail(): load first, CAS only if equal. */
inline help_tail(t) {
	if
	:: tail == t ->
Q4:		if
		:: atomic { tail == t -> tail = ADD(t, 1) }
		:: else
		fi
	:: else
	fi
}

/* Publishes its jobs in order; dead at the head of the loop, or between Q3 and Q4, or when it has done all. */
proctype publisher(byte job; byte last) {
	byte t, r;

Q1:	do
	:: atomic { true -> break }
	:: atomic { job < last -> t = tail };
Q2:		r = place[t % N];
		if
		:: LAP(r) != t / N ->
			if
			:: tail == t -> /* full: waits for room */
				(tail != t || LAP(place[t % N]) == t / N)
			:: else
			fi
		:: LAP(r) == t / N && STATE(r) != FREE ->
			help_tail(t)
		:: LAP(r) == t / N && STATE(r) == FREE ->
Q3:			if
			:: atomic { place[t % N] == r ->
				place[t % N] = REF(t, job, READY);
				assert(!published[job]);
				published[job] = true;
				at[job] = t;
				if
				:: goto dead
				:: true
				fi }
				help_tail(t);
Q7:				if /* its time is up, at once or never; the second publisher's alone */
				:: atomic { last == JOBS && place[t % N] == REF(t, job, READY) ->
					place[t % N] = REF(t, job, TOMB);
					withdrawn[job] = true }
				:: true
				fi;
				job++
			:: else
			fi
		fi;
		atomic { t = 0; r = 0 }
	od;
dead:	atomic { n_through++; t = 0; r = 0; job = 0 }
}

/* The owner may die here, behind the store before. */
#define MAY_DIE if :: kills > 0 -> kills--; goto down :: true fi

/* rk_queue_recycle() */
inline recycle(d, r) {
#ifndef BREAK_HELP
	if
	:: LAP(place[ADD(d, 1) % N]) == ADD(d, 1) / N && STATE(place[ADD(d, 1) % N]) != FREE
		/* the tail is beyond: the next place was published at it */
	:: else ->
		if
		:: tail == d ->
Q4:			if
			:: atomic { tail == d -> tail = ADD(d, 1); MAY_DIE }
			:: else
			fi
		:: else
		fi
	fi;
#else
	true;
#endif
#ifdef BREAK_LAP
	atomic { true ->
#else
Q5:	if
	:: atomic { place[d % N] == r ->
#endif
		i = place[d % N];
		assert(LAP(i) == d / N); /* of this lap, not a later one's */
		assert(at[CELL(i)] == d);
		assert(replied[CELL(i)] || withdrawn[CELL(i)]);
		i = 0;
		place[d % N] = REF(ADD(d, N), 0, FREE);
		MAY_DIE }
#ifndef BREAK_LAP
	:: else
	fi
#endif
}

/* give(), reduced to its effect: a committed job's reply is there */
inline give(r) {
	atomic { assert(st[CELL(r)] == 1); replied[CELL(r)] = true; MAY_DIE }
}

/* rk_deliver() */
inline deliver(d) {
	ref = place[d % N];
	if
	:: LAP(ref) == d / N && STATE(ref) != FREE ->
#ifdef BREAK_RECYCLE
		recycle(d, ref);
#endif
		if
		:: STATE(ref) == TAKEN -> give(ref)
		:: else
		fi;
#ifndef BREAK_RECYCLE
		recycle(d, ref)
#endif
	:: else
#ifdef BREAK_LAP
		recycle(d, ref)
#endif
	fi;
D7:	if
	:: atomic { freed == d -> freed = ADD(d, 1); MAY_DIE }
	:: else
	fi
}

/* rk_bank_save(): the old value and the log's word; the entry counts from the word on. */
inline save(what, old) {
	log_at[my_n] = what;
	log_old[my_n] = old;
	my_n++;
	logjob = my_job;
	logn = my_n
}

active proctype the_owner() {
	byte mine, my_job = POS, my_n, my_freed, n, ref, was, singles, i, total;

O2:	mine = owner;
	atomic { assert(INC(commit) == mine); mine = commit };
	/* rk_bank_roll_back() */
S2:	atomic { my_job = CURSOR(mine); i = (logjob == my_job -> logn : 0); my_n = i };
#ifndef BREAK_UNDO
	do
	:: atomic { i > 0 ->
		i--;
		if
		:: log_at[i] == JOBS -> sum = log_old[i]
		:: else -> st[log_at[i]] = log_old[i]
		fi;
		MAY_DIE }
	:: else -> break
	od;
#endif
	atomic { i = 0; my_freed = freed };
#ifdef BREAK_FREED
	do
	:: my_freed != CURSOR(mine) ->
		ref = place[my_freed % N];
		if
		:: LAP(ref) == my_freed / N -> recycle(my_freed, ref)
		:: else
		fi;
		atomic { freed == my_freed -> freed = ADD(freed, 1); my_freed = freed }
	:: else -> break
	od;
#endif
step:	assert(commit == mine); /* rk_owner_step() */
	if
	:: my_freed != CURSOR(mine) ->
G1:		atomic { released = CURSOR(mine); MAY_DIE };
		do
		:: my_freed != CURSOR(mine) ->
G2:			assert(BEFORE(my_freed, released));
			deliver(my_freed);
			atomic { ref = 0; my_freed = ADD(my_freed, 1) }
		:: else -> break
		od
	:: else
	fi;
	/* rk_bank_begin() */
	atomic { my_n = (my_job == CURSOR(mine) -> my_n : 0); my_job = CURSOR(mine) };
end:	/* asleep until there is something */
	(LAP(place[CURSOR(mine) % N]) == CURSOR(mine) / N && STATE(place[CURSOR(mine) % N]) != FREE);
	do
	:: n == (singles -> 1 : BATCH) -> break
	:: n < (singles -> 1 : BATCH) ->
T1:		atomic { was = ADD(CURSOR(mine), n); ref = place[was % N] };
		if
		:: LAP(ref) != was / N || STATE(ref) == FREE -> break
		:: else
		fi;
		if
		:: STATE(ref) == READY ->
T2:			if
			:: atomic { place[was % N] == ref -> ref = ref + 1; place[was % N] = ref; MAY_DIE }
			:: else -> ref = ref + 2 /* withdrawn */
			fi
		:: else
		fi;
		if
		:: STATE(ref) == TAKEN ->
S1:			atomic { assert(at[CELL(ref)] == was); save(CELL(ref), st[CELL(ref)]); MAY_DIE };
			atomic { st[CELL(ref)] = st[CELL(ref)] + 1; MAY_DIE };
			atomic { save(JOBS, sum); MAY_DIE };
			atomic { sum = sum + 1; MAY_DIE }
		:: else
#ifdef BREAK_TOMB
			recycle(was, ref);
			goto step
#endif
		fi;
		n++
	od;
	if
	:: n > 0 ->
#ifdef BREAK_LOGWORD
		logjob = ADD(CURSOR(mine), n);
#endif
S3:		atomic { assert(commit == mine);
			mine = COMMIT(INC(mine), ADD(CURSOR(mine), n));
			commit = mine;
			check_state(CURSOR(mine));
			singles = (singles > n -> singles - n : 0);
			n = 0; ref = 0; was = 0;
			MAY_DIE }
	:: else -> atomic { ref = 0; was = 0 }
	fi;
	goto step;

down:	/* confirmed; from here on the supervisor */
	atomic {
		mine = 0; my_job = POS; my_n = 0; my_freed = 0; n = 0; ref = 0; was = 0; i = 0;
		singles = BATCH
	};
A1:	atomic { mine = commit; commit = COMMIT(NEXT_INC(INC(mine)), CURSOR(mine)); mine = INC(commit) };
	if
	:: atomic { lapse -> lapse = false; goto A1 }
	:: true
	fi;
A2:	atomic { owner = mine; mine = 0; goto O2 }
}

init {
	atomic { run publisher(0, A); run publisher(A, JOBS) }
}

/* When nothing moves any more, nothing is left. */
active proctype checker() {
	byte i, total;

	atomic { timeout ->
		assert(n_through == 2); /* nobody waits for room */
		assert(CURSOR(commit) == freed && freed == tail);
		assert(place[tail % N] == REF(tail, 0, FREE) && place[ADD(tail, 1) % N] == REF(ADD(tail, 1), 0, FREE));
		check_state(tail);
		do
		:: i < JOBS ->
			assert(!published[i] || withdrawn[i] || st[i] == 1 && replied[i]);
			i++
		:: else -> break
		od }
}
