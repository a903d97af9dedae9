/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/saves.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "workers/bridge/bridge.h"
#include "workers/bridge/checkpoint.h"

#define SAVE_NS (60 * RK_NS_PER_S) /* for one, where StopTimeout is not shorter */

struct rk_saves {
	struct rk_bridge *b;
	struct rk_checkpoint *checkpoint;
	struct rk_wordlist save, restore;
	bool is_restoring, is_restored;
};

static int ask(void *arg)
{
	struct rk_saves *s = arg;

	return s->b->ops->save(s->b);
}

static void on_end(const struct rk_checkpoint_record *r, void *arg)
{
	struct rk_saves *s = arg;
	char line[RK_CHECKPOINT_LINE];

	rk_bridge_say(s->b, "%s", rk_checkpoint_line(line, r));
	if (r->deed == RK_CHECKPOINT_RESTORE) {
		s->is_restoring = false;
		s->is_restored = r->is_ok;
	}
	if (r->deed == RK_CHECKPOINT_LAST_SAVE)
		s->b->is_saved = true;
	rk_bridge_happened(s->b);
}

static bool asks(const struct rk_bridge_options *o)
{
	return *o->checkpoint_line || *o->checkpoint_path;
}

static int expand(struct rk_saves *s, struct rk_err *err)
{
	const struct rk_bridge_options *o = &s->b->o;
	int r = rk_bridge_words(s->b, &o->checkpoint_exec, &s->save, err);

	return r < 0 ? r : rk_bridge_words(s->b, &o->restore_exec, &s->restore, err);
}

static int restore(struct rk_saves *s, struct rk_err *err)
{
	int r = rk_checkpoint_restore(s->checkpoint);

	if (r == RK_CHECKPOINT_NOTHING)
		return 0;
	if (r < 0)
		return rk_err_set(err, r, "cannot run RestoreExec=%s", s->restore.at[0]);
	for (s->is_restoring = true; s->is_restoring;)
		ev_run(s->b->loop, EVRUN_ONCE);
	return s->is_restored ? 0 : rk_err_set(err, -ECANCELED, "nothing was restored, so %s is not started: see what RestoreExec= said",
					       s->b->argv[0]);
}

int rk_saves_open(struct rk_bridge *b, struct rk_err *err)
{
	const struct rk_bridge_options *o = &b->o;
	struct rk_saves *s;
	int r;

	if (!o->checkpoint_exec.n && !o->restore_exec.n && !asks(o))
		return 0;
	s = b->saves = calloc(1, sizeof(*s));
	if (!s)
		return rk_err_set(err, -ENOMEM, "no memory for checkpoints");
	s->b = b;
	r = expand(s, err);
	if (r < 0)
		return r;
	s->checkpoint = rk_checkpoint_new(b->loop, &(struct rk_checkpoint_conf){
							   .save = s->save.at,
							   .restore = s->restore.at,
							   .ask = asks(o) && b->ops->save ? ask : NULL,
							   .interval_ns = o->checkpoint_interval_ns,
							   .timeout_ns = rk_min_u64(SAVE_NS, rk_max_u64(o->stop_timeout_ns / 2, RK_NS_PER_MS)),
							   .on_end = on_end,
							   .arg = s });
	return s->checkpoint ? restore(s, err) : rk_err_set(err, -ENOMEM, "no memory for checkpoints");
}

void rk_saves_begin(struct rk_bridge *b)
{
	if (b->saves)
		rk_checkpoint_begin(b->saves->checkpoint);
}

bool rk_saves_finish(struct rk_bridge *b)
{
	int r;

	if (!b->saves || b->is_saved || !b->is_ready)
		return false;
	r = rk_checkpoint_finish(b->saves->checkpoint);
	if (r < 0)
		rk_bridge_say(b, "the last checkpoint cannot be made");
	b->is_saved = r != 0;
	return r == 0;
}

void rk_saves_answered(struct rk_bridge *b, bool is_ok, const char *text)
{
	if (b->saves)
		rk_checkpoint_answered(b->saves->checkpoint, is_ok, text);
}

void rk_saves_close(struct rk_bridge *b)
{
	struct rk_saves *s = b->saves;

	if (!s)
		return;
	rk_checkpoint_free(s->checkpoint);
	rk_wordlist_free_p(&s->save);
	rk_wordlist_free_p(&s->restore);
	free(s);
	b->saves = NULL;
}
