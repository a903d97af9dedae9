/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

size_t rk_process_read(pid_t pid, const char *file, char *text, size_t size)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

char rk_process_state(pid_t pid)
{
	char text[256];
	const char *at;

	(void)rk_process_read(pid, "stat", text, sizeof(text));
	at = strrchr(text, ')'); /* behind the name, which may hold anything */
	return at && at[1] == ' ' && at[2] ? at[2] : 'X';
}

pid_t rk_process_parent(pid_t pid)
{
	char text[512];
	const char *at;
	int parent = 0;

	(void)rk_process_read(pid, "stat", text, sizeof(text));
	at = strrchr(text, ')'); /* the name may hold anything */
	return at && sscanf(at, ") %*c %d", &parent) == 1 ? parent : 0;
}

bool rk_process_is_stopped(pid_t pid)
{
	char state = rk_process_state(pid);

	return state == 'T' || state == 't';
}

void rk_process_reset_signals(void)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < 32; sig++)
		(void)sigaction(sig, &normal, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}
