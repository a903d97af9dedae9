/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near: which known word somebody probably meant.
 *
 * Who       anybody; pure.
 * Source    Damerau's distance (1964) in the form that counts a swap of neighbours as one step.
 */
#ifndef RK_BASE_NEAR_H
#define RK_BASE_NEAR_H

#include <stddef.h>

#define RK_NEAR_LONGEST 32u /* longer words are near to nothing */

/* Letters to add, drop, change or swap to get from a to b; a large number if one is too long. */
unsigned int rk_near_distance(const char *a, const char *b);

/*
 * How near a known word is: 0 equal; larger is farther; a word that begins with what was written
 * counts as one step. Returns the distance, or a large number when nobody would have meant it.
 */
unsigned int rk_near_judge(const char *written, const char *known);

#define RK_NEAR_NEVER 1000u

#endif
