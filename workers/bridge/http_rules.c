/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pure functions of http.h decide. The module links them too.
 */
#include <errno.h>

#include "base/clock.h"
#include "workers/bridge/http.h"

#define PAUSE_FIRST (10 * RK_NS_PER_MS)
#define PAUSE_MOST (5 * RK_NS_PER_S)

static bool is_header_byte(const char *key, size_t len, size_t i)
{
	bool is_inner = i > 0 && i + 1 < len;

	return (key[i] > ' ' && key[i] < 0x7f && key[i] != '%') || (key[i] == ' ' && is_inner);
}

size_t rk_http_key_encode(char *to, size_t size, const char *key, size_t len)
{
	static const char digit[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)key[i];
		char out[3] = { '%', digit[c >> 4], digit[c & 15] };
		size_t n_out = sizeof(out);

		if (is_header_byte(key, len, i)) {
			out[0] = key[i];
			n_out = 1;
		}
		for (size_t k = 0; k < n_out; k++, n++)
			if (n + 1 < size)
				to[n] = out[k];
	}
	if (size > 0)
		to[n < size ? n : size - 1] = '\0';
	return n;
}

static uint64_t pause_after(uint32_t n_tries)
{
	uint32_t doublings = n_tries > 0 ? n_tries - 1 : 0;

	return doublings > 16 ? PAUSE_MOST : rk_min_u64(PAUSE_FIRST << doublings, PAUSE_MOST);
}

static struct rk_http_verdict again(const struct rk_http_answer *a, uint32_t n_tries, uint64_t now_ns,
				    uint64_t deadline_ns)
{
	uint64_t pause = pause_after(n_tries);

	if (a->end == RK_HTTP_ANSWERED)
		pause = rk_max_u64(pause, a->retry_after_ns);
	if (deadline_ns == 0)
		return (struct rk_http_verdict){ .deed = RK_HTTP_AGAIN, .pause_ns = pause };
	if (now_ns >= deadline_ns)
		return (struct rk_http_verdict){ .deed = RK_HTTP_FAILED, .error = -EREMOTEIO };
	return (struct rk_http_verdict){ .deed = RK_HTTP_AGAIN, .pause_ns = rk_min_u64(pause, deadline_ns - now_ns) };
}

struct rk_http_verdict rk_http_judge(const struct rk_http_answer *answer, bool is_full, uint32_t n_tries,
				     uint64_t now_ns, uint64_t deadline_ns)
{
	bool is_answered = answer->end == RK_HTTP_ANSWERED;

	if (answer->end == RK_HTTP_TOO_LONG)
		return (struct rk_http_verdict){ .deed = RK_HTTP_FAILED, .error = -EMSGSIZE };
	if (is_answered && (is_full || (answer->status >= 200 && answer->status <= 299)))
		return (struct rk_http_verdict){ .deed = RK_HTTP_DONE };
	if (!is_answered || answer->status == 503 || answer->status == 429)
		return again(answer, n_tries, now_ns, deadline_ns);
	return (struct rk_http_verdict){ .deed = RK_HTTP_FAILED, .error = -EREMOTEIO };
}
