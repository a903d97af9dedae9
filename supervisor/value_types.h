/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value_types: what the parts of value share: how each type of value is read, printed and freed.
 *
 * Who       value.c, whose table they are in; nobody else.
 */
#ifndef RK_SUPERVISOR_VALUE_TYPES_H
#define RK_SUPERVISOR_VALUE_TYPES_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "supervisor/keys.h"

#define RK_VALUE_SCALAR_MAX 80u  /* bytes of a value that is one word */
#define RK_VALUE_WORDS_MAX 1024u /* words of a list or command */

/* text is not empty, and no longer than its type allows. After an error *at is as it was. */
typedef int rk_value_parse_fn(const struct rk_key *k, const char *text, void *at,
			      struct rk_err *err);
typedef void rk_value_print_fn(const struct rk_key *k, const void *at, FILE *to);
typedef void rk_value_free_fn(void *at);

rk_value_parse_fn rk_value_command_parse;
rk_value_free_fn rk_value_commands_free;
rk_value_parse_fn rk_value_commands_parse;
rk_value_print_fn rk_value_commands_print;
rk_value_parse_fn rk_value_cpus_parse;
rk_value_print_fn rk_value_cpus_print;
rk_value_parse_fn rk_value_environment_parse;
rk_value_parse_fn rk_value_fleets_parse;
rk_value_parse_fn rk_value_limit_parse;
rk_value_print_fn rk_value_limit_print;
rk_value_parse_fn rk_value_mode_parse;
rk_value_print_fn rk_value_mode_print;
rk_value_free_fn rk_value_output_free;
rk_value_parse_fn rk_value_output_parse;
rk_value_print_fn rk_value_output_print;
rk_value_free_fn rk_value_path_free;
rk_value_parse_fn rk_value_path_parse;
rk_value_print_fn rk_value_path_print;
rk_value_parse_fn rk_value_paths_parse;
rk_value_parse_fn rk_value_signal_parse;
rk_value_parse_fn rk_value_catchable_parse;
rk_value_print_fn rk_value_catchable_print;
rk_value_print_fn rk_value_signal_print;
rk_value_parse_fn rk_value_statuses_parse;
rk_value_print_fn rk_value_statuses_print;
rk_value_parse_fn rk_value_who_parse;
rk_value_print_fn rk_value_who_print;
rk_value_free_fn rk_value_words_free;
rk_value_parse_fn rk_value_addresses_parse;
rk_value_parse_fn rk_value_escaped_parse;
rk_value_print_fn rk_value_escaped_print;
rk_value_parse_fn rk_value_field_parse;
rk_value_parse_fn rk_value_header_parse;
rk_value_parse_fn rk_value_name_parse;
rk_value_parse_fn rk_value_pattern_parse;
rk_value_parse_fn rk_value_text_parse;
rk_value_parse_fn rk_value_url_path_parse;
rk_value_print_fn rk_value_words_print;

bool rk_value_is_infinity(const char *text);

/* With the largest unit that divides it, or as infinity. */
void rk_value_size_write(uint64_t v, FILE *to);

#endif
