/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/conf_wrap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/percent.h"
#include "base/specifier.h"
#include "supervisor/conf_check.h"
#include "supervisor/value.h"

#define PORT_FIRST 7000u
#define PORT_LAST 65535u
#define WINDOW_HTTP 16u

/* Whoever is checked, and where to complain. */
struct wrap {
	const struct rk_conf *conf;
	const struct rk_conf_fleet *f;
	struct rk_complaints *c;
};

#define COMPLAIN(w, key, ...) rk_conf_complain((w)->conf, (w)->f, (w)->c, key, __VA_ARGS__)

/* ---- what nobody said ---- */

static bool is_said(const struct rk_conf *conf, const struct rk_conf_fleet *f, const char *key)
{
	const struct rk_setting *s = rk_ini_last(&conf->ini, RK_INI_FLEET, f->name, key);

	return s && *s->value;
}

static bool is_server(uint32_t kind)
{
	return kind != RK_KIND_NATIVE && kind != RK_KIND_LINES;
}

int rk_conf_wrap_finish(const struct rk_conf *conf, struct rk_conf_fleet *f)
{
	struct rk_fleet_options *o = &f->o;
	bool wants_port = o->kind == RK_KIND_TCP || o->kind == RK_KIND_HTTP;
	const char *address = NULL;

	if (o->kind == RK_KIND_HTTP && !is_said(conf, f, "Window"))
		o->n_window = WINDOW_HTTP;
	if (wants_port && !is_said(conf, f, "Port") && !is_said(conf, f, "Socket"))
		o->port = PORT_FIRST;
	if (is_server(o->kind) && o->kind != RK_KIND_HTTP && !is_said(conf, f, "MoveAfter"))
		o->move_after_ns = RK_INFINITE; /* what is behind an address may keep what belongs to its keys */
	if (is_server(o->kind) && !o->address)
		address = o->port ? "127.0.0.1:%p" : o->socket ? "unix:%s" : NULL;
	if (address && !(o->address = strdup(address)))
		return -ENOMEM;
	return 0;
}

/* ---- keys of other kinds ---- */

/* What was said and changes nothing is no mistake: as in what 'rekindle cat --defaults' prints. */
static bool is_default(const struct rk_key *k, const struct rk_fleet_options *o)
{
	rk_cleanup(rk_free_p) char *text = rk_value_text(k, o);

	return text && strcmp(text, k->normal) == 0;
}

static void kinds_check(const struct wrap *w)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);
	const struct rk_fleet_options *o = &w->f->o;

	for (size_t i = 0; i < n; i++) {
		char kinds[80];

		if (!k[i].kinds || k[i].kinds >> o->kind & 1 || !is_said(w->conf, w->f, k[i].name) ||
		    rk_conf_is_bad(w->f, &k[i]) || is_default(&k[i], o))
			continue;
		COMPLAIN(w, k[i].name, "%s= is for %s, and fleet '%s' is Kind=%s: take it out, or change Kind=", k[i].name,
			 rk_key_kinds(&k[i], kinds, sizeof(kinds)), w->f->name, rk_kind_name(o->kind));
	}
}

/* ---- specifiers ---- */

/* What each letter is, for whoever wrote another one. */
static const struct {
	char letter;
	const char *what;
} specifiers[] = { { 'p', "%p (port)" },   { 'i', "%i (slot)" }, { 's', "%s (socket)" }, { 'd', "%d (state directory)" },
		   { 'f', "%f (fleet)" }, { '%', "%% (a percent sign)" } };

static bool is_known(char letter, const char *known)
{
	return letter && (letter == '%' || strchr(known, letter));
}

/* "%p (port), … and %% (a percent sign)" of those that are known here. */
static void known_list(const char *known, char *text, size_t size)
{
	size_t len = 0, n = strlen(known) + 1;

	text[0] = '\0';
	for (size_t i = 0; i < rk_countof(specifiers) && len < size; i++) {
		if (!is_known(specifiers[i].letter, known))
			continue;
		n--;
		len += (size_t)snprintf(text + len, size - len, "%s%s", specifiers[i].what, n > 1 ? ", " : n == 1 ? " and " : "");
	}
}

static void unknown_tell(const struct wrap *w, const char *key, const char *at, const char *known)
{
	char list[128];

	known_list(known, list, sizeof(list));
	if (at[1])
		COMPLAIN(w, key, "%s=: '%%%.1s' stands for nothing: there are %s", key, at + 1, list);
	else
		COMPLAIN(w, key, "%s=: a '%%' stands at the end of a word: there are %s", key, list);
}

