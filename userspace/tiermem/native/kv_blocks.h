/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KV blocks between an engine's memory and a tier's: pieces of one size (a layer's part
 * of a block each), copied past the cache and summed on the way.
 */
#ifndef KV_BLOCKS_H
#define KV_BLOCKS_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "paced_copy.h"
#endif

struct kv_piece {
	uint64_t to;		/* addresses in this process */
	uint64_t from;
	uint32_t sum;		/* CRC-32C of the piece */
	uint32_t is_bad;
};

/* Copies each piece and sets its sum. pace: the tier's, or NULL. */
void kv_blocks_save(struct kv_piece *pieces, uint32_t count, uint64_t piece_bytes,
		    struct copy_pace *pace);

/* Copies each piece, and marks as bad those that are not what `sum` is of; returns how
 * many. What a bad piece was copied over must not be used. */
uint32_t kv_blocks_load(struct kv_piece *pieces, uint32_t count, uint64_t piece_bytes,
			struct copy_pace *pace);

/* Sums pieces where they lie (`from`), and marks those that are not what `sum` is of. */
uint32_t kv_blocks_check(struct kv_piece *pieces, uint32_t count, uint64_t piece_bytes);

#endif
