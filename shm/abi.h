/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every structure that two processes share, and nothing else: the ABI.
 *
 * Shared memory is a file format (STYLE §5): fixed widths, offsets instead of
 * pointers, reserved bytes zero, every offset asserted. Each field names its
 * writer. Widths and lifetimes of all counters stand in doc/abi.md.
 *
 * Segments   one memfd each, sealed against shrinking and growing, all of one
 *            fleet carrying the same fleet id:
 *   board    supervisor writes, everybody else maps read-only
 *   beats    one page per worker slot, written by that worker (and its lease
 *            waiter bit by the supervisor)
 *   calls    one page per client: its cells, written by the client; replies by
 *            workers
 *   queues   rings and bells, written by clients and workers; the guard's bell
 *   parts    commit, owner and gate words of each partition; worker, supervisor
 *   readers  one line per reader of the board
 *   state    the partitions' banks (undo log, dedup table, user's state), each
 *            mapped by the partition's owner alone
 *   journal  the supervisor's half-finished operations; nobody else maps it
 *   dead     jobs that killed their workers too often; workers push, supervisor
 *            frees, whoever reads the board may read it
 */
#ifndef RK_SHM_ABI_H
#define RK_SHM_ABI_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RK_ABI_VERSION 2u
#define RK_ABI_LINE 64u

#define RK_ABI_AT(type, member, offset) \
	static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")
#define RK_ABI_SIZE(type, size) static_assert(sizeof(type) == (size), #type " has another size")

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "shared 64-bit atomics must be lock-free");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "shared 32-bit atomics must be lock-free");
static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "atomics have no lock beside them");

/* Private bounds: whatever shared memory says, nothing is larger than this. */
#define RK_PARTITIONS_MAX 16384u
#define RK_WORKERS_MAX 4095u /* worker number in a cell word: 12 bits, all ones is nobody */
#define RK_CLIENTS_MAX 65536u
#define RK_SLOTS_MAX 1024u
#define RK_CELLS_MAX (1u << 20) /* of all clients: the cell number of a reference has 20 bits */
#define RK_RING_MIN 64u         /* with fewer places the 42 bits of a lap would not hold a position */
#define RK_RING_MAX (1u << 20)
#define RK_BODY_MAX (1u << 24)     /* bytes of one request or reply */
#define RK_LOG_ENTRIES_MAX 65535u  /* 16 bits in the log word */
#define RK_BANK_MAX (1ull << 32)   /* bytes of one bank: log offsets have 32 bits */
#define RK_BANKS_MAX 8u
#define RK_READERS_MAX 4096u
#define RK_DEAD_MAX 65536u
#define RK_DEAD_AFTER 3u /* attempts until a job is quarantined, unless configured */
#define RK_VIEWS 4u
#define RK_NAME_MAX 64u /* bytes of a fleet's or client's name with its NUL */

/* ---- the head of every segment ------------------------------------------- */

#define RK_MAGIC 0x656c646e696b6572ull /* "rekindle", little endian */

enum rk_segment_kind {
	RK_SEGMENT_BOARD = 1,
	RK_SEGMENT_BEATS,
	RK_SEGMENT_CALLS,
	RK_SEGMENT_QUEUES,
	RK_SEGMENT_PARTS,
	RK_SEGMENT_READERS,
	RK_SEGMENT_STATE,
	RK_SEGMENT_JOURNAL,
	RK_SEGMENT_DEAD,
	RK_SEGMENT_KINDS
};

struct rk_segment {
	uint64_t magic;    /* creator, once */
	uint32_t abi;      /* creator, once: RK_ABI_VERSION */
	uint32_t kind;     /* creator, once: enum rk_segment_kind */
	uint64_t size;     /* creator, once: bytes of the whole segment */
	uint64_t fleet[2]; /* creator, once: random, the same in all segments of a fleet */
	uint64_t reserved[3];
};
RK_ABI_AT(struct rk_segment, abi, 8);
RK_ABI_AT(struct rk_segment, kind, 12);
RK_ABI_AT(struct rk_segment, size, 16);
RK_ABI_AT(struct rk_segment, fleet, 24);
RK_ABI_SIZE(struct rk_segment, 64);

/* ---- geometry: every size of a fleet, chosen at its creation --------------- */

struct rk_geometry {
	uint32_t n_partitions; /* power of two */
	uint32_t n_ring;       /* places in a partition's ring, power of two */
	uint32_t n_workers;    /* worker slots */
	uint32_t n_clients;    /* client pages */
	uint32_t n_slots;      /* outstanding calls per client */
	uint32_t n_cells;      /* cells per client, more than slots */
	uint32_t n_dedup;      /* dedup entries per partition */
	uint32_t n_log;        /* undo entries per bank */
	uint32_t log_data_len; /* bytes for old values longer than an entry holds inline */
	uint32_t request_max;  /* bytes of key and body together */
	uint32_t reply_max;    /* bytes */
	uint32_t state_max;    /* bytes of the user's state per partition */
	uint32_t n_banks;      /* banks per partition; more than one allows eviction by copy */
	uint32_t n_readers;    /* reader lines */
	uint64_t hash_seed;    /* of key -> partition */
	uint32_t n_dead;       /* dead letters */
	uint32_t reserved0;    /* zero */
	uint64_t reserved1[7]; /* zero */
};
RK_ABI_AT(struct rk_geometry, hash_seed, 56);
RK_ABI_AT(struct rk_geometry, n_dead, 64);
RK_ABI_SIZE(struct rk_geometry, 128);

