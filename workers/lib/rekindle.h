/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librekindle: keyed, stateful workers that survive being killed, and clients
 * that call them.
 *
 * A worker handles jobs. What a handler changes in its state after rk_touch(),
 * the fact that the job was done, and its reply become true together or not at
 * all, whatever kills the process and wherever. A client's call is applied at
 * most once, and an acknowledged one exactly once, as long as the machine
 * stays up.
 *
 * Errors    functions return 0, a negative errno, or one of enum rk_outcome.
 * Threads   a worker has one job thread, and only it calls worker functions. A
 *           client's functions may be called by any thread of the process that
 *           opened it.
 * Kill      a client may be killed anywhere in any of its functions: nothing is held that others
 *           wait for. A call it had published may be applied; what else it leaves, its next
 *           process of the same name gets from rk_next(), and of an anonymous one it is dropped.
 * fork      a handle is dead in a forked child: calls return RK_FORKED there, rk_client_fd()
 *           and rk_client_where() -ECHILD. What a worker forked is killed when the worker has
 *           ended, unless it has called setsid(); only prctl(PR_SET_PDEATHSIG) ends it when
 *           keeper is killed.
 * Units     bytes; times as their names say; deadlines on CLOCK_MONOTONIC.
 */
#ifndef REKINDLE_H
#define REKINDLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- worker ---------------------------------------------------------------- */

/*
 * One job, as a handler sees it. key and body are private copies, with a NUL
 * behind each, valid until the handler returns.
 */
struct rk_job {
	const char *key;
	size_t key_len; /* bytes */
	const void *body;
	size_t len;           /* bytes of body */
	uint64_t deadline_ns; /* until when its client waits, CLOCK_MONOTONIC; 0 = for ever */
	uint32_t partition;
	uint64_t number;   /* of the job within its partition */
	uint64_t sequence; /* the client's number for the call */
	void *internal;    /* the library's */
};

/*
 * Handles one job. state is the partition's state: zero at first (or as init
 * left it), at the same address in every incarnation of the worker, and kept
 * across the worker's death; so pointers from the state into the state (and its
 * arena, see rk_alloc()) may lie in it. Pointers to anything else - the program's
 * own code and data, another partition - may not: they mean nothing to the
 * successor. Bytes of it may change only after rk_touch().
 *
 * Returns >= 0: the job commits, with the reply that rk_reply() set (empty
 * without). < 0, a negative errno: its changes are undone and the client gets
 * RK_FAILED with this error. RK_RETRY: its changes are undone, an attempt is
 * counted, and it runs again, in its order, after other partitions had their
 * turn.
 * Killed anywhere in it: the successor undoes its changes and runs it again.
 * A job whose attempts have reached the fleet's DeadLetterAfter is quarantined:
 * kept as a dead letter, and its client gets RK_FAILED with RK_QUARANTINED. The
 * undo log has to hold what all attempts of a job change; when it is full, the
 * job is undone and fails with -ENOSPC (--undo, --undo-data).
 */
typedef int (*rk_on_job)(struct rk_job *job, void *state, void *arg);

/*
 * Fills a fresh state, once per partition, before its first job. state is zero.
 * Needs no rk_touch(): killed in it, the successor starts from zero again.
 * Returns 0; a negative errno ends the worker.
 */
typedef int (*rk_init)(void *state, uint32_t partition, void *arg);

#define RK_RETRY (-4096)      /* of a handler: once more, please */
#define RK_QUARANTINED (-131) /* reply.error, -ENOTRECOVERABLE: the job failed too often and will not run again */

/*
 * Turns a state that a program of another state_version left into one of ours,
 * in place, before its partition's first job here. Bytes behind the old
 * state_size are zero. It may be newer than ours: refuse what is not known.
 * Needs no rk_touch(): it works on a private copy at the state's own address,
 * whose changes, and those in blocks of the arena, become true together with the
 * first commit after it. rk_alloc() and rk_free() need a job; there is none here.
 * Killed or failed before that commit: the old state stands, and the next worker
 * upgrades again. So it may be called more than once for one state, and what it
 * does outside the state it may do twice.
 * Returns 0; a negative errno ends the worker and keeps the state.
 */
