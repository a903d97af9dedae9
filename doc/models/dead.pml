/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts and dead letters (DESIGN §7; shm/part.c, dead.c, owner.c): one job
 * that kills whoever runs it, two workers, the supervisor, a table of two
 * places, full of others' letters at first.
 *
 * What fails  the job, LIMIT times; a worker, at any step behind a store, KILLS
 *             times: not charged; the supervisor, once, in the middle of a
 *             charge, which it then repeats. The owner is evicted EVICTIONS
 *             times and goes on at any speed until it looks.
 * Claims      each death in the handler is counted once, no other is; one
 *             letter of the job, never two, and it is there when its error
 *             reply commits; when nothing moves any more that is committed:
 *             room that is made is not missed.
 * Bounds      one partition; FULL of the two places are taken at first, and
 *             each letter that is not the job's is dropped at any moment.
 * Abstract    interleavings of single shared accesses, sequentially
 *             consistent. The take-over by copy is one step (evict.pml). A
 *             letter's bytes are behind its word.
 * Labels      are the code's.
 * Teeth       BREAK_DEADTWICE, _DEADLOOK, _CHARGETWICE as in shm/fault.h;
 *             BREAK_RING: who drops a letter rings nobody; BREAK_LOOK: who is
 *             blocked does not look again.
 */
#ifndef LIMIT
#define LIMIT 2
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef FULL
#define FULL 2
#endif
#define N 2

/* ---- words ---- */
#define FREE 0
#define WRITING 1
#define REVOKED 2
#define LETTER 3
#define OTHERS 7 /* a letter of another partition */
#define WORD(i, w, s) ((i) << 4 | (w) << 3 | (s)) /* incarnation:4 | worker:1 | state:3; the generation is left out */
#define STATE(w) ((w) & 7)
#define BY(w) ((w) >> 3 & 1)
#define COMMIT(i, c) ((i) << 1 | (c)) /* cursor:1, the job is number 0 */
#define INC(c) ((c) >> 1)
#define OWN(i, w) ((i) << 1 | (w))

/* ---- shared memory ---- */
byte commit = COMMIT(1, 0);
byte owner = OWN(1, 0);
byte attempts;
bool blocked;
byte charged_inc, charged_n;
byte word[N];
bool pending[2];
byte beat[2]; /* the incarnation under which the worker is in the handler; 0 = it is not */

/* ---- what the checks know ---- */
bool dead[2];
byte deaths, letters, kills = KILLS, evictions = EVICTIONS;
bool lapse = true;

#define MAY_DIE if :: kills > 0 -> kills--; goto gone :: true fi

/* claim(): the first free place */
inline claim() {
	i = 0;
	do
	:: i < N ->
		w = word[i];
		if
		:: STATE(w) == FREE ->
			if /* L1 */
			:: atomic { word[i] == w -> mine = WORD(INC(c), me, WRITING); word[i] = mine; MAY_DIE }; break
			:: else
			fi
		:: else
		fi;
		i++
	:: else -> break
	od
}

