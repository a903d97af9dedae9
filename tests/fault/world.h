/* SPDX-License-Identifier: Apache-2.0 */
/*
 * World: a whole fleet's shared memory in one anonymous mapping, with workers and clients that
 * drive the real shm/ code, the supervisor's part of the protocol, and a ledger that knows
 * independently what must have happened.
 *
 * The ledger is written by clients: the intent before a call starts, the outcome when it is
 * known. The jobs count themselves in `struct tally`, which is this file's own and lies in the
 * partitions' state. world_verify() compares the two and uses no operation of shm/ for it but
 * the roll-back of what had not committed.
 *
 * Who       the test's processes: one "supervisor", and children it forked.
 * Crash     children are killed and stopped anywhere; that is what it is for.
 */
#ifndef RK_TESTS_FAULT_WORLD_H
#define RK_TESTS_FAULT_WORLD_H

#include <sys/types.h>

#include "shm/board.h"
#include "shm/call.h"
#include "shm/owner.h"

enum {
	WORLD_PARTITIONS = 3,
	WORLD_WORKERS = 3,
	WORLD_CLIENTS = 6,
	WORLD_SLOTS = 2,
	WORLD_CELLS = 4,
	WORLD_BANKS = 4,
	WORLD_READERS = 2,
	WORLD_ARGS = 8,   /* words of a request's body */
	WORLD_WORDS = 16, /* words of a reply */
	WORLD_SPARE = 12,
};

struct world_conf {
	uint32_t n_calls; /* most sequences of one client; a multiple of 8 */
	uint32_t n_dedup; /* entries per partition; WORLD_CLIENTS * WORLD_SLOTS never fill up */
	uint32_t n_banks;
	uint32_t n_log;
	uint32_t batch_max; /* of odd workers; even ones run one job per commit */
	uint32_t n_spare;   /* state words a job touches one by one, at most WORLD_SPARE */
	uint32_t singles;   /* at most so many jobs run one per commit after a take-over */
	bool wrap;          /* positions, sequences and incarnations start just before their wraps */
	bool outside_gate;  /* the gates of all partitions but 0 are opened by the test alone */
	bool no_retry;      /* clients never publish a second reference to a call that is taken */
	bool parked;        /* workers and clients sleep on their bells */
	uint32_t n_dead;    /* dead letters */
	uint32_t dead_after; /* attempts until a job is quarantined; 0 = never */
	uint32_t retries;   /* so often every job asks for another attempt */
	bool poison;        /* some jobs kill their worker, some ask for another attempt for ever */
};

/* A partition's state, as the jobs see it. Followed by applied[WORLD_CLIENTS][n_calls]. */
struct tally {
	uint64_t n, sum, out_of_order, bad_requests;
	uint64_t last[WORLD_CLIENTS];
	uint64_t block[8]; /* touched at once: longer than a log entry holds inline */
	uint64_t spare[WORLD_SPARE];
	uint8_t applied[];
};

/* What a client knows of one call. */
enum ledger_state {
	LEDGER_NONE,
	LEDGER_INTENT,      /* may have been applied */
	LEDGER_DONE,        /* acknowledged */
	LEDGER_ERROR,       /* acknowledged with the handler's error */
	LEDGER_NOT_APPLIED, /* the client was told so */
	LEDGER_QUARANTINED, /* the client was told so */
};

struct ledger {
	uint8_t state;     /* enum ledger_state */
	uint8_t partition;
	uint8_t letters;   /* dead letters of it that the supervisor dropped */
	uint8_t shown;     /* somebody looked at it before it ran: it may have had effects elsewhere */
	uint32_t n;        /* tally.n when it was applied, from the reply */
};

/* One slot of a client. */
struct my_call {
	bool on;
	bool told;            /* counted as unknown once */
	uint64_t deadline_ns; /* the client's patience */
	struct rk_call call;
};

struct client {
	struct rk_caller caller;
	bool patient; /* never expires a call */
	struct my_call slot[WORLD_SLOTS];
};

#define WORLD_AHEAD 4u /* places that a worker looks at before it runs the first */

struct worker {
	uint32_t number;
	bool looks_ahead; /* takes several jobs before it runs the first, as a worker does that has them under way elsewhere */
	bool open[WORLD_PARTITIONS];
	struct rk_owner owner[WORLD_PARTITIONS];
	char room[256];
};

/* What the test's processes share among themselves; nothing of it is rekindle's. */
struct world_shared {
	_Atomic uint32_t calm, quit;
	_Atomic uint32_t elsewhere; /* the stepped child is in the test's own code, not in shm/ */
	_Atomic uint64_t progress[WORLD_CLIENTS][WORLD_PARTITIONS]; /* calls answered in the calm */
	_Atomic uint64_t n_torn, n_undelivered, n_before_gate, n_bad_view, n_bad_letters; /* must stay 0 */
	_Atomic uint64_t n_unknown, n_again, n_aside, n_full, n_no_cell, n_lost, n_rolled, n_refused,
		n_without_effect, n_views, n_retries, n_quarantined, n_blocked;
	struct client client[WORLD_CLIENTS]; /* single-step tests keep their clients here */
};