typedef int (*rk_upgrade)(void *state, uint32_t from_version, uint32_t partition, void *arg);

#define RK_SPIN_FOREVER UINT32_MAX

struct rk_worker_def {
	size_t state_size; /* bytes per partition; with arena_size at most the fleet's --max-state */
	rk_on_job on_job;
	rk_init init;       /* may be NULL */
	void *arg;          /* handed to all hooks */
	uint32_t batch_max; /* jobs per commit, 0 = 1, at most 256 */
	uint32_t spin_us;   /* how long an idle worker polls before it parks: 0 = 50; RK_SPIN_FOREVER */
	size_t arena_size;  /* bytes per partition for rk_alloc(), 0 = none; cannot change later */
	/*
	 * The program's own number for the layout of its state. A partition whose
	 * state has another one is upgraded; without a hook the worker does not
	 * start, names both and keeps the state. With another number state_size may
	 * be another one too; what an upgrade changes must fit into half of the
	 * fleet's undo log (--undo, --undo-data), or it is refused in the same way.
	 */
	uint32_t state_version;
	rk_upgrade upgrade; /* may be NULL */
	uint32_t jobs_max;  /* rk_worker_next() handles about so many jobs at most: 0 = 256 */
};

/*
 * The whole of a worker: attaches to the fleet that started this process and
 * handles jobs until it is told to end, which lets the present job finish: by the
 * supervisor, which disturbs no job, or by SIGTERM or SIGINT, which interrupt a
 * sleep or a poll in one with EINTR as any signal does. Writes what is wrong to
 * stderr. Returns main()'s exit status: 0 stopped; 3 the partition was taken away,
 * or it was a standby and is needed no more; 75 nobody supervises it any more (OrphanTimeout= of
 * rekindle.conf(5));
 * 64 not started by rekindle; 78 it does not fit the fleet. Once in a process.
 *
 * RK_CHECK=1 in the environment compares the state, arena included, after each
 * job and ends the worker at the first write without rk_touch(), or past a block
 * of the arena, naming it (slow: for tests).
 */
int rk_worker_main(const struct rk_worker_def *def);

/*
 * The same for a program that has a loop of its own: rk_worker_open(), then
 * rk_worker_next() whenever rk_worker_fd() is readable, then rk_worker_close(),
 * and the process ends.
 *
 *     if ((r = rk_worker_open(&worker, &def)) != 0)
 *             return r;
 *     ... add rk_worker_fd(worker) to epoll, EPOLLIN ...
 *     while (epoll_wait(...) >= 0)
 *             if (it was the worker's && rk_worker_next(worker, 0) < 0)
 *                     break;
 *     return rk_worker_close(worker);
 *
 * The thread that opens the worker is its job thread: it alone calls these four
 * functions and runs on_job, and when it ends the supervisor takes the worker
 * for dead. What a kill leaves is what it leaves of rk_worker_main().
 */
struct rk_worker;

/*
 * Attaches to the fleet that started this process; as a standby (Standby= in
 * rekindle.conf(5)) it waits here until it is needed as a worker, so what takes
 * its time is best done before. Returns 0 and a handle that
 * rk_worker_close() frees; else main()'s exit status, as rk_worker_main(), with
 * what is wrong on stderr. def is copied.
 * SIGTERM and SIGINT end the worker (RK_STOP), unless the program has a handler
 * of its own for them, or blocks them and reads them elsewhere: then it calls
 * rk_worker_close() when they come.
 */
int rk_worker_open(struct rk_worker **ret, const struct rk_worker_def *def);

