/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery against time-out (DESIGN §6 steps 1 and 3 to 6; shm/call.c,
 * deliver.c, owner.c, part.c): one client with one slot and two cells, two
 * workers, the supervisor.
 *
 * What fails  a worker, at any step, KILLS times: its death is confirmed, its
 *             cell swept, its partition assigned. The owner is evicted
 *             EVICTIONS times at any moment, alive (part B's eviction by copy);
 *             it then wakes up wherever it was. A time-out comes at any moment,
 *             TIMEOUTS times. The client asks AGAINS times through a second
 *             reference while the first is TAKEN.
 * Claims      a reply read under DONE is whole, is that sequence's, and its job
 *             is applied in the state that goes on; reply words are written by
 *             the WRITING holder alone; "not applied" is said of no applied
 *             job, before or after; no job is applied twice; the client's
 *             calls all end when nothing moves any more.
 * Also        the owner may forget a reply that lies in its cell (FORGET).
 * Bounds      CALLS sequences, N ring places. Positions do not wrap here.
 * Abstract    interleavings of single shared accesses, sequentially
 *             consistent. State, entry and log of a bank change in the step of
 *             the commit (queue_commit.pml has the undo log); a bank per
 *             worker, copied in one step at an eviction. One client: it alone
 *             moves the tail. It sleeps until what it looks at has changed.
 * Labels      are the code's.
 * Teeth       BREAK_TOMB2, _WRITING, _DEDUP, _RECYCLE, _NOINC, _UNCONS as in
 *             shm/fault.h; BREAK_ELSEWHERE: the client looks for its reply in
 *             its present cell only; BREAK_GATESTORE: the gate is stored, not raised, so
 *             that an evicted owner can close it again.
 */
#ifndef CALLS
#define CALLS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 2
#endif
#ifndef AGAINS
#define AGAINS 1
#endif
#ifndef FORGET
#define FORGET 1
#endif
#define N 2
#define NOBODY 3

/* ---- words ---- */
#define FREE 0
#define READY 1
#define TAKEN 2
#define TOMB 3
#define REF(p, c, s) (((p) / N) << 3 | (c) << 2 | (s)) /* lap:4 | cell:1 | state:2 */
#define LAP(r) ((r) >> 3)
#define CELL(r) ((r) >> 2 & 1)
#define STATE(r) ((r) & 3)
#define IDLE 0
#define WANT 1
#define WRITING 2
#define DONE 3
#define WORD(s, w, t) ((s) << 4 | (w) << 2 | (t)) /* sequence:4 | worker:2 | state:2 */
#define SEQ(w) ((w) >> 4)
#define WORKER(w) ((w) >> 2 & 3)
#define COMMIT(i, p) ((i) << 4 | (p))
#define CURSOR(c) ((c) & 15)
#define INC(c) ((c) >> 4)

/* ---- shared memory ---- */
byte place[N];
byte commit = COMMIT(1, 0);
byte freed;
byte released;
byte own_inc = 1, own_worker; /* owner word: written and read as one */
byte word[2];
byte skips[2];
byte request[2]; /* the sequence once more, as the request's bytes */
byte reply[4];   /* two words a cell */
byte ref0[2];    /* where it was published, + 1 */
byte ref1[2];
byte done;       /* of the one slot */
byte beat[2];    /* cell + 1 */

/* a bank per worker: the slot's dedup entry and sequence, and the state: times applied, by sequence */
byte e_seq[2], e_job[2];
byte seq[2];     /* the last sequence applied: what the undo log guards */
byte applied[8];

bool supervising; /* the supervisor does one thing at a time */
byte kills = KILLS;

/* ---- what the checks know ---- */
bool refused[CALLS + 1]; /* said to be not applied */
bool read[CALLS + 1];    /* its reply was read */
bool through;            /* the client is */

/* ---- client ---- */

/* rk_queue_outstanding(): READY, TAKEN or FREE */
#define HELD(r, at, cell) ((at) && LAP(r) == ((at) - 1) / N && CELL(r) == (cell) && \
	(STATE(r) == READY || STATE(r) == TAKEN) -> STATE(r) : FREE)
