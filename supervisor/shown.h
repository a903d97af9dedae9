/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shown: keeper's side of the board socket (shm/board_socket.h): whoever finds no supervisor to ask
 * gets what keeper holds of each fleet's board, for reading alone.
 *
 * Who       keeper.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_SHOWN_H
#define RK_SUPERVISOR_SHOWN_H

#include "shm/board_socket.h"
#include "supervisor/held.h"

/* Shows each fleet of which all is held to everybody who waits at this socket. about: as rk_board_socket_show(). */
void rk_shown_serve(int listening, const struct rk_board_message *about, const struct rk_held *held);

#endif
