// SPDX-License-Identifier: GPL-2.0-or-later
/* The products by AVX512_BF16's instruction for pairs of bfloat16. */
#ifdef __x86_64__

#include "attention_tile.h"

#include <string.h>

enum {
	/* So many rows times two vectors of keys, or half of them times four vectors of values,
	 * fill the registers. */
	ROWS = 12,
	HALF_ROWS = ROWS / 2,
	/* Keys that rows look at before the next: keys and values stay in the first cache, a tile's
	 * outputs in the second. */
	KEYS_BLOCKS = 2,
	KEYS = KEYS_BLOCKS * ATTENTION_BLOCK_TOKENS,
	STEP_VECTORS = ATTENTION_HEAD_DIM_STEP / LANES,
};

_Static_assert(TILE_ROWS % ROWS == 0, "a tile is whole pieces");

struct look_space {
	float scores[ROWS * KEYS] __attribute__((aligned(64)));
	uint16_t shares[ROWS * KEYS] __attribute__((aligned(64)));
};

INLINE __m512bh two_numbers(const uint16_t *from)
{
	int32_t both;

	memcpy(&both, from, sizeof(both));
	return (__m512bh)_mm512_set1_epi32(both);
}

/* ROWS queries times the keys of one block. */
INLINE void score_block(const uint16_t *queries, const uint16_t *keys, uint32_t head_dim,
			float *scores)
{
	__m512 sums[ROWS][2];

#pragma GCC unroll 12
	for (int row = 0; row < ROWS; row++)
		sums[row][0] = sums[row][1] = _mm512_setzero_ps();
	for (uint32_t number = 0; number < head_dim; number += 2) {
		const __m512bh low = (__m512bh)_mm512_loadu_si512(keys + number * LANES);
		const __m512bh high =
			(__m512bh)_mm512_loadu_si512(keys + (head_dim + number) * LANES);

#pragma GCC unroll 12
		for (int row = 0; row < ROWS; row++) {
			const __m512bh query = two_numbers(queries + row * head_dim + number);

			sums[row][0] = _mm512_dpbf16_ps(sums[row][0], query, low);
			sums[row][1] = _mm512_dpbf16_ps(sums[row][1], query, high);
		}
	}
#pragma GCC unroll 12
	for (int row = 0; row < ROWS; row++) {
		_mm512_store_ps(scores + row * KEYS, sums[row][0]);
		_mm512_store_ps(scores + row * KEYS + LANES, sums[row][1]);
	}
}

/* HALF_ROWS rows' shares times the values of one block: 64 numbers of the outputs. */
INLINE void add_values(const uint16_t *shares, const uint16_t *values, uint32_t head_dim,
		       float *outputs)
{
	__m512 sums[HALF_ROWS][STEP_VECTORS];

#pragma GCC unroll 6
	for (int row = 0; row < HALF_ROWS; row++)
#pragma GCC unroll 4
		for (int part = 0; part < STEP_VECTORS; part++)
			sums[row][part] =
				_mm512_load_ps(outputs + row * head_dim + part * LANES);
	for (uint32_t key = 0; key < ATTENTION_BLOCK_TOKENS; key += 2) {
		__m512bh parts[STEP_VECTORS];

#pragma GCC unroll 4
		for (int part = 0; part < STEP_VECTORS; part++)
			parts[part] = (__m512bh)_mm512_loadu_si512(values + key * head_dim +
								   part * 2 * LANES);
#pragma GCC unroll 6
		for (int row = 0; row < HALF_ROWS; row++) {
			const __m512bh share = two_numbers(shares + row * KEYS + key);

#pragma GCC unroll 4
			for (int part = 0; part < STEP_VECTORS; part++)
				sums[row][part] =
					_mm512_dpbf16_ps(sums[row][part], share, parts[part]);
		}
	}
#pragma GCC unroll 6
	for (int row = 0; row < HALF_ROWS; row++)
#pragma GCC unroll 4
		for (int part = 0; part < STEP_VECTORS; part++)
			_mm512_store_ps(outputs + row * head_dim + part * LANES,
					sums[row][part]);
}

/* head_dim: a constant where it is a common one. */
INLINE void look_as(const struct attention_look *look, struct attention_tile *tile,
		    uint32_t kv_head, uint32_t row, uint32_t begin, uint32_t head_dim)
{
	const uint32_t ahead = tile->seen[row + ROWS - 1] - begin;
	const uint32_t all = (ahead + ATTENTION_BLOCK_TOKENS - 1) / ATTENTION_BLOCK_TOKENS;
	const uint32_t blocks = all < KEYS_BLOCKS ? all : KEYS_BLOCKS;
	struct look_space space;

	for (uint32_t block = 0; block < blocks; block++)
		score_block(tile->queries + row * head_dim,
			    block_keys(look, begin, block, kv_head), head_dim,
			    space.scores + block * ATTENTION_BLOCK_TOKENS);
	for (uint32_t at = 0; at < ROWS; at++)
		share_row(tile, row + at, space.scores + at * KEYS, space.shares + at * KEYS,
			  begin, blocks * ATTENTION_BLOCK_TOKENS, KEYS, head_dim, look->scale);
	for (uint32_t block = 0; block < blocks; block++) {
		const uint16_t *const values =
			block_keys(look, begin, block, kv_head) + ATTENTION_BLOCK_TOKENS * head_dim;

		for (uint32_t half = 0; half < ROWS; half += HALF_ROWS)
			for (uint32_t step = 0; step < head_dim; step += ATTENTION_HEAD_DIM_STEP)
				add_values(space.shares + half * KEYS +
						   block * ATTENTION_BLOCK_TOKENS,
					   values + 2 * step, head_dim,
					   tile->outputs + (row + half) * head_dim + step);
	}
}

FOR_AVX512 static void look_at(const struct attention_look *look, struct attention_tile *tile,
			       uint32_t kv_head, uint32_t row, uint32_t begin)
{
	if (look->of->head_dim == 64)
		look_as(look, tile, kv_head, row, begin, 64);
	else if (look->of->head_dim == 128)
		look_as(look, tile, kv_head, row, begin, 128);
	else
		look_as(look, tile, kv_head, row, begin, look->of->head_dim);
}

const struct attention_products attention_avx512 = { ROWS, KEYS, look_at };

#endif
