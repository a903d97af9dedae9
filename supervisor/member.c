/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	enum rk_member_state state;
	bool has_process;
	bool is_ready;
	bool is_unfit;     /* ready, and suspect, paused or about to end */
	bool is_stuck;     /* it has a process that cannot release anything */
	uint64_t since_ns; /* of its last READY, DOWN or STUCK */
	uint64_t down_ns;  /* of its grace used up before since_ns */
	uint32_t n_owned;
	uint32_t n_inbound; /* moves to it under way */
};

struct rk_member {
	struct rk_member_conf c;
	struct slot *slots;
	/* partition -> slot */
	uint16_t *owners;  /* as it is */
	uint16_t *targets; /* as it shall be now */
	uint16_t *home;    /* as it shall be when all that are wanted are there */
	uint16_t *moving;  /* where it is going; RK_PLACE_NONE = nowhere */
	uint16_t *detour;  /* room: who would own it if only those that are well shared them */
	bool is_detoured;  /* a target is not what it were if all were well */
	bool *is_live;     /* how; partition -> */
	struct rk_place_member *members; /* room */
	void *scratch;                   /* room for place.h */
	uint32_t at;                     /* where the search for moves goes on */
	uint32_t n_moving;               /* live */
	uint64_t next_move_ns;
	uint64_t tried_ns; /* rk_member_next() was asked last */
};

/* ---- sets and tables ---- */

/* Shares the partitions now. */
static bool is_member(const struct slot *s)
{
	return s->state == RK_MEMBER_MEMBER || s->state == RK_MEMBER_AWAY;
}

/* Has a home, whether it is there or not. */
static bool has_home(const struct slot *s)
{
	return is_member(s) || s->state == RK_MEMBER_GONE || s->state == RK_MEMBER_RETURNING;
}

static bool is_fit(const struct slot *s)
{
	return s->is_ready && !s->is_unfit;
}

static bool is_fit_member(const struct slot *s)
{
	return is_member(s) && is_fit(s);
}

/* Rebalances over the slots of a set; an empty set leaves the table alone. */
static int rebalance(struct rk_member *m, uint16_t *table, bool (*is_in)(const struct slot *))
{
	struct rk_place_view view = { .members = m->members, .seed = m->c.seed };
	uint32_t n_moves;

	for (uint32_t i = 0; i < m->c.n_slots; i++)
		if (is_in(&m->slots[i]))
			m->members[view.n_members++] = (struct rk_place_member){
				.id = i, .weight = 1, .slot = (uint16_t)i
			};
	if (view.n_members == 0)
		return 0;
	return rk_place_rebalance(table, m->c.n_partitions, &view, m->scratch, &n_moves);
}

static bool is_pending(const struct rk_member *m, uint32_t p)
{
	return m->owners[p] != m->targets[p] && m->moving[p] == RK_PLACE_NONE;
}

/*
 * Whether a partition has to move to one that would not serve it, though nothing keeps it where
 * it is. From one that leaves and serves it meanwhile it can wait for a restart.
 */
static bool needs_detour(const struct rk_member *m, uint32_t p)
{
	const struct slot *to, *from;

	if (!is_pending(m, p) || m->targets[p] == RK_PLACE_NONE)
		return false;
	to = &m->slots[m->targets[p]];
	from = m->owners[p] == RK_PLACE_NONE ? NULL : &m->slots[m->owners[p]];
	if (from && is_fit_member(from))
		return false;
	if (to->is_ready)
		return to->is_unfit;
	return to->state == RK_MEMBER_AWAY && (!from || !is_fit(from));
}

static bool any_needs_detour(const struct rk_member *m)
{
	for (uint32_t p = 0; p < m->c.n_partitions; p++)
		if (needs_detour(m, p))
			return true;
	return false;
}

static bool any_is_fit_member(const struct rk_member *m)
{
	for (uint32_t i = 0; i < m->c.n_slots; i++)
		if (is_fit_member(&m->slots[i]))
			return true;
	return false;
}