/*
 * A descriptor that is readable when there may be jobs, and at first; also when
 * it is time to stop. Call rk_worker_next() then; it takes the readiness back
 * once nothing is left. The library's. The first use starts a thread, which
 * only sleeps in the job thread's place. A process with several threads is
 * succeeded when it is gone, not when its job thread is: a little later after a
 * kill if it is large. Returns the descriptor, or a negative errno.
 */
int rk_worker_fd(struct rk_worker *worker);

#define RK_STOP (-4097) /* rk_worker_next(): asked to end; no errno */

/*
 * Handles jobs that are there, about rk_worker_def.jobs_max at most, and waits
 * for the first at most timeout_ms (0 = only looks; RK_TIMEOUT_NONE). The worker
 * counts as ready for work once the first call has looked. Returns how many
 * jobs it handled, duplicates and withdrawn ones included, or 1 when there was
 * but one that wants another attempt, or a partition to give back; 0 when there
 * were none; RK_STOP; -ESTALE when a partition was taken away; another negative
 * errno when the worker cannot go on, said on stderr: close it after any of
 * these. -ECHILD in a forked child; -EDEADLK from a handler or another thread.
 */
int rk_worker_next(struct rk_worker *worker, uint32_t timeout_ms);

/*
 * Ends the worker and frees the handle; NULL is accepted. Jobs that are not
 * handled are its successor's. The lease stays held until the process ends,
 * which the supervisor awaits. Returns main()'s exit status.
 */
int rk_worker_close(struct rk_worker *worker);

/*
 * Before a handler changes len bytes at p, inside its state: saves them.
 * Returns 0. If it cannot - they are not inside the state (EFAULT), or the job
 * changes more than the undo log holds (ENOSPC: --undo, --undo-data) - it does
 * not return: the handler is left at once, by longjmp, the job's changes are
 * undone and the client gets RK_FAILED with that error. So what nobody saved
 * is never written. Touch before you take what must be given back.
 */
int rk_touch(struct rk_job *job, const void *p, size_t len);

/*
 * Allocates len bytes in the partition's arena (rk_worker_def.arena_size): zero,
 * aligned to 16, at the same address in every incarnation, and the partition's
 * until rk_free(). The job that allocated them may write them without
 * rk_touch(); later jobs touch them like any other state. The allocation is part
 * of the job: it commits with it, and an aborted or killed job has never made it.
 * Returns NULL when the arena has no room (or there is none); the job may go on.
 * If the undo log is full (ENOSPC), or the arena is damaged by a stray write of a
 * handler (EUCLEAN), the handler is left at once, as by rk_touch(). Each block
 * takes 16 bytes more, and at least 32. Allocating takes at most 8 undo entries,
 * mostly 4; memory that was freed by a job of the same commit takes undo data of
 * its length as well. Never blocks; constant time but for zeroing.
 */
void *rk_alloc(struct rk_job *job, size_t len);

/*
 * Frees what rk_alloc() returned, in this job or an earlier one; part of the
 * job, like the allocation. NULL is accepted. What is no live block of this
 * partition (freed before, a pointer into the middle) leaves the handler with
 * EFAULT, as do the errors of rk_alloc(); the job is undone and nothing is
 * damaged. At most 10 undo entries, mostly 3. Never blocks; constant time.
 */
void rk_free(struct rk_job *job, void *p);

/*
 * Sets the job's reply; a second call replaces the first. Returns 0; -EMSGSIZE
 * if len is more than the fleet's --max-reply (the reply stays as it was).
 */
int rk_reply(struct rk_job *job, const void *bytes, size_t len);

/* Says that a long job is getting on. Never blocks. */
void rk_beat(struct rk_job *job);

/*
 * Whether this job should be given up: its deadline has passed, or the
 * supervisor asks for it. For long handlers, to look at now and then and return
 * an error such as -ETIMEDOUT; nothing happens by itself. Never blocks.
 *
 * A handler that waits in a system call does not look. With JobTimeoutSignal=
 * in the configuration, the worker gets that signal at the deadline: install a
 * handler for it without SA_RESTART before rk_worker_main(), and the call ends
 * with EINTR; rk_cancelled() is true by then. Use SIGUSR1 or SIGUSR2: SIGTERM
 * and SIGINT ask the worker to end, the library catches them itself. The signal
 * goes to the process: block it in threads that run no jobs. One that comes just
 * before the wait begins is gone; ppoll() with the signal blocked until then
 * loses none.
 */
