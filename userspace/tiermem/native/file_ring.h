/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads and writes of files through a ring of their own, many at once. One thread at a time. */
#ifndef FILE_RING_H
#define FILE_RING_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

struct file_transfer {
	uint64_t address;	/* in this process */
	uint64_t offset;	/* in the file */
	uint64_t bytes;		/* less than 2 GiB */
	uint64_t done_bytes;	/* set: all of them, or fewer where the file ended */
	int32_t error;		/* set: 0 or an errno */
	uint32_t is_write;
};

struct file_ring;

/* NULL with errno: ENOSYS or EPERM where there are no rings. */
struct file_ring *file_ring_create(uint32_t requests);
void file_ring_destroy(struct file_ring *ring);

/* Does all transfers of one file, in any order and at most `requests` at once; each goes
 * on where a part of it was done. Returns when all have ended. */
void file_ring_transfer(struct file_ring *ring, int fd, struct file_transfer *transfers,
			uint32_t count);

/* The same by plain system calls, one after the other. */
void file_calls_transfer(int fd, struct file_transfer *transfers, uint32_t count);

#endif