/* ---- words ------------------------------------------------------------------ *
 *
 * reference  lap:42 | cell:20 | state:2        a place in a ring
 * where      1:1 | partition:15 | position:48   0 = nowhere
 * cell word  sequence:50 | worker:12 | state:2
 * commit     incarnation:16 | cursor:48        cursor = next job not committed
 * log word   job:48 | entries:16
 * owner      incarnation:16 | from:8 | bank:8 | worker:16 | flag:16
 * route      incarnation:16 | zero:16 | worker:16 | flags:16
 * attempts   job:48 | blocked:1 | n:15
 * charged    incarnation:16 | n:16 | job:32, its low bits
 * dead       generation:16 | partition:16 | incarnation:16 | worker:12 | state:4
 * cause      job:32, its low bits | verdict:16 | code:8 | status:8
 * order      fault:8 | jobs:24 | ms:32         0 = none
 */
enum rk_ref_state { RK_REF_FREE, RK_REF_READY, RK_REF_TAKEN, RK_REF_TOMB };
enum rk_cell_state { RK_CELL_IDLE, RK_CELL_WANT, RK_CELL_WRITING, RK_CELL_DONE };
enum rk_owner_flag {
	RK_OWNER_NONE,
	RK_OWNER_RUN,      /* its worker is to run it */
	RK_OWNER_STOP,     /* its worker is to release it */
	RK_OWNER_RELEASED, /* its worker has: it may be assigned again */
	RK_OWNER_COPY,     /* its worker is to copy the bank `from` of an evicted owner into `bank`, then to run it */
};
enum rk_dead_state {
	RK_DEAD_FREE,
	RK_DEAD_WRITING,  /* worker: is filling it in */
	RK_DEAD_REVOKED,  /* a successor: its writer was evicted; free again after that worker's confirmed death */
	RK_DEAD_LETTER,   /* whole */
	RK_DEAD_RETRYING, /* whole; somebody is sending it again */
	RK_DEAD_STATES
};
enum rk_route_flag { RK_ROUTE_UP = 1 }; /* the slot's process was alive when this was published */

/* What the supervisor, or the handler itself, says of an attempt that failed. */
enum rk_dead_verdict {
	RK_CAUSE_NONE,
	RK_CAUSE_CRASHED,  /* the process ended by itself */
	RK_CAUSE_HUNG,     /* asleep beyond its bound */
	RK_CAUSE_LOOPING,  /* burning CPU beyond its bound */
	RK_CAUSE_DEADLINE, /* beyond the job's own deadline */
	RK_CAUSE_MEMORY,   /* beyond its memory, or killed for want of it */
	RK_CAUSE_RETRY,    /* the handler returned RK_RETRY */
	RK_CAUSES
};

/* ---- queues: rings and bells ---------------------------------------------- */

/*
 * A bell is a futex word: parked:1 | changes:31. Only its consumer sets and
 * clears `parked`; whoever parks or rings adds 2 (shm/bell.h).
 */
struct rk_ring {
	_Atomic uint64_t tail;  /* clients, worker helping: next position to publish at */
	uint8_t reserved0[56];  /* zero */
	_Atomic uint32_t space; /* clients, worker: bell of those who wait for room */
	uint8_t reserved1[60];  /* zero */
	/* followed by n_ring references, _Atomic uint64_t */
};
RK_ABI_AT(struct rk_ring, space, 64);
RK_ABI_SIZE(struct rk_ring, 128);

/* The segment's head; followed by n_partitions rings, then n_workers worker bells. */
struct rk_queues {
	struct rk_segment segment;
	_Atomic uint32_t vigil; /* bell: the supervisor's guard parks here; workers, clients ring (shm/vigil.h) */
	uint8_t reserved[60];   /* zero */
};
RK_ABI_AT(struct rk_queues, vigil, 64);
RK_ABI_SIZE(struct rk_queues, 128);

/* One per worker slot; followed by a bitmap of n_partitions bits, padded to a line. */
struct rk_worker_bell {
	_Atomic uint32_t bell; /* the worker parks here */
	uint8_t reserved[60];  /* zero */
	/* followed by _Atomic uint64_t pending[n_partitions / 64 rounded up] */
};
RK_ABI_SIZE(struct rk_worker_bell, 64);

/* ---- parts ------------------------------------------------------------------ */

struct rk_part {
	_Atomic uint64_t commit;   /* owner: one CAS per commit; supervisor: incarnation at assignment */
	_Atomic uint64_t freed;    /* owner: jobs below are delivered and recycled */
	_Atomic uint64_t released; /* the gate: replies of jobs below may be delivered. Part A: owner, at commit */
	_Atomic uint64_t owner;    /* supervisor assigns, owner releases */
	_Atomic uint64_t attempts; /* supervisor after a death, owner for RK_RETRY: how often this job failed */
	_Atomic uint64_t charged;  /* supervisor: the charge being made, so that its repetition counts once */
	uint64_t reserved[2];      /* zero; the host's lease and the redo cursor come here */
};
RK_ABI_AT(struct rk_part, freed, 8);
RK_ABI_AT(struct rk_part, released, 16);
RK_ABI_AT(struct rk_part, owner, 24);
RK_ABI_AT(struct rk_part, attempts, 32);
RK_ABI_AT(struct rk_part, charged, 40);
RK_ABI_SIZE(struct rk_part, 64);

/* ---- calls: client pages ----------------------------------------------------- */

/*
 * One per client; followed by done[n_slots] padded to a line, then n_cells
 * cells. The bell has a line of its own: workers look at it for each reply.
 */