int rk_cancelled(struct rk_job *job);

/*
 * Says that the handler waits for somebody else, for at most ms milliseconds
 * from now; 0 says that it has ended. Never blocks.
 */
void rk_calling(struct rk_job *job, uint32_t ms);

/* ---- client ---------------------------------------------------------------- */

/* What became of a call. Negative numbers are errno: bad arguments or a damaged system. */
enum rk_outcome {
	RK_DONE = 0,        /* applied; the reply is there */
	RK_FAILED = 1,      /* the handler refused: reply.error; its changes are undone, and this answer is final */
	RK_NOT_APPLIED = 2, /* certain: not applied, and will not be */
	RK_UNKNOWN = 3,     /* a worker has it; rk_wait() goes on with the same sequence, unless the fleet has ended */
	RK_TOO_LARGE = 4,   /* not applied: key and body exceed the fleet's --max-request */
	RK_FULL = 5,        /* not applied: the partition has no room */
	RK_NO_WORKER = 6,   /* not applied: the partition's worker is down, stopped or late */
	RK_STALE = 7,       /* this client's place was given away: open again */
	RK_FORKED = 8,      /* the handle belongs to the parent process */
	RK_NO_SLOT = 9,     /* not applied: all slots hold unfinished calls or unreleased replies */
	RK_EMPTY = 10,      /* rk_next(): nothing outstanding */
	RK_ENDED = 11       /* not applied: the fleet has ended, or was removed; open again if another is to come */
};

/* Name of an outcome, or the errno's text for a negative one. Never NULL; static. */
const char *rk_outcome_text(int outcome);

#define RK_TIMEOUT_DEFAULT_MS 10000u
#define RK_TIMEOUT_NONE UINT32_MAX

struct rk_client;

struct rk_request {
	const char *key;
	size_t key_len; /* 0 = up to key's NUL */
	const void *body;
	size_t len;          /* bytes of body */
	uint32_t timeout_ms; /* 0 = RK_TIMEOUT_DEFAULT_MS; RK_TIMEOUT_NONE */
	uint64_t tag;        /* the application's own; comes back with the reply, even to a successor */
};

/*
 * A call's result, and its handle while it is unfinished. Zero it before the
 * first use. body lies in shared memory and stays until rk_reply_release(), or
 * until the same object is passed to another call, which releases it. A named
 * client killed before that gets the reply again (RK_RESUMED).
 */
struct rk_reply {
	const void *body;
	size_t len;
	int error; /* RK_FAILED: the handler's negative errno */
	uint32_t partition;
	uint64_t tag;
	uint64_t sequence; /* the client's number for the call; never used twice */
	uint64_t job;      /* number of the job within its partition */
	uint32_t flags;    /* RK_RESUMED */
	uint32_t slot;     /* the library's: slot + 1, 0 = holds nothing */
};

#define RK_RESUMED 1u /* the call was begun by an earlier process of the same name */

/*
 * Opens a place in a fleet: NAME, or NAME/FLEET where one configuration has
 * several. fleet NULL: $REKINDLE_NAME, or the only one running. name NULL:
 * anonymous, and what is unfinished at the end is dropped; else 1 to 63 letters,
 * digits and ".-_@": a later process of this name gets unfinished calls and unread
 * replies from rk_next(). Names that begin with "rekindle." are root's and the owner's.
 * Returns 0 and a handle that rk_client_close() frees; -EBUSY if the name is in
 * use by a living process; -ENOENT no such fleet; -ENOSPC no place left; -EPROTO
 * fleet and library do not fit. rk_client_error() tells more. Blocks up to 5 s.
 */
