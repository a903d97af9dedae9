/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets: settings for well-known programs, as files that Preset=NAME takes into a configuration.
 *
 *	<root>/etc/rekindle/presets/NAME.conf   the first of these that is there
 *	…/presets/NAME.conf                     of the source, for programs in a build's tree
 *	<pkgdatadir>/presets/NAME.conf
 *
 * A file has one section [Fleet], which says any key of a fleet but Exec= and Preset=. Its settings come before
 * everything that is said about the fleet, so that is stronger; frozen with the rest (conf_frozen.h), they do not
 * depend on the file any more.
 *
 * Who       conf.c, while it loads. Files are hostile input.
 * Blocking  file system calls; allocates.
 */
#ifndef RK_SUPERVISOR_PRESETS_H
#define RK_SUPERVISOR_PRESETS_H

#include "supervisor/complaints.h"
#include "supervisor/ini.h"

/*
 * Takes the preset of each fleet into ini. before: what is in force, or NULL; a preset whose file is gone and that is
 * in there for the same fleet goes on as it was, with a line in the log. Mistakes become complaints. 0 or -ENOMEM.
 */
RK_MUST_USE int rk_presets_take(struct rk_ini *ini, const char *root, const struct rk_ini *before,
				struct rk_complaints *c);

#endif
