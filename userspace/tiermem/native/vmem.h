/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual memory that is reserved first and gets its physical memory piece by piece,
 * for tiermem.serving.vattention. Functions return 0 or -errno; those that take pieces
 * stop at the first that fails and say in *done how many before it are finished.
 */
#ifndef TIERMEM_VMEM_H
#define TIERMEM_VMEM_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

/*
 * `bytes` at `address` of a reservation; `source`: an offset of a file, or an address.
 * clear: somebody else's bytes are there, to become zeros before anybody sees them.
 */
struct vmem_piece {
	uint64_t address;
	uint64_t source;
	uint64_t bytes;
	uint64_t clear;
};

/* Addresses without memory, which nobody can touch, from a multiple of `align` on. */
int vmem_reserve(uint64_t bytes, uint64_t align, uint64_t *address);

/* End of a reservation, whatever is in it. */
int vmem_free(uint64_t address, uint64_t bytes);

/* What is mapped: new private memory (huge pages, where they fit), of memfd_create(2), a file. */
enum vmem_kind { VMEM_PRIVATE, VMEM_MEMORY_FILE, VMEM_FILE };

/*
 * New memory, or ranges of the file `fd`, mapped and touched. It gets ready elsewhere: what is
 * at the pieces' addresses can be read until they have memory, and also where there is none.
 */
int vmem_commit(int kind, int fd, size_t count, const struct vmem_piece *pieces, size_t *done);

/*
 * Pages of another mapping of this process, moved. What is left there stays mapped, so
 * that nobody else is given those addresses; who touches it makes new pages.
 */
int vmem_commit_moved(size_t count, const struct vmem_piece *pieces, size_t *done);

/* The way back of vmem_commit_moved, with what is in the pages. */
int vmem_return_moved(size_t count, const struct vmem_piece *pieces, size_t *done);

/* Nobody can touch the pieces any more; a file keeps what was in them. */
int vmem_uncommit(size_t count, const struct vmem_piece *pieces, size_t *done);

/* Give the memory behind ranges of a memory file back to the kernel. */
int vmem_punch(int fd, size_t count, const struct vmem_piece *pieces, size_t *done);

/* The pieces read as zeros, without memory behind them; who writes there is killed. */
int vmem_cover(size_t count, const struct vmem_piece *pieces, size_t *done);

#endif
