/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenes: the operations on shared memory that must survive a death or a stop at any instruction,
 * each with what comes before it, who performs it, and what the world does after its death or
 * while it is stopped.
 *
 * Actors: client 0 (named), client 1 (named), worker 0 and 1, the supervisor, a reader. The test
 * itself is worker 2 and, after the actor's end, everybody else.
 */
#ifndef RK_TESTS_FAULT_SCENE_H
#define RK_TESTS_FAULT_SCENE_H

#include "tests/fault/world.h"

/* A copy of everything the stage's processes share, and of the supervisor's private part of it. */
struct snapshot {
	uint64_t last_id, version;
	char bytes[]; /* world.len */
};

struct stage {
	struct world w;
	struct worker me; /* worker 2 */
	struct rk_board_writer board;
	bool reader_alive;
	uint64_t version; /* of the last view */
	/* findings */
	unsigned long n_checks, n_bad;
	char why[160]; /* the first one */
	struct snapshot *prepared;
};

struct scene {
	const char *name;
	void (*prepare)(struct stage *); /* on a fresh world whose partitions are worker 2's */
	void (*act)(struct stage *);     /* in the child */
	void (*bury)(struct stage *);    /* the actor is confirmed dead */
	void (*go_on)(struct stage *);   /* the actor is stopped, and the world goes on; NULL: it just waits */
	bool gated;                      /* in a world whose gates are opened from outside */
	uint32_t n_log;                  /* undo entries; 0 = plenty */
	uint32_t retries;                /* attempts every job asks for */
	bool is_long;                    /* a loop: who is stopped between two changes has read no more than before */
};

extern const struct scene scenes[];
extern const unsigned int n_scenes;

/* Two operations at once, and their claim. */
struct duet {
	const char *name;
	void (*prepare)(struct stage *);
	const struct scene *a, *b;
};

extern const struct duet duets[];
extern const unsigned int n_duets;

/* A world as this scene wants it; n_spare: how many state words a job touches one by one. */
void stage_open(struct stage *s, const struct scene *scene, bool wrap, uint32_t n_spare);
void stage_close(struct stage *s);
/* Prepares and keeps a copy; stage_restart() goes back to it. */
void stage_prepare(struct stage *s, void (*prepare)(struct stage *));
void stage_restart(struct stage *s);
/* Room for a copy of the stage; free() it. */
struct snapshot *stage_room(const struct stage *s);
/* Keeps the present memory; stage_restore() goes back to it. */
void stage_save(const struct stage *s, struct snapshot *to);
void stage_restore(struct stage *s, const struct snapshot *from);

/* Everybody gets on, a probe call through every partition is answered, the books are right. */
void stage_check(struct stage *s);
void stage_fail(struct stage *s, const char *why);

/* Forks a child that performs the act under ptrace and stands before it. -1 if ptrace is not permitted. */
pid_t stage_child(struct stage *s, void (*act)(struct stage *));
/* One instruction. False when the child has ended; then ret_status says how. */
bool stage_step(pid_t child, int *ret_status);
void stage_kill(pid_t child);
/*
 * A twin of a stopped child, at the same instruction, with the same private memory; it stands too.
 * So a state is reached once and gone on from as often as one likes.
 */
pid_t stage_twin(pid_t child);
/* Lets a stopped child run to its end. False if it was not by itself. */
bool stage_continue(pid_t child);
/* Why ptrace is not permitted, or NULL. */
const char *stage_without_ptrace(void);

#endif
