/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filter: what `rekindle demo --kind=lines` puts before the program that it tests: it notes each line that it is
 * given, in a file of its own, and only then passes it on. So it is known how often a line was given to a program.
 *
 *   bridge ── pipe ──> filter ── pipe ──> COMMAND ── the bridge's other pipe ──>
 *
 * Who       a process of its own, COMMAND's parent; COMMAND's end is its end, in the same way.
 * Crash     killed behind a note the line counts as given though COMMAND has not got it.
 * Blocking  as long as there is nothing to pass on.
 */
#ifndef RK_CLI_DEMO_FILTER_H
#define RK_CLI_DEMO_FILTER_H

/* argv[1] that makes `rekindle demo` a filter: demo --as-filter DIRECTORY COMMAND [ARGUMENT...] */
#define RK_DEMO_FILTER_ARGUMENT "--as-filter"

/* argv[1..]: DIRECTORY for its notes, COMMAND. Returns an exit status, or does not return. */
int rk_demo_filter_main(int argc, char **argv);

#endif
