/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/wordlist.h"
#include "workers/bridge/timer.h"

struct rk_checkpoint {
	struct ev_loop *loop;
	struct rk_checkpoint_conf conf; /* its commands are those below */
	struct rk_wordlist save, restore;
	struct rk_command *command;
	ev_timer interval;
	ev_timer late; /* of what was asked; a command has its own */
	bool is_running, is_asking;
	bool is_finishing; /* the last save is still to come */
	bool has_begun;
	uint64_t began_ns;
	struct rk_checkpoint_record now, last;
};

static bool can_save(const struct rk_checkpoint *c)
{
	return c->save.n > 0 || c->conf.ask;
}

static void interval_start(struct rk_checkpoint *c)
{
	if (c->has_begun && c->conf.interval_ns > 0 && can_save(c))
		rk_timer_begin(c->loop, &c->interval, c->conf.interval_ns);
}

/* Returns 0 or -errno: then nothing is under way. */
static int deed_start(struct rk_checkpoint *c, enum rk_checkpoint_deed deed)
{
	bool is_restore = deed == RK_CHECKPOINT_RESTORE;
	struct rk_wordlist *words = is_restore ? &c->restore : &c->save;
	int r;

	ev_timer_stop(c->loop, &c->interval);
	c->now = (struct rk_checkpoint_record){ .deed = deed, .began_wall_ns = rk_clock_wall_ns() };
	c->began_ns = rk_clock_ns();
	c->is_asking = words->n == 0;
	c->is_running = true;
	if (c->is_asking)
		rk_timer_begin(c->loop, &c->late, c->conf.timeout_ns);
	r = c->is_asking ? c->conf.ask(c->conf.arg) :
			   rk_command_start(c->command, words->at, c->conf.timeout_ns);
	if (r < 0) {
		c->is_running = false;
		ev_timer_stop(c->loop, &c->late);
	}
	return r;
}

static void record(struct rk_checkpoint *c, bool is_ok, const char *text)
{
	c->now.is_ok = is_ok;
	c->now.took_ns = rk_clock_ns() - c->began_ns;
	(void)rk_text_clean(c->now.text, sizeof(c->now.text), text, strlen(text));
	c->last = c->now;
	c->is_running = false;
	ev_timer_stop(c->loop, &c->late);
}

/* Notes how it went, begins what comes next, and tells. */
static void deed_end(struct rk_checkpoint *c, bool is_ok, const char *text)
{
	struct rk_checkpoint_record ended;
	int r = 0;

	record(c, is_ok, text);
	ended = c->last;
	if (c->is_finishing) {
		c->is_finishing = false;
		r = deed_start(c, RK_CHECKPOINT_LAST_SAVE);
	} else {
		interval_start(c);
	}
	if (r < 0) {
		/* Told in place of the one before it, which nobody waits for. */
		record(c, false, strerror(-r));
		ended = c->last;
	}
	c->conf.on_end(&ended, c->conf.arg); /* c may be gone behind it */
}

static void on_command(const struct rk_command_end *end, void *arg)
{
	char text[RK_COMMAND_TEXT];
	bool is_ok = rk_command_is_good(end);

	deed_end(arg, is_ok, is_ok ? "" : rk_command_text(text, end));
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
	struct rk_checkpoint *c = w->data;
	char limit[RK_TIMER_TEXT], text[64];

	(void)loop;
	(void)events;
	(void)snprintf(text, sizeof(text), "no answer within %s", rk_timer_text(limit, c->conf.timeout_ns));
	deed_end(c, false, text);
}

static void on_interval(struct ev_loop *loop, ev_timer *w, int events)
{
	struct rk_checkpoint *c = w->data;
	int r;

	(void)loop;
	(void)events;
	if (c->is_running)
		return; /* its end starts the interval anew */
	r = deed_start(c, RK_CHECKPOINT_SAVE);
	if (r < 0)
		deed_end(c, false, strerror(-r));
}

/* ---- the public face ---- */

static int words_copy(struct rk_wordlist *to, char *const *from)
{
	int r = 0;

	for (; from && *from && r == 0; from++)
		r = rk_wordlist_add(to, *from);
	return r;
}

struct rk_checkpoint *rk_checkpoint_new(struct ev_loop *loop, const struct rk_checkpoint_conf *conf)
{
	struct rk_checkpoint *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = loop;
	c->conf = *conf;
	c->conf.save = c->conf.restore = NULL;
	ev_init(&c->interval, on_interval);
	ev_init(&c->late, on_late);
	c->interval.data = c->late.data = c;
	c->command = rk_command_new(loop, on_command, c);
	if (!c->command || words_copy(&c->save, conf->save) < 0 || words_copy(&c->restore, conf->restore) < 0) {
		rk_checkpoint_free(c);
		return NULL;
	}
	return c;
}

int rk_checkpoint_restore(struct rk_checkpoint *c)
{
	if (c->restore.n == 0)
		return RK_CHECKPOINT_NOTHING;
	return c->is_running ? -EALREADY : deed_start(c, RK_CHECKPOINT_RESTORE);
}

void rk_checkpoint_begin(struct rk_checkpoint *c)
{
	c->has_begun = true;
	if (!c->is_running)
		interval_start(c);
}

int rk_checkpoint_finish(struct rk_checkpoint *c)
{
	c->has_begun = false;
	ev_timer_stop(c->loop, &c->interval);
	if (!can_save(c))
		return RK_CHECKPOINT_NOTHING;
	if (c->is_running && c->now.deed == RK_CHECKPOINT_LAST_SAVE)
		return 0; /* it was asked for before */
	c->is_finishing = c->is_running;
	return c->is_running ? 0 : deed_start(c, RK_CHECKPOINT_LAST_SAVE);
}

void rk_checkpoint_answered(struct rk_checkpoint *c, bool is_ok, const char *text)
{
	if (c->is_running && c->is_asking)
		deed_end(c, is_ok, is_ok || !text ? "" : text);
}

const struct rk_checkpoint_record *rk_checkpoint_last(const struct rk_checkpoint *c)
{
	return &c->last;
}

const char *rk_checkpoint_line(char text[static RK_CHECKPOINT_LINE], const struct rk_checkpoint_record *record)
{
	static const char *const done[RK_CHECKPOINT_DEEDS] = { "restored", "checkpoint made", "last checkpoint made" };
	static const char *const deed[RK_CHECKPOINT_DEEDS] = { "restore", "checkpoint", "last checkpoint" };
	char took[RK_TIMER_TEXT];

	(void)rk_timer_text(took, record->took_ns);
	if (record->is_ok)
		(void)snprintf(text, RK_CHECKPOINT_LINE, "%s in %s", done[record->deed], took);
	else
		(void)snprintf(text, RK_CHECKPOINT_LINE, "%s failed after %s%s%s", deed[record->deed], took,
			       record->text[0] ? ": " : "", record->text);
	return text;
}

void rk_checkpoint_cancel(struct rk_checkpoint *c)
{
	if (c->command)
		rk_command_cancel(c->command);
	ev_timer_stop(c->loop, &c->interval);
	ev_timer_stop(c->loop, &c->late);
	c->is_running = c->is_finishing = c->has_begun = false;
}

void rk_checkpoint_free(struct rk_checkpoint *c)
{
	if (!c)
		return;
	rk_checkpoint_cancel(c);
	rk_command_free(c->command);
	rk_wordlist_free_p(&c->save);
	rk_wordlist_free_p(&c->restore);
	free(c);
}