/* What would go to one that is not well goes where it went if only the others shared. */
static void detour(struct rk_member *m)
{
	m->is_detoured = any_is_fit_member(m) && any_needs_detour(m);
	if (!m->is_detoured)
		return;
	memcpy(m->detour, m->targets, m->c.n_partitions * sizeof(*m->detour));
	(void)rebalance(m, m->detour, is_fit_member);
	for (uint32_t p = 0; p < m->c.n_partitions; p++)
		if (needs_detour(m, p))
			m->targets[p] = m->detour[p];
}

/* Whoever is there gets what is its own; the rest stays where it went, and is shared anew. */
static void aim(struct rk_member *m)
{
	for (uint32_t p = 0; p < m->c.n_partitions; p++)
		if (m->home[p] != RK_PLACE_NONE && is_member(&m->slots[m->home[p]]))
			m->targets[p] = m->home[p];
	(void)rebalance(m, m->targets, is_member); /* open has seen it succeed */
	detour(m);
}

/* The set of those that are wanted has changed. */
static void resettle(struct rk_member *m)
{
	(void)rebalance(m, m->home, has_home);
	aim(m);
}

static void own(struct rk_member *m, uint32_t p, uint16_t slot)
{
	if (m->owners[p] < m->c.n_slots)
		m->slots[m->owners[p]].n_owned--;
	m->owners[p] = slot;
	if (slot < m->c.n_slots)
		m->slots[slot].n_owned++;
}

static void check_left(struct slot *s)
{
	if (s->state == RK_MEMBER_LEAVING && s->n_owned == 0 && s->n_inbound == 0)
		s->state = RK_MEMBER_OUT;
}

/* ---- open ---- */

static uint16_t *table_new(const struct rk_member *m)
{
	size_t size = m->c.n_partitions * sizeof(uint16_t);
	uint16_t *table = malloc(size);

	if (table)
		memset(table, 0xff, size); /* RK_PLACE_NONE */
	return table;
}

static int alloc(struct rk_member *m)
{
	m->slots = calloc(m->c.n_slots, sizeof(*m->slots));
	m->members = calloc(m->c.n_slots, sizeof(*m->members));
	m->scratch = malloc(rk_place_scratch_size(m->c.n_partitions, m->c.n_slots));
	m->owners = table_new(m);
	m->targets = table_new(m);
	m->home = table_new(m);
	m->moving = table_new(m);
	m->detour = table_new(m);
	m->is_live = calloc(m->c.n_partitions, sizeof(*m->is_live));
	if (!m->slots || !m->members || !m->scratch || !m->owners || !m->targets || !m->home ||
	    !m->moving || !m->detour || !m->is_live)
		return -ENOMEM;
	return 0;
}

/* Home begins as what is found: a new one from nothing would move what was scaled before. */
static int set_up(struct rk_member *m, const uint16_t *owners)
{
	int r;

	for (uint32_t i = 0; i < m->c.n_wanted; i++)
		m->slots[i].state = RK_MEMBER_MEMBER;
	if (owners)
		memcpy(m->home, owners, m->c.n_partitions * sizeof(*owners));
	r = rebalance(m, m->home, has_home);
	if (r < 0)
		return r;
	for (uint32_t p = 0; p < m->c.n_partitions; p++) {
		uint16_t slot = owners ? owners[p] : m->home[p];

		own(m, p, slot < m->c.n_slots ? slot : (uint16_t)RK_PLACE_NONE);
	}
	for (uint32_t i = m->c.n_wanted; i < m->c.n_slots; i++)
		if (m->slots[i].n_owned > 0)
			m->slots[i].state = RK_MEMBER_LEAVING;
	aim(m);
	return 0;
}

int rk_member_open(const struct rk_member_conf *c, const uint16_t *owners, struct rk_member **ret)
{
	struct rk_member *m;
	int r;

	if (c->n_slots == 0 || c->n_slots > RK_PLACE_MEMBERS_MAX || c->n_wanted == 0 ||
	    c->n_wanted > c->n_slots || c->n_partitions == 0 ||
	    c->n_partitions > RK_PLACE_PARTITIONS_MAX)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->c = *c;
	r = alloc(m);
	if (r == 0)
		r = set_up(m, owners);
	if (r < 0) {
		rk_member_close(m);
		return r;
	}
	*ret = m;
	return 0;
}

