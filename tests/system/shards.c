/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of a fleet of redis shards, which finds them by the library:
 *
 *   shards FLEET KEYS
 *
 * Increments keys at random until standard input ends, each at the shard that the library names, over kills of
 * shards. Each answer has to be one more than the last of that key, and as many more as requests were left without
 * an answer since: so that the same shard has answered, with all it ever said. The shard of a key may not change.
 * Prints "SHARDS shards, REQUESTS answers, LOST without one"; exit status 1, and a complaint, if something is wrong.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "workers/lib/rekindle.h"

#define KEYS_MAX 4096u
#define SHARDS_MAX 256u
#define WAIT_MS 20000u
#define PORT_MAX 65535u

struct key {
	bool is_known; /* where it lives */
	uint32_t worker;
	uint64_t value, n_lost; /* last answer; requests without one since */
};

struct client {
	struct rk_addresses *addresses;
	struct key keys[KEYS_MAX];
	int fds[SHARDS_MAX]; /* -1: not connected */
	uint64_t n_answers, n_lost;
};

static int dial(const char *address)
{
	const struct timeval patience = { .tv_sec = WAIT_MS / 1000 };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	rk_cleanup(rk_close_p) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *colon = strrchr(address, ':');
	uint64_t port;

	if (fd < 0 || !colon || rk_num_parse(colon + 1, 1, PORT_MAX, &port, NULL) < 0)
		return -1;
	to.sin_port = htons((uint16_t)port);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	return rk_take_fd(&fd);
}

/* ":VALUE\r\n". False: the connection broke, or it is no such answer. */
static bool value_read(int fd, uint64_t *ret)
{
	char text[64];
	size_t len = 0;

	while (len < sizeof(text) - 1 && (len == 0 || text[len - 1] != '\n')) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);

		if (n <= 0)
			return false;
		len += (size_t)n;
	}
	text[len] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return text[0] == ':' && rk_num_parse(text + 1, 1, UINT64_MAX, ret, NULL) == 0;
}

/* Asks once. Returns whether nothing is wrong with what came, if anything did. */
static bool increment(struct client *c, uint32_t number, const struct rk_address *a)
{
	struct key *k = &c->keys[number];
	int *fd = &c->fds[a->worker];
	char text[64];
	int len = snprintf(text, sizeof(text), "INCR key:%u\r\n", number);
	uint64_t value;

	if (*fd < 0 && (*fd = dial(a->text)) < 0)
		return true; /* it died a moment ago */
	if (send(*fd, text, (size_t)len, MSG_NOSIGNAL) != len || !value_read(*fd, &value)) {
		rk_close_p(fd);
		k->n_lost++;
		c->n_lost++;
		return true;
	}
	if (value <= k->value || value > k->value + 1 + k->n_lost) {
		(void)fprintf(stderr, "key:%u at %s: %" PRIu64 " after %" PRIu64 " and %" PRIu64 " without an answer\n",
			      number, a->text, value, k->value, k->n_lost);
		return false;
	}
	k->value = value;
	k->n_lost = 0;
	c->n_answers++;
	return true;
}

static bool ask(struct client *c, uint32_t number)
{
	struct key *k = &c->keys[number];
	struct rk_address a;
	char name[32];

	(void)snprintf(name, sizeof(name), "key:%u", number);
	if (rk_addresses_wait(c->addresses, name, 0, WAIT_MS, &a) < 0 || a.state != RK_ADDRESS_READY || a.worker >= SHARDS_MAX) {
		(void)fprintf(stderr, "%s: its shard is not ready\n", name);
		return false;
	}
	if (k->is_known && k->worker != a.worker) {
		(void)fprintf(stderr, "%s has moved from shard %u to %u\n", name, k->worker, a.worker);
		return false;
	}
	k->is_known = true;
	k->worker = a.worker;
	return increment(c, number, &a);
}

static bool is_over(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

/* All keys at random, and at the end each once more. */
static bool work(struct client *c, uint32_t n_keys)
{
	unsigned int seed = (unsigned int)getpid();
	bool is_good = true;

	while (is_good && !is_over())
		is_good = ask(c, (uint32_t)rand_r(&seed) % n_keys);
	for (uint32_t i = 0; is_good && i < n_keys; i++)
		is_good = ask(c, i);
	return is_good;
}

static uint32_t shards_count(const struct client *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SHARDS_MAX; i++)
		n += c->fds[i] >= 0;
	return n;
}

int main(int argc, char **argv)
{
	static struct client c;
	uint64_t n_keys;
	bool is_good;

	memset(c.fds, 0xff, sizeof(c.fds));
	if (argc != 3 || rk_num_parse(argv[2], 1, KEYS_MAX, &n_keys, NULL) < 0) {
		(void)fputs("usage: shards FLEET KEYS\n", stderr);
		return 64;
	}
	if (rk_addresses_open(&c.addresses, argv[1]) < 0) {
		(void)fprintf(stderr, "shards: %s\n", rk_client_error());
		return 1;
	}
	is_good = work(&c, (uint32_t)n_keys);
	(void)printf("%u shards, %" PRIu64 " answers, %" PRIu64 " without one\n", shards_count(&c), c.n_answers, c.n_lost);
	rk_addresses_close(c.addresses);
	return is_good ? 0 : 1;
}