struct rk_page {
	_Atomic uint64_t sequence; /* client: last sequence started; never set back, whoever holds the page */
	uint8_t reserved0[56];     /* zero */
	_Atomic uint32_t bell;     /* client's completion thread parks here */
	uint8_t reserved1[60];     /* zero */
	/* followed by _Atomic uint64_t done[n_slots]: sequences up to this are read (client) */
};
RK_ABI_AT(struct rk_page, bell, 64);
RK_ABI_SIZE(struct rk_page, 128);

/*
 * One request and its reply. The first line is what client and worker both
 * touch; the second belongs to the client; request bytes (key, then body) and
 * reply bytes follow, each from a new line.
 */
struct rk_cell {
	_Atomic uint64_t word;        /* cell word: client WANT/IDLE, worker WRITING/DONE, supervisor WANT at a sweep */
	_Atomic uint64_t client_id;   /* client */
	_Atomic uint64_t deadline_ns; /* client: CLOCK_MONOTONIC; 0 = none */
	_Atomic uint64_t skip;        /* worker, client: this sequence was applied and could not be delivered here */
	_Atomic uint64_t request;     /* client: slot:16 | partition:16 | key_len:32 */
	_Atomic uint32_t body_len;    /* client: bytes of body after the key */
	_Atomic uint32_t bell;        /* the thread that waits for this call parks here */
	_Atomic uint32_t reply_len;   /* worker: bytes */
	_Atomic uint32_t reply_error; /* worker: 0 or the handler's errno */
	_Atomic uint64_t reply_job;   /* worker: job number that this reply belongs to */
	_Atomic uint64_t ref[2];      /* client: where this cell was (or was about to be) published */
	_Atomic uint64_t tag;         /* client: the application's own word, given back by a resume */
	uint64_t reserved[5];         /* zero */
};
RK_ABI_AT(struct rk_cell, request, 32);
RK_ABI_AT(struct rk_cell, bell, 44);
RK_ABI_AT(struct rk_cell, reply_job, 56);
RK_ABI_AT(struct rk_cell, ref, 64);
RK_ABI_AT(struct rk_cell, tag, 80);
RK_ABI_SIZE(struct rk_cell, 128);

/* ---- beats: one page per worker slot ------------------------------------------ */

#define RK_BEAT_SIZE 4096u
#define RK_ORDER_JOBS_MAX 0xffffffu /* 24 bits in the order word */

enum rk_beat_state {
	RK_BEAT_STARTING, /* exec'd, not yet attached */
	RK_BEAT_READY,    /* scanning */
	RK_BEAT_RUNNING,  /* inside the handler, until deadline_ns */
	RK_BEAT_CALLING,  /* waits for somebody else, until calling_until_ns */
	RK_BEAT_PARKED,   /* asleep on its bell */
	RK_BEAT_STOPPING, /* asked to end */
	RK_BEAT_STATES
};

/* What a worker is to do to its next jobs where the board says that faults are allowed. */
enum rk_order {
	RK_ORDER_NONE,
	RK_ORDER_HANG, /* sleep for ever on a futex that nobody wakes */
	RK_ORDER_LOOP, /* burn CPU for ever */
	RK_ORDER_SLOW, /* sleep that many ms, then run the job */
	RK_ORDERS
};

enum rk_beat_wish {
	RK_BEAT_GO,
	RK_BEAT_STOP, /* end after the present job */
	RK_BEAT_PAUSE /* run no job until told; go on handing partitions over */
};

struct rk_beat {
	uint8_t lease[64];            /* worker: a robust process-shared pthread mutex it holds; futex word first */
	_Atomic uint64_t cell;        /* worker: cell it may be WRITING, + 1; supervisor clears at a sweep */
	_Atomic uint32_t state;       /* worker: enum rk_beat_state */
	_Atomic uint32_t partition;   /* worker: of the job it runs */
	_Atomic uint64_t job;         /* worker: number of the job it runs */
	_Atomic uint64_t deadline_ns; /* worker: of the job it runs; 0 = none */
	_Atomic uint64_t calling_until_ns; /* worker: rk_calling() */
	_Atomic uint64_t beats;       /* worker: rk_beat() count, and jobs it has to begin again */
	_Atomic uint64_t cancel_job;  /* supervisor: where word of the job to give up; worker clears as a job begins */
	_Atomic uint64_t order;       /* supervisor: order word, 0 = none; worker counts it down, clears at its start */
	_Atomic uint64_t incarnation; /* worker: whose the words below are */
	_Atomic uint64_t ready_ns;    /* worker: when it began to scan; stored after its first commit or empty scan */
	_Atomic uint64_t first_commit_ns;        /* worker: its first commit, 0 = none yet */
	_Atomic uint64_t first_commit_job;       /* worker: cursor of that commit */
	_Atomic uint32_t first_commit_partition; /* worker */
	_Atomic uint32_t stop;        /* supervisor: enum rk_beat_wish */
	_Atomic uint64_t n_jobs;      /* worker: jobs committed by this incarnation */
	_Atomic uint64_t n_errors;    /* worker: of those, answered with the handler's error */
	_Atomic uint64_t n_without_effect; /* worker: duplicates, stale or withdrawn references */
	_Atomic uint64_t n_rolled_back;    /* worker: unfinished jobs of a predecessor undone */
	_Atomic uint64_t n_refused;   /* worker: dedup table full */
	_Atomic uint32_t owner_incarnation; /* worker: of the partition, when it began the job it runs */
	uint8_t reserved2[4];
	_Atomic uint64_t news_at;     /* supervisor: so many n_jobs are worth telling; 0 = none */
	uint64_t keeper_next;         /* keeper: an address of its own, for the kernel alone (robust list) */
	_Atomic uint32_t keeper;      /* keeper: its lease, a robust futex; 0 = none here; kernel: that it died */
	uint8_t reserved3[20];
	char last_words[256];         /* worker: one line said before it gave up; input for readers */
	uint8_t reserved4[RK_BEAT_SIZE - 512];
};
RK_ABI_AT(struct rk_beat, cell, 64);
RK_ABI_AT(struct rk_beat, cancel_job, 112);
RK_ABI_AT(struct rk_beat, order, 120);
RK_ABI_AT(struct rk_beat, incarnation, 128);
RK_ABI_AT(struct rk_beat, n_jobs, 168);
RK_ABI_AT(struct rk_beat, news_at, 216);
RK_ABI_AT(struct rk_beat, keeper_next, 224);
RK_ABI_AT(struct rk_beat, keeper, 232);
RK_ABI_AT(struct rk_beat, last_words, 256);
RK_ABI_SIZE(struct rk_beat, RK_BEAT_SIZE);

