/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least a program can be: writes the time at which its main() began, in ns
 * of CLOCK_MONOTONIC, to its standard output. The floor of bench_recover.
 */
#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	struct timespec t;
	uint64_t now_ns;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	now_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return write(STDOUT_FILENO, &now_ns, sizeof(now_ns)) == sizeof(now_ns) ? 0 : 1;
}