#define NAMES(cell) (HELD(place[(ref0[cell] + N - 1) % N], ref0[cell], cell) || \
	HELD(place[(ref1[cell] + N - 1) % N], ref1[cell], cell))
#define USABLE(cell) ((STATE(word[cell]) == IDLE || STATE(word[cell]) != WRITING && SEQ(word[cell]) <= done) && \
	!NAMES(cell))

inline strongest(cell) {
	atomic { r = place[(ref0[cell] + N - 1) % N]; k0 = HELD(r, ref0[cell], cell); r = 0 };
Q6:	atomic { r = place[(ref1[cell] + N - 1) % N]; k1 = HELD(r, ref1[cell], cell); r = 0 }
}

/* rk_queue_publish() with a tail of its own; full: nothing happens. Both places for notes in use: neither. */
inline publish(cell) {
	strongest(cell);
	if
	:: k0 && k1
	:: else ->
Q2:		if
		:: LAP(place[t % N]) == t / N -> /* FREE: nobody else publishes */
Q3:			atomic {
				if
				:: !k0 -> ref0[cell] = t + 1
				:: else -> ref1[cell] = t + 1
				fi;
				place[t % N] = REF(t, cell, READY);
				t++;
				ok = true;
				assert(t < 15)
			}
		:: else
		fi
	fi;
	atomic { k0 = 0; k1 = 0 }
}

/* rk_queue_tomb() */
inline tomb(cell) {
	strongest(cell);
	if
	:: k0 == READY ->
Q7:		if
		:: atomic { place[(ref0[cell] - 1) % N] == REF(ref0[cell] - 1, cell, READY) ->
			place[(ref0[cell] - 1) % N] = REF(ref0[cell] - 1, cell, TOMB); n++ }
		:: else
		fi
	:: else
	fi;
	if
	:: k1 == READY ->
		if /* Q7 */
		:: atomic { place[(ref1[cell] - 1) % N] == REF(ref1[cell] - 1, cell, READY) ->
			place[(ref1[cell] - 1) % N] = REF(ref1[cell] - 1, cell, TOMB); n++ }
		:: else
		fi
	:: else
	fi;
	atomic { k0 = 0; k1 = 0 }
}

/* free_cell() for one cell: ok */
inline try_cell(cell) {
	ok = false;
C7:	w = word[cell];
	if
	:: STATE(w) == IDLE || STATE(w) != WRITING && SEQ(w) <= done ->
		strongest(cell);
		if
		:: !k0 && !k1 ->
			if
			:: STATE(w) == IDLE -> ok = true
			:: else ->
				if
				:: atomic { word[cell] == w -> word[cell] = WORD(SEQ(w), 0, IDLE); ok = true }
				:: else
				fi
			fi
		:: else
		fi;
		atomic { k0 = 0; k1 = 0 }
	:: else
	fi;
	w = 0
}

