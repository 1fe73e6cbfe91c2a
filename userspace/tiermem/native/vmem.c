// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory is touched by MADV_POPULATE_*, not by MAP_POPULATE, which says nothing when there
 * is no memory. A shared page of a memory file can be written once it was touched for
 * reading, and then the kernel maps those around that are there along with it.
 */
#define _GNU_SOURCE
#include "vmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum {
	NOBODY = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	HUGE_BYTES = 2 << 20,
};

_Static_assert(sizeof(struct vmem_piece) == 32, "read by Python as an array");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "addresses are 64 bits wide");

static void *pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

/* Another mapping in the place of what is there. */
static int put(uint64_t address, uint64_t bytes, int access)
{
	void *at = mmap(pointer(address), bytes, access, NOBODY | MAP_FIXED, -1, 0);

	return at == MAP_FAILED ? -errno : 0;
}

int vmem_reserve(uint64_t bytes, uint64_t align, uint64_t *address)
{
	uint64_t start, aligned, end;
	void *at = mmap(NULL, bytes + align, PROT_NONE, NOBODY, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	start = (uint64_t)(uintptr_t)at;
	aligned = (start + align - 1) / align * align;
	end = start + bytes + align;
	if (aligned > start)
		munmap(at, aligned - start);
	if (end > aligned + bytes)
		munmap(pointer(aligned + bytes), end - (aligned + bytes));
	*address = aligned;
	return 0;
}

int vmem_free(uint64_t address, uint64_t bytes)
{
	return munmap(pointer(address), bytes) < 0 ? -errno : 0;
}

/* Pages to another address; what is in their place there goes. */
static int move(uint64_t from, uint64_t bytes, uint64_t to, int flags)
{
	void *at = mremap(pointer(from), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | flags,
			  pointer(to));

	if (at != MAP_FAILED)
		return 0;
	int error = -errno;

	/* As a rule what was there is there; a hole would be given to somebody else. */
	if (msync(pointer(to), bytes, MS_ASYNC) < 0)
		put(to, bytes, PROT_NONE);
	return error;
}

/* A mapping at addresses that are nobody's, from which pages can be moved as huge ones. */
static int map_elsewhere(int flags, int fd, const struct vmem_piece *piece, uint64_t *address)
{
	void *at = NULL;
	int error;

	*address = 0;
	if (piece->bytes % HUGE_BYTES == 0) {
		error = vmem_reserve(piece->bytes, HUGE_BYTES, address);
		if (error)
			return error;
		flags |= MAP_FIXED;
	}
	at = mmap(pointer(*address), piece->bytes, PROT_READ | PROT_WRITE, flags, fd,
		  fd < 0 ? 0 : (off_t)piece->source);
	if (at == MAP_FAILED) {
		error = -errno;
		if (*address)
			munmap(pointer(*address), piece->bytes);
		return error;
	}
	*address = (uint64_t)(uintptr_t)at;
	return 0;
}

static int get_ready(int kind, int fd, const struct vmem_piece *piece, uint64_t *address)
{
	int flags = kind == VMEM_PRIVATE ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	int touch = kind == VMEM_MEMORY_FILE ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
	int error = map_elsewhere(flags, fd, piece, address);
	void *at = pointer(*address);

	if (error)
		return error;
	/* Not every kernel has huge pages: without them it is slower. */
	if (kind == VMEM_PRIVATE)
		madvise(at, piece->bytes, MADV_HUGEPAGE);
	if (madvise(at, piece->bytes, touch) < 0) {
		error = -errno;
		munmap(at, piece->bytes);
		return error;
	}
	if (piece->clear)
		memset(at, 0, piece->bytes);
	return 0;
}

int vmem_commit(int kind, int fd, size_t count, const struct vmem_piece *pieces, size_t *done)
{
	uint64_t *ready = malloc(count * sizeof(*ready));
	size_t n = 0;
	int error = ready ? 0 : -ENOMEM;

	while (!error && n < count) {
		error = get_ready(kind, fd, &pieces[n], &ready[n]);
		n += !error;
	}
	*done = 0;
	while (!error && *done < count) {
		error = move(ready[*done], pieces[*done].bytes, pieces[*done].address, 0);
		*done += !error;
	}
	for (size_t i = *done; i < n; i++)
		munmap(pointer(ready[i]), pieces[i].bytes);
	free(ready);
	return error;
}

int vmem_commit_moved(size_t count, const struct vmem_piece *pieces, size_t *done)
{
	for (*done = 0; *done < count; (*done)++) {
		const struct vmem_piece *piece = &pieces[*done];
		int error;

		if (piece->clear)
			memset(pointer(piece->source), 0, piece->bytes);
		error = move(piece->source, piece->bytes, piece->address, MREMAP_DONTUNMAP);
		if (error)
			return error;
	}
	return 0;
}

int vmem_return_moved(size_t count, const struct vmem_piece *pieces, size_t *done)
{
	for (*done = 0; *done < count; (*done)++) {
		const struct vmem_piece *piece = &pieces[*done];
		int error = move(piece->address, piece->bytes, piece->source, MREMAP_DONTUNMAP);

		if (!error)
			error = put(piece->address, piece->bytes, PROT_NONE);
		if (error)
			return error;
	}
	return 0;
}

int vmem_uncommit(size_t count, const struct vmem_piece *pieces, size_t *done)
{
	for (*done = 0; *done < count; (*done)++) {
		int error = put(pieces[*done].address, pieces[*done].bytes, PROT_NONE);

		if (error)
			return error;
	}
	return 0;
}

int vmem_punch(int fd, size_t count, const struct vmem_piece *pieces, size_t *done)
{
	for (*done = 0; *done < count; (*done)++) {
		const struct vmem_piece *piece = &pieces[*done];

		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)piece->source, (off_t)piece->bytes) < 0)
			return -errno;
	}
	return 0;
}

int vmem_cover(size_t count, const struct vmem_piece *pieces, size_t *done)
{
	for (*done = 0; *done < count; (*done)++) {
		int error = put(pieces[*done].address, pieces[*done].bytes, PROT_READ);

		if (error)
			return error;
	}
	return 0;
}
