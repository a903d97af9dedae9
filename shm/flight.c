/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/boot.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define HEAD_LEN sizeof(struct rk_flight_head)
#define RECORD_LEN sizeof(struct rk_flight_record)
#define PATH_LEN 256
#define SCAN_RECORDS 64u /* that are read at once */

/* Places go on over the wrap of the sequence only in a ring that is a power of two. */
static bool is_ring(uint32_t n)
{
	return n >= RK_FLIGHT_RECORDS_MIN && n <= RK_FLIGHT_RECORDS_MAX && (n & (n - 1)) == 0;
}

static off_t file_len(uint32_t n)
{
	return (off_t)(HEAD_LEN + n * RECORD_LEN);
}

/* ---- for both sides ---- */

const char *rk_flight_kind_name(uint32_t kind)
{
	static const char *const names[] = {
		"?",     "note",     "start",   "stop",     "ready",    "spawn",      "transition",
		"death", "obituary", "verdict", "response", "evidence", "quarantine", "move",
		"scale", "rolling",  "reload",  "config",   "fault",    "client",     "standby", "upgrade"
	};

	static_assert(rk_countof(names) == RK_FLIGHT_KINDS, "a name for every kind");
	return kind < RK_FLIGHT_KINDS ? names[kind] : "?";
}

enum rk_flight_kind rk_flight_kind_find(const char *name)
{
	for (uint32_t k = RK_FLIGHT_NOTE; k < RK_FLIGHT_KINDS; k++)
		if (strcmp(rk_flight_kind_name(k), name) == 0)
			return (enum rk_flight_kind)k;
	return RK_FLIGHT_KINDS;
}

const char *rk_flight_severity_name(uint32_t severity)
{
	static const char *const names[] = { "emergency", "alert",  "critical", "error",
					     "warning",   "notice", "info",     "debug" };

	return severity < rk_countof(names) ? names[severity] : "?";
}

static uint64_t check_of(const struct rk_flight_record *r)
{
	return XXH3_64bits((const char *)r + sizeof(r->check), RECORD_LEN - sizeof(r->check));
}

static off_t place_offset(uint32_t place)
{
	return (off_t)(HEAD_LEN + place * RECORD_LEN);
}

static uint32_t place_of(uint64_t sequence, uint32_t n)
{
	return (uint32_t)(sequence % n);
}

static bool is_whole(const struct rk_flight_record *r, uint32_t n, uint32_t place)
{
	return place_of(r->sequence, n) == place && r->len <= RK_FLIGHT_TEXT && r->n_parts >= 1 &&
	       r->n_parts <= RK_FLIGHT_PARTS_MAX && r->part < r->n_parts && r->check == check_of(r);
}

bool rk_flight_record_read(int fd, uint32_t n, uint32_t place, struct rk_flight_record *ret)
{
	return pread(fd, ret, RECORD_LEN, place_offset(place)) == (ssize_t)RECORD_LEN && is_whole(ret, n, place);
}

/* Sequences of the whole records among so many places, SCAN_RECORDS at most. Returns how many. */
static uint32_t sequences_read(int fd, uint32_t n, uint32_t first, uint32_t n_places, uint64_t ret[static SCAN_RECORDS])
{
	struct rk_flight_record some[SCAN_RECORDS];
	ssize_t len = pread(fd, some, n_places * RECORD_LEN, place_offset(first));
	uint32_t n_whole = 0;

	for (uint32_t i = 0; i < n_places && len >= (ssize_t)((i + 1) * RECORD_LEN); i++)
		if (is_whole(&some[i], n, first + i))
			ret[n_whole++] = some[i].sequence;
	return n_whole;
}

uint32_t rk_flight_scan(int fd, uint32_t n, uint64_t *ret_oldest, uint64_t *ret_newest)
{
	uint64_t newest = 0, some[SCAN_RECORDS];
	uint32_t n_found = 0;

	/* By distance: a sequence may have wrapped. What is a whole ring behind is none of these. */
	for (uint32_t first = 0; first < n; first += SCAN_RECORDS) {
		uint32_t n_some = sequences_read(fd, n, first, rk_min_u32(SCAN_RECORDS, n - first), some);

		for (uint32_t i = 0; i < n_some; i++)
			if (n_found++ == 0 || (int64_t)(some[i] - newest) > 0)
				newest = some[i];
	}
	*ret_oldest = *ret_newest = newest;
	/* Round the ring from behind the newest: there it begins, unless that was damaged. */
	for (uint32_t k = 1, len; n_found > 0 && k < n; k += len) {
		uint32_t first = place_of(newest + k, n);

		len = rk_min_u32(rk_min_u32(SCAN_RECORDS, n - k), n - first);
		for (uint32_t i = 0, n_some = sequences_read(fd, n, first, len, some); i < n_some; i++)
			if (newest - some[i] < n) {
				*ret_oldest = some[i];
				return n_found;
			}
	}
	return n_found;
}

