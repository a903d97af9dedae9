/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ini: the text of configuration files as a list of settings. It knows the two kinds of
 * sections and what a line looks like; which keys there are it does not know.
 *
 *	# a comment, as is a line that begins with ';'
 *	[Fleet counts]
 *	Exec=wordcount \
 *	     --fast
 *
 * A line that ends in a backslash goes on in the next one; the backslash becomes a blank, and
 * comment lines in between are left out, as in systemd.syntax(7). Blanks around '=' and at both
 * ends of a line do not count.
 *
 * Who       the supervisor's configuration. The text is hostile input: sizes are bounded, and
 *           whatever is wrong becomes a complaint with its place, while reading goes on.
 * Blocking  never; allocates.
 */
#ifndef RK_SUPERVISOR_INI_H
#define RK_SUPERVISOR_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wordlist.h"
#include "shm/abi.h"
#include "supervisor/complaints.h"

#define RK_INI_FILE_MAX (1u << 20) /* bytes of a file */
#define RK_INI_LINE_MAX 8192u      /* bytes of a line with its continuations */
#define RK_INI_KEY_MAX 64u         /* bytes of a key with its NUL */
#define RK_INI_SETTINGS_MAX 16384u /* of all files together */

enum rk_ini_section { RK_INI_SUPERVISOR, RK_INI_FLEET, RK_INI_SECTIONS };

/* One Key=Value. */
struct rk_setting {
	const char *file; /* the ini's; NULL: the command line */
	uint32_t line;    /* where it begins */
	enum rk_ini_section section;
	char argument[RK_NAME_MAX]; /* the fleet's name; "" in [Supervisor] */
	char key[RK_INI_KEY_MAX];
	char *value;     /* trimmed; "" resets */
	bool is_preset;  /* it is a preset's (presets.h) */
	bool is_refused; /* a complaint has told that it cannot be followed */
};

/* A section's head, so that one without settings is known too. */
struct rk_ini_head {
	const char *file;
	uint32_t line;
	char argument[RK_NAME_MAX];
};

/* Zero is the empty value. */
struct rk_ini {
	struct rk_setting *at; /* in the order they were read */
	uint32_t n;
	struct rk_ini_head *fleets; /* first mention of each */
	uint32_t n_fleets;
	struct rk_wordlist files; /* their names */
};

/*
 * Reads one file's text and appends its settings. Mistakes become complaints. Returns 0 or
 * -ENOMEM.
 */
RK_MUST_USE int rk_ini_read(struct rk_ini *ini, const char *file, const char *text, size_t len,
			    struct rk_complaints *c);

/*
 * The same for a preset, in which [Fleet] has no name and is about this fleet; its settings come before all
 * others. A name is a mistake, and so is any other section.
 */
RK_MUST_USE int rk_ini_read_preset(struct rk_ini *ini, const char *file, const char *text, size_t len,
				   const char *fleet, struct rk_complaints *c);

/* Puts the settings that a preset made in another list before all others. 0; -E2BIG, -ENOMEM. */
RK_MUST_USE int rk_ini_copy_preset(struct rk_ini *ini, const struct rk_ini *from, const char *fleet);

/* Appends a setting that stands in no file. Returns 0; -E2BIG, -ENOMEM. */
RK_MUST_USE int rk_ini_add(struct rk_ini *ini, enum rk_ini_section section, const char *argument,
			   const char *key, const char *value);

/* The last setting of this key, or NULL. */
const struct rk_setting *rk_ini_last(const struct rk_ini *ini, enum rk_ini_section section,
				     const char *argument, const char *key);

/* Frees all; also a cleanup. */
void rk_ini_free_p(struct rk_ini *ini);

#endif