/* ---- readers --------------------------------------------------------------------- */

struct rk_reader {
	_Atomic uint64_t active; /* reader: epoch | 1 inside a section, 0 outside */
	_Atomic uint32_t pid;    /* supervisor: owner's tag, for people to read */
	uint32_t reserved0;
	uint8_t reserved1[48];
};
RK_ABI_SIZE(struct rk_reader, 64);

/* ---- state: a bank ------------------------------------------------------------ *
 *
 * log head | n_log entries | log data | guarded area: bank head, applied
 * sequences, dedup index, dedup entries, user's state, whose end the worker's
 * arena takes. Offsets in the log count from the guarded area.
 *
 * Applied sequences: u64 per caller (page * n_slots + slot), the last one that
 * was applied in this partition; guarded by the undo log, and what alone says
 * whether a job is a duplicate. Dedup index: u16 per caller, entry + 1; a hint.
 */
struct rk_log {
	_Atomic uint64_t word; /* owner: log word */
	uint8_t reserved[56];
};
RK_ABI_SIZE(struct rk_log, 64);

#define RK_LOG_INLINE 24u

struct rk_log_entry {
	_Atomic uint32_t offset; /* owner: of the saved bytes in the guarded area */
	_Atomic uint32_t len;    /* owner: bytes; more than RK_LOG_INLINE lie in the log data */
	union {
		uint8_t bytes[RK_LOG_INLINE]; /* owner: the old bytes */
		uint32_t data;                /* owner: where in the log data they lie */
	} old;
};
RK_ABI_AT(struct rk_log_entry, old, 8);
RK_ABI_SIZE(struct rk_log_entry, 32);

struct rk_bank_head {
	_Atomic uint64_t initialized; /* owner: 1 once init() has run to its end */
	uint64_t state_len;           /* owner, with initialized: bytes of state the worker declared */
	uint32_t hand;                /* owner, a hint: where the search for a dedup entry goes on */
	uint32_t state_version;       /* owner, with initialized, or guarded by an upgrade: as the worker declared */
	uint64_t arena_len;           /* owner, with initialized: bytes of arena the worker declared */
	uint8_t reserved1[32];
};
RK_ABI_AT(struct rk_bank_head, state_version, 20);
RK_ABI_AT(struct rk_bank_head, arena_len, 24);
RK_ABI_SIZE(struct rk_bank_head, 64);

/*
 * A reply on its way to a caller's cell; followed by reply_max bytes. It counts
 * only while its sequence is the caller's applied one, so it needs no undo.
 */
struct rk_dedup {
	uint64_t sequence;  /* owner */
	uint64_t job;       /* owner: its reply waits for this job's gate */
	uint64_t client_id; /* owner */
	uint32_t caller;    /* owner: page * n_slots + slot */
	uint32_t len;       /* owner: bytes of reply */
	int32_t error;      /* owner: 0 or the handler's errno, negative */
	uint32_t cell;      /* owner, a hint: cell it was delivered to, + 1; the cell's word confirms it */
	uint8_t reserved[24];
};
RK_ABI_AT(struct rk_dedup, client_id, 16);
RK_ABI_AT(struct rk_dedup, error, 32);
RK_ABI_AT(struct rk_dedup, cell, 36);
RK_ABI_SIZE(struct rk_dedup, 64);

/* ---- arena -------------------------------------------------------------------- *
 *
 * The last arena_len bytes of the state: head, then blocks up to an end mark.
 * Places and sizes count units of RK_ARENA_UNIT bytes from the head; place 0
 * is nowhere. All of it is guarded by the undo log.
 */
#define RK_ARENA_UNIT 16u
#define RK_ARENA_CLASSES 108u                 /* four sizes per power of two, up to 2^28 units */
#define RK_ARENA_MAGIC 0x616e6572616b72ull    /* "rkarena", little endian */

enum rk_arena_kind { RK_ARENA_FREE = 5, RK_ARENA_USED = 10, RK_ARENA_END = 14 };

struct rk_arena_head {
	uint64_t magic;                   /* owner, at the partition's beginning */
	uint64_t len;                     /* owner, at the beginning: bytes, head and end mark included */
	uint64_t map[2];                  /* owner: bit per class with free blocks */
	uint32_t first[RK_ARENA_CLASSES]; /* owner: a free block of each class */
	uint8_t reserved[48];
};
RK_ABI_AT(struct rk_arena_head, map, 16);
RK_ABI_AT(struct rk_arena_head, first, 32);
RK_ABI_SIZE(struct rk_arena_head, 512);

