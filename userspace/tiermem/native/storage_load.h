/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random reads or writes of one block each, whose first word is the block's number, for bench/storage_load.py: to a file past the
 * page cache by io_uring, or to a slice by way of a link. The same loop drives both.
 */
#ifndef STORAGE_LOAD_H
#define STORAGE_LOAD_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "storage_frontend.h"
#endif

enum storage_load_limits {
	STORAGE_LOAD_DEPTH_MAX = 256,
	STORAGE_LOAD_BLOCK_BYTES = 4096,
};

struct storage_load {
	int is_write;
	uint32_t depth;		/* operations in flight */
	uint64_t blocks;	/* of the file or slice */
	uint64_t seed;		/* of where they go */
	double seconds;
	uint32_t most;		/* operations, at most */
};

struct storage_load_result {
	uint32_t operations;
	uint32_t failed;	/* by their status */
	uint32_t wrong;		/* reads that brought another block, or nothing */
	double seconds;
};

/* latencies_ns: of each operation, `most` of them. 0 or an errno: ETIMEDOUT where nothing
 * completes for seconds. */
int storage_load_direct(const struct storage_load *load, int file, uint32_t *latencies_ns,
			struct storage_load_result *result);
/* To slice 0 of the frontend's link, which has blocks of STORAGE_LOAD_BLOCK_BYTES and as many
 * tags as the depth; nothing else is in flight there. */
int storage_load_linked(const struct storage_load *load, struct storage_frontend *frontend,
			uint32_t *latencies_ns, struct storage_load_result *result);

#endif
