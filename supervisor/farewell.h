/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Farewell: what keeper tells the clients of a fleet that ends with it. A supervisor that stops in order
 * has told them; one that was killed, or did not stop in time, has not, and they would wait for as long
 * as they had asked for.
 *
 * Who       keeper, when every process of the fleet has ended.
 * Crash     killed here, some of them wait as long as they would have.
 */
#ifndef RK_SUPERVISOR_FAREWELL_H
#define RK_SUPERVISOR_FAREWELL_H

#include "supervisor/held.h"

/*
 * Ends the board of each fleet whose memory is held (rk_board_end()). What is damaged, or another release's,
 * is passed over. Allocates nothing that stays.
 */
void rk_farewell(const struct rk_held *h);

#endif
