/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eviction by copy against the old owner's commit, and hand-over by release
 * against publish (DESIGN §7, §8; shm/evict.c, part.c, owner.c, bell.c): one
 * publisher, two workers, the supervisor; one partition of BANKS banks.
 *
 * What fails  a worker, at any step behind a store, KILLS times; the supervisor
 *             between V1 and V2, once: its successor evicts anew, or finds the
 *             old owner dead. An evicted owner goes on at any speed until it
 *             looks.
 * Claims      a commit finds the whole state of exactly the jobs before it and
 *             its own; no bank is written to by two; when nothing moves any
 *             more every published job is committed: no hand-over waits for a
 *             client or loses its ring.
 * Bounds      JOBS, EVICTIONS, ASKS (for a release), UNASKS (a supervisor that
 *             has asked dies: its successor takes the question back).
 * Abstract    interleavings of single shared accesses, sequentially
 *             consistent. The state is two counters, the undo log two entries;
 *             places are not recycled (queue_commit.pml), bells are the
 *             pending bit (bell.pml). An old owner that ends is confirmed dead.
 * Labels      are the code's.
 * Teeth       BREAK_EVICTLOG, _EVICTROLL, _NOINC as in shm/fault.h;
 *             BREAK_KEPT: the old bank counts as free at once; BREAK_STORE: a
 *             release is stored, whatever the word is; BREAK_ROUTE: a new owner
 *             is not rung.
 */
#ifndef JOBS
#define JOBS 2
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#ifndef ASKS
#define ASKS 1
#endif
#ifndef UNASKS
#define UNASKS 0
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef BANKS
#define BANKS 3
#endif
#define NONE 3 /* no bank */

/* ---- words ---- */
#define RUN 1
#define STOP 2
#define RELEASED 3
#define COPY 4
#define OWN(i, f, b, w, g) ((i) << 8 | (f) << 6 | (b) << 4 | (w) << 3 | (g)) /* incarnation:4 | from:2 | bank:2 | worker:1 | flag:3 */
#define OWN_INC(o) ((o) >> 8)
#define FROM(o) ((o) >> 6 & 3)
#define BANK(o) ((o) >> 4 & 3)
#define WORKER(o) ((o) >> 3 & 1)
#define FLAG(o) ((o) & 7)
#define WITH(o, g) ((o) - FLAG(o) + (g))
#define COMMIT(i, c) ((i) << 4 | (c))
#define INC(c) ((c) >> 4)
#define CURSOR(c) ((c) & 15)

/* ---- shared memory ---- */
byte n_published;
byte commit = COMMIT(1, 0);
short owner = OWN(1, 0, 0, 0, RUN);
bit route;       /* the worker that the publisher rings */
bool pending[2]; /* the partition's bit in each worker's bitmap */
byte st0[BANKS], st1[BANKS];
byte log_job[BANKS], log_n[BANKS]; /* one word */
byte old0[BANKS], old1[BANKS];
bool kept0[BANKS], kept1[BANKS];   /* journal: worker 0, worker 1 may still write there */

/* ---- what the checks know ---- */
byte holds[2] = NONE;
bool dead[2];
byte kills = KILLS, evictions = EVICTIONS, asks = ASKS, unasks = UNASKS;
bool lapse = true;

/* A worker may die here, behind the store before. */
#define MAY_DIE if :: kills > 0 -> kills--; goto gone :: true fi

active proctype publisher() {
Q3:	do
	:: n_published < JOBS ->
		n_published++;
		/* rk_bell_ring_owner(): the route is read behind the store, then the bit set */
		if
		:: route == 0 -> pending[0] = true
		:: route == 1 -> pending[1] = true
		fi
	:: n_published == JOBS -> break
	od
}

inline copy_log(from, to) {
	/* V3 */
	atomic { n = log_n[from]; cursor = log_job[from] };
#ifdef BREAK_EVICTROLL
	n = 0;
#endif
	if
	:: n > 0 -> old0[to] = old0[from]
	:: else
	fi;
	if
	:: n > 1 -> old1[to] = old1[from]
	:: else
	fi;
	atomic { log_n[to] = n; log_job[to] = cursor; n = 0; cursor = 0; MAY_DIE }
}