/* The user's bytes begin at `stamp`, which only a free block has. */
struct rk_arena_block {
	uint32_t size;  /* owner: kind:4 | units:28, these 16 bytes included */
	uint32_t prev;  /* owner: units of the block before; 0 = there is none */
	uint32_t next;  /* owner: free: next free block of its class; used: a check of place and size */
	uint32_t back;  /* owner: free: the one before it in that list; used: zero */
	uint64_t stamp; /* owner: free: job that freed some of it last; all ones = none */
};
RK_ABI_AT(struct rk_arena_block, stamp, 16);
RK_ABI_SIZE(struct rk_arena_block, 24);

/* ---- board --------------------------------------------------------------------------- */

enum rk_slot_state {
	RK_SLOT_EMPTY, /* no process, and nobody misses it: beyond what the fleet is scaled to */
	RK_SLOT_STARTING,
	RK_SLOT_READY,
	RK_SLOT_STOPPING,
	RK_SLOT_DOWN,
	RK_SLOT_SUSPECT, /* alive, and close to be judged hung, or found so and only reported */
	RK_SLOT_PAUSED,  /* alive, and stopped, traced or frozen, or told to run no job */
	RK_SLOT_STANDBY, /* no slot: a parked process that may become any slot's; after all that are in use */
	RK_SLOT_DRAINED, /* no process: an operator had its partitions handed over, then ended it */
	RK_SLOT_STOPPED, /* no process: an operator ended it; its partitions are its own, for a while */
	RK_SLOT_STATES
};

#define RK_EXIT_EXEC 100 /* beside CLD_*: the command could not be executed; exit_status is the errno */

struct rk_view_slot {
	uint32_t state;       /* enum rk_slot_state */
	int32_t pid;          /* 0 = no process */
	uint64_t incarnation; /* of the process */
	uint64_t restarts;    /* since the fleet started */
	uint64_t started_ns;  /* this incarnation */
	uint64_t died_ns;     /* when the predecessor's death was noticed, 0 = never */
	int32_t died_pid;
	int32_t exit_code;   /* of the predecessor: CLD_EXITED, CLD_KILLED, …, RK_EXIT_EXEC; 0 = none, -1 = unknown */
	int32_t exit_status; /* status or signal */
	uint32_t n_partitions;
};
RK_ABI_SIZE(struct rk_view_slot, 56);

enum rk_client_flag {
	RK_CLIENT_USED = 1,
	RK_CLIENT_NAMED = 2,
	RK_CLIENT_ALIVE = 4,
	RK_CLIENT_HAS_CALLS = 8, /* in a view, of one that is gone: its successor finds calls */
};

struct rk_view_client {
	uint64_t id;
	int32_t pid;
	uint32_t flags; /* enum rk_client_flag */
	char name[RK_NAME_MAX];
};
RK_ABI_SIZE(struct rk_view_client, 80);

/* Followed by n_workers slots, then n_clients clients; never changes while published. */
struct rk_view {
	uint64_t version;
	uint64_t published_ns;
	int32_t keeper_pid;
	int32_t supervisor_pid;
	uint64_t started_ns;
	uint64_t n_grace;     /* grace periods waited for so far */
	uint64_t n_coalesced; /* views that were merged since no buffer was free */
	uint32_t n_stalled;   /* readers that held up the last attempt */
	int32_t stalled_pid[7];
	char name[RK_NAME_MAX];
	char command[256];
};
RK_ABI_AT(struct rk_view, n_stalled, 48);
RK_ABI_AT(struct rk_view, name, 80);
RK_ABI_SIZE(struct rk_view, 400);

enum rk_epoch_mode {
	RK_EPOCH_EXCHANGE, /* readers pay for order themselves */
	RK_EPOCH_PLAIN     /* the writer orders them with membarrier(GLOBAL_EXPEDITED) */
};

#define RK_CLIENT_ENDED UINT64_MAX /* no worker will run any more: what is queued never is applied */

/*
 * Followed, each from a new line, by route[n_partitions] (_Atomic uint64_t),
 * client_id[n_clients] (_Atomic uint64_t) and RK_VIEWS views.
 *
 * A page's client id is 0 without a client, and RK_CLIENT_ENDED once the fleet has ended.
 */
struct rk_board {
	struct rk_segment segment;
	struct rk_geometry geometry; /* creator, once */
	uint8_t boot_id[16];         /* creator, once */
	uint32_t epoch_mode;         /* creator, once: enum rk_epoch_mode */
	uint32_t reserved0;
	uint8_t reserved1[40];
	_Atomic uint64_t epoch; /* supervisor: even, advanced by 2; its low half is a futex */
	_Atomic uint32_t view;  /* supervisor: index of the published view */
	_Atomic uint32_t dead_after;  /* supervisor: DeadLetterAfter, attempts until a job is quarantined; 0 = never */
	_Atomic uint64_t incarnation; /* supervisor: of itself */
	_Atomic uint32_t allow_faults; /* supervisor: AllowFaults, 1 = workers obey the orders in their beat pages */
	_Atomic uint32_t orphan_ms; /* supervisor: OrphanTimeout; 0 = no worker outlives its keeper, or all do for ever */
	uint8_t reserved2[32];
};
RK_ABI_AT(struct rk_board, geometry, 64);
RK_ABI_AT(struct rk_board, epoch_mode, 208);
RK_ABI_AT(struct rk_board, epoch, 256);
RK_ABI_AT(struct rk_board, view, 264);
RK_ABI_AT(struct rk_board, dead_after, 268);
RK_ABI_AT(struct rk_board, allow_faults, 280);
RK_ABI_AT(struct rk_board, orphan_ms, 284);
RK_ABI_SIZE(struct rk_board, 320);

/* ---- journal ---------------------------------------------------------------------------- */