proctype worker(bit me) {
	byte c, i, w, mine;
	bool found, open;

idle:	atomic { found = false; i = 0; w = 0; mine = 0 };
end:	atomic { pending[me] -> pending[me] = false };
O2:	w = owner;
	if
	:: (w & 1) != me ->
		if
		:: open -> goto gone
		:: else -> goto idle
		fi
	:: else
	fi;
	if
	:: !open ->
		c = commit;
		if
		:: INC(c) != w >> 1 -> c = 0; goto idle
		:: else -> open = true
		fi
	:: else
	fi;
	if
	:: commit != c -> goto gone
	:: c & 1 -> goto idle /* the job is behind us */
	:: else
	fi;
	if
	:: attempts < LIMIT -> atomic { beat[me] = INC(c); goto gone }
	:: else
	fi;
	/* is_there(): to the end */
	i = 0;
	do
	:: i < N ->
		w = word[i];
		if
		:: STATE(w) == LETTER -> found = true; i++
		:: STATE(w) == WRITING ->
			if /* L4 */
			:: atomic { word[i] == w -> word[i] = w - WRITING + REVOKED; MAY_DIE }; i++
			:: else
			fi
		:: else -> i++
		fi
	:: else -> break
	od;
#ifdef BREAK_DEADTWICE
	found = false;
#endif
	if
	:: !found ->
		claim();
		if
		:: i == N ->
#ifndef BREAK_LOOK
L6:			atomic { blocked = true; MAY_DIE };
			claim()
#else
			blocked = true
#endif
		:: else
		fi;
		if
		:: i == N -> goto idle /* blocked */
		:: else
		fi;
#ifndef BREAK_DEADLOOK
L2:		if
		:: commit != c ->
			if
			:: atomic { word[i] == mine -> word[i] = FREE }
			:: else
			fi;
			goto gone
		:: else
		fi;
#endif
L3:		if
		:: atomic { word[i] == mine -> word[i] = mine - WRITING + LETTER; letters++; assert(letters == 1); MAY_DIE }
		:: else -> goto gone
		fi
	:: else
	fi;
S3:	if
	:: atomic { commit == c ->
		assert(STATE(word[0]) == LETTER || STATE(word[1]) == LETTER);
		c = c + 1; commit = c; MAY_DIE }
	:: else -> goto gone
	fi;
	goto idle;

gone:	atomic { dead[me] = true; open = false; c = 0; found = false; i = 0; w = 0; mine = 0 };
	atomic { !dead[me] -> goto idle }
}

#define RING_BLOCKED if :: blocked && !(commit & 1) -> pending[owner & 1] = true :: else fi

inline sweep(d) {
	k = 0;
	do
	:: k < N ->
		atomic { if
		:: (STATE(word[k]) == WRITING || STATE(word[k]) == REVOKED) && BY(word[k]) == d -> word[k] = FREE; any = true
		:: else
		fi };
		k++
	:: else -> break
	od;
	if
	:: any -> any = false; RING_BLOCKED
	:: else
	fi
}

inline bury(d) {
	sweep(d);
	if
	:: (owner & 1) == d ->
		atomic { blame = beat[d] == owner >> 1; deaths = deaths + blame };
		do
		:: blame ->
			/* K1 */
			if
#ifndef BREAK_CHARGETWICE
			:: charged_inc == owner >> 1 -> k = charged_n
#endif
			:: else -> atomic { k = attempts + 1; charged_inc = owner >> 1; charged_n = k }
			fi;
			if
			:: atomic { lapse -> lapse = false }
			:: true -> /* K2 */
				attempts = k;
				if
				:: atomic { lapse -> lapse = false }
				:: true -> break
				fi
			fi
		:: else -> break
		od;
		assert(attempts == deaths);
		atomic { commit = commit + 2; k = INC(commit) }; /* A1 */
		/* A2 */
		atomic { owner = OWN(k, d); k = 0; blame = false }
	:: else /* evicted before it died: nobody's attempt */
	fi;
	atomic { beat[d] = 0; dead[d] = false; pending[d] = true }
}

active proctype supervisor() {
	byte k;
	bool any, blame;

	atomic {
		word[0] = (FULL > 0 -> OTHERS : FREE); word[1] = (FULL > 1 -> OTHERS : FREE);
		pending[0] = true;
		run worker(0); run worker(1)
	};
end:	do
	:: dead[0] -> bury(0)
	:: dead[1] -> bury(1)
	:: evictions > 0 && !dead[1 - (owner & 1)] ->
		evictions--;
V1:		atomic { commit = commit + 2; k = INC(commit) };
V2:		atomic { owner = OWN(k, 1 - (owner & 1)); k = 0 };
		pending[owner & 1] = true;
		pending[1 - (owner & 1)] = true
	:: word[0] == OTHERS ->
		/* L5 */
		word[0] = FREE;
#ifndef BREAK_RING
		RING_BLOCKED
#endif
	:: word[1] == OTHERS ->
		word[1] = FREE;
#ifndef BREAK_RING
		RING_BLOCKED
#endif
	od
}

/* When nothing moves any more the job is answered, and has one letter. */
active proctype checker() {
	atomic { timeout -> assert((commit & 1) && letters == 1 && attempts == LIMIT) }
}
