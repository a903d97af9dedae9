/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holder PID: keeps a process from running whatever signal it gets but SIGKILL, as a debugger would,
 * since systemd wakes those that are stopped. Prints "held", and ends when the process has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	pid_t pid = argc == 2 ? (pid_t)atoi(argv[1]) : 0;
	int status;

	if (pid <= 0 || ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid) {
		perror("holder");
		return 1;
	}
	(void)puts("held");
	(void)fflush(stdout);
	while (waitpid(pid, &status, __WALL) == pid && !WIFEXITED(status) && !WIFSIGNALED(status))
		; /* it stays in whatever stop it has come to */
	return 0;
}