enum rk_journal_state { RK_JOURNAL_DOWN, RK_JOURNAL_INTENT, RK_JOURNAL_LIVE };

enum rk_journal_flag {
	RK_JOURNAL_ACTING = 1,     /* the step that led to this state was not acted on to its end */
	RK_JOURNAL_WANTED = 2,     /* somebody wants a process here */
	RK_JOURNAL_HELD = 4,       /* an operator has paused it */
	RK_JOURNAL_STARTED = 8,    /* it had a process before */
	RK_JOURNAL_PROMOTED = 16,  /* its process was a standby, and has yet to take the lease */
	RK_JOURNAL_JUDGED = 32,    /* the verdict is about a job: judged_partition, judged_job */
	RK_JOURNAL_KILLED = 64,    /* its tree was, once at least */
	RK_JOURNAL_FAULTED = 128,  /* by a fault that was asked for */
	RK_JOURNAL_CORE = 256,     /* it gets a SIGABRT first */
	RK_JOURNAL_FAILED = 512,   /* OnFailure has run, or is due, for this row of failures */
	RK_JOURNAL_UNTOLD = 1024,  /* it waits for the cause */
	RK_JOURNAL_AWAITED = 2048, /* so does the decision what follows */
	RK_JOURNAL_MANNED = 4096,  /* its process, or what that one left, is not laid down yet */
	RK_JOURNAL_LATE = 8192,    /* a job was told that its time is up: late_partition, late_job */
};

/* What the supervisor knows of a slot and is nowhere else. */
struct rk_journal_note {
	uint32_t state;       /* enum rk_fsm_state, as are all below of the supervisor's own enums */
	uint32_t from; /* the step that led there */
	uint32_t event;
	uint32_t flags;       /* enum rk_journal_flag */
	uint32_t unwanted;    /* enum rk_slot_state: what it is shown as while nobody wants it */
	uint32_t verdict;     /* enum rk_verdict */
	int32_t pid;
	uint32_t judged_partition;
	uint64_t judged_job;
	uint64_t judged_for_ns;
	uint64_t incarnation;
	uint64_t restarts;
	uint64_t started_ns;
	uint64_t entered_ns;
	uint64_t noticed_ns;
	uint64_t died_ns;
	int32_t died_pid;
	uint32_t roll_stage; /* enum rk_rolling_stage, in the rolling restart that is on */
	uint64_t credit_ns; /* its account with the restart policy */
	uint64_t ready_ns;
	uint64_t next_ns;
	uint32_t waits;
	uint32_t failed;
	uint32_t reason;
	uint32_t next_kind; /* what was decided at the last death */
	uint32_t next_reason;
	uint32_t reserved0;
	uint64_t wait_ns;
	uint64_t oom_kills; /* of the machine, and of its group, when it was started */
	uint64_t oom;
	uint64_t group;          /* of its verdict's records */
	uint64_t roll_since_ns;  /* of roll_stage */
	uint64_t reported_ns;    /* the hang that was reported, and the one for which partitions were moved, */
	uint64_t moved_ns;       /* began then */
	uint64_t late_job;
	uint32_t late_partition;
	uint32_t late_attempts;  /* which the job had behind it then */
	uint64_t reserved1[4];
};
RK_ABI_AT(struct rk_journal_note, judged_job, 32);
RK_ABI_AT(struct rk_journal_note, roll_since_ns, 184);
RK_ABI_SIZE(struct rk_journal_note, 256);

/*
 * How a slot's process stood when it was looked at last, and how the time since its last sign of life was
 * spent. The guard's, a thread of the supervisor's.
 */
struct rk_journal_watch {
	uint64_t incarnation; /* whose; 0 = nobody's */
	uint64_t job;         /* these six as it declared them */
	uint64_t beats;
	uint64_t jobs;
	uint64_t calling_until_ns;
	uint32_t partition;
	uint32_t state;
	uint32_t phase;       /* enum rk_phase */
	uint32_t blame;       /* enum rk_verdict */
	uint64_t blamed_ns;
	uint64_t begun_ns;    /* it was first seen */
	uint64_t pending_ns;  /* work has waited for it since, 0 = none does */
	uint64_t since_ns;    /* no sign of life since */
	uint64_t look_ns;     /* the last look, 0 = it needed none */
	uint64_t away_ns;     /* how long the machine had been suspended then */
	uint64_t deadline_ns; /* the job's, and how much that left it */
	uint64_t budget_ns;
	uint64_t burnt_ns;    /* how the time was spent */
	uint64_t asleep_ns;
	uint64_t disk_ns;
	uint64_t starved_ns;
	uint64_t paused_ns;
	uint64_t void_ns;
	uint64_t still_ns;
	uint64_t listed_asleep_ns; /* of it, when its tree was listed last */
	uint64_t listed_disk_ns;
};
RK_ABI_AT(struct rk_journal_watch, blamed_ns, 56);
RK_ABI_AT(struct rk_journal_watch, burnt_ns, 120);
RK_ABI_SIZE(struct rk_journal_watch, 192);

