/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define GROUPS_MAX 65536u /* the kernel's NGROUPS_MAX */

/* The supplementary groups; a peer with none has an empty list. */
static int groups_get(int sock, struct rk_access_peer *p)
{
	socklen_t len = 0;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
		return 0;
	if (errno != ERANGE || len > GROUPS_MAX * sizeof(gid_t))
		return -errno;
	p->groups = malloc(len);
	if (!p->groups)
		return -ENOMEM;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, p->groups, &len) < 0)
		return -errno;
	p->n_groups = (uint32_t)(len / sizeof(gid_t));
	return 0;
}

int rk_access_peer(int sock, struct rk_access_peer *ret)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	*ret = (struct rk_access_peer){ 0 };
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return -errno;
	ret->pid = who.pid;
	ret->uid = who.uid;
	ret->gid = who.gid;
	return groups_get(sock, ret);
}

void rk_access_peer_free_p(struct rk_access_peer *p)
{
	rk_free_p(&p->groups);
	p->groups = NULL;
	p->n_groups = 0;
}

bool rk_access_may_use(const struct rk_fleet_options *o, const struct rk_access_peer *p)
{
	if (o->client_user.is_set && o->client_user.id == p->uid)
		return true;
	if (!o->client_group.is_set)
		return false;
	for (uint32_t i = 0; i < p->n_groups; i++)
		if (p->groups[i] == o->client_group.id)
			return true;
	return p->gid == o->client_group.id;
}

void rk_access_admit(struct rk_access_socket *s, const struct rk_fleet_options *o)
{
	if (o->client_user.is_set)
		s->uid = o->client_user.id;
	if (o->client_group.is_set)
		s->gid = o->client_group.id;
	s->mode |= o->socket_mode.bits;
}