static int not_ours(struct rk_err *err, const char *path, const char *why)
{
	return rk_err_set(err, -EBADMSG,
			  "%s is no flight recorder (%s): remove it, the next start of the fleet "
			  "makes a new one",
			  path, why);
}

int rk_flight_head_read(int fd, const char *path, struct rk_flight_head *ret, struct rk_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return not_ours(err, path, "it is no regular file");
	if (pread(fd, ret, HEAD_LEN, 0) != (ssize_t)HEAD_LEN || ret->magic != RK_FLIGHT_MAGIC)
		return not_ours(err, path, "it does not begin like one");
	if (ret->version != RK_FLIGHT_VERSION)
		return rk_err_set(
			err, -EPROTO,
			"%s has version %u, this program knows %u: use the programs of one "
			"release",
			path, ret->version, RK_FLIGHT_VERSION);
	if (ret->record_size != RECORD_LEN || !is_ring(ret->n_records))
		return not_ours(err, path, "its head is damaged");
	if (st.st_size != file_len(ret->n_records))
		return not_ours(err, path, "somebody has changed its size");
	ret->name[sizeof(ret->name) - 1] = '\0';
	return 0;
}

/* ---- the file ---- */

static int write_at(int fd, const void *bytes, size_t len, off_t at)
{
	ssize_t n = pwrite(fd, bytes, len, at);

	if (n == (ssize_t)len)
		return 0;
	return n < 0 ? -errno : -EIO;
}

