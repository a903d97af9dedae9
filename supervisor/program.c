/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VARIABLE "REKINDLE_PROGRAM"

static char program[PATH_MAX];

static void note(const char *link)
{
	char path[PATH_MAX];
	ssize_t n = readlink(link, path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	(void)setenv(VARIABLE, path, 1);
}

void rk_program_note(void)
{
	note("/proc/self/exe");
}

void rk_program_note_other(int exe)
{
	char link[32];

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", exe);
	note(link);
}

void rk_program_take(void)
{
	const char *path = getenv(VARIABLE);

	(void)snprintf(program, sizeof(program), "%s", path && path[0] == '/' ? path : "");
	(void)unsetenv(VARIABLE);
}

const char *rk_program_path(void)
{
	return program;
}