int rk_client_open(struct rk_client **ret, const char *fleet, const char *name);

/* A sentence on why this thread's last rk_client_open() or rk_addresses_open() failed. Never NULL. */
const char *rk_client_error(void);

/*
 * Frees the handle; NULL is accepted. No other thread may be in a function of the
 * client. A named client's unfinished calls stay for its successor. In a forked
 * child it frees the child's copy alone.
 */
void rk_client_close(struct rk_client *client);

/* Calls and waits. Returns an outcome; with RK_UNKNOWN the reply object is the handle to go on waiting with. */
int rk_call(struct rk_client *client, const struct rk_request *request, struct rk_reply *reply);

/*
 * Calls, and tries again until one deadline: waits on with the same sequence
 * while a worker may have the call, begins anew (backoff with jitter) when it
 * certainly was not applied; looks at the worker's state before each try. Never
 * applied twice.
 */
int rk_call_retry(struct rk_client *client, const struct rk_request *request, struct rk_reply *reply);

/*
 * Asks again for an unfinished call, with its sequence, and goes on waiting. 0 ms: only looks. When the fleet has ended
 * it returns at once, and what is unknown then stays so: look at rk_client_has_ended() before waiting again.
 */
int rk_wait(struct rk_client *client, struct rk_reply *reply, uint32_t timeout_ms);

/* The reply is read: its slot is free again. Of an unfinished call: its result will be dropped. */
void rk_reply_release(struct rk_client *client, struct rk_reply *reply);

/*
 * Begins a call; rk_next() brings its result, known by its tag. Returns 0 or an
 * outcome that says it was not applied. Killed behind it, a named client's
 * successor gets the result from its own rk_next(), with the tag.
 */
int rk_call_async(struct rk_client *client, const struct rk_request *request);

/*
 * The next finished asynchronous or resumed call, waiting at most timeout_ms
 * (0 = only looks). Returns its outcome; RK_EMPTY when nothing is outstanding;
 * -EAGAIN when nothing is finished yet. A reply counts as read when it is released:
 * killed before that, a named client's successor gets it again. When the fleet has
 * ended, each comes at once: done, RK_ENDED (not applied) or RK_UNKNOWN for good.
 */
int rk_next(struct rk_client *client, uint32_t timeout_ms, struct rk_reply *reply);

/*
 * A descriptor that is readable when rk_next() may have something; then call
 * rk_next() with 0 ms until it has nothing. It is the library's: neither read nor
 * close it; rk_client_close() does, and it is closed on exec. The first use starts
 * a thread. Returns it, or a negative errno: -ESTALE, -ECHILD, or why there is no
 * descriptor or no thread.
 */
int rk_client_fd(struct rk_client *client);

/*
 * Begins a call whose reply nobody awaits. Returns 0: queued, and applied at
 * most once; rk_flush() tells whether all were. Else an outcome: not queued.
 * Killed behind it, the job may be applied all the same, and nobody is told.
 */
int rk_submit(struct rk_client *client, const struct rk_request *request);

/*
 * Waits until every submitted call is finished. Returns 0: all were applied;
 * RK_UNKNOWN after timeout_ms, or when the fleet has ended; RK_FAILED if handlers refused some since the
 * last flush, or workers had no room for them: *ret_failed, which may be NULL,
 * says how many.
 */
int rk_flush(struct rk_client *client, uint32_t timeout_ms, uint64_t *ret_failed);

/*
 * Whether the client's fleet has ended, or was removed: 1 or 0. Nothing is worth waiting for then; what has come to an
 * outcome keeps it. Another fleet of that name is opened anew.
 */
int rk_client_has_ended(const struct rk_client *client);

/* How long waiting calls poll before they sleep: default 50 us; 0 never; RK_SPIN_FOREVER. */
void rk_client_spin(struct rk_client *client, uint32_t us);

/*
 * Partition of a key, and the worker slot and process that own it now (-1 = down;
 * they may change before it returns). key_len 0: up to key's NUL. Returns 0, -ESTALE
 * or -ECHILD. Killed in it, the supervisor frees the reader's line.
 */
