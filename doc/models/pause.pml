/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pause and resume against parking, publishing and restarts (shm/beat.c, rk_bell_ring_stop();
 * round, scan and park in workers/lib/worker.c; rk_slot_hold() and rk_slot_wish() in supervisor/):
 * a producer, a worker, the supervisor that pauses it, asks it for a partition and starts it again.
 *
 * What dies   the producer, at any step; the worker, at any step, KILLS times. A death is drawn
 *             after each store, as in queue_commit.pml.
 * Claims      behind a pause that was completed the worker runs at most the job it is about to
 *             begin, and its successor none. When nothing moves any more: what was asked for is
 *             released, paused or not; and if nobody holds the worker, no work is left.
 * Bounds      JOBS published, PAUSES pauses each taken back or kept, ASKS requests, KILLS.
 * Abstract    as in bell.pml. The partition that is asked for is another one, without jobs. The
 *             supervisor does not die here: what an operator wants is private to it.
 * Labels      are the code's: B1 and B2 the beat page's `stop` word; P, W, O1 as in bell.pml.
 * Teeth       BREAK_RING: a resume rings nobody. BREAK_STALE: behind W1 the worker does not look
 *             at `stop` again. BREAK_ASKED: one that is paused and about to park does not look for
 *             what it is asked for. BREAK_CLEAR: a scan that a pause interrupts behind O1 leaves
 *             the bit cleared. BREAK_WISH: a paused slot's next process is not paused.
 */
#ifndef JOBS
#define JOBS 2
#endif
#ifndef PAUSES
#define PAUSES 2
#endif
#ifndef ASKS
#define ASKS 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#define PARKED 1

byte work;     /* published and not taken */
bool pending;  /* the partition's bit in the worker's bitmap */
byte bell;     /* rings:7 | parked:1 */
bool asleep;
bool stop;     /* the word says PAUSE */
bool asked;    /* owner word of another partition: STOP */
byte deaths;   /* of the producer, that the supervisor has yet to answer */
bool dead;     /* the worker */
byte kills;
bool held;     /* what the operator wants */
bool told;     /* the pause is complete */
byte since;    /* jobs begun since then */

/* ring(), for whoever may not die in it; W1 in the consumer pairs with P2. */
inline ring_worker() {
	if /* P2 */
	:: !(bell & PARKED)
	:: bell & PARKED ->
		bell = bell + 2;
		asleep = false
	fi
}

/* rk_bell_ring_pending() */
inline ring_pending() {
	if
	:: work > 0 -> /* P1 */ pending = true; ring_worker()
	:: else
	fi
}

#define MAY_DIE if :: deaths++; goto gone :: true fi

active proctype producer() {
	byte n;

	do
	:: n == JOBS -> break
	:: n < JOBS ->
		atomic { work++; n++; MAY_DIE }; /* Q3 */
P1:		if
		:: pending
		:: !pending -> atomic { pending = true; MAY_DIE }
		fi;
P2:		if
		:: !(bell & PARKED)
		:: bell & PARKED ->
			atomic { bell = bell + 2; MAY_DIE };
			asleep = false
		fi
	od;
gone:	n = 0
}

#define WORKER_DIES if :: kills < KILLS -> kills++; dead = true; goto down :: true fi

/* visit(): one job at least if there is one, more while nobody wants anything else */
inline visit() {
	did = false;
	do
	:: atomic { work > 0 ->
			work--;
			did = true;
			since = since + told;
			assert(since <= 1);
			WORKER_DIES };
		if
		:: stop -> break /* B2 */
		:: !stop
		fi
	:: work == 0 -> break
	od
}

active proctype worker() {
	byte word;
	bool did, paused;

	/* mark_inherited() */
begin:	if
	:: work > 0 -> pending = true
	:: work == 0
	fi;
loop:
B2:	paused = stop;
	if
	:: paused && asked -> /* paused_round() */
		atomic { asked = false; WORKER_DIES };
		goto loop
	:: paused && !asked
	:: !paused && asked -> /* follow_owner_word(), in its scan */
		atomic { asked = false; WORKER_DIES };
		goto loop
	:: !paused && !asked && pending -> /* turn(): the bit stays while work keeps coming */
		visit();
		if
		:: did
		:: !did ->
O1:			atomic { pending = false; WORKER_DIES };
			visit();
#ifndef BREAK_CLEAR
			if
			:: did -> pending = true
			:: !did
			fi
#endif
		fi;
		did = false;
		goto loop
	:: !paused && !asked && !pending
	fi;
	/* park() */
W1:	atomic { bell = bell | PARKED; word = bell; WORKER_DIES };
#ifndef BREAK_STALE
	paused = stop; /* B2 */
#endif
W2:	if
#ifndef BREAK_ASKED
	:: paused && asked
#endif
	:: !paused && (pending || asked) /* asked: the ring that came with it set a bit */
	:: else ->
		if
		:: atomic { bell == word -> asleep = true };
end:			!asleep
		:: bell != word
		fi
	fi;
	atomic { bell = bell & ~PARKED; word = 0; paused = false; WORKER_DIES };
	goto loop;
down:	atomic { word = 0; did = false; paused = false; asleep = false };
enddown: !dead;
	goto begin
}

/* Once an operator wants it so, and nobody takes it back if he keeps it. */
active proctype supervisor() {
	byte n, a;
	bool keep;

end:	do
	:: !held && n < PAUSES ->
		n++;
		held = true;
		stop = true; /* B1 */
		ring_worker();
		atomic { told = true; since = 0 }
	:: held && !keep ->
		if
		:: keep = true
		:: true ->
			held = false;
			told = false;
B1:			stop = false;
#ifndef BREAK_RING
			ring_worker()
#endif
		fi
	:: a < ASKS && !asked ->
		a++;
		asked = true;
		ring_worker()
	:: atomic { deaths > 0 -> deaths-- };
		ring_pending()
	:: dead -> /* rk_slot_wish(), then a new process */
		ring_pending();
		stop = false;
#ifndef BREAK_WISH
		stop = held;
#endif
		atomic { since = told; dead = false }
	od
}

/* When nothing moves any more. */
active proctype checker() {
	atomic { timeout -> assert(!asked && deaths == 0 && !dead && (held || work == 0)) }
}