proctype worker(bit me) {
	short mine;
	byte c, n, b, cursor;
	bool open;

idle:	atomic { mine = 0; n = 0; cursor = 0 };
end:	atomic { pending[me] -> pending[me] = false };
O2:	mine = owner;
	if
	:: WORKER(mine) != me || FLAG(mine) == RELEASED ->
		if
		:: open -> goto gone /* taken away: it ends */
		:: else -> goto idle
		fi
	:: WORKER(mine) == me && open && OWN_INC(mine) != INC(c) -> goto gone
	:: else
	fi;
	if
	:: FLAG(mine) == STOP ->
#ifdef BREAK_STORE
		atomic { owner = WITH(mine, RELEASED); open = false; holds[me] = NONE; c = 0; goto idle }
#else
H2:		if
		:: atomic { owner == mine -> owner = WITH(mine, RELEASED); open = false; holds[me] = NONE; c = 0; MAY_DIE };
			goto idle
		:: else -> goto gone
		fi
#endif
	:: FLAG(mine) == COPY ->
		atomic { b = BANK(mine); assert(holds[1 - me] != b); holds[me] = b };
#ifdef BREAK_EVICTLOG
		copy_log(FROM(mine), b);
#endif
		st0[b] = st0[FROM(mine)];
		atomic { st1[b] = st1[FROM(mine)]; MAY_DIE };
#ifndef BREAK_EVICTLOG
		copy_log(FROM(mine), b);
#endif
V4:		if
		:: atomic { owner == mine -> owner = OWN(OWN_INC(mine), 0, b, me, RUN); MAY_DIE };
			mine = OWN(OWN_INC(mine), 0, b, me, RUN)
		:: else -> goto gone
		fi
	:: else
	fi;
	if
	:: !open ->
		c = commit;
		if
		:: INC(c) != OWN_INC(mine) -> c = 0; goto idle /* about to change: rung then */
		:: else
		fi;
		atomic { b = BANK(mine); assert(holds[1 - me] != b); holds[me] = b; open = true };
		/* rk_bank_roll_back() */
S2:		atomic { n = (log_job[b] == CURSOR(c) -> log_n[b] : 0) };
		if
		:: n > 1 -> atomic { st1[b] = old1[b]; MAY_DIE }
		:: else
		fi;
		if
		:: n > 0 -> atomic { st0[b] = old0[b]; MAY_DIE }
		:: else
		fi;
		n = 0
	:: else
	fi;
	do /* rk_owner_step() */
#ifndef BREAK_NOINC
	:: commit != c -> goto gone
#endif
	:: CURSOR(c) == n_published -> break
	:: CURSOR(c) < n_published ->
		/* a re-run appends: its entries say the same as those that are there */
		if
		:: log_job[b] != CURSOR(c) || log_n[b] == 0 ->
			old0[b] = st0[b];
S1:			atomic { log_job[b] = CURSOR(c); log_n[b] = 1; MAY_DIE }
		:: else
		fi;
		atomic { st0[b] = st0[b] + 1; MAY_DIE };
		if
		:: log_n[b] == 1 ->
			old1[b] = st1[b];
			atomic { log_n[b] = 2; MAY_DIE }
		:: else
		fi;
		atomic { st1[b] = st1[b] + 1; MAY_DIE };
#ifdef BREAK_NOINC
		atomic { c = COMMIT(INC(c), CURSOR(c) + 1); commit = COMMIT(INC(commit), CURSOR(c));
			assert(st0[BANK(owner)] == CURSOR(c) && st1[BANK(owner)] == CURSOR(c)) }
#else
S3:		if
		:: atomic { commit == c -> c = c + 1; commit = c;
			assert(st0[b] == CURSOR(c) && st1[b] == CURSOR(c) && b == BANK(owner));
			MAY_DIE }
		:: else -> goto gone
		fi
#endif
	od;
	goto idle;

gone:	atomic { dead[me] = true; holds[me] = NONE; open = false; mine = 0; c = 0; n = 0; b = 0; cursor = 0 };
	atomic { !dead[me] -> goto idle } /* started again */
}