/* Letters that are known, but there is nothing behind them. Once for a text. */
static bool empty_tell(const struct wrap *w, const char *key, char letter)
{
	const struct rk_fleet_options *o = &w->f->o;

	if (letter == 'p' && o->port == 0)
		COMPLAIN(w, key, "%s= says %%p, and fleet '%s' has no port: give Port= that of slot 0, or write %%%%p", key,
			 w->f->name);
	else if (letter == 's' && !o->socket)
		COMPLAIN(w, key, "%s= says %%s, and fleet '%s' has no socket: give Socket= its path, or write %%%%s", key,
			 w->f->name);
	else if (letter == 'd' && o->kind == RK_KIND_LINES && !o->state_directory)
		/* awk and the like print numbers by it. */
		COMPLAIN(w, key,
			 "%s= says %%d, which is the state directory here: write %%%%d for what the program is to see, or say "
			 "StateDirectory=",
			 key);
	else
		return false;
	return true;
}

/* Complains at most once. */
static bool pattern_check(const struct wrap *w, const char *key, const char *text, const char *known)
{
	for (const char *c = text; c && (c = strchr(c, '%')) != NULL; c += 2) {
		if (!is_known(c[1], known)) {
			unknown_tell(w, key, c, known);
			return false;
		}
		if (empty_tell(w, key, c[1]))
			return false;
	}
	return true;
}

static void words_check(const struct wrap *w, const char *key, const struct rk_wordlist *words)
{
	for (uint32_t i = 0; i < words->n; i++)
		if (!pattern_check(w, key, words->at[i], RK_SPECIFIERS_ALL))
			return;
}

/* What a native fleet has of them as well, for 'rekindle key'. */
static void places_check(const struct wrap *w)
{
	const struct rk_fleet_options *o = &w->f->o;

	(void)pattern_check(w, "Socket", o->socket, RK_SPECIFIERS_SOCKET);
	if (o->kind != RK_KIND_LINES) /* not its key, and that was said */
		(void)pattern_check(w, "Address", o->address, RK_SPECIFIERS_ALL);
}

static void specifiers_check(const struct wrap *w)
{
	const struct rk_fleet_options *o = &w->f->o;

	/* Filters say % for other things: without a place of their own there is nothing to stand for. */
	if (o->kind != RK_KIND_LINES || o->port || o->socket || o->state_directory)
		words_check(w, "Exec", &o->exec);
	words_check(w, "CheckpointExec", &o->checkpoint_exec);
	words_check(w, "RestoreExec", &o->restore_exec);
	(void)pattern_check(w, "WorkingDirectory", o->working_directory, RK_SPECIFIERS_SOCKET);
	(void)pattern_check(w, "StateDirectory", o->state_directory, RK_SPECIFIERS_DIRECTORY);
	if (!is_server(o->kind))
		return; /* the others are not its keys, and that was said */
	words_check(w, "ProbeExec", &o->probe_exec);
	words_check(w, "Listen", &o->listen);
}

/* ---- ports and addresses ---- */

/* The last one. */
static uint32_t port_end(const struct rk_fleet_options *o)
{
	return o->port + o->n_workers - 1;
}

static bool has_ports(const struct rk_conf_fleet *f)
{
	return f->o.port != 0 && !f->o.is_disabled;
}

static void ports_check(const struct wrap *w)
{
	const struct rk_fleet_options *o = &w->f->o;

	if (o->port && port_end(o) > PORT_LAST) {
		COMPLAIN(w, "Port", "Port=%u and Workers=%u end at port %u, and the last one is %u: lower Port= to %u or less", o->port,
			 o->n_workers, port_end(o), PORT_LAST, PORT_LAST + 1 - o->n_workers);
		return;
	}
	for (const struct rk_conf_fleet *g = w->conf->fleets; g < w->f && has_ports(w->f); g++)
		if (has_ports(g) && g->o.port <= port_end(o) && o->port <= port_end(&g->o))
			COMPLAIN(w, "Port",
				 "fleet '%s' has ports %u to %u, and fleet '%s' has %u to %u: give Port= to one of them, %u or more",
				 w->f->name, o->port, port_end(o), g->name, g->o.port, port_end(&g->o), port_end(&g->o) + 1);
}