void rk_member_close(struct rk_member *m)
{
	if (!m)
		return;
	free(m->slots);
	free(m->members);
	free(m->scratch);
	free(m->owners);
	free(m->targets);
	free(m->home);
	free(m->moving);
	free(m->detour);
	free(m->is_live);
	free(m);
}

/* ---- what happens ---- */

/* When the present state of a slot ends by itself. */
static uint64_t slot_due_ns(const struct rk_member *m, const struct slot *s)
{
	if (s->state == RK_MEMBER_RETURNING)
		return s->since_ns + m->c.healthy_after_ns;
	if (s->state != RK_MEMBER_AWAY || m->c.move_after_ns == RK_MEMBER_NEVER)
		return RK_MEMBER_NEVER;
	if (s->down_ns >= m->c.move_after_ns)
		return s->since_ns;
	return s->since_ns + m->c.move_after_ns - s->down_ns;
}

/* One is well again, or is not any more: who gets what nobody serves may depend on it. */
static void health_follow(struct rk_member *m)
{
	if (m->is_detoured || (any_is_fit_member(m) && any_needs_detour(m)))
		aim(m);
}

static void on_ready(struct rk_member *m, struct slot *s, uint64_t now_ns)
{
	s->is_unfit = false;
	if (s->is_ready)
		return;
	s->has_process = true;
	s->is_ready = true;
	s->is_stuck = false;
	if (s->state == RK_MEMBER_AWAY) {
		s->state = RK_MEMBER_MEMBER;
		s->down_ns += now_ns - s->since_ns;
	} else if (s->state == RK_MEMBER_GONE) {
		s->state = RK_MEMBER_RETURNING;
	} else if (s->state == RK_MEMBER_JOINING) {
		s->state = RK_MEMBER_MEMBER;
		resettle(m);
	}
	s->since_ns = now_ns;
}

static void on_down(const struct rk_member *m, struct slot *s, uint64_t now_ns)
{
	s->has_process = false;
	s->is_stuck = false;
	s->is_unfit = false;
	if (s->is_ready && now_ns - s->since_ns >= m->c.healthy_after_ns)
		s->down_ns = 0;
	if (s->state == RK_MEMBER_MEMBER)
		s->state = RK_MEMBER_AWAY;
	else if (s->state == RK_MEMBER_RETURNING)
		s->state = RK_MEMBER_GONE;
	else if (!s->is_ready)
		return; /* down again before it was ready: its grace runs on */
	s->is_ready = false;
	s->since_ns = now_ns;
}

static void on_stuck(struct rk_member *m, struct slot *s, uint64_t now_ns)
{
	if (!s->is_ready)
		return;
	s->is_ready = false;
	s->is_stuck = true;
	s->since_ns = now_ns;
	if (s->state == RK_MEMBER_MEMBER || s->state == RK_MEMBER_RETURNING) {
		s->state = RK_MEMBER_GONE;
		aim(m);
	}
}

void rk_member_on(struct rk_member *m, enum rk_member_event event, uint32_t slot, uint64_t now_ns)
{
	struct slot *s;

	if (slot >= m->c.n_slots)
		return;
	s = &m->slots[slot];
	switch (event) {
	case RK_MEMBER_EV_START:
		s->has_process = true;
		return;
	case RK_MEMBER_EV_READY:
		on_ready(m, s, now_ns);
		health_follow(m);
		return;
	case RK_MEMBER_EV_DOWN:
		on_down(m, s, now_ns);
		health_follow(m);
		return;
	case RK_MEMBER_EV_UNFIT:
		s->is_unfit = s->is_ready;
		health_follow(m);
		return;
	case RK_MEMBER_EV_STUCK:
		on_stuck(m, s, now_ns);
		return;
	case RK_MEMBER_EVENTS:
		return;
	}
}

