/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard's bell (shm/vigil.c, ring_worker() in shm/bell.c, the guard's park in
 * supervisor/guard.c): PRODUCERS, a worker, the guard that watches it, the
 * supervisor after a producer's death.
 *
 * What stops  the worker, for ever, at any step. What dies: each producer, at any
 *             step. What happens for nothing: SPURIOUS wake-ups of the worker.
 * Claims      when nothing moves any more: a worker that runs has no work left; one
 *             that stopped and has work, or is in a job, is watched: the guard is awake.
 * Bounds      JOBS published by each producer, one worker, one partition.
 * Abstract    interleavings of single shared accesses, sequentially consistent.
 *             Work is a count. The guard is awake until all is parked without work: its
 *             ticks in between change nothing. The supervisor rings as if it were
 *             a producer that does not die.
 * Labels      are the code's: V1 to V3 are vigil.h's; P1, P2, W1, W2, O1 are bell.h's.
 * Teeth       BREAK_RINGER: who rings a parked worker does not ring the guard.
 *             BREAK_ROUSE: a worker that wakes does not. BREAK_ORDER: it takes
 *             `parked` from its own bell first. BREAK_LOOK: the guard does not look again
 *             behind V1. BREAK_WORK: it looks at the state alone. BREAK_PENDING:
 *             nobody rings after a producer's death.
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef JOBS
#define JOBS 1
#endif
#ifndef SPURIOUS
#define SPURIOUS 1
#endif
#define PARKED 1

byte work;     /* published and not taken */
bool pending;  /* the partition's bit */
byte bell;     /* the worker's: rings:7 | parked:1 */
bool asleep;   /* it waits for its bell */
bool declared; /* its beat says PARKED */
bool busy;     /* it is in a job */
bool stopped;  /* for ever */
byte vigil;    /* the guard's bell */
bool dozing;   /* it waits for that */
byte spurious = SPURIOUS;
byte deaths;   /* of producers that the supervisor has yet to answer */

#define MAY_DIE(mortal) if :: mortal -> deaths++; goto gone :: true fi

inline ring_guard(mortal) {
	if
	:: !(vigil & PARKED)
	:: vigil & PARKED ->
		atomic { vigil = vigil + 2; MAY_DIE(mortal) };
		dozing = false
	fi
}

/* rk_bell_ring_partition() */
inline ring(mortal) {
	assert(spurious <= SPURIOUS);
P1:	if
	:: pending
	:: !pending ->
		atomic { pending = true; MAY_DIE(mortal) }
	fi;
P2:	if
	:: !(bell & PARKED)
	:: bell & PARKED ->
		atomic { bell = bell + 2; MAY_DIE(mortal) };
		atomic { asleep = false; MAY_DIE(mortal) };
#ifndef BREAK_RINGER
		ring_guard(mortal)
#endif
	fi
}

active [PRODUCERS] proctype producer() {
	byte n;

	do
	:: n == JOBS -> break
	:: n < JOBS ->
		atomic { work++; n++; MAY_DIE(true) };
		ring(true)
	od;
gone:	n = 0
}

#define MAY_STOP if :: stopped = true; goto end_stopped :: true fi

inline visit() {
	did = false;
	do
	:: atomic { work > 0 -> work--; busy = true; did = true; MAY_STOP };
		atomic { busy = false; MAY_STOP }
	:: else -> break
	od
}

active proctype worker() {
	byte word;
	bool did;

loop:	if
	:: pending ->
		visit();
O1:		atomic { pending = false; MAY_STOP };
		visit();
		if
		:: did -> pending = true; did = false
		:: else
		fi;
		goto loop
	:: else
	fi;
	/* park() */
W1:	atomic { bell = bell | PARKED; word = bell; MAY_STOP };
W2:	if
	:: pending
	:: !pending ->
		atomic { declared = true; MAY_STOP };
		if
		:: atomic { bell == word -> asleep = true; MAY_STOP };
end:			if
			:: !asleep
			:: atomic { spurious > 0 -> spurious--; asleep = false }
			fi
		:: bell != word
		fi;
		MAY_STOP;
#ifdef BREAK_ORDER
		bell = bell & ~PARKED;
#endif
V3:		atomic { declared = false; MAY_STOP };
#ifndef BREAK_ROUSE
		if
		:: !(vigil & PARKED)
		:: vigil & PARKED ->
			atomic { vigil = vigil + 2; MAY_STOP };
			dozing = false
		fi
#endif
	fi;
	atomic { bell = bell & ~PARKED; word = 0; MAY_STOP };
	goto loop;
end_stopped:
	false
}

#ifdef BREAK_WORK
#define NEEDLESS declared
#else
#define NEEDLESS (declared && !pending)
#endif

/* Awake: it ticks, and parks when a tick finds nothing to watch. */
active proctype guard() {
	byte word;

end:	do
	:: declared && !pending ->
V1:		atomic { vigil = vigil | PARKED; word = vigil };
#ifdef BREAK_LOOK
		if
		:: true ->
#else
V2:		if /* the state, then the bits */
		:: !declared
		:: declared ->
		if
		:: !NEEDLESS
		:: NEEDLESS ->
#endif
			if
			:: atomic { vigil == word -> dozing = true };
end_dozing:			!dozing
			:: vigil != word
			fi
#ifndef BREAK_LOOK
		fi
#endif
		fi;
		atomic { vigil = vigil & ~PARKED; word = 0 }
	od
}

active proctype supervisor() {
end:	do
	:: atomic { deaths > 0 -> deaths-- };
#ifndef BREAK_PENDING
		if
		:: work > 0 -> ring(false)
		:: else
		fi
#endif
	od;
gone:	false /* it does not die here */
}

/* When nothing moves any more. */
active proctype checker() {
	atomic {
		timeout ->
		assert(deaths == 0);
		assert(stopped || (work == 0 && !busy));
		assert(!stopped || (work == 0 && !busy) || !dozing)
	}
}