struct rk_journal_slot {
	_Atomic uint32_t state; /* supervisor: enum rk_journal_state */
	int32_t pid;
	uint64_t incarnation;
	uint64_t pidfd_inode;
	int32_t exit_code;
	int32_t exit_status;
	uint64_t n_exits;
	uint64_t begun; /* when the process began, in ticks: before Linux 6.9 the inode says nothing */
	_Atomic uint32_t note;    /* supervisor: which of the two holds */
	_Atomic uint32_t stopped; /* supervisor: a fault that was asked for has stopped it */
	uint64_t cgroup;          /* number of the control group that its process is made in, 0 = none */
	struct rk_journal_note notes[2];
	_Atomic uint32_t watch; /* supervisor's guard: which of the two below holds */
	uint32_t reserved0;
	uint8_t reserved1[56];
	struct rk_journal_watch watches[2];
};
RK_ABI_AT(struct rk_journal_slot, note, 48);
RK_ABI_AT(struct rk_journal_slot, notes, 64);
RK_ABI_AT(struct rk_journal_slot, watch, 576);
RK_ABI_AT(struct rk_journal_slot, watches, 640);
RK_ABI_SIZE(struct rk_journal_slot, 1024);

struct rk_journal_client {
	uint64_t id;    /* 0 = page never used; supervisor */
	uint32_t flags; /* enum rk_client_flag; supervisor */
	int32_t pid;    /* supervisor */
	char name[RK_NAME_MAX];
	uint8_t reserved[48];
};
RK_ABI_SIZE(struct rk_journal_client, 128);

/* Who holds a reader line, and the client page that came with it. */
struct rk_journal_reader {
	_Atomic int32_t pid; /* 0 = nobody; supervisor, stored last */
	uint32_t page;       /* page + 1, 0 = none */
	uint64_t pidfd_inode;
	uint64_t begun; /* as of a slot's process */
	_Atomic uint32_t answered; /* it has been told: 0, and it will ask again */
	uint32_t reserved0;
};
RK_ABI_AT(struct rk_journal_reader, answered, 24);
RK_ABI_SIZE(struct rk_journal_reader, 32);

enum rk_journal_fleet_flag {
	RK_JOURNAL_RUNS = 1,     /* its workers were to be started */
	RK_JOURNAL_READY = 2,    /* all of them have been ready at once */
	RK_JOURNAL_PROVEN = 4,   /* one of them has been */
	RK_JOURNAL_HALTED = 8,   /* they are ended until it is started again */
	RK_JOURNAL_LEAVING = 16, /* it ends for good, its configuration is gone */
	RK_JOURNAL_ROLLS = 32,   /* a rolling restart is on */
	RK_JOURNAL_HOLDS = 64,   /* and has stopped for somebody to decide */
	RK_JOURNAL_COMES_UP = 128, /* those who are tied are all down, and start again */
};

#define RK_JOURNAL_LAYOUT 5u  /* of this segment alone, which only supervisors map */
#define RK_JOURNAL_CHANGES 8u /* operators' changes that are followed at once */

/*
 * Followed by n_workers slots, n_clients clients, n_readers readers, owner[n_partitions]
 * (_Atomic uint16_t; supervisor: the slot that a partition belongs to, stored before it is given),
 * and kept[n_partitions][n_banks] (_Atomic uint16_t; supervisor): worker + 1 that was evicted from
 * this bank and may still write to it, 0 = nobody.
 */
struct rk_journal {
	struct rk_segment segment;
	_Atomic uint64_t last_client_id; /* supervisor: ids are never reused */
	int32_t supervisor_pid;
	uint32_t layout;             /* creator, once: RK_JOURNAL_LAYOUT */
	uint64_t supervisor_inode;
	uint64_t supervisor_begun;
	_Atomic uint32_t flags;      /* supervisor: enum rk_journal_fleet_flag */
	uint32_t number;             /* creator, once: what keeper calls the fleet */
	int32_t keeper_pid;          /* creator, once: its control groups are called by it */
	uint32_t complete;           /* creator: 1 when every segment was made and given to keeper */
	uint64_t device;             /* creator, once: of the segments */
	uint64_t inode[RK_SEGMENT_KINDS];
	uint64_t changes[RK_JOURNAL_CHANGES]; /* supervisor: groups of the records that people follow, 0 = none */
	uint64_t roll_group;         /* supervisor: the same of a rolling restart */
	uint32_t roll_unavailable;
	uint16_t roll_reason;        /* enum rk_rolling_reason: why it holds, if it does */
	uint16_t roll_held;          /* for which slot */
	uint64_t join_group;
	uint64_t leave_group;
	char fleet[RK_NAME_MAX];     /* creator, once */
	_Atomic uint64_t last_cgroup; /* supervisor: numbers of control groups, which are never reused */
	_Atomic uint64_t tied;        /* supervisor: slots that a strategy stops and starts: the first, and in the */
				      /* high half the one behind the last; none if that is not behind it */
	_Atomic uint64_t tied_until_ns; /* supervisor: not started before */
	uint8_t reserved1[128];
};
RK_ABI_AT(struct rk_journal, flags, 96);
RK_ABI_AT(struct rk_journal, inode, 120);
RK_ABI_SIZE(struct rk_journal, 512);

/* ---- flight recorder: a file, not a segment (shm/flight.h) ------------------------------- */

#define RK_FLIGHT_MAGIC 0x746867696c666b72ull /* "rkflight", little endian */
#define RK_FLIGHT_VERSION 1u                  /* of this file alone: it outlives its fleet's memory */
#define RK_FLIGHT_RECORDS 1024u               /* unless FlightRecords= says otherwise */
#define RK_FLIGHT_RECORDS_MIN 64u             /* all of these are powers of two */
#define RK_FLIGHT_RECORDS_MAX 65536u
#define RK_FLIGHT_TEXT 880u

enum rk_flight_state {
	RK_FLIGHT_OPEN,    /* somebody may still write */
	RK_FLIGHT_ENDED,   /* the fleet was stopped */
	RK_FLIGHT_REPLACED /* a new fleet of this name writes to another file */
};