proctype client() {
	byte s, c, w, r, k0, k1, t, n, timeouts, agains;
	bool ok, expiring, repeated;

	select (timeouts : 0 .. TIMEOUTS);
	select (agains : 0 .. AGAINS);
next:	if
	:: s == CALLS -> goto out
	:: else
	fi;
	c = 0;
	try_cell(0);
	if
	:: !ok -> c = 1; try_cell(1)
	:: else
	fi;
	if
	:: !ok -> (USABLE(0) || USABLE(1)); goto next
	:: else -> ok = false
	fi;
C1:	s++;
	request[c] = s;
C2:	word[c] = WORD(s, 0, WANT);
	publish(c);
	if
	:: ok -> ok = false
	:: else -> /* full */
		atomic { assert(word[c] == WORD(s, 0, WANT)); word[c] = WORD(s, 0, IDLE); refused[s] = true };
		goto next
	fi;

look:	/* rk_call_look() */
C3:	w = word[c];
	if
	:: w == WORD(s, 0, DONE) -> goto is_done
	:: w != WORD(s, 0, DONE) && w != WORD(s, 0, WANT) -> goto writing
	:: w == WORD(s, 0, WANT)
	fi;
	strongest(c);
	if
	:: k0 || k1 -> goto named
	:: else
	fi;
	w = word[c];
	if
	:: w == WORD(s, 0, DONE) -> goto is_done
	:: w != WORD(s, 0, DONE) && w != WORD(s, 0, WANT) -> goto writing
	:: w == WORD(s, 0, WANT)
	fi;
C4:	if
	:: skips[c] == s ->
#ifndef BREAK_ELSEWHERE
		if /* find_done() */
		:: word[1 - c] == WORD(s, 0, DONE) -> c = 1 - c; goto is_done
		:: else
		fi;
#endif
		publish(c);
		atomic { ok = false; repeated = true };
		(word[c] != WORD(s, 0, WANT) || NAMES(c) || LAP(place[t % N]) == t / N);
		goto look
	:: else
	fi;
close:	if
	:: atomic { word[c] == WORD(s, 0, WANT) ->
		word[c] = WORD(s, 0, IDLE);
		assert(!applied[own_worker * 4 + s]);
		refused[s] = true }
		done = s;
		atomic { expiring = false; repeated = false };
		goto next
	:: else -> goto look
	fi;

named:	/* PENDING or TAKEN */
	if
	:: atomic { expiring -> expiring = false };
C5:		tomb(c);
#ifdef BREAK_TOMB2
		if
		:: n -> n = 0; goto close
		:: else
		fi;
#endif
		n = 0
	:: !expiring ->
		if
		:: atomic { timeouts > 0 -> timeouts--; expiring = true }
		:: atomic { agains > 0 && (k0 == TAKEN || k1 == TAKEN) -> agains--; k0 = 0; k1 = 0 };
			publish(c);
			atomic { ok = false; repeated = true }
		:: atomic { word[c] != WORD(s, 0, WANT) || !NAMES(c) -> k0 = 0; k1 = 0 }
		fi
	fi;
	atomic { k0 = 0; k1 = 0; w = 0 };
	goto look;

writing:
	if
	:: atomic { expiring -> expiring = false };
#ifdef BREAK_WRITING
		word[c] = WORD(s, 0, WANT);
		publish(c);
		atomic { ok = false; repeated = true }
#else
		/* set_aside() */
		try_cell(1 - c);
		if
		:: ok ->
			ok = false;
			request[1 - c] = s;
			skips[1 - c] = s;
			word[1 - c] = WORD(s, 0, WANT); /* C2 */
			c = 1 - c;
			publish(c);
			atomic { ok = false; repeated = true }
		:: else
		fi
#endif
	:: !expiring ->
		if
		:: atomic { timeouts > 0 -> timeouts--; expiring = true }
		:: word[c] == WORD(s, 0, WANT) || word[c] == WORD(s, 0, DONE)
		fi
	fi;
	w = 0;
	goto look;

is_done:
	w = 0;
	expiring = false;
	r = reply[c * 2];
	assert(r == s);
	r = reply[c * 2 + 1];
	atomic { assert(r == s); assert(applied[own_worker * 4 + s] == 1); read[s] = true; r = 0 };
C6:	done = s;
	word[c] = WORD(s, 0, IDLE);
	if
	:: repeated -> tomb(c) /* a second reference may still be READY */
	:: else
	fi;
	atomic { n = 0; repeated = false };
	goto next;
out:	through = true
}

/* ---- worker ---- */

#define MAY_DIE if :: kills > 0 -> kills--; goto down :: true fi

inline recycle(d) {
	assert(STATE(ref) != FREE);
Q5:	if
	:: atomic { place[d % N] == ref -> place[d % N] = REF(d + N, 0, FREE); MAY_DIE }
	:: else
	fi
}

