// SPDX-License-Identifier: GPL-2.0-or-later
#include "kv_blocks.h"

#include <stddef.h>

#include "pool_copy.h"

static void *at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

/* Sums what arrives: a source that changes meanwhile cannot agree with what was copied. */
static uint32_t copy_summed(struct copy_pace *target, struct copy_pace *source, void *to,
			    const void *from, uint64_t bytes)
{
	if (!target && !source) {
		const uint32_t sum = pool_copy_checked(0, to, from, bytes);

		pool_copy_fence();
		return sum;
	}
	paced_copy(target, source, to, from, bytes);
	return pool_checksum(0, to, bytes);
}

void kv_blocks_save(struct kv_piece *pieces, uint32_t count, uint64_t piece_bytes,
		    struct copy_pace *pace)
{
	for (uint32_t i = 0; i < count; i++)
		pieces[i].sum = copy_summed(pace, NULL, at(pieces[i].to), at(pieces[i].from),
					    piece_bytes);
}

uint32_t kv_blocks_load(struct kv_piece *pieces, uint32_t count, uint64_t piece_bytes,
			struct copy_pace *pace)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t sum = copy_summed(NULL, pace, at(pieces[i].to), at(pieces[i].from),
						 piece_bytes);

		pieces[i].is_bad = sum != pieces[i].sum;
		bad += pieces[i].is_bad;
	}
	return bad;
}

uint32_t kv_blocks_check(struct kv_piece *pieces, uint32_t count, uint64_t piece_bytes)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < count; i++) {
		pieces[i].is_bad = pool_checksum(0, at(pieces[i].from), piece_bytes) != pieces[i].sum;
		bad += pieces[i].is_bad;
	}
	return bad;
}
