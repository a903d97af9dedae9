/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/endpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/specifier.h"
#include "shm/abi.h"
#include "workers/lib/connect.h"

#define TEXT_MAX (2 * RK_SPECIFIER_MAX)

/* They go into lines that people and other programs read. */
static bool is_printable(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < ' ' || *c == 0x7f)
			return false;
	return true;
}

/* One slot's; NULL where its port would be beyond the last one. */
static int text_make(const char *pattern, const struct rk_specifiers *with, char **ret, struct rk_err *err)
{
	char text[TEXT_MAX];
	int r = rk_specifier_expand(pattern, with, text, sizeof(text), err);

	*ret = NULL;
	if (r == -ERANGE)
		return 0;
	if (r < 0)
		return rk_err_set(err, -EPROTO, "the fleet's address: %s", err ? err->text : "");
	if (!is_printable(text))
		return rk_err_set(err, -EPROTO, "the fleet's address has control characters");
	*ret = strdup(text);
	return *ret ? 0 : rk_err_set(err, -ENOMEM, "no memory for addresses");
}

int rk_endpoints_read(struct rk_endpoints *e, struct json_object *answer, uint32_t n_workers, struct rk_err *err)
{
	struct json_object *address;
	struct rk_specifiers with;
	int64_t port;
	int r = 0;

	*e = (struct rk_endpoints){ 0 };
	if (!json_object_object_get_ex(answer, "address", &address) || !json_object_is_type(address, json_type_object))
		return 0;
	port = rk_connect_int(address, "port");
	with = (struct rk_specifiers){ .fleet = rk_connect_text(address, "fleet"),
				       .port = port > 0 && port <= UINT16_MAX ? (uint32_t)port : 0,
				       .socket = rk_connect_text(address, "socket"),
				       .directory = rk_connect_text(address, "directory") };
	e->at = calloc(n_workers, sizeof(*e->at));
	if (!e->at)
		return rk_err_set(err, -ENOMEM, "no memory for addresses");
	for (e->n = 0; r == 0 && e->n < n_workers; e->n++) {
		with.slot = e->n;
		r = text_make(rk_connect_text(address, "text"), &with, &e->at[e->n], err);
	}
	return r;
}

void rk_endpoints_free_p(struct rk_endpoints *e)
{
	int saved = errno;

	for (uint32_t i = 0; i < e->n; i++)
		free(e->at[i]);
	free(e->at);
	*e = (struct rk_endpoints){ 0 };
	errno = saved;
}

const char *rk_endpoints_of(const struct rk_endpoints *e, uint32_t slot)
{
	return slot < e->n ? e->at[slot] : NULL;
}

int rk_endpoints_missing(const char *fleet, struct rk_err *err)
{
	return rk_err_set(err, -EADDRNOTAVAIL,
			  "fleet '%.63s' has no addresses: Port=, Socket= or Address= gives its workers some", fleet);
}

enum rk_address_state rk_endpoint_state(uint32_t slot_state)
{
	return slot_state == RK_SLOT_READY ? RK_ADDRESS_READY : RK_ADDRESS_WAIT;
}

const char *rk_endpoint_state_name(enum rk_address_state state)
{
	switch (state) {
	case RK_ADDRESS_READY:
		return "ready";
	case RK_ADDRESS_WAIT:
		return "wait";
	case RK_ADDRESS_NONE:
		return "none";
	}
	return "?";
}