void rk_member_want(struct rk_member *m, uint32_t slot, uint64_t now_ns)
{
	struct slot *s;

	if (slot >= m->c.n_slots)
		return;
	s = &m->slots[slot];
	if (s->state == RK_MEMBER_OUT && !s->is_ready) {
		s->state = RK_MEMBER_JOINING;
		return;
	}
	if (s->state != RK_MEMBER_OUT && s->state != RK_MEMBER_LEAVING)
		return;
	s->state = s->is_ready ? RK_MEMBER_MEMBER : RK_MEMBER_AWAY;
	if (!s->is_ready)
		s->since_ns = now_ns; /* a grace of its own */
	s->down_ns = 0;
	resettle(m);
}

int rk_member_leave(struct rk_member *m, uint32_t slot)
{
	uint32_t n_others = 0;
	struct slot *s;

	if (slot >= m->c.n_slots)
		return 0;
	s = &m->slots[slot];
	if (s->state == RK_MEMBER_OUT || s->state == RK_MEMBER_LEAVING)
		return 0;
	for (uint32_t i = 0; i < m->c.n_slots; i++)
		n_others += i != slot && has_home(&m->slots[i]);
	if (n_others == 0 && has_home(s))
		return -EBUSY;
	s->state = RK_MEMBER_LEAVING;
	check_left(s);
	resettle(m);
	return 0;
}

void rk_member_retime(struct rk_member *m, uint64_t move_after_ns, uint64_t healthy_after_ns)
{
	m->c.move_after_ns = move_after_ns;
	m->c.healthy_after_ns = healthy_after_ns;
}

void rk_member_on_timer(struct rk_member *m, uint64_t now_ns)
{
	bool has_changed = false;

	for (uint32_t i = 0; i < m->c.n_slots; i++) {
		struct slot *s = &m->slots[i];

		if (now_ns < slot_due_ns(m, s))
			continue;
		has_changed = true;
		if (s->state == RK_MEMBER_AWAY) {
			s->state = RK_MEMBER_GONE;
		} else {
			s->state = RK_MEMBER_MEMBER;
			s->down_ns = 0;
		}
	}
	if (has_changed)
		aim(m);
}

/* ---- moves ---- */

/*
 * Whether a slot may get what is another one's, or nobody's (RK_PLACE_NONE). Asked before a move
 * begins and, of a live one, again when the old owner has let go: with two answers the partition
 * would be handed to and fro for as long as they differ.
 */
static bool may_have(const struct rk_member *m, uint32_t to, uint32_t from)
{
	const struct slot *s = &m->slots[to];

	if (!s->is_ready || !s->is_unfit)
		return s->is_ready;
	return !any_is_fit_member(m) && (from >= m->c.n_slots || !is_fit(&m->slots[from]));
}

enum gate { OPEN_FREE, OPEN_COPY, OPEN_LIVE, SHUT };

/* Whether a pending partition could go now, the pace of live moves apart. */
static enum gate find_gate(const struct rk_member *m, uint32_t p)
{
	uint16_t from = m->owners[p];

	if (m->targets[p] == RK_PLACE_NONE || !may_have(m, m->targets[p], from))
		return SHUT;
	if (from == RK_PLACE_NONE || !m->slots[from].has_process)
		return OPEN_FREE;
	if (m->slots[from].is_stuck)
		return OPEN_COPY;
	return m->slots[from].is_ready ? OPEN_LIVE : SHUT;
}

static bool has_pace(const struct rk_member *m, uint64_t now_ns)
{
	return m->n_moving < rk_max_u32(m->c.max_moving, 1) && now_ns >= m->next_move_ns;
}

static struct rk_member_move begin_move(struct rk_member *m, uint32_t p, enum gate gate,
					uint64_t now_ns)
{
	uint16_t to = m->targets[p];
	bool is_live = gate == OPEN_LIVE;

	m->at = p + 1;
	m->moving[p] = to;
	m->is_live[p] = is_live;
	m->slots[to].n_inbound++;
	m->n_moving += is_live;
	if (is_live)
		m->next_move_ns = now_ns + m->c.move_gap_ns;
	return (struct rk_member_move){ p, m->owners[p], to, is_live, gate == OPEN_COPY };
}

