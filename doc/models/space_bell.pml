/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bell of those who wait for room in a ring (shm/bell.c,
 * rk_bell_ring_space(); shm/deliver.c behind D7): several sleepers share it,
 * so that a sleeper cannot clear `parked`; the ringer does.
 *
 * What dies   the owner, at any step, KILLS times, and the successor goes on.
 * Claims      when nothing moves any more, nobody sleeps while there is room.
 * Bounds      ROOM places, WAITERS clients, each publishing JOBS.
 * Abstract    interleavings of single shared accesses, sequentially
 *             consistent; the ring is a count; the futex as in bell.pml. The
 *             ring count does not wrap.
 * Labels      are the code's.
 * Shape       the ringer adds a ring and clears `parked` in one step, then
 *             wakes all: who parked before it is awake or finds the word
 *             changed, who parks after it sets the bit anew. What a ringer
 *             killed between the two owes, its successor pays when it opens the
 *             partition: it rings, whatever the bit says.
 * Teeth       BREAK_CLEAR: the bit is cleared by a CAS of its own behind the
 *             wake. A sleeper that found the bit set left the word as it was,
 *             so that the CAS clears it under one who has just fallen asleep.
 *             BREAK_OPEN: a successor does not ring when it opens.
 *             BREAK_OPENWAKE: it wakes without changing the word.
 */
#ifndef ROOM
#define ROOM 1
#endif
#ifndef WAITERS
#define WAITERS 3
#endif
#ifndef JOBS
#define JOBS 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define PARKED 1

byte room = ROOM; /* places free at the tail */
byte ready;       /* places published */
byte space;       /* rings:7 | parked:1 */
bool asleep[WAITERS];
byte n_through;
byte kills = KILLS;

active [WAITERS] proctype client() {
	byte n, word;

	do
	:: n == JOBS -> break
	:: n < JOBS ->
		if
		:: atomic { room > 0 -> room--; ready++; n++ } /* Q3 */
		:: atomic { room == 0 }; /* full */
W1:			atomic { space = space | PARKED; word = space };
			if
			:: room > 0 /* look again */
			:: room == 0 ->
				if
				:: atomic { space == word -> asleep[_pid] = true };
					!asleep[_pid]
				:: space != word
				fi
			fi;
			word = 0
		fi
	od;
	n_through++
}

#define MAY_DIE if :: kills > 0 -> kills--; goto open :: true fi

inline wake_all() {
	d_step {
		i = 0;
		do
		:: i < WAITERS -> asleep[i] = false; i++
		:: else -> break
		od;
		i = 0
	}
}

/* rk_bell_ring_space() */
inline ring_space() {
	word = 0;
P2:	if
	:: !(space & PARKED)
	:: space & PARKED ->
#ifdef BREAK_CLEAR
		atomic { space = space + 2; word = space; MAY_DIE };
		wake_all();
		if
		:: atomic { space == word -> space = space & ~PARKED; MAY_DIE }
		:: else
		fi;
		word = 0
#else
		atomic { space = (space + 2) & ~PARKED; MAY_DIE };
		wake_all()
#endif
	fi
}

active proctype the_owner() {
	byte word, i;

open:	word = 0;
#ifndef BREAK_OPEN
#ifndef BREAK_OPENWAKE
	atomic { space = (space + 2) & ~PARKED; MAY_DIE };
#endif
	wake_all();
#endif
end:	do
	:: ready > 0 ->
D7:		atomic { ready--; room++; MAY_DIE }; /* recycled and freed */
		ring_space()
	od
}

active proctype checker() {
	atomic { timeout -> assert(n_through == WAITERS) }
}
