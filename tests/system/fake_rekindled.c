/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rekindled that goes wrong in the way its file is called, for tests/system/upgrade.sh. It adopts
 * what the real one does, but for
 *
 *   abi, journal, table   says another version of that
 *   refuses               does not understand the configuration
 *   mute                  never says what it adopts
 *   exits, killed, hangs  that is its end as supervisor, before it has adopted anything
 *   slow                  supervises, once somebody has opened the FIFO $FAKE_GO for writing
 *   unfit                 supervises, and cannot be executed any more when keeper wants to become it
 *   late                  all right, and keeper only once $FAKE_GO was opened
 *
 * What it does right the real one does for it: $FAKE_REAL.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/abi.h"
#include "supervisor/conf_ask.h"
#include "supervisor/journal.h"
#include "supervisor/keeper.h"
#include "supervisor/link.h"

#define SELF "/proc/self/exe"

static _Noreturn void hang(void)
{
	for (;;)
		(void)pause();
}

static int adopts(const char *how)
{
	if (strcmp(how, "mute") == 0)
		hang();
	(void)printf("release %s\nabi %u\njournal %u\nkeeper %u\n", how, RK_ABI_VERSION + (strcmp(how, "abi") == 0),
		     RK_JOURNAL_LAYOUT + (strcmp(how, "journal") == 0), RK_KEEPER_TABLE + (strcmp(how, "table") == 0));
	if (strcmp(how, "refuses") != 0)
		return RK_EXIT_OK;
	(void)fputs("fake: there is a key that I do not know\n", stderr);
	return RK_EXIT_CONFIG;
}

/* Until somebody opens its other end. */
static void go_await(void)
{
	int fd = open(getenv("FAKE_GO"), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		_exit(RK_EXIT_FAILED);
}

static void fail_as_supervisor(const char *how)
{
	if (strcmp(how, "exits") == 0)
		_exit(3);
	if (strcmp(how, "killed") == 0)
		(void)raise(SIGKILL);
	if (strcmp(how, "hangs") == 0)
		hang();
	if (strcmp(how, "slow") == 0)
		go_await();
	if (strcmp(how, "unfit") == 0 && chmod(SELF, 0600) < 0)
		_exit(RK_EXIT_FAILED);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX] = "";
	const char *how, *real = getenv("FAKE_REAL");

	if (readlink(SELF, path, sizeof(path) - 1) < 0)
		return RK_EXIT_FAILED;
	how = basename(path);
	if (argc == 2 && strcmp(argv[1], "--adopts") == 0)
		return adopts(how);
	if (getenv(RK_LINK_ENVIRONMENT))
		fail_as_supervisor(how);
	else if (strcmp(how, "late") == 0)
		go_await();
	if (real)
		(void)execv(real, argv);
	return RK_EXIT_FAILED;
}
