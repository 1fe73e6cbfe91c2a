/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys and values in blocks, in bfloat16, as the attention of prefills reads them.
 *
 * A block holds ATTENTION_BLOCK_TOKENS tokens of one layer: by head of keys, the keys and then
 * the values, in the order in which AVX512_BF16's dot products take them. Blocks lie anywhere:
 * `table` has the number of each of a request's blocks, counted from `blocks`.
 */
#ifndef TIERMEM_ATTENTION_BLOCKS_H
#define TIERMEM_ATTENTION_BLOCKS_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum {
	ATTENTION_BLOCK_TOKENS = 32,
	/* Whose keys lie side by side. */
	ATTENTION_LANES = 16,
	ATTENTION_HEAD_DIM_MAX = 256,
};

struct attention_heads {
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t head_dim;
};

/*
 * Keys and values `[tokens, kv_heads, head_dim]` of the tokens from `at` on; `stride` numbers lie
 * between a token's and the next one's. What is behind the last one in its block is made zero.
 */
void attention_store(const struct attention_heads *of, uint16_t *blocks, const int32_t *table,
		     uint32_t at, uint32_t tokens, const uint16_t *keys, const uint16_t *values,
		     uint64_t stride);

/* Where the keys of that head begin, counted in numbers from `blocks`; its values lie behind. */
uint64_t attention_keys_at(const struct attention_heads *of, int32_t block, uint32_t kv_head);

#endif
