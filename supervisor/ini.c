/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/ini.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "shm/rundir.h"

#define GROW_BY 32u

struct reader {
	struct rk_ini *ini;
	struct rk_complaints *complaints;
	const char *file;
	const char *preset; /* the fleet that a preset is read for, or NULL */
	const char *at, *end;
	uint32_t line; /* of what was taken last */
	enum { NOWHERE, SKIPPING, INSIDE } where;
	enum rk_ini_section section;
	char argument[RK_NAME_MAX];
	char text[RK_INI_LINE_MAX + 1]; /* the line with its continuations */
	size_t len;
	uint32_t begin; /* its first line */
	bool is_bad;    /* it has been complained of */
	bool is_full;
};

/* ---- the list ---- */

static void *grown(void *at, uint32_t n, size_t size)
{
	return n % GROW_BY == 0 ? realloc(at, (n + GROW_BY) * size) : at;
}

/* The section and argument have been checked; copies key and value. */
static int add(struct rk_ini *ini, const struct rk_setting *s, const char *key, size_t key_len,
	       const char *value)
{
	struct rk_setting *at;

	if (ini->n == RK_INI_SETTINGS_MAX || key_len >= RK_INI_KEY_MAX)
		return -E2BIG;
	at = grown(ini->at, ini->n, sizeof(*at));
	if (!at)
		return -ENOMEM;
	ini->at = at;
	at += ini->n;
	*at = *s;
	memcpy(at->key, key, key_len);
	at->key[key_len] = '\0';
	at->value = strdup(value);
	if (!at->value)
		return -ENOMEM;
	ini->n++;
	return 0;
}

static int fleet_mention(struct rk_ini *ini, const char *file, uint32_t line, const char *name)
{
	struct rk_ini_head *at;

	for (uint32_t i = 0; i < ini->n_fleets; i++)
		if (strcmp(ini->fleets[i].argument, name) == 0)
			return 0;
	at = grown(ini->fleets, ini->n_fleets, sizeof(*at));
	if (!at)
		return -ENOMEM;
	ini->fleets = at;
	at += ini->n_fleets++;
	*at = (struct rk_ini_head){ .file = file, .line = line };
	memcpy(at->argument, name, strlen(name) + 1); /* rk_name_check() bounds it */
	return 0;
}

int rk_ini_add(struct rk_ini *ini, enum rk_ini_section section, const char *argument,
	       const char *key, const char *value)
{
	struct rk_setting s = { .section = section };
	int r = 0;

	memcpy(s.argument, argument, strlen(argument) + 1);
	if (section == RK_INI_FLEET)
		r = fleet_mention(ini, NULL, 0, argument);
	return r < 0 ? r : add(ini, &s, key, strlen(key), value);
}

const struct rk_setting *rk_ini_last(const struct rk_ini *ini, enum rk_ini_section section,
				     const char *argument, const char *key)
{
	for (uint32_t i = ini->n; i > 0; i--) {
		const struct rk_setting *s = &ini->at[i - 1];

		if (s->section == section && strcmp(s->argument, argument) == 0 &&
		    strcmp(s->key, key) == 0)
			return s;
	}
	return NULL;
}

void rk_ini_free_p(struct rk_ini *ini)
{
	int saved = errno;

	for (uint32_t i = 0; i < ini->n; i++)
		free(ini->at[i].value);
	free(ini->at);
	free(ini->fleets);
	rk_wordlist_free_p(&ini->files);
	*ini = (struct rk_ini){ 0 };
	errno = saved;
}

/* ---- lines ---- */

#define COMPLAIN(r, line, ...) rk_complain((r)->complaints, (r)->file, line, __VA_ARGS__)

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void trim(const char **text, size_t *len)
{
	while (*len && is_blank(**text))
		(*text)++, (*len)--;
	while (*len && is_blank((*text)[*len - 1]))
		(*len)--;
}

/* What a line must not hold; complains of the first. */
static bool is_clean(struct reader *r, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\r' && i + 1 == len)
			COMPLAIN(
				r, r->line,
				"the line ends in a carriage return: save the file with Unix line ends");
		else if (c == '\0')
			COMPLAIN(r, r->line, "the line holds a NUL byte: this is no text file");
		else if ((c < 0x20 && c != '\t') || c == 0x7f)
			COMPLAIN(r, r->line,
				 "the line holds the control character 0x%02x: take it out", c);
		else
			continue;
		return false;
	}
	return true;
}

/* Takes the next physical line; false at the end. */
static bool line_take(struct reader *r, const char **ret_text, size_t *ret_len)
{
	size_t left = (size_t)(r->end - r->at);
	const char *newline = left ? memchr(r->at, '\n', left) : NULL;

	if (left == 0)
		return false;
	r->line++;
	*ret_text = r->at;
	*ret_len = newline ? (size_t)(newline - r->at) : left;
	r->at += *ret_len + (newline ? 1 : 0);
	if (!newline)
		COMPLAIN(
			r, r->line,
			"no newline behind the last line: the file may be cut off; end it with one");
	if (!is_clean(r, *ret_text, *ret_len))
		r->is_bad = true;
	trim(ret_text, ret_len);
	return true;
}

