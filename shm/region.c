/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

int rk_region_create(enum rk_segment_kind kind, uint64_t len, const uint64_t fleet[2], int *ret_fd,
		     struct rk_err *err)
{
	struct rk_segment head = {
		.magic = RK_MAGIC, .abi = RK_ABI_VERSION, .kind = (uint32_t)kind, .size = len,
		.fleet = { fleet[0], fleet[1] },
	};
	char name[32];

	snprintf(name, sizeof(name), "rekindle-%s", rk_segment_name(kind));
	rk_cleanup(rk_close_p) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return rk_err_set(err, -errno, "%s: cannot create shared memory: %s", name, strerror(errno));
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)len) < 0)
		return rk_err_set(err, -errno, "%s: cannot size shared memory to %llu bytes: %s", name,
				  (unsigned long long)len, strerror(errno));
	if (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return rk_err_set(err, -EIO, "%s: cannot write the segment's head: %s", name, strerror(errno));
	/* Without the seals a peer could make our loads SIGBUS. */
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return rk_err_set(err, -errno, "%s: cannot seal shared memory: %s", name, strerror(errno));
	*ret_fd = rk_take_fd(&fd);
	return 0;
}

int rk_region_check(int fd, enum rk_segment_kind kind, const uint64_t fleet[2], uint64_t min_len,
		    struct rk_segment *ret_head, struct rk_err *err)
{
	const char *name = rk_segment_name(kind);
	struct rk_segment head;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return rk_err_set(err, -EPROTO, "segment %s: not a sealed memfd: refused", name);
	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(head) ||
	    pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return rk_err_set(err, -EPROTO, "segment %s: too short to have a head: refused", name);
	if (head.magic != RK_MAGIC)
		return rk_err_set(err, -EPROTO, "segment %s: not made by rekindle: refused", name);
	if (head.abi != RK_ABI_VERSION)
		return rk_err_set(err, -EPROTO,
				  "segment %s has ABI %u and this program speaks %u: use programs and library of one "
				  "release",
				  name, head.abi, RK_ABI_VERSION);
	if (head.kind != (uint32_t)kind)
		return rk_err_set(err, -EPROTO, "segment %s: another kind of segment (%u): refused", name, head.kind);
	if (fleet && (head.fleet[0] != fleet[0] || head.fleet[1] != fleet[1]))
		return rk_err_set(err, -EPROTO, "segment %s belongs to another fleet: refused", name);
	if (head.size != (uint64_t)st.st_size || head.size < min_len)
		return rk_err_set(err, -EPROTO, "segment %s has %llu bytes, its head says %llu, needed are %llu: refused",
				  name, (unsigned long long)st.st_size, (unsigned long long)head.size,
				  (unsigned long long)min_len);
	*ret_head = head;
	return 0;
}

int rk_region_map(int fd, uint64_t offset, uint64_t len, bool writable, void *fixed, void **ret, struct rk_err *err)
{
	int protection = PROT_READ | (writable ? PROT_WRITE : 0);
	int flags = MAP_SHARED | (fixed ? MAP_FIXED_NOREPLACE : 0);
	void *address = mmap(fixed, len, protection, flags, fd, (off_t)offset);

	if (address == MAP_FAILED)
		return rk_err_set(err, -errno, "cannot map %llu bytes of shared memory: %s", (unsigned long long)len,
				  strerror(errno));
	if (fixed && address != fixed) { /* a kernel that does not know NOREPLACE took it as a hint */
		(void)munmap(address, len);
		return rk_err_set(err, -EEXIST, "cannot map shared memory at its fixed address %p", fixed);
	}
	/* A forked child must not act in its parent's name; a core must not carry everybody's data. */
	if (madvise(address, len, MADV_DONTFORK) < 0 || madvise(address, len, MADV_DONTDUMP) < 0) {
		int r = -errno;

		(void)munmap(address, len);
		return rk_err_set(err, r, "madvise on shared memory: %s", strerror(-r));
	}
	*ret = address;
	return 0;
}

void rk_region_unmap(void *address, uint64_t len)
{
	if (address)
		(void)munmap(address, len);
}

int rk_region_reopen_readonly(int fd)
{
	char path[64];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	return ro < 0 ? -errno : ro;
}
