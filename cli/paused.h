/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paused: whether jobs wait for a worker that an operator has paused, for who waited in vain.
 *
 * Who       rekindle call and put.
 * Blocking  at most half a second: it only explains, and a supervisor that does not answer has had
 *           its chance.
 */
#ifndef RK_CLI_PAUSED_H
#define RK_CLI_PAUSED_H

#include <stdbool.h>
#include <stddef.h>

/* Room for rk_cli_paused(). */
#define RK_PAUSED_TEXT 160u

/*
 * Writes "worker 2 is paused: 'rekindle resume 2' lets it go on" and returns true if the worker
 * that the key belongs to is paused; key NULL: if one is that has jobs queued. Else, and where
 * nobody tells, "" and false. fleet may be NULL, for the only one.
 */
bool rk_cli_paused(const char *fleet, const char *key, char text[static RK_PAUSED_TEXT]);

#endif
