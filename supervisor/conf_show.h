/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf_show: a configuration and its table of keys as text for people.
 *
 * Who       rekindled --check, --cat, --cat-defaults, --man-conf, --help.
 * Blocking  as the stream does.
 */
#ifndef RK_SUPERVISOR_CONF_SHOW_H
#define RK_SUPERVISOR_CONF_SHOW_H

#include <stdio.h>

#include "supervisor/conf.h"

/*
 * What is in force, as a file that says the same: sections in their order, keys in the table's,
 * each below a comment with its origin. Overridden settings are left out.
 */
void rk_conf_cat(const struct rk_conf *conf, FILE *to);

/* Every key with its default and its help as a comment; a key without default is commented out. */
void rk_conf_cat_defaults(FILE *to);

/* "NAME: 2 fleets, 12 workers, 61 MiB of shared memory". Disabled fleets are counted apart. */
void rk_conf_sum(const struct rk_conf *conf, FILE *to);

/* rekindle.conf(5) as roff. */
void rk_conf_man(FILE *to);

/* For --help. */
void rk_conf_usage(FILE *to);

#endif
