/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/letters.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "shm/dead.h"
#include "shm/words.h"

enum deed { DROP, RETRY, BACK };

static const struct {
	const char *name, *what;
} deeds[] = {
	[DROP] = { "drop", "dropped" },
	[RETRY] = { "retry", "is sent again" },
	[BACK] = { "back", "put back" },
};

static int number_get(struct json_object *in, const char *member, uint64_t max, uint64_t *ret,
		      struct rk_err *err)
{
	struct json_object *o;

	if (!json_object_object_get_ex(in, member, &o) || !json_object_is_type(o, json_type_int) ||
	    json_object_get_uint64(o) > max)
		return rk_err_set(err, -EINVAL, "\"%s\" must be a number up to %llu", member,
				  (unsigned long long)max);
	*ret = json_object_get_uint64(o); /* a negative one is 0 */
	return 0;
}

static int deed_get(struct json_object *in, enum deed *ret, struct rk_err *err)
{
	struct json_object *o;

	if (json_object_object_get_ex(in, "do", &o) && json_object_is_type(o, json_type_string))
		for (size_t i = 0; i < rk_countof(deeds); i++)
			if (strcmp(json_object_get_string(o), deeds[i].name) == 0) {
				*ret = (enum deed)i;
				return 0;
			}
	return rk_err_set(err, -EINVAL, "\"do\" must be drop, retry or back");
}

/*
 * A letter comes before the commit of its job: until then that may still be run, should
 * DeadLetterAfter be raised.
 */
static bool is_over(const struct rk_shm *m, uint32_t partition, uint64_t job)
{
	return partition < m->g.n_partitions &&
	       rk_pos_before(job, rk_commit_cursor(atomic_load_explicit(
					  &rk_shm_part(m, partition)->commit,
					  memory_order_acquire)));
}

static int act(const struct rk_shm *m, enum deed deed, uint32_t place, uint64_t word,
	       uint64_t *ret_word)
{
	*ret_word = rk_deadword_with(word, RK_DEAD_FREE);
	return deed == DROP ? rk_dead_free(m, place, word)
			    : rk_dead_retry(m, place, word, deed == RETRY, ret_word);
}

int rk_letters_act(const struct rk_shm *m, struct json_object *in, struct rk_letters_act *ret,
		   struct rk_err *err)
{
	struct rk_letters_act done = { 0 };
	uint64_t place = 0, word = 0;
	enum deed deed = DROP;
	int r = deed_get(in, &deed, err);

	if (r == 0)
		r = number_get(in, "place", m->g.n_dead - 1, &place, err);
	if (r == 0)
		r = number_get(in, "word", UINT64_MAX, &word, err);
	if (r < 0)
		return r;
	done.what = deeds[deed].what;
	done.partition = rk_deadword_partition(word);
	/* Relaxed: if the word below is still the one that was read, so is the job. */
	done.job = atomic_load_explicit(&rk_shm_dead(m, (uint32_t)place)->job,
					memory_order_relaxed) &
		   RK_MASK48;
	if (deed == RETRY && !is_over(m, done.partition, done.job))
		return rk_err_set(err, -EAGAIN, "its partition has not got past the job yet: try again");
	r = act(m, deed, (uint32_t)place, word, &done.word);
	if (r == -ENOENT)
		return rk_err_set(err, r, "the letter is not there any more, or has changed: look again");
	if (r < 0)
		return rk_err_set(err, r, "the letter is marked so already: somebody else was faster");
	*ret = done;
	return 0;
}
