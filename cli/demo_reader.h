/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader: one of the processes that look at the board of demo's fleet over and over, and hold
 * what they see against the board's promise: a published view never changes while somebody is
 * in it, and no older one follows.
 *
 * Who       a process of its own, started by demo.
 * Crash     that is its purpose: demo kills or stops it anywhere, also inside its section.
 * Blocking  until it is killed, or has seen the promise broken.
 */
#ifndef RK_CLI_DEMO_READER_H
#define RK_CLI_DEMO_READER_H

#define RK_DEMO_READERS 2u

/* The hidden first argument that makes `rekindle demo` a reader; the fleet's name follows. */
#define RK_DEMO_READER_ARGUMENT "--as-reader"

/* main() of a reader; argv[0] is RK_DEMO_READER_ARGUMENT. Returns its exit status, which is never 0. */
int rk_demo_reader_main(int argc, char **argv);

#endif
