/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fix: what is wrong with a program that was tried as a worker, and what to do about it.
 *
 * Who       rekindle check --try. Pure.
 */
#ifndef RK_CLI_TRY_FIX_H
#define RK_CLI_TRY_FIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

enum rk_try_fault {
	RK_TRY_FINE,
	RK_TRY_SILENT,     /* it has read the line, and written nothing */
	RK_TRY_OPEN,       /* it has written something, but no whole line */
	RK_TRY_DEAF,       /* it has not read the line */
	RK_TRY_COLORED,    /* its answer holds terminal sequences */
	RK_TRY_CHATTY,     /* it printed a line that nobody asked for, at its start */
	RK_TRY_TWICE,      /* the same, behind its answer */
	RK_TRY_CLOSED,     /* it closed its standard output */
	RK_TRY_BACKGROUND, /* it put itself into the background */
	RK_TRY_BUSY,       /* its port is another one's */
	RK_TRY_ENDS,       /* it ends by itself */
	RK_TRY_LONG,       /* its answer does not fit */
	RK_TRY_NO_PROBE,   /* no probe succeeds */
	RK_TRY_NO_READY,   /* it does not say READY=1 */
	RK_TRY_STAYS,      /* it does not end when it is asked to */
	RK_TRY_FAULTS
};

/* Name of the program that a command runs: the last part of its first word; of env(1), sh -c "exec X" and the like X's. */
const char *rk_try_program(char *const *argv, char *ret, size_t size);

/* A sentence: what to do. */
const char *rk_try_fix(enum rk_try_fault fault, const char *program, char *ret, size_t size);

/* What the words mean that a bridge left (RK_TRY_ENDS if nothing better); has_answered: behind a job's answer. */
enum rk_try_fault rk_try_of_words(const char *words, bool has_answered);

#endif
