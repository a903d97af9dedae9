/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger: what demo's clients note of every word they send, in a file of their own (a memfd),
 * so that somebody who trusts nobody can compare it with what the fleet counted.
 *
 *            note            answer
 *   EMPTY ---------> INTENT ---------> ACKED | REFUSED | QUARANTINED
 *                      |                 | an answer that differs from the first
 *                      |                 +--> CONTRADICTED
 *                      | its anonymous client was killed
 *                      +--> ABANDONED
 *
 * A client writes INTENT before it calls, and ACKED after it has read the answer and before it
 * releases the reply. So a named client's successor finds, for each INTENT of its predecessor,
 * either the call's outcome (rk_next() brings it, known by its tag), or nothing: then the call
 * was never published, or was withdrawn, and is certainly not applied, since an applied call
 * stays resumable until its reply is released.
 *
 * Records of place p (one client at a time) are p, p + n_places, p + 2 n_places, …; the record's
 * index is the call's tag, and the record's word is the text's word of that index, over and over.
 *
 * Poison jobs, which are sent to fail, have records of their own, that no place has: an answer
 * other than QUARANTINED is wrong there, as QUARANTINED is everywhere else.
 *
 * Who       demo creates it; each place's client writes its records; the checker reads them when
 *           every client has ended. Not part of a fleet's ABI: all are one program.
 * Crash     a client killed anywhere leaves a record in one of the states above.
 * Blocking  never.
 */
#ifndef RK_CLI_DEMO_LEDGER_H
#define RK_CLI_DEMO_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/demo_text.h"

enum rk_demo_state {
	RK_DEMO_EMPTY,
	RK_DEMO_INTENT,       /* noted, perhaps sent, no answer yet */
	RK_DEMO_ACKED,        /* answered: count */
	RK_DEMO_REFUSED,      /* the handler refused it: final, not applied */
	RK_DEMO_ABANDONED,    /* its client was anonymous and was killed: nobody will ever know */
	RK_DEMO_CONTRADICTED, /* answered twice, and not with the same count */
	RK_DEMO_QUARANTINED,  /* it failed too often: final, not applied */
	RK_DEMO_STATES
};

struct rk_demo_record {
	_Atomic uint32_t state; /* enum rk_demo_state; stored last */
	uint32_t word;          /* index in the dictionary */
	uint64_t count;         /* what the fleet answered: how often it has now counted the word */
};

/* One per client; written by the client at that place alone. */
struct rk_demo_place {
	_Atomic uint64_t next; /* intents noted, counted within the place */
	_Atomic uint64_t low;  /* all before this one have their answer */
	_Atomic uint64_t n_acked;
	_Atomic uint64_t n_again;   /* sent again, since certainly not applied */
	_Atomic uint64_t n_resumed; /* answers to calls of a killed predecessor */
	uint64_t reserved[3];
};

struct rk_demo_ledger_head {
	uint64_t len; /* bytes of the file */
	uint64_t n_records;
	uint64_t n_text; /* words of the text */
	uint64_t chars_len;
	uint32_t n_words; /* different ones */
	uint32_t n_places;
	uint32_t n_poisons;
	uint32_t reserved0;
	uint64_t words_at, chars_at, text_at, places_at, poisons_at, records_at; /* bytes from here */
	_Atomic uint32_t stop;                                       /* demo: send nothing new */
	uint32_t reserved;
};

/* A process's view. */
struct rk_demo_ledger {
	struct rk_demo_ledger_head *head;
	const uint32_t *words; /* where each word begins among the chars; NUL-terminated */
	const char *chars;
	const uint32_t *text;
	struct rk_demo_place *places;
	struct rk_demo_record *poisons;
	struct rk_demo_record *records;
	int fd;
};

/* What a ledger has room for. */
struct rk_demo_ledger_size {
	uint32_t n_places;
	uint32_t n_poisons;
	uint64_t n_records;
};

/* Makes a ledger. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_ledger_create(struct rk_demo_ledger *ret, const struct rk_demo_text *text,
				      const struct rk_demo_ledger_size *size, struct rk_err *err);

/* Maps what rk_demo_ledger_create() made; fd stays open. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_ledger_attach(struct rk_demo_ledger *ret, int fd, struct rk_err *err);

/* Unmaps and closes; accepts an empty one. */
void rk_demo_ledger_close(struct rk_demo_ledger *l);

static inline const char *rk_demo_ledger_word(const struct rk_demo_ledger *l, uint32_t word)
{
	return l->chars + l->words[word];
}

/* Index of the nth record of a place. */
static inline uint64_t rk_demo_ledger_index(const struct rk_demo_ledger *l, uint32_t place,
					    uint64_t nth)
{
	return nth * l->head->n_places + place;
}

static inline enum rk_demo_state rk_demo_ledger_state(const struct rk_demo_ledger *l, uint64_t i)
{
	/* Acquire: the state shows the word and count that belong to it. */
	return (enum rk_demo_state)atomic_load_explicit(&l->records[i].state, memory_order_acquire);
}

/* Whether the place has a record left to send. */
bool rk_demo_ledger_has_more(const struct rk_demo_ledger *l, uint32_t place);

/* Notes the next intent of a place. Returns its record's index. */
uint64_t rk_demo_ledger_note(const struct rk_demo_ledger *l, uint32_t place);

/*
 * Notes an answer: ACKED with its count, REFUSED or QUARANTINED. An answer to an answered record changes
 * nothing if it is the same, else the record is CONTRADICTED.
 */
void rk_demo_ledger_answer(const struct rk_demo_ledger *l, uint64_t i, enum rk_demo_state state,
			   uint64_t count);

/* The intent of a poison job, and its answer. */
void rk_demo_ledger_note_poison(const struct rk_demo_ledger *l, uint32_t k);
void rk_demo_ledger_answer_poison(const struct rk_demo_ledger *l, uint32_t k, enum rk_demo_state state);

/* Records that anybody noted come before this one: the rest needs no look, which would cost memory. */
uint64_t rk_demo_ledger_n_noted(const struct rk_demo_ledger *l);

/* A killed predecessor at this place may have noted one intent more than it counted. */
void rk_demo_ledger_recover(const struct rk_demo_ledger *l, uint32_t place);

#endif