static void text_append(struct reader *r, const char *text, size_t len)
{
	if (r->len + len > RK_INI_LINE_MAX) {
		if (!r->is_full)
			COMPLAIN(r, r->begin, "the line is longer than %u bytes", RK_INI_LINE_MAX);
		r->is_full = r->is_bad = true;
		return;
	}
	memcpy(r->text + r->len, text, len);
	r->len += len;
	r->text[r->len] = '\0';
}

static bool is_comment(const char *text, size_t len)
{
	return len && (*text == '#' || *text == ';');
}

/* Fills r->text with the next line and its continuations. False at the end of the file. */
static bool text_take(struct reader *r)
{
	bool goes_on = false;
	const char *text;
	size_t len;

	r->len = 0;
	r->text[0] = '\0';
	r->is_bad = r->is_full = false;
	r->begin = r->line + 1;
	while (line_take(r, &text, &len)) {
		if (is_comment(text, len)) {
			if (goes_on)
				continue;
			return true;
		}
		goes_on = len && text[len - 1] == '\\';
		text_append(r, text, goes_on ? len - 1 : len);
		if (!goes_on)
			return true;
		text_append(r, " ", 1);
	}
	if (goes_on)
		COMPLAIN(r, r->line, "the file ends in a backslash: the line has no continuation");
	return goes_on;
}

/* ---- what a line says ---- */

#define UNREAD "; what stands in it was not looked at"

static int supervisor_enter(struct reader *r)
{
	if (r->preset) {
		COMPLAIN(r, r->begin, "[Supervisor] does not belong in a preset: write [Fleet]" UNREAD);
		return 0;
	}
	r->where = INSIDE;
	r->section = RK_INI_SUPERVISOR;
	r->argument[0] = '\0';
	return 0;
}

static int fleet_enter(struct reader *r, const char *name)
{
	struct rk_err err = { 0 };

	if (r->preset && *name)
		COMPLAIN(r, r->begin, "a preset is for any fleet: write [Fleet] without a name");
	if (r->preset)
		name = r->preset;
	if (!*name) {
		COMPLAIN(r, r->begin, "the fleet has no name: write [Fleet NAME]" UNREAD);
		return 0;
	}
	if (rk_name_check(name, &err) < 0) {
		COMPLAIN(r, r->begin, "%s" UNREAD, err.text);
		return 0;
	}
	r->where = INSIDE;
	r->section = RK_INI_FLEET;
	memcpy(r->argument, name, strlen(name) + 1); /* rk_name_check() bounds it */
	return fleet_mention(r->ini, r->file, r->begin, name);
}

/*
 * Something looked like a section and is none. What stands in it is read as if the section that
 * was probably meant stood there, so that all mistakes are told at once.
 */
static int section_unknown(struct reader *r, const char *kind, const char *argument)
{
	const char *blank = *argument ? " " : "";

	if (rk_near_judge(kind, "Fleet") < RK_NEAR_NEVER) {
		COMPLAIN(r, r->begin,
			 "there is no section [%.40s%s%.63s]: did you mean [Fleet %.63s]?%s", kind,
			 blank, argument, *argument ? argument : "NAME", *argument ? "" : UNREAD);
		return *argument ? fleet_enter(r, argument) : 0;
	}
	if (rk_near_judge(kind, "Supervisor") < RK_NEAR_NEVER) {
		COMPLAIN(r, r->begin,
			 "there is no section [%.40s%s%.63s]: did you mean [Supervisor]?", kind,
			 blank, argument);
		return supervisor_enter(r);
	}
	COMPLAIN(
		r, r->begin,
		"there is no section [%.40s%s%.63s]: there are [Supervisor] and [Fleet NAME]" UNREAD,
		kind, blank, argument);
	return 0;
}

/* Cuts the head off behind its ']', which may be missing. */
static void head_end(struct reader *r, char *text)
{
	char *end = strchr(text, ']');

	if (!end)
		COMPLAIN(r, r->begin, "a section's head ends in ']'");
	else if (end[1])
		COMPLAIN(
			r, r->begin,
			"'%.40s' stands behind the section's head: a comment needs a line of its own",
			end + 1 + strspn(end + 1, " \t"));
	if (end)
		*end = '\0';
	for (size_t len = strlen(text); len > 0 && is_blank(text[len - 1]); len--)
		text[len - 1] = '\0';
}

/* text begins behind the '['. */
static int section_read(struct reader *r, char *text)
{
	char *argument;

	r->where = SKIPPING;
	head_end(r, text);
	argument = text + strcspn(text, " \t");
	if (*argument)
		*argument++ = '\0';
	argument += strspn(argument, " \t");
	if (strcmp(text, "Fleet") == 0)
		return fleet_enter(r, argument);
	if (strcmp(text, "Supervisor") != 0)
		return section_unknown(r, text, argument);
	if (*argument)
		COMPLAIN(r, r->begin, "[Supervisor] takes no name");
	return supervisor_enter(r);
}