struct world {
	struct world_conf conf;
	struct rk_shm m;
	char *base;     /* the whole mapping: segments, shared, ledger */
	size_t len;     /* bytes of all of it */
	size_t shm_len; /* bytes of the segments, which come first */
	char *state;
	struct world_shared *shared;
	struct ledger *ledger;       /* [client][n_calls] */
	uint64_t first_position, first_sequence;
	uint64_t last_id;            /* supervisor: last client id given */
	int fd;                      /* behind the mapping */
	bool copy_all;               /* take-overs by copy do not look for holes */
	bool die_in_handler; /* this process kills itself in the next job */
};

/* Maps a world; ends the test when there is no memory. */
void world_make(struct world *w, const struct world_conf *conf);

/* As new: zeroed, every partition assigned to `owner`, or in turn to all workers if it is -1. */
void world_reset(struct world *w, int owner);

void world_free(struct world *w);

/* ---- client ---- */

void client_open(struct world *w, struct client *c, uint32_t page);
/* Takes up what a dead predecessor left. */
void client_resume(struct world *w, struct client *c);
/* False if nothing was started: no cell, or the ledger is full. */
bool client_start(struct world *w, struct client *c, uint32_t slot, uint32_t partition);
/*
 * One look at an outstanding call; late: its time is up; retry: may publish a second reference to a
 * taken one. Returns where it stands; the slot is free when that is an outcome.
 */
enum rk_call_state client_poll(struct world *w, struct client *c, uint32_t slot, bool late, bool retry);
/* Whether this client's page of the ledger is full. */
bool client_is_worn_out(const struct world *w, uint32_t page);

/* ---- worker ---- */

void worker_init(struct worker *k, uint32_t number);
/* One round over its partitions: > 0 if anything happened, 0 if not, < 0 if a partition was taken away. */
int worker_pass(struct world *w, struct worker *k);

/* ---- supervisor ---- */

/* Sweeps what a dead worker was writing, wakes, and frees the banks it kept. */
void world_sweep(struct world *w, uint32_t worker);
/* Charges the job a dead worker was in, if any. Before its partitions pass on. */
void world_charge(struct world *w, uint32_t worker);
/* Drops dead letters whose job is committed, as many as there are or one, noting them in the ledger. */
void world_drop_letters(struct world *w, bool all);
/* Passes a partition on after release or confirmed death. */
void world_assign(struct world *w, uint32_t partition, uint32_t to);
/* Takes a partition from an owner that can neither release nor die. False: not done (no free bank; released). */
bool world_evict(struct world *w, uint32_t partition, uint32_t to);
/* Gives a dead client's page to a new client. False: not yet. */
bool world_reassign_page(struct world *w, uint32_t page);
/* Opens the gate up to what is committed. */
void world_open_gate(struct world *w, uint32_t partition);
/*
 * When all workers are dead: worker 0, in this process, takes up everything and finishes what is
 * published.
 */
void world_settle(struct world *w);
/* Publishes one more view of the board. */
bool world_publish_view(struct world *w, struct rk_board_writer *writer, uint64_t version);
/* Whether this view is one of those, complete. */
bool world_view_is_whole(const struct world *w, const struct rk_view *view);

/*
 * When everything is settled: compares state and ledger. Returns whether all is right; else the
 * verdict names what is wrong. figures: prints a # line with them.
 */
bool world_verify(struct world *w, bool figures, char *ret_verdict, size_t len);

/* ---- small ---- */

/* For single steps: whether the code from here on is the test's own. */
static inline void world_elsewhere(struct world *w, bool yes)
{
	atomic_store_explicit(&w->shared->elsewhere, yes, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

uint64_t world_mix(uint64_t x);
static inline uint64_t world_stat(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}
static inline void world_count(_Atomic uint64_t *word)
{
	atomic_fetch_add_explicit(word, 1, memory_order_relaxed); /* a figure, orders nothing */
}
struct tally *world_tally(const struct world *w, uint32_t partition);
struct ledger *world_ledger(const struct world *w, uint32_t page, uint64_t sequence);
uint8_t *tally_applied(const struct world *w, struct tally *t, uint32_t client, uint64_t sequence);
static inline uint64_t world_owner_word(const struct world *w, uint32_t partition)
{
	return atomic_load_explicit(&rk_shm_part(&w->m, partition)->owner, memory_order_acquire);
}

#endif