enum rk_flight_kind {
	RK_FLIGHT_NOTE = 1,
	RK_FLIGHT_START,      /* of a supervisor */
	RK_FLIGHT_STOP,       /* of the fleet */
	RK_FLIGHT_READY,      /* all workers of a fleet */
	RK_FLIGHT_SPAWN,      /* of a worker */
	RK_FLIGHT_TRANSITION, /* of a slot */
	RK_FLIGHT_DEATH,      /* of a worker, with its cause */
	RK_FLIGHT_OBITUARY,   /* what came of a death */
	RK_FLIGHT_VERDICT,    /* the detector's */
	RK_FLIGHT_RESPONSE,   /* what was done about a verdict */
	RK_FLIGHT_EVIDENCE,   /* what a verdict stands on */
	RK_FLIGHT_QUARANTINE, /* of a job */
	RK_FLIGHT_MOVE,       /* of partitions: hand-over, eviction */
	RK_FLIGHT_SCALE,
	RK_FLIGHT_ROLLING,
	RK_FLIGHT_RELOAD,
	RK_FLIGHT_CONFIG, /* an error in the configuration */
	RK_FLIGHT_FAULT,  /* injected */
	RK_FLIGHT_CLIENT, /* opened, gone, cut off */
	RK_FLIGHT_STANDBY,
	RK_FLIGHT_UPGRADE, /* of keeper and supervisor */
	RK_FLIGHT_KINDS
};

/* The file's first page. Written with pwrite() alone; `changes` is also a futex. */
struct rk_flight_head {
	uint64_t magic;           /* creator, once */
	uint32_t version;         /* creator, once: RK_FLIGHT_VERSION */
	uint32_t record_size;     /* creator, once: bytes */
	uint32_t n_records;       /* creator, once: RK_FLIGHT_RECORDS_MIN to _MAX, a power of two */
	uint32_t changes;         /* writer: low half of the newest record's sequence; readers sleep on it */
	uint32_t state;           /* writer, its successor: enum rk_flight_state */
	uint32_t reserved0;       /* zero */
	uint8_t boot_id[16];      /* creator, once */
	uint64_t created_wall_ns; /* creator, once */
	char name[RK_NAME_MAX];   /* creator, once: of the fleet's directory */
	uint8_t reserved1[4096 - 120];
};
RK_ABI_AT(struct rk_flight_head, changes, 20);
RK_ABI_AT(struct rk_flight_head, state, 24);
RK_ABI_AT(struct rk_flight_head, boot_id, 32);
RK_ABI_AT(struct rk_flight_head, name, 56);
RK_ABI_SIZE(struct rk_flight_head, 4096);

#define RK_FLIGHT_NOBODY UINT32_MAX /* a record that is about no slot */

/* Followed by nothing; record `sequence` lies at place sequence modulo n_records. All by the writer. */
struct rk_flight_record {
	uint64_t check;       /* XXH3 of the bytes behind it: a torn record does not fit */
	uint64_t sequence;    /* counts records of the file, from 1 */
	uint64_t group;       /* sequence of the first record that this one belongs with; its own if alone */
	uint64_t now_ns;      /* CLOCK_MONOTONIC */
	uint64_t wall_ns;     /* CLOCK_REALTIME */
	uint64_t incarnation; /* of the process it is about, 0 = none */
	uint32_t kind;        /* enum rk_flight_kind */
	uint32_t severity;    /* as syslog has it: 3 error … 7 debug */
	uint32_t slot;        /* RK_FLIGHT_NOBODY = none */
	int32_t pid;          /* 0 = none */
	uint16_t part;        /* of a text in several records, from 0 */
	uint16_t n_parts;
	uint32_t len;          /* bytes of text */
	uint8_t reserved[8];   /* zero */
	char fleet[RK_NAME_MAX];
	char text[RK_FLIGHT_TEXT]; /* UTF-8 without control characters; what happened, then key=value */
};
RK_ABI_AT(struct rk_flight_record, sequence, 8);
RK_ABI_AT(struct rk_flight_record, incarnation, 40);
RK_ABI_AT(struct rk_flight_record, slot, 56);
RK_ABI_AT(struct rk_flight_record, len, 68);
RK_ABI_AT(struct rk_flight_record, fleet, 80);
RK_ABI_AT(struct rk_flight_record, text, 144);
RK_ABI_SIZE(struct rk_flight_record, 1024);

/* ---- dead letters ------------------------------------------------------------------------- *
 *
 * head | cause[n_partitions] (_Atomic uint64_t; supervisor, owner for RK_RETRY),
 * padded to a line | n_dead entries, each followed by request_max bytes: key, body.
 */
struct rk_dead {
	_Atomic uint64_t word;        /* dead word: worker WRITING, LETTER, REVOKED; supervisor the rest */
	_Atomic uint64_t job;         /* worker, like all below until it is a LETTER */
	_Atomic uint64_t client_id;
	_Atomic uint64_t sequence;
	_Atomic uint64_t deadline_ns; /* the client's, CLOCK_MONOTONIC; 0 = none */
	_Atomic uint64_t realtime_ns; /* when it was quarantined, CLOCK_REALTIME */
	_Atomic uint64_t cause;       /* of the last attempt; supervisor too, when it hears of it later */
	_Atomic uint32_t attempts;
	_Atomic uint32_t key_len;     /* bytes */
	_Atomic uint32_t body_len;    /* bytes after the key */
	uint32_t reserved0;           /* zero */
	uint64_t reserved1[7];        /* zero */
};
RK_ABI_AT(struct rk_dead, attempts, 56);
RK_ABI_AT(struct rk_dead, body_len, 64);
RK_ABI_SIZE(struct rk_dead, 128);

#endif
