/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attention of a prefill over keys and values in blocks, in bfloat16, for processors with
 * AVX512_BF16.
 *
 * A block holds ATTENTION_BLOCK_TOKENS tokens of one layer: by head of keys, the keys and then
 * the values, in the order in which the instruction for dot products takes them. Blocks lie
 * anywhere: `table` has the number of each of a request's blocks, counted from `blocks`.
 */
#ifndef TIERMEM_PREFILL_ATTENTION_H
#define TIERMEM_PREFILL_ATTENTION_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum {
	ATTENTION_BLOCK_TOKENS = 32,
	ATTENTION_HEAD_DIM_STEP = 64,
	ATTENTION_HEAD_DIM_MAX = 256,
	/* Heads of queries that share one of keys. */
	ATTENTION_GROUP_MAX = 96,
};

struct attention_heads {
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t head_dim;
};

/* 1: this processor and these heads are served; else 0, and nothing else may be called. */
int attention_is_served(const struct attention_heads *of);

/*
 * Keys and values `[tokens, kv_heads, head_dim]` of the tokens from `at` on; `stride` numbers lie
 * between a token's and the next one's. What is behind the last one in its block is made zero.
 */
void attention_store(const struct attention_heads *of, uint16_t *blocks, const int32_t *table,
		     uint32_t at, uint32_t tokens, const uint16_t *keys, const uint16_t *values,
		     uint64_t stride);

/* How many tiles so many queries are divided into, each of which is computed by itself. */
uint32_t attention_tiles(const struct attention_heads *of, uint32_t new_tokens);

/*
 * Queries `[new_tokens, heads, head_dim]` of the last of `tokens`, each of which looks at all
 * tokens before it and itself: the tiles from `first` to before `end`. The output is written
 * over the queries.
 */
void attention_attend(const struct attention_heads *of, const uint16_t *blocks,
		      const int32_t *table, uint32_t tokens, uint32_t new_tokens,
		      uint16_t *queries, float scale, uint32_t first, uint32_t end);

#endif