/* Not FUTEX_PRIVATE: the sleepers are other processes, known by the file and the offset. */
static void wake(const void *page)
{
	(void)syscall(SYS_futex, (const char *)page + offsetof(struct rk_flight_head, changes),
		      FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Everything up to this sequence is there. */
static void announce(struct rk_flight *f, uint64_t newest)
{
	uint32_t low = (uint32_t)newest;

	/* One aligned word: a reader that saw half of it would only look once more. */
	if (write_at(f->fd, &low, sizeof(low), offsetof(struct rk_flight_head, changes)) == 0)
		wake(f->page);
}

static int map_head(int fd, void **ret)
{
	void *p = mmap(NULL, HEAD_LEN, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	(void)madvise(p, HEAD_LEN, MADV_DONTFORK);
	*ret = p;
	return 0;
}

static int begin(struct rk_flight *f, int fd, uint32_t n, uint64_t next, struct rk_err *err)
{
	int r = map_head(fd, &f->page);

	if (r < 0) {
		rk_close_p(&fd);
		return rk_err_set(err, r, "cannot map the flight recorder: %s", strerror(-r));
	}
	f->fd = fd;
	f->n = n;
	f->next = next;
	return 0;
}

/*
 * The newest record, from the last one that was announced on: to read the whole ring takes as long as a quarter of an
 * adoption. 0 = there is none.
 */
static uint64_t find_newest(int fd, uint32_t n, uint32_t announced)
{
	struct rk_flight_record last;
	uint64_t oldest, newest, some[SCAN_RECORDS];
	bool goes_on = true;

	if (!rk_flight_record_read(fd, n, place_of(announced, n), &last) || (uint32_t)last.sequence != announced)
		return rk_flight_scan(fd, n, &oldest, &newest) == 0 ? 0 : newest;
	newest = last.sequence;
	while (goes_on) {
		uint32_t first = place_of(newest + 1, n);
		uint32_t n_some = sequences_read(fd, n, first, rk_min_u32(SCAN_RECORDS, n - first), some);

		goes_on = false;
		for (uint32_t i = 0; i < n_some; i++)
			if ((int64_t)(some[i] - newest) > 0) {
				newest = some[i];
				goes_on = true;
			}
	}
	return newest;
}

/* Behind the newest record of a file that has been checked. */
static int go_on(struct rk_flight *f, int fd, const struct rk_flight_head *head, struct rk_err *err)
{
	uint32_t n = head->n_records;
	uint64_t newest = find_newest(fd, n, head->changes);
	int r;

	r = begin(f, fd, n, newest + 1, err);
	if (r == 0)
		announce(f, newest); /* its writer may have been killed before it did */
	return r;
}

static void event_write(struct rk_flight *f, const struct rk_flight_event *e, const char *text);

/* Whoever sees the state finds the last record there; then all are woken. */
static void finish(struct rk_flight *f, uint32_t state, const struct rk_flight_event *last,
		   const char *text)
{
	event_write(f, last, text);
	(void)write_at(f->fd, &state, sizeof(state), offsetof(struct rk_flight_head, state));
	announce(f, f->next - 1);
}

/* Whoever follows the file that is about to be replaced goes on in the new one. */
static void predecessor_tell(const char *path)
{
	const struct rk_flight_event last = { .kind = RK_FLIGHT_NOTE,
					      .severity = RK_LOG_INFO,
					      .slot = RK_FLIGHT_NOBODY,
					      .now_ns = rk_clock_ns(),
					      .wall_ns = rk_clock_wall_ns() };
	rk_cleanup(rk_close_p) int fd =
		open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	rk_cleanup(rk_flight_close_p) struct rk_flight f = { .fd = -1 };
	struct rk_flight_head head;

	if (fd >= 0 && rk_flight_head_read(fd, path, &head, NULL) == 0 &&
	    go_on(&f, rk_take_fd(&fd), &head, NULL) == 0)
		finish(&f, RK_FLIGHT_REPLACED, &last, "replaced by a new fleet of this name");
}

static int fill(int fd, const char *name, uint32_t n)
{
	struct rk_flight_head head = { .magic = RK_FLIGHT_MAGIC,
				       .version = RK_FLIGHT_VERSION,
				       .record_size = RECORD_LEN,
				       .n_records = n,
				       .state = RK_FLIGHT_OPEN,
				       .created_wall_ns = rk_clock_wall_ns() };
	int r;

	rk_boot_id(head.boot_id);
	(void)snprintf(head.name, sizeof(head.name), "%s", name);
	/* All of it now: a full file system is found here and not at a death. */
	r = posix_fallocate(fd, 0, file_len(n));
	return r ? -r : write_at(fd, &head, HEAD_LEN, 0);
}

/* Makes the file beside its place and moves it there. */
static int make_at(const char *path, const char *name, uint32_t n_records, int *ret_fd,
		   struct rk_err *err)
{
	char beside[PATH_LEN];
	int n = snprintf(beside, sizeof(beside), "%s.new", path), r;

	if (n < 0 || (size_t)n >= sizeof(beside))
		return rk_err_set(err, -ENAMETOOLONG, "%s: its path is too long", path);
	(void)unlink(beside); /* of somebody who was killed here */
	rk_cleanup(rk_close_p) int fd =
		open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return rk_err_set(err, -errno, "cannot make %s: %s", beside, strerror(errno));
	r = fill(fd, name, n_records);
	if (r == 0) {
		predecessor_tell(path);
		r = rename(beside, path) < 0 ? -errno : 0;
	}
	if (r < 0) {
		(void)unlink(beside);
		return rk_err_set(err, r, "cannot make %s: %s", path, strerror(-r));
	}
	*ret_fd = rk_take_fd(&fd);
	return 0;
}

int rk_flight_create(struct rk_flight *f, const char *path, const char *name, uint32_t n,
		     struct rk_err *err)
{
	int fd, r;

	*f = (struct rk_flight){ .fd = -1 };
	if (!is_ring(n))
		return rk_err_set(err, -EINVAL,
				  "a flight recorder has a power of two of records, %u to %u",
				  RK_FLIGHT_RECORDS_MIN, RK_FLIGHT_RECORDS_MAX);
	r = make_at(path, name, n, &fd, err);
	return r < 0 ? r : begin(f, fd, n, 1, err);
}

static int predecessor_check(int fd, const char *path, const char *name, struct rk_flight_head *ret,
			     struct rk_err *err)
{
	uint8_t boot_id[sizeof(ret->boot_id)];
	struct stat st;
	int r = rk_flight_head_read(fd, path, ret, err);

	if (r < 0)
		return r;
	rk_boot_id(boot_id);
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return not_ours(err, path, "it belongs to somebody else");
	if (strcmp(ret->name, name) != 0)
		return not_ours(err, path, "it is another fleet's");
	if (memcmp(ret->boot_id, boot_id, sizeof(boot_id)) != 0)
		return not_ours(err, path, "it is from before the last boot");
	if (ret->state != RK_FLIGHT_OPEN)
		return not_ours(err, path, "its fleet has ended");
	return 0;
}

int rk_flight_open(struct rk_flight *f, const char *path, const char *name, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int fd =
		open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct rk_flight_head head;
	int r;

	*f = (struct rk_flight){ .fd = -1 };
	if (fd < 0)
		return rk_err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	r = predecessor_check(fd, path, name, &head, err);
	return r < 0 ? r : go_on(f, rk_take_fd(&fd), &head, err);
}

void rk_flight_close_p(struct rk_flight *f)
{
	if (f->page)
		(void)munmap(f->page, HEAD_LEN);
	f->page = NULL;
	rk_close_p(&f->fd);
}

void rk_flight_end(struct rk_flight *f, const char *path, const struct rk_flight_event *last,
		   const char *text)
{
	if (f->fd < 0)
		return;
	finish(f, RK_FLIGHT_ENDED, last, text);
	(void)unlink(path);
	rk_flight_close_p(f);
}

/* ---- writing ---- */

static void record_fill(struct rk_flight_record *r, const struct rk_flight_event *e)
{
	*r = (struct rk_flight_record){ .group = e->group,
					.now_ns = e->now_ns,
					.wall_ns = e->wall_ns,
					.incarnation = e->incarnation,
					.kind = (uint32_t)e->kind,
					.severity = e->severity,
					.slot = e->slot,
					.pid = e->pid };
	if (e->fleet)
		(void)rk_text_clean(r->fleet, sizeof(r->fleet), e->fleet, strlen(e->fleet));
}

/* The next record; its text is set. */
static int record_write(struct rk_flight *f, struct rk_flight_record *r)
{
	int e;

	r->sequence = f->next;
	if (r->group == 0)
		r->group = r->sequence;
	r->check = check_of(r);
	e = write_at(f->fd, r, RECORD_LEN, place_offset(place_of(r->sequence, f->n)));
	if (e == 0)
		f->next++;
	return e;
}

/* How many records a text of len bytes takes, cut between its characters. */
static uint16_t parts_of(const char *text, size_t len)
{
	uint16_t n = 1;

	for (size_t at = 0; (at += rk_text_cut(text + at, len - at, RK_FLIGHT_TEXT)) < len; n++)
		if (n == RK_FLIGHT_PARTS_MAX)
			break;
	return n;
}

static int parts_write(struct rk_flight *f, struct rk_flight_record *r, const char *text)
{
	size_t len = strlen(text), at = 0;

	r->n_parts = parts_of(text, len);
	for (r->part = 0; r->part < r->n_parts; r->part++) {
		size_t n = rk_text_cut(text + at, len - at, RK_FLIGHT_TEXT);
		int e;

		memset(r->text, 0, sizeof(r->text));
		memcpy(r->text, text + at, n);
		r->len = (uint32_t)n;
		e = record_write(f, r);
		if (e < 0)
			return e;
		at += n;
	}
	return 0;
}

static void event_write(struct rk_flight *f, const struct rk_flight_event *e, const char *text)
{
	char clean[RK_FLIGHT_TEXT_MAX + 1];
	struct rk_flight_record r;

	record_fill(&r, e);
	(void)rk_text_clean(clean, sizeof(clean), text, strlen(text));
	if (parts_write(f, &r, clean) < 0)
		f->n_lost++;
}

uint64_t rk_flight_write(struct rk_flight *f, const struct rk_flight_event *e, const char *text)
{
	uint64_t first = f->next;

	if (f->fd < 0)
		return 0;
	event_write(f, e, text);
	if (f->next == first)
		return 0;
	announce(f, f->next - 1);
	return first;
}

void rk_flight_put(struct rk_flight *f, const struct rk_flight_event *e, const char *text)
{
	if (f->fd >= 0)
		event_write(f, e, text);
}

void rk_flight_announce(struct rk_flight *f)
{
	if (f->fd >= 0)
		announce(f, f->next - 1);
}

uint64_t rk_flight_note(struct rk_flight *f, const struct rk_flight_event *e, const char *fmt, ...)
{
	char text[RK_FLIGHT_TEXT_MAX + 1];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return n < 0 ? 0 : rk_flight_write(f, e, text);
}
