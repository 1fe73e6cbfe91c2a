/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row: some bytes that one host says to all others, over and over.
 *
 * It has two copies, written in turn, each with a sequence number and a checksum. A
 * reader takes the newer of those that are whole: while one is being written, or was left
 * half-written by a host that died, the other is still what was said before.
 *
 *	copy 0		struct row_head, then the bytes
 *	copy 1		the same, `copy_bytes` further on
 *
 * The writer alone writes; it may be one thread of one host. Any number may read.
 */
#ifndef ROW_H
#define ROW_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum row_limits {
	ROW_LINE_BYTES = 64,
	ROW_HEAD_BYTES = 32,
	/* Looks at a row that is written meanwhile, before it is said to be in motion. */
	ROW_LOOKS = 8,
};

enum row_result {
	ROW_OK = 0,
	ROW_NONE = -1,		/* nothing was ever written here */
	ROW_DAMAGED = -2,	/* neither copy is whole, however often it is looked at */
};

struct host_memory;

struct row_head {
	uint64_t sequence;	/* 1 for the first; the copy it is in is sequence % 2 */
	uint64_t bytes;
	uint64_t generation;	/* the area's: what an earlier use of the memory left is nothing */
	uint64_t checksum;	/* CRC-32C of the three words before and of the bytes */
};

struct row_place {
	struct host_memory *memory;
	uint64_t at;		/* of copy 0; a multiple of ROW_LINE_BYTES */
	uint64_t copy_bytes;	/* a multiple of ROW_LINE_BYTES */
	uint64_t generation;
};

/*
 * Writes the row; `sequence` is one more than that of the row before, and every other
 * host finds it when this returns. `bytes`: a multiple of 8, that fits.
 */
void row_publish(const struct row_place *place, uint64_t sequence, const uint64_t *words,
		 uint64_t bytes);

/* The sequence number that the newest row has or is getting; for who has read that of the
 * same number, there is nothing new. 0: none. Two lines are read. */
uint64_t row_newest(const struct row_place *place);

/*
 * The newest whole row. `words` has room for copy_bytes - ROW_HEAD_BYTES, and is written
 * to also where nothing is found; `torn` counts copies that were seen not to be whole.
 */
int row_read(const struct row_place *place, struct row_head *head, uint64_t *words,
	     uint64_t *torn);

#endif
