/* SPDX-License-Identifier: Apache-2.0 */
#include "base/near.h"

#include <string.h>

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int rk_near_distance(const char *a, const char *b)
{
	unsigned int d[3][RK_NEAR_LONGEST + 1]; /* the last three rows of the matrix, in turn */
	size_t n_a = strlen(a), n_b = strlen(b);

	if (n_a > RK_NEAR_LONGEST || n_b > RK_NEAR_LONGEST)
		return RK_NEAR_NEVER;
	for (size_t j = 0; j <= n_b; j++)
		d[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= n_a; i++) {
		unsigned int *row = d[i % 3], *above = d[(i + 2) % 3], *higher = d[(i + 1) % 3];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= n_b; j++) {
			row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]),
				       least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], higher[j - 2] + 1);
		}
	}
	return d[n_a % 3][n_b];
}

unsigned int rk_near_judge(const char *written, const char *known)
{
	size_t len = strlen(written);
	unsigned int distance = rk_near_distance(written, known);

	if (distance == 0)
		return 0;
	if (len >= 2 && strncmp(written, known, len) == 0)
		return 1;
	return distance <= len / 3 + (len < 6) ? distance : RK_NEAR_NEVER;
}
