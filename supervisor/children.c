/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/children.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* NULL: a kernel without the list; pidfds and PDEATHSIG have to do. */
static FILE *list_open(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	return fopen(path, "re");
}

void rk_children_kill(void)
{
	FILE *list = list_open();
	int pid;

	while (list && fscanf(list, "%d", &pid) == 1)
		(void)kill(pid, SIGKILL); /* not reaped yet, so the pid is still this child's */
	if (list)
		(void)fclose(list);
}

void rk_children_kill_orphans(pid_t session, bool (*is_known)(pid_t pid, const void *arg), const void *arg)
{
	FILE *list;
	int pid;

	if (session <= 0 || session == getsid(0) || kill(session, 0) == 0)
		return;
	list = list_open();
	while (list && fscanf(list, "%d", &pid) == 1)
		if (getsid(pid) == session && !is_known(pid, arg))
			(void)kill(pid, SIGKILL); /* as above */
	if (list)
		(void)fclose(list);
}