bool rk_member_next(struct rk_member *m, uint64_t now_ns, struct rk_member_move *ret)
{
	bool live = has_pace(m, now_ns);

	m->tried_ns = now_ns;
	for (uint32_t i = 0; i < m->c.n_partitions; i++) {
		uint32_t p = (m->at + i) & (m->c.n_partitions - 1);
		enum gate gate = is_pending(m, p) ? find_gate(m, p) : SHUT;

		if (gate == SHUT || (gate == OPEN_LIVE && !live))
			continue;
		*ret = begin_move(m, p, gate, now_ns);
		return true;
	}
	return false;
}

uint64_t rk_member_due_ns(const struct rk_member *m)
{
	uint64_t due_ns = RK_MEMBER_NEVER;

	for (uint32_t i = 0; i < m->c.n_slots; i++)
		due_ns = rk_min_u64(due_ns, slot_due_ns(m, &m->slots[i]));
	/* By the clock of that attempt: the time may have come since, and nobody has tried. */
	if (m->n_moving < rk_max_u32(m->c.max_moving, 1) && m->tried_ns < m->next_move_ns)
		for (uint32_t p = 0; p < m->c.n_partitions; p++)
			if (is_pending(m, p) && find_gate(m, p) == OPEN_LIVE)
				due_ns = rk_min_u64(due_ns, m->next_move_ns);
	return due_ns == RK_MEMBER_NEVER ? 0 : due_ns;
}

/* Where a move that is under way goes; RK_PLACE_NONE if there is none. It is over. */
static uint16_t end_move(struct rk_member *m, uint32_t partition)
{
	uint16_t to;

	if (partition >= m->c.n_partitions || m->moving[partition] == RK_PLACE_NONE)
		return RK_PLACE_NONE;
	to = m->moving[partition];
	m->moving[partition] = RK_PLACE_NONE;
	m->n_moving -= m->is_live[partition];
	m->slots[to].n_inbound--;
	return to;
}

void rk_member_moved(struct rk_member *m, uint32_t partition)
{
	uint16_t to = end_move(m, partition), from;

	if (to == RK_PLACE_NONE)
		return;
	from = m->owners[partition];
	own(m, partition, to);
	if (from < m->c.n_slots)
		check_left(&m->slots[from]);
}

void rk_member_unmoved(struct rk_member *m, uint32_t partition)
{
	uint16_t to = end_move(m, partition);

	if (to == RK_PLACE_NONE)
		return;
	check_left(&m->slots[to]);
	if (needs_detour(m, partition)) /* it fell ill while that was under way */
		aim(m);
}

bool rk_member_is_heir(const struct rk_member *m, const struct rk_member_move *move)
{
	return move->to < m->c.n_slots && may_have(m, move->to, move->from);
}

/* ---- what people see ---- */

enum rk_member_state rk_member_state(const struct rk_member *m, uint32_t slot)
{
	return slot < m->c.n_slots ? m->slots[slot].state : RK_MEMBER_OUT;
}

const uint16_t *rk_member_owners(const struct rk_member *m)
{
	return m->owners;
}

uint32_t rk_member_n_owned(const struct rk_member *m, uint32_t slot)
{
	return slot < m->c.n_slots ? m->slots[slot].n_owned : 0;
}

uint32_t rk_member_n_pending(const struct rk_member *m)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < m->c.n_partitions; p++)
		n += m->owners[p] != m->targets[p];
	return n;
}

uint32_t rk_member_n_going(const struct rk_member *m)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < m->c.n_partitions; p++)
		n += m->owners[p] != m->targets[p] && m->targets[p] != RK_PLACE_NONE &&
		     m->slots[m->targets[p]].is_ready;
	return n;
}

uint32_t rk_member_n_held(const struct rk_member *m)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < m->c.n_partitions; p++)
		n += is_pending(m, p) && m->targets[p] != RK_PLACE_NONE &&
		     m->slots[m->targets[p]].is_ready && !may_have(m, m->targets[p], m->owners[p]);
	return n;
}

const char *rk_member_state_name(enum rk_member_state state)
{
	static const char *const names[] = { "out",  "joining",   "member", "away",
					     "gone", "returning", "leaving" };

	_Static_assert(rk_countof(names) == RK_MEMBER_STATES, "a name for every state");
	return (unsigned int)state < RK_MEMBER_STATES ? names[state] : "?";
}
