/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: those that ask a command to end which has processes of its own to end first: they become a
 * descriptor.
 *
 * Who       demo, one thread, before it starts anybody.
 * Blocking  never.
 */
#ifndef RK_CLI_SIGNALS_H
#define RK_CLI_SIGNALS_H

#include "base/err.h"
#include "base/macro.h"

/*
 * Blocks SIGINT, SIGTERM, SIGHUP and SIGQUIT, and ignores SIGPIPE, since whoever read what is printed may be gone
 * while there is still somebody to end. Returns a descriptor that is readable when one of them came, the caller's;
 * -errno with a sentence.
 */
RK_MUST_USE int rk_signals_open(struct rk_err *err);

#endif