inline ring_new_owner(w) {
	route = w;
#ifndef BREAK_ROUTE
	pending[w] = true
#endif
}

/* rk_part_assign() */
inline assign(w) {
	/* A1 */
	atomic { commit = COMMIT(INC(commit) + 1, CURSOR(commit)); inc = INC(commit) };
	/* A2 */
	owner = OWN(inc, (FLAG(owner) == COPY -> FROM(owner) : 0), BANK(owner), w, (FLAG(owner) == COPY -> COPY : RUN));
	ring_new_owner(w)
}

#define IS_FREE(b, o) ((b) < BANKS && BANK(o) != (b) && !(FLAG(o) == COPY && FROM(o) == (b)) && !kept0[b] && !kept1[b])

active proctype supervisor() {
	short was;
	byte inc, bank;
	bit old;

	atomic { run worker(0); run worker(1) };
end:	do
	:: evictions > 0 && FLAG(owner) != RELEASED && !dead[1 - WORKER(owner)] ->
		evictions--;
evict:		atomic { was = owner; old = WORKER(was); bank = NONE;
			if
			:: FLAG(was) == RELEASED -> goto end
			:: IS_FREE(0, was) -> bank = 0
			:: !IS_FREE(0, was) && IS_FREE(1, was) -> bank = 1
			:: !IS_FREE(0, was) && !IS_FREE(1, was) && IS_FREE(2, was) -> bank = 2
			:: else -> goto end /* no bank, no eviction */
			fi };
#ifndef BREAK_KEPT
		if
		:: old == 0 -> kept0[BANK(was)] = true
		:: old == 1 -> kept1[BANK(was)] = true
		fi;
#endif
V1:		atomic { commit = COMMIT(INC(commit) + 1, CURSOR(commit)); inc = INC(commit) };
		if
		:: atomic { lapse -> lapse = false; goto evict }
		:: true
		fi;
V2:		atomic { was = owner;
			owner = (FLAG(was) == RELEASED -> OWN(inc, 0, BANK(was), 1 - old, RUN) :
				OWN(inc, (FLAG(was) == COPY -> FROM(was) : BANK(was)), bank, 1 - old, COPY)) };
		ring_new_owner(1 - old);
		pending[old] = true
	:: asks > 0 && FLAG(owner) == RUN ->
		asks--;
		was = owner;
H1:		if
		:: atomic { FLAG(was) == RUN && owner == was -> owner = WITH(was, STOP) }; pending[WORKER(was)] = true
		:: else
		fi
	:: unasks > 0 && FLAG(owner) == STOP ->
		unasks--;
		was = owner;
H3:		if
		:: atomic { owner == was -> owner = WITH(was, RUN) }
		:: else
		fi;
		pending[WORKER(was)] = true /* rk_adopt_partitions() rings whoever has work */
	:: FLAG(owner) == RELEASED && !dead[0] -> assign(0)
	:: FLAG(owner) == RELEASED && !dead[1] -> assign(1)
	:: dead[0] -> /* confirmed */
		atomic { kept0[0] = false; kept0[1] = false; kept0[BANKS - 1] = false };
		if
		:: WORKER(owner) == 0 -> assign(0)
		:: else
		fi;
		atomic { dead[0] = false; pending[0] = true } /* it scans what it inherits */
	:: dead[1] ->
		atomic { kept1[0] = false; kept1[1] = false; kept1[BANKS - 1] = false };
		if
		:: WORKER(owner) == 1 -> assign(1)
		:: else
		fi;
		atomic { dead[1] = false; pending[1] = true }
	od
}

/* When nothing moves any more, nothing is left. */
active proctype checker() {
	atomic { timeout -> assert(n_published == JOBS && CURSOR(commit) == JOBS) }
}
