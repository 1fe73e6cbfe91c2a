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
	MOVED = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
};

_Static_assert(sizeof(struct vmem_piece) == 24, "read by Python as an array");
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

/* What a failure leaves is what was there before: addresses without memory. */
static int undo(const struct vmem_piece *piece, int error)
{
	put(piece->address, piece->bytes, PROT_NONE);
	return error;
}

int vmem_commit_file(int fd, int is_memory_file, size_t count, const struct vmem_piece *pieces,
		     size_t *done)
{
	int touch = is_memory_file ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;

	for (*done = 0; *done < count; (*done)++) {
		const struct vmem_piece *piece = &pieces[*done];
		void *at = mmap(pointer(piece->address), piece->bytes, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, (off_t)piece->source);

		if (at == MAP_FAILED)
			return undo(piece, -errno);
		if (madvise(at, piece->bytes, touch) < 0)
			return undo(piece, -errno);
	}
	return 0;
}

static int move(uint64_t from, uint64_t bytes, uint64_t to)
{
	void *at = mremap(pointer(from), bytes, bytes, MOVED, pointer(to));

	return at == MAP_FAILED ? -errno : 0;
}

int vmem_commit_moved(size_t count, const struct vmem_piece *pieces, size_t *done)
{
	for (*done = 0; *done < count; (*done)++) {
		const struct vmem_piece *piece = &pieces[*done];
		int error = move(piece->source, piece->bytes, piece->address);

		if (error)
			return undo(piece, error);
	}
	return 0;
}

int vmem_return_moved(size_t count, const struct vmem_piece *pieces, size_t *done)
{
	for (*done = 0; *done < count; (*done)++) {
		const struct vmem_piece *piece = &pieces[*done];
		int error = move(piece->address, piece->bytes, piece->source);

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

void vmem_clear(size_t count, const struct vmem_piece *pieces)
{
	for (size_t i = 0; i < count; i++)
		memset(pointer(pieces[i].address), 0, pieces[i].bytes);
}