/* rk_deliver(); gives once more behind D7 when another worker was found writing */
inline deliver(d) {
	ref = place[d % N];
	if
	:: LAP(ref) == d / N && STATE(ref) != FREE ->
#ifdef BREAK_RECYCLE
		recycle(d);
#endif
		if
		:: STATE(ref) == TAKEN -> give(CELL(ref))
		:: else
		fi;
#ifndef BREAK_RECYCLE
		recycle(d)
#endif
	:: else
	fi;
D7:	if
	:: atomic { freed == d -> freed = d + 1; MAY_DIE }
	:: else
	fi;
	if
	:: again -> again = false; give(CELL(ref))
	:: else
	fi;
	atomic { again = false; ref = 0 }
}

inline give(c) {
	if
	:: e_seq[me] ->
G2:		if
		:: e_job[me] < released ->
D1:			atomic { beat[me] = c + 1; MAY_DIE };
D2:			if
			:: atomic { word[c] == WORD(e_seq[me], 0, WANT) ->
				word[c] = WORD(e_seq[me], me, WRITING);
				MAY_DIE }
				atomic { assert(word[c] == WORD(e_seq[me], me, WRITING)); reply[c * 2] = e_seq[me]; MAY_DIE };
				atomic { assert(word[c] == WORD(e_seq[me], me, WRITING)); reply[c * 2 + 1] = e_seq[me]; MAY_DIE };
D4:				if
				:: atomic { word[c] == WORD(e_seq[me], me, WRITING) ->
					word[c] = WORD(e_seq[me], 0, DONE);
					MAY_DIE }
				:: else
				fi
			:: atomic { word[c] != WORD(e_seq[me], 0, WANT) -> w = word[c] };
				if
				:: STATE(w) == WRITING && WORKER(w) != me ->
D6:					atomic { skips[c] = (skips[c] < SEQ(w) -> SEQ(w) : skips[c]); again = true; MAY_DIE }
				:: else
				fi;
				w = 0
			fi;
			atomic { beat[me] = 0; MAY_DIE }
		:: else
		fi
	:: else
	fi
}

