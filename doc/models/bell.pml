/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's bell (DESIGN §6 step 9; shm/bell.c, park and scan in
 * workers/lib/worker.c): two producers, two workers of which the second takes
 * over the partition, the supervisor after each death.
 *
 * What dies   each producer, at any step; the first owner, at any step. A death
 *             is drawn after each store, as in queue_commit.pml.
 * Claims      when nothing moves any more, no work is left; no bell is lost.
 * Bounds      JOBS published by one producer, one less by the other; one partition; one change of
 *             the route, by the first owner's death.
 * Abstract    interleavings of single shared accesses, sequentially
 *             consistent. Work is a count. The futex wait compares and falls
 *             asleep in one step, a wake wakes all; the kernel does so under
 *             its lock. The ring count does not wrap (2^31 in the code).
 * Labels      are the code's: P producer, W consumer's way to sleep, O1 its scan.
 * Teeth       BREAK_PENDING: nobody rings after a producer's death. BREAK_ADD:
 *             a ringer wakes without changing the word. BREAK_LOOK: the
 *             consumer does not look again behind W1. BREAK_CLEAR: it clears
 *             the bit and does not look a last time. BREAK_ROUTE: nobody rings the new
 *             owner for what it inherits.
 */
#ifndef JOBS
#define JOBS 2
#endif
#define PARKED 1
#define OWN 0 /* first owner */
#define NEW 1 /* the one after it */

byte work;       /* published and not taken */
byte route;      /* the worker that producers ring */
byte owner;      /* owner word */
bool pending[2]; /* the partition's bit in each worker's bitmap */
byte bell[2];    /* rings:7 | parked:1 */
bool asleep[2];

byte deaths;     /* of producers that the supervisor has yet to answer */
bool dead;       /* the first owner */

/* The ringer may die here, behind the store before. */
#define MAY_DIE(mortal) if :: mortal -> deaths++; goto gone :: true fi

/* rk_bell_ring_partition() */
inline ring(worker, mortal) {
	assert(worker <= NEW);
P1:	if
	:: pending[worker]
	:: !pending[worker] ->
		atomic { pending[worker] = true; MAY_DIE(mortal) }
	fi;
P2:	if
	:: !(bell[worker] & PARKED)
	:: bell[worker] & PARKED ->
#ifndef BREAK_ADD
		atomic { bell[worker] = bell[worker] + 2; MAY_DIE(mortal) };
#endif
		asleep[worker] = false
	fi
}


active [2] proctype producer() {
	byte n = _pid, w;

	do
	:: n == JOBS -> break
	:: n < JOBS ->
		atomic { work++; n++; MAY_DIE(true) }; /* Q3 */
		w = route;
		ring(w, true);
		w = 0
	od;
gone:	atomic { n = 0; w = 0 }
}

#define OWNER_DIES if :: me == OWN -> dead = true; goto down :: true fi

/* visit(): what is there, if the partition is its own */
inline visit() {
	did = false;
	if
	:: owner != me
	:: owner == me ->
		do
		:: atomic { work > 0 -> work--; did = true; OWNER_DIES }
		:: else -> break
		od
	fi
}

active [2] proctype worker() {
	byte me = _pid - 2;
	byte word;
	bool did;

loop:	if
	:: pending[me] -> /* turn(): the bit stays while work keeps coming */
		visit();
#ifdef BREAK_CLEAR
		pending[me] = false;
#else
O1:		atomic { pending[me] = false; OWNER_DIES };
		visit();
		if
		:: did -> pending[me] = true; did = false
		:: else
		fi;
#endif
		goto loop
	:: else
	fi;
	/* park() */
W1:	atomic { bell[me] = bell[me] | PARKED; word = bell[me]; OWNER_DIES };
#ifdef BREAK_LOOK
	if
	:: true ->
#else
W2:	if
	:: pending[me]
	:: !pending[me] ->
#endif
		if
		:: atomic { bell[me] == word -> asleep[me] = true };
end:			!asleep[me]
		:: bell[me] != word
		fi
	fi;
	atomic { bell[me] = bell[me] & ~PARKED; word = 0; OWNER_DIES };
	goto loop;
down:	atomic { word = 0; did = false; asleep[me] = false }
}

/* rk_bell_ring_pending() */
inline ring_pending() {
	if
	:: work > 0 -> w = route; ring(w, false)
	:: else
	fi
}

active proctype supervisor() {
	byte w;

end:	do
	:: atomic { deaths > 0 -> deaths-- };
#ifndef BREAK_PENDING
		ring_pending()
#endif
	:: dead && owner == OWN ->
A2:		owner = NEW;
		route = NEW;
#ifndef BREAK_ROUTE
		ring_pending()
#endif
	od;
gone:	false /* it does not die here */
}

/* When nothing moves any more, no work is left. */
active proctype checker() {
	atomic { timeout -> assert(work == 0 && deaths == 0) }
}