int rk_client_where(struct rk_client *client, const char *key, size_t key_len, uint32_t *ret_partition,
		    uint32_t *ret_worker, int *ret_pid);

/* ---- addresses ------------------------------------------------------------- */

/*
 * Where a key lives, for who connects to it himself: in fleets whose workers speak a protocol of
 * their own, as redis, and have addresses (Port=, Socket=, Address= of rekindle.conf(5)).
 *
 *     if ((r = rk_addresses_open(&addresses, "carts")) != 0)
 *             return r;
 *     while ((r = rk_addresses_wait(addresses, "user:7", 0, 5000, &a)) == 0 && a.state == RK_ADDRESS_READY)
 *             if (... connect to a.text and ask ...)
 *                     break;
 *
 * A key's address changes only when its partition moves: when the fleet is scaled, a worker drained,
 * or one is down for longer than MoveAfter=. A restart changes nothing but the state.
 */
struct rk_addresses;

enum rk_address_state {
	RK_ADDRESS_READY, /* its worker is */
	RK_ADDRESS_WAIT,  /* it is being restarted, stopped, suspected or paused: wait, then ask again */
	RK_ADDRESS_NONE   /* the fleet has ended, or nobody has the key: open again if another fleet is to come */
};

struct rk_address {
	const char *text;   /* as Address= says; lives as long as the handle. NULL only with RK_ADDRESS_NONE */
	uint32_t partition; /* of the key */
	uint32_t worker;    /* slot that owns it */
	int state;          /* enum rk_address_state */
};

/*
 * Opens the addresses of a fleet, which is named as in rk_client_open(). Such a handle is no client: it
 * takes no place in the fleet and holds no connection, so that any number of processes may have one.
 * Whoever may be a client of the fleet may open it. Returns 0 and a handle that rk_addresses_close()
 * frees; -ENOENT no such fleet; -EADDRNOTAVAIL the fleet has no addresses; -EPERM; -EPROTO fleet and
 * library do not fit; rk_client_error() tells more. Blocks up to 5 s. Killed in it or behind it, nothing
 * is left.
 */
int rk_addresses_open(struct rk_addresses **ret, const char *fleet);

/*
 * The address of a key, and whether its worker is ready. key_len 0: up to key's NUL. Never blocks; a hash
 * and some loads, and some us for the first call behind a change in the fleet. Returns 0, or -ECHILD in a
 * forked child.
 *
 * What it says was true when it was asked. A worker that is killed reads RK_ADDRESS_WAIT once its death is
 * noticed, well within a millisecond mostly; until then, and whenever it dies behind the answer, connecting
 * is refused or the connection breaks: ask again. Nobody knows then whether a request that was on its way
 * was done: unlike jobs, such requests are neither repeated nor counted. A supervisor's death changes
 * nothing but that a worker's death is noticed when the next supervisor is there. When keeper is
 * killed without systemd all workers end with it, and nobody is left to say so: the state stays as it was,
 * and connecting goes on to be refused. Open again then: -ENOENT.
 */
int rk_addresses_find(struct rk_addresses *addresses, const char *key, size_t key_len, struct rk_address *ret);

/*
 * The same, but sleeps while it is RK_ADDRESS_WAIT, for timeout_ms at most (0 = only looks; RK_TIMEOUT_NONE);
 * nothing looks by the clock. Returns 0: ready, or none; -ETIMEDOUT: it is RK_ADDRESS_WAIT still, *ret says
 * of what; -ECHILD.
 */
int rk_addresses_wait(struct rk_addresses *addresses, const char *key, size_t key_len, uint32_t timeout_ms,
		      struct rk_address *ret);

/* Frees the handle and its texts; NULL is accepted. No other thread may be in a function of the handle. */
void rk_addresses_close(struct rk_addresses *addresses);

#ifdef __cplusplus
}
#endif

#endif