/* One address for several slots: only the first could have it. */
static void listen_check(const struct wrap *w)
{
	const struct rk_fleet_options *o = &w->f->o;

	for (uint32_t i = 0; i < o->listen.n && o->n_workers > 1; i++) {
		const char *address = o->listen.at[i];

		if (rk_percent_has(address, 'p') || rk_percent_has(address, 'i') || rk_percent_has(address, 's') ||
		    rk_percent_has(address, 'd'))
			continue;
		COMPLAIN(w, "Listen", "Listen=%.100s is one address for %u workers: put %%p or %%i into it, or set Workers=1", address,
			 o->n_workers);
		return;
	}
}

/* ---- probes and checkpoints ---- */

static void reach_check(const struct wrap *w, const char *key, bool is_set)
{
	if (is_set && !w->f->o.port && !w->f->o.socket)
		COMPLAIN(w, key, "%s= has nothing to connect to: give Port= or Socket= that the program listens on", key);
}

static void probe_check(const struct wrap *w)
{
	const struct rk_fleet_options *o = &w->f->o;
	bool has_text = o->send || o->expect;

	if (o->send && !o->expect)
		COMPLAIN(w, "Send",
			 "Send= without Expect= is no probe: every stopped server still accepts connections, and what is sent to "
			 "it; say by Expect= what the answer has to hold");
	if (has_text + (o->health_path != NULL) + (o->probe_exec.n > 0) > 1)
		COMPLAIN(w, o->probe_exec.n ? "ProbeExec" : "HealthPath",
			 "Expect=, HealthPath= and ProbeExec= are three probes: keep one; what a preset says is taken back by an "
			 "empty value, as Expect= and Send=");
	reach_check(w, "Expect", o->expect != NULL);
	reach_check(w, "HealthPath", o->health_path != NULL);
}

static void checkpoint_check(const struct wrap *w)
{
	const struct rk_fleet_options *o = &w->f->o;
	int n = (o->checkpoint_exec.n > 0) + (o->checkpoint_line != NULL) + (o->checkpoint_path != NULL);

	if (n > 1)
		COMPLAIN(w, o->checkpoint_path ? "CheckpointPath" : "CheckpointLine",
			 "CheckpointExec=, CheckpointLine= and CheckpointPath= are three ways to one checkpoint: keep one; what a "
			 "preset says is taken back by an empty value");
	if (n == 0 && o->checkpoint_interval_ns)
		COMPLAIN(w, "CheckpointInterval",
			 "CheckpointInterval= has nothing to do: say CheckpointExec=, CheckpointLine= or CheckpointPath=");
	reach_check(w, "CheckpointPath", o->checkpoint_path != NULL);
}

/* ---- all of it ---- */

void rk_conf_wrap_check(const struct rk_conf *conf, const struct rk_conf_fleet *f, struct rk_complaints *c)
{
	const struct wrap w = { conf, f, c };

	if (rk_conf_is_bad(f, rk_key_find(RK_INI_FLEET, "Kind")) ||
	    (rk_conf_is_bad(f, rk_key_find(RK_INI_FLEET, "Preset")) && !is_said(conf, f, "Kind")))
		return;
	kinds_check(&w);
	places_check(&w);
	ports_check(&w);
	if (!rk_kind_is_wrapped(f->o.kind))
		return;
	specifiers_check(&w);
	checkpoint_check(&w);
	if (!is_server(f->o.kind))
		return;
	listen_check(&w);
	probe_check(&w);
}

/* Several workers of a command in which nothing differs. */
static bool share_port(const struct rk_fleet_options *o)
{
	if (!o->port || o->n_workers < 2 || o->listen.n)
		return false;
	for (uint32_t i = 0; i < o->exec.n; i++)
		if (rk_percent_has(o->exec.at[i], 'p') || rk_percent_has(o->exec.at[i], 'i') || rk_percent_has(o->exec.at[i], 'd'))
			return false;
	return true;
}

const char *rk_conf_wrap_doubt(const struct rk_conf_fleet *f, char *text, size_t size)
{
	const struct rk_fleet_options *o = &f->o;

	if (is_server(o->kind) && share_port(o)) {
		(void)snprintf(text, size,
			       "fleet '%s' has %u workers with a port each, and its command does not say which: put %%p where the "
			       "program takes its port, or they take each other's",
			       f->name, o->n_workers);
		return text;
	}
	if (!is_server(o->kind) || o->kind == RK_KIND_HTTP || o->expect || o->health_path || o->probe_exec.n)
		return NULL;
	(void)snprintf(text, size,
		       "fleet '%s' has no probe: %s; say Send= and Expect=, HealthPath= or ProbeExec=", f->name,
		       o->kind == RK_KIND_NOTIFY ? "unless its program sends WATCHDOG=1, one that hangs is not noticed"
						 : "a worker that dies is noticed, one that hangs is not");
	return text;
}
