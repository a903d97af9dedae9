/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kill points and deliberate breaks, for tests only.
 *
 * A kill point is a place where a process may die with a half-done operation
 * in shared memory. Each is one line of RK_KILL_POINTS; tests walk the list,
 * and one that is never reached fails. A break takes one safeguard out of the
 * real code, to show that the tests would notice.
 *
 * Both compile to nothing unless RK_FAULT_POINTS is defined (the tests' own
 * builds of shm/ and workers/lib; tests/fault/real are the programs of it).
 *
 * Who       the process that arms itself; state is private to it.
 */
#ifndef RK_SHM_FAULT_H
#define RK_SHM_FAULT_H

/*             name              what stands half-done when a process dies here */
#define RK_KILL_POINTS(X)                                                              \
	X(CALL_REQUEST_WRITTEN, "request bytes written, the cell still IDLE")          \
	X(CALL_WANTED, "cell says WANT, no ring names it")                             \
	X(QUEUE_NOTED, "position noted in the cell, not yet in the ring")              \
	X(QUEUE_PUBLISHED, "reference in the ring, tail not advanced")                 \
	X(QUEUE_TAIL, "tail advanced, bell not rung")                                  \
	X(BELL_PENDING, "pending bit set, sleeper not woken")                          \
	X(CALL_READ, "sequence marked read, the cell still DONE")                      \
	X(CALL_RETIRED, "cell IDLE, a second reference may be in a ring")              \
	X(CALL_TOMBED, "references withdrawn, outcome not yet decided")                \
	X(CALL_WITHDRAWN, "cell IDLE after not applied, sequence not yet marked read") \
	X(CALL_ASIDE, "spare cell prepared with skip, not yet WANT")                   \
	X(OWNER_TAKEN, "reference TAKEN, job not run")                                 \
	X(STATE_SAVED, "old bytes in the log, new ones not written")                   \
	X(OWNER_RAN, "handler returned, not committed")                                \
	X(OWNER_COMMITTED, "committed, gate still closed")                             \
	X(OWNER_RELEASED, "gate open, reply not delivered")                            \
	X(DELIVER_DECLARED, "cell declared in the beat, still WANT")                   \
	X(DELIVER_WRITING, "cell WRITING, reply half written")                         \
	X(DELIVER_DONE, "reply DONE, client not woken")                                \
	X(DELIVER_HELPED, "tail helped past the job, place not recycled")              \
	X(DELIVER_RECYCLED, "place recycled, freed not raised")                        \
	X(STATE_ROLLING, "half of the undo log applied")                               \
	X(OWNER_ROLLED, "rolled back, pending replies not delivered")                  \
	X(OWNER_INIT, "init() ran, its flag not yet set")                              \
	X(UPGRADE_RAN, "upgrade() ran on its private copy")                            \
	X(UPGRADE_COPYING, "old bytes in the log, some of the upgraded ones written")  \
	X(UPGRADE_DONE, "upgraded, and no job committed yet")                          \
	X(STANDBY_ORDERED, "a standby is a slot's worker, and has not taken its lease") \
	X(WORKER_LEASED, "lease taken, the predecessor's work not yet marked")         \
	X(SWEEP_WANT, "swept cell WANT again, beat not cleared")                       \
	X(PART_COMMIT, "new incarnation in the commit word, owner word still old")     \
	X(PART_ASKED, "owner word says STOP, its worker not rung")                     \
	X(PART_RELEASED, "owner word says RELEASED, the supervisor not told")          \
	X(PART_CHARGING, "charge noted under its incarnation, not counted")            \
	X(PART_CHARGED, "charge counted, the partition not passed on")                 \
	X(OWNER_RETRY, "job rolled back on its own wish, its attempt not counted")     \
	X(DEAD_CLAIMED, "a dead letter's place claimed, nothing in it")                \
	X(DEAD_WRITTEN, "dead letter written, its place still WRITING")                \
	X(DEAD_PUSHED, "dead letter there, its job's error reply not committed")       \
	X(DEAD_SWEPT, "a dead worker's claim freed, who waits for room not rung")      \
	X(DEAD_FREED, "a dead letter dropped, who waits for room not rung")            \
	X(EVICT_KEPT, "bank reserved for the owner, the owner not evicted")            \
	X(EVICT_FENCED, "owner can commit no more, owner word still names it")         \
	X(EVICT_HANDED, "owner word says COPY, route and bells not")                   \
	X(EVICT_STATE, "state copied, its undo log not")                               \
	X(EVICT_LOG, "undo entries copied, their word not")                            \
	X(EVICT_COPIED, "copy whole, owner word still COPY")                           \
	X(PAGE_IDLE, "some cells of a dead client's page IDLE")                        \
	X(EPOCH_ENTERED, "reader inside its section")                                  \
	X(BOARD_FILLED, "new view written, not published")                             \
	X(BOARD_PUBLISHED, "new view published, epoch not advanced")

