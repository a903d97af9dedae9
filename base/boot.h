/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot: which run of the kernel this is, so that what a file says of an earlier one (monotonic
 * times, pids) is not taken for the present.
 *
 * Who       any process, any thread.
 * Blocking  reads one file of /proc.
 */
#ifndef RK_BASE_BOOT_H
#define RK_BASE_BOOT_H

#include <stdint.h>

/* Fills to[16] from the kernel's "xxxxxxxx-xxxx-…"; zeros when it says nothing. */
void rk_boot_id(uint8_t to[static 16]);

#endif