proctype worker(byte me) {
	byte mine, my_freed, ref, w, s;
	bool again, just;

end:	own_worker == me;
O2:	if
	:: atomic { own_worker == me -> mine = own_inc }
	:: else -> goto end
	fi;
	if
	:: atomic { INC(commit) == mine -> mine = commit }
	:: else -> mine = 0; goto end
	fi;
	my_freed = freed;
step:	/* rk_owner_step() */
#if FORGET
	if /* take_needless(): the entry of a reply that lies in its cell may go to another caller at any time */
	:: atomic { e_seq[me] && (word[0] == WORD(e_seq[me], 0, DONE) || word[1] == WORD(e_seq[me], 0, DONE)) ->
		e_seq[me] = 0; e_job[me] = 0 }
	:: true
	fi;
#endif
#ifndef BREAK_NOINC
	if
	:: commit != mine -> goto stale
	:: else
	fi;
#endif
deliver_pending:
	if
	:: my_freed != CURSOR(mine) ->
#ifdef BREAK_GATESTORE
G1:		atomic { released = CURSOR(mine); MAY_DIE };
#else
G1:		atomic { released = (released < CURSOR(mine) -> CURSOR(mine) : released); MAY_DIE };
#endif
		do
		:: my_freed != CURSOR(mine) ->
			if /* G2 */
			:: my_freed < released -> deliver(my_freed); my_freed++
			:: else -> break
			fi
		:: else -> break
		od
	:: else
	fi;
	if
	:: just -> just = false; goto step
	:: else
	fi;
end_idle: /* asleep until there is something */
	(LAP(place[CURSOR(mine) % N]) == CURSOR(mine) / N && STATE(place[CURSOR(mine) % N]) != FREE);
T1:	ref = place[CURSOR(mine) % N];
	if
	:: STATE(ref) == FREE || LAP(ref) != CURSOR(mine) / N -> goto step
	:: STATE(ref) == READY && LAP(ref) == CURSOR(mine) / N ->
T2:		if
		:: atomic { place[CURSOR(mine) % N] == ref -> ref = ref + 1; place[CURSOR(mine) % N] = ref; MAY_DIE }
		:: else -> goto step
		fi
	:: else
	fi;
	if
	:: STATE(ref) == TAKEN -> /* run() */
R1:		w = word[CELL(ref)];
		if
		:: STATE(w) == WANT ->
			s = request[CELL(ref)];
R2:			if
			:: word[CELL(ref)] == w ->
				assert(s == SEQ(w));
				/* admit() */
#ifndef BREAK_DEDUP
				if
				:: s <= seq[me] -> s = 0
				:: else
				fi
#endif
			:: else -> s = 0
			fi
		:: else
		fi;
		w = 0
	:: else
	fi;
	ref = 0;
S3:	if
#ifdef BREAK_NOINC
	:: atomic { true ->
		if
		:: CURSOR(commit) == CURSOR(mine) -> commit = commit + 1
		:: else
		fi;
#else
	:: atomic { commit == mine ->
		commit = commit + 1;
#endif
		if
		:: s ->
			e_seq[me] = s;
			seq[me] = s;
			e_job[me] = CURSOR(mine);
			applied[me * 4 + s]++;
			assert(applied[me * 4 + s] == 1 && !refused[s])
		:: else
		fi;
		mine++;
		s = 0;
		just = true;
		MAY_DIE }
#ifndef BREAK_NOINC
	:: else -> goto stale
#endif
	fi;
	goto deliver_pending;

stale:	atomic { mine = 0; my_freed = 0; ref = 0; w = 0; s = 0; just = false; goto end };

down:	atomic { !supervising ->
		supervising = true;
		mine = 0; my_freed = 0; ref = 0; w = 0; s = 0; again = false; just = false
	};
	/* rk_deliver_sweep() */
	ref = beat[me];
	if
	:: ref ->
		w = word[ref - 1];
		if
		:: STATE(w) == WRITING && WORKER(w) == me ->
D5:			if
			:: atomic { word[ref - 1] == w -> word[ref - 1] = WORD(SEQ(w), 0, WANT) }
			:: else
			fi
		:: else
		fi;
		beat[me] = 0
	:: else
	fi;
	if
	:: own_worker == me -> /* the same slot starts again */
A1:		atomic { w = commit; commit = COMMIT(INC(w) + 1, CURSOR(w)) };
A2:		own_inc = INC(w) + 1
	:: else
	fi;
	atomic { ref = 0; w = 0; supervising = false };
	goto end
}

/* An eviction by copy of worker 0, alive, at any moment, or never. */
proctype evictor() {
	byte inc;

	if
	:: atomic { EVICTIONS && !supervising -> supervising = true };
A1:		atomic { commit = COMMIT(INC(commit) + 1, CURSOR(commit)); inc = INC(commit) };
		d_step { /* state, entry; unfinished changes are undone in the copy */
			e_seq[1] = e_seq[0]; e_job[1] = e_job[0]; seq[1] = seq[0];
			applied[5] = applied[1]; applied[6] = applied[2]; applied[7] = applied[3]
		};
A2:		atomic { own_inc = inc; own_worker = 1; supervising = false }
	:: true
	fi
}

init {
	byte i;

	atomic {
		place[0] = REF(0, 0, FREE);
		place[1] = REF(1, 0, FREE);
		run worker(0);
		run worker(1);
		run evictor();
		run client()
	};
	atomic { timeout ->
		assert(through);
		i = 1;
		do
		:: i <= CALLS ->
			assert(read[i] != refused[i]);
			assert(applied[own_worker * 4 + i] == read[i]);
			i++
		:: else -> break
		od }
}