/*           name       the safeguard that is taken out */
#define RK_BREAKS(X)                                                                   \
	X(RECYCLE, "recycles a place before its reply is delivered")                   \
	X(FREED, "a successor recycles what its predecessor committed, undelivered")   \
	X(WRITING, "a time-out takes a cell back from a worker that is writing it")    \
	X(DEDUP, "runs a sequence again that was applied before")                      \
	X(TOMB, "does not count tombstones in the cursor")                             \
	X(NOINC, "commits without looking at the incarnation")                         \
	X(TOMB2, "calls a withdrawn call not applied with another reference taken")    \
	X(UNCONS, "starts a new call in a cell that a ring still names")               \
	X(LAP, "recycles without looking at the lap")                                  \
	X(LOGRESET, "empties the undo log after a roll-back")                          \
	X(SEQ0, "sets the sequence back when a page passes on")                        \
	X(GATE, "delivers a duplicate's reply before its gate")                        \
	X(HELP, "recycles without helping the tail first")                             \
	X(UNDO, "does not roll back what a predecessor left")                          \
	X(CHARGETWICE, "counts a charge again that its predecessor began")             \
	X(DEADTWICE, "pushes a dead letter without looking for it")                    \
	X(DEADLOOK, "writes a dead letter without looking whether it was evicted")     \
	X(EVICTROLL, "does not roll back in an evicted owner's copy")                  \
	X(EVICTLOG, "copies an evicted owner's undo log before its state")

#define RK_KILL_POINT_ENUM(name, what) RK_KP_##name,
enum rk_kill_point { RK_KILL_POINTS(RK_KILL_POINT_ENUM) RK_KILL_POINT_COUNT };

#define RK_BREAK_ENUM(name, what) RK_BREAK_##name,
enum rk_break { RK_BREAK_NONE, RK_BREAKS(RK_BREAK_ENUM) RK_BREAK_COUNT };

#ifdef RK_FAULT_POINTS

/* Reached by every kill point of a test build. */
void rk_fault_reach(enum rk_kill_point point);
/* Whether this safeguard is taken out in this process. */
int rk_fault_is_broken(enum rk_break which);

#define RK_KILL_POINT(name) rk_fault_reach(RK_KP_##name)
#define rk_broken(name) __builtin_expect(rk_fault_is_broken(RK_BREAK_##name), 0)

#else

#define RK_KILL_POINT(name) ((void)0)
#define rk_broken(name) 0

#endif

/* Name and meaning, for messages; "?" outside the list. */
const char *rk_kill_point_name(enum rk_kill_point point);
const char *rk_kill_point_what(enum rk_kill_point point);
const char *rk_break_name(enum rk_break which);
const char *rk_break_what(enum rk_break which);

/*
 * Arms this process: at the nth time (from 1) it reaches the point it sends
 * itself `signal` (SIGKILL or SIGSTOP). Without RK_FAULT_POINTS it does nothing.
 */
void rk_fault_arm(enum rk_kill_point point, unsigned int nth, int signal);

/*
 * Arms this process at random: about once in `mean` kill points it kills (half
 * of the times) or stops itself. 0 disarms.
 */
void rk_fault_arm_random(unsigned int mean, unsigned long long seed);

/* Takes one safeguard out of this process. RK_BREAK_NONE puts it back. */
void rk_fault_break(enum rk_break which);

/* How often this process has reached the point since it was armed. */
unsigned int rk_fault_count(enum rk_kill_point point);

/* This process sleeps so long whenever it reaches the point: it widens a window. 0 takes it back. */
void rk_fault_delay(enum rk_kill_point point, unsigned int us);

/*
 * Reads REKINDLE_BREAK=NAME, REKINDLE_FAULT=MEAN:SEED (rk_fault_arm_random) and
 * REKINDLE_DELAY=POINT:US from the environment. Returns 0; -EINVAL for what it
 * does not understand; -ENOTSUP when one is set and this is not a test build.
 */
int rk_fault_from_environment(void);

#endif