/* A key and its value; both are trimmed. */
static int setting_read(struct reader *r, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	struct rk_setting s = { .file = r->file,
				.line = r->begin,
				.section = r->section,
				.is_preset = r->preset != NULL };
	size_t key_len = equals ? (size_t)(equals - text) : 0, value_len;
	const char *key = text, *value;
	int status;

	if (!equals || key_len == 0) {
		COMPLAIN(r, r->begin, "'%.40s' is no Key=Value, no [Section] and no # comment",
			 text);
		return 0;
	}
	value = equals + 1;
	value_len = len - key_len - 1;
	trim(&key, &key_len);
	trim(&value, &value_len);
	if (key_len >= RK_INI_KEY_MAX) {
		COMPLAIN(r, r->begin, "'%.40s...' is too long for a key", key);
		return 0;
	}
	memcpy(s.argument, r->argument, sizeof(s.argument));
	status = add(r->ini, &s, key, key_len, value); /* the text ends where the value does */
	if (status != -E2BIG)
		return status;
	COMPLAIN(r, r->begin, "there are more than %u settings: the rest is not read",
		 RK_INI_SETTINGS_MAX);
	r->at = r->end;
	return 0;
}

static int text_read(struct reader *r)
{
	const char *text = r->text;
	size_t len = r->len;

	trim(&text, &len);
	if (r->is_bad && len && *text == '[')
		r->where = SKIPPING; /* whatever section that was to be */
	if (r->is_bad || len == 0)
		return 0;
	r->text[(size_t)(text - r->text) + len] = '\0';
	if (*text == '[')
		return section_read(r, r->text + (text - r->text) + 1);
	if (r->where == INSIDE)
		return setting_read(r, text, len);
	if (r->where == NOWHERE)
		COMPLAIN(r, r->begin,
			 "'%.40s' stands before any section: write [Fleet NAME] above it", text);
	return 0;
}

static void mark_skip(struct reader *r)
{
	if (r->end - r->at >= 3 && memcmp(r->at, "\xef\xbb\xbf", 3) == 0)
		r->at += 3; /* some editors put it before UTF-8 */
}

static int read_as(struct rk_ini *ini, const char *file, const char *text, size_t len, const char *preset,
		   struct rk_complaints *c)
{
	struct reader r = { .ini = ini, .complaints = c, .preset = preset, .at = text, .end = text + len };
	int status = rk_wordlist_add(&ini->files, file);

	if (status < 0)
		return status;
	r.file = ini->files.at[ini->files.n - 1];
	if (len > RK_INI_FILE_MAX) {
		rk_complain(c, file, 0, "the file is larger than %u KiB", RK_INI_FILE_MAX / 1024);
		return 0;
	}
	mark_skip(&r);
	while (status == 0 && text_take(&r))
		status = text_read(&r);
	return status;
}

int rk_ini_read(struct rk_ini *ini, const char *file, const char *text, size_t len, struct rk_complaints *c)
{
	return read_as(ini, file, text, len, NULL, c);
}

/* ---- presets ---- */

/* What was appended behind the first n comes to stand before them. 0 or -ENOMEM. */
static int bring_forward(struct rk_ini *ini, uint32_t n)
{
	size_t n_new = ini->n - n;
	struct rk_setting *new;

	if (n_new == 0 || n == 0)
		return 0;
	new = malloc(n_new * sizeof(*new));
	if (!new)
		return -ENOMEM;
	memcpy(new, ini->at + n, n_new * sizeof(*new));
	memmove(ini->at + n_new, ini->at, n * sizeof(*new));
	memcpy(ini->at, new, n_new * sizeof(*new));
	free(new);
	return 0;
}

int rk_ini_read_preset(struct rk_ini *ini, const char *file, const char *text, size_t len, const char *fleet,
		       struct rk_complaints *c)
{
	uint32_t n = ini->n;
	int r = read_as(ini, file, text, len, fleet, c);

	return r < 0 ? r : bring_forward(ini, n);
}

int rk_ini_copy_preset(struct rk_ini *ini, const struct rk_ini *from, const char *fleet)
{
	uint32_t n = ini->n;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < from->n; i++) {
		const struct rk_setting *s = &from->at[i];
		const struct rk_setting copy = { .section = s->section, .is_preset = true };

		if (!s->is_preset || strcmp(s->argument, fleet) != 0)
			continue;
		r = add(ini, &copy, s->key, strlen(s->key), s->value);
		if (r == 0)
			memcpy(ini->at[ini->n - 1].argument, s->argument, sizeof(s->argument));
	}
	return r < 0 ? r : bring_forward(ini, n);
}
