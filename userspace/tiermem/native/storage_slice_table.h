/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which slices an SSD has, and whose they are, as it lies on the SSD itself.
 *
 *	copy 0 at 0		struct storage_table_head, then its slices
 *	copy 1 at COPY_BYTES	the same
 *	DATA_AT			the slices' blocks
 *
 * A table is written to the copy of its sequence number modulo 2, and the drive's cache is
 * flushed: the other copy is what was before, should that not come to its end.
 */
#ifndef STORAGE_SLICE_TABLE_H
#define STORAGE_SLICE_TABLE_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum storage_table_limits {
	STORAGE_TABLE_VERSION = 1,
	STORAGE_TABLE_COPY_BYTES = 512 << 10,
	STORAGE_TABLE_DATA_AT = 1 << 20,
	STORAGE_TABLE_ALIGN = 1 << 20,		/* of slices, their begin and their size */
	STORAGE_TABLE_SLICES_MAX = 1024,
};

enum storage_slice_state {
	STORAGE_SLICE_NEW = 1,		/* its owner has not had it: it is being zeroed */
	STORAGE_SLICE_HELD = 2,
	STORAGE_SLICE_FREED = 3,	/* nobody's: it is being zeroed */
};

struct storage_table_head {
	uint64_t checksum;	/* CRC-32 of what follows, to the end of the slices */
	uint64_t magic;
	uint32_t version;
	uint32_t slices;
	uint64_t sequence;
	uint64_t untouched_at;	/* from here on nothing was given away yet, nor zeroed */
};

struct storage_table_slice {
	uint64_t id;		/* of its owner's making; no other slice ever has it */
	uint64_t offset_bytes;
	uint64_t bytes;
	uint16_t host;		/* the instance that owns it */
	uint16_t instance;
	uint32_t state;
};

#ifndef TIERMEM_CDEF
_Static_assert(sizeof(struct storage_table_head) == 40, "the layout outlives this program");
_Static_assert(offsetof(struct storage_table_head, sequence) == 24,
	       "the layout outlives this program");
_Static_assert(sizeof(struct storage_table_slice) == 32, "the layout outlives this program");
_Static_assert(offsetof(struct storage_table_slice, state) == 28,
	       "the layout outlives this program");
_Static_assert(sizeof(struct storage_table_head) +
	       STORAGE_TABLE_SLICES_MAX * sizeof(struct storage_table_slice) <=
	       STORAGE_TABLE_COPY_BYTES, "a table fits its copy");
_Static_assert(2 * STORAGE_TABLE_COPY_BYTES <= STORAGE_TABLE_DATA_AT,
	       "the slices' blocks are behind the tables");
#endif

#endif
