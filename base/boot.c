/* SPDX-License-Identifier: Apache-2.0 */
#include "base/boot.h"

#include <stdio.h>
#include <string.h>

void rk_boot_id(uint8_t to[static 16])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	unsigned int nibble, n = 0;
	int c;

	memset(to, 0, 16);
	while (f && n < 32 && (c = fgetc(f)) != EOF) {
		const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

		if (!at)
			continue;
		nibble = (unsigned int)(at - digits);
		to[n / 2] = (uint8_t)(to[n / 2] << 4 | nibble);
		n++;
	}
	if (f)
		(void)fclose(f);
}
