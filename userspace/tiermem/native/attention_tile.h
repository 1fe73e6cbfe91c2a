/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tile of an attention's queries, and how its scores become shares: what the kernels for AVX512
 * and for AMX have in common. They differ in how they multiply.
 *
 * Included where __x86_64__ is defined.
 */
#ifndef TIERMEM_ATTENTION_TILE_H
#define TIERMEM_ATTENTION_TILE_H

#include "attention_blocks.h"
#include "prefill_attention.h"

#include <immintrin.h>

#define AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"
#define FOR_AVX512 __attribute__((target(AVX512)))
#define INLINE FOR_AVX512 static inline __attribute__((always_inline))

enum {
	LANES = ATTENTION_LANES,
	/* Of scores: two vectors of them make one of shares. */
	PAIR = 2 * LANES,
	/* Rows are queries, of all heads that share a head of keys. */
	TILE_ROWS = ATTENTION_GROUP_MAX,
};

struct attention_tile {
	uint16_t queries[TILE_ROWS * ATTENTION_HEAD_DIM_MAX] __attribute__((aligned(64)));
	float outputs[TILE_ROWS * ATTENTION_HEAD_DIM_MAX] __attribute__((aligned(64)));
	/* Of the shares so far, lane by lane. */
	float sums[TILE_ROWS * LANES] __attribute__((aligned(64)));
	/* The score whose share is 1; no share so far is more than two to the power of SLACK. */
	float highest[TILE_ROWS];
	/* How many tokens each row sees. */
	uint32_t seen[TILE_ROWS];
	uint32_t rows;
};

/* What is alike for all tiles of a call. scale: scores are powers of two's. */
struct attention_look {
	const struct attention_heads *of;
	const uint16_t *blocks;
	const int32_t *table;
	float scale;
};

/*
 * A kernel. look_at: as many rows of the tile, from `row` on, look at as many tokens, from `begin`
 * on, of which the last row sees one at least.
 */
struct attention_products {
	/* Divide TILE_ROWS. */
	uint32_t rows;
	/* Divided by ATTENTION_BLOCK_TOKENS. */
	uint32_t keys;
	void (*look_at)(const struct attention_look *look, struct attention_tile *tile,
			uint32_t kv_head, uint32_t row, uint32_t begin);
};

extern const struct attention_products attention_avx512, attention_amx;

/* 1: the processor has it, and the kernel lets this process use it. */
int attention_has_amx(void);

/* Around uses of attention_amx: how this thread's tile registers were configured before. */
struct attention_amx_state {
	uint8_t config[64] __attribute__((aligned(64)));
};
void attention_amx_begin(struct attention_amx_state *before);
void attention_amx_end(const struct attention_amx_state *before);

/* Of a head, in the input's block that is so many behind the one of token `begin`. */
static inline const uint16_t *block_keys(const struct attention_look *look, uint32_t begin,
					 uint32_t block, uint32_t kv_head)
{
	const int32_t number = look->table[begin / ATTENTION_BLOCK_TOKENS + block];

	return look->blocks + attention_keys_at(look->of, number, kv_head);
}

/* To 8e-5 of it, a twentieth of what bfloat16 rounds away; by least squares of that error. */
INLINE __m512 power_of_two(__m512 x)
{
	const __m512 whole = _mm512_roundscale_ps(x, 0);
	const __m512 rest = _mm512_sub_ps(x, whole);
	__m512 sum = _mm512_set1_ps(0.0551714356f);

	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.2426108095f));
	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.6932609914f));
	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.9999280928f));
	return _mm512_scalef_ps(sum, whole);
}

/* From now on the share of this score is 1. */
FOR_AVX512 static void raise_highest(struct attention_tile *tile, uint32_t row, float highest,
				     uint32_t head_dim)
{
	const float before = tile->highest[row];
	const __m512 shrink = power_of_two(_mm512_set1_ps(before - highest));
	float *const outputs = tile->outputs + row * head_dim;
	float *const sums = tile->sums + row * LANES;

	tile->highest[row] = highest;
	/* At first there is nothing, and minus infinity's power would be no number. */
	if (before == -__builtin_inff())
		return;
	_mm512_store_ps(sums, _mm512_mul_ps(shrink, _mm512_load_ps(sums)));
	for (uint32_t at = 0; at < head_dim; at += LANES)
		_mm512_store_ps(outputs + at, _mm512_mul_ps(shrink, _mm512_load_ps(outputs + at)));
}

INLINE __mmask16 visible_lanes(uint32_t at, uint32_t visible)
{
	const uint32_t lanes = visible > at ? visible - at : 0;

	return lanes < LANES ? (__mmask16)((1u << lanes) - 1) : (__mmask16)-1;
}

/* Shares of PAIR scores, of which some are visible; to be added to the sum. */
INLINE __m512 share_pair(const float *scores, uint16_t *shares, uint32_t visible, __m512 scale,
			 __m512 highest)
{
	const __m512 low = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores), scale, highest));
	const __m512 high =
		power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores + LANES), scale, highest));
	const __m512 first = _mm512_maskz_mov_ps(visible_lanes(0, visible), low);
	const __m512 second = _mm512_maskz_mov_ps(visible_lanes(LANES, visible), high);

	_mm512_store_si512(shares, (__m512i)_mm512_cvtne2ps_pbh(second, first));
	return _mm512_add_ps(first, second);
}

INLINE __m512 highest_lanes(const float *scores, uint32_t visible)
{
	const __m512 none = _mm512_set1_ps(-__builtin_inff());
	const __m512 low = _mm512_mask_load_ps(none, visible_lanes(0, visible), scores);
	const __m512 high =
		_mm512_mask_load_ps(none, visible_lanes(LANES, visible), scores + LANES);

	return _mm512_max_ps(low, high);
}

/* See share_row. `whole` scores in whole pairs are visible, and `rest` of the next pair. */
INLINE void share_keys(struct attention_tile *tile, uint32_t row, const float *scores,
		       uint16_t *shares, uint32_t whole, uint32_t rest, uint32_t head_dim,
		       float scale)
{
	/* Of two. Shares up to that are no reason to shrink what is there: they lose no precision. */
	static const float SLACK = 8;
	const __m512 scales = _mm512_set1_ps(scale);
	float *const sums = tile->sums + row * LANES;
	__m512 most = _mm512_set1_ps(-__builtin_inff()), highest, sum;

	for (uint32_t at = 0; at < whole; at += PAIR)
		most = _mm512_max_ps(most, highest_lanes(scores + at, PAIR));
	if (rest)
		most = _mm512_max_ps(most, highest_lanes(scores + whole, rest));
	most = _mm512_mul_ps(most, scales);
	if (_mm512_cmp_ps_mask(most, _mm512_set1_ps(tile->highest[row] + SLACK), _CMP_GT_OQ))
		raise_highest(tile, row, _mm512_reduce_max_ps(most), head_dim);
	highest = _mm512_set1_ps(tile->highest[row]);
	sum = _mm512_load_ps(sums);
	for (uint32_t at = 0; at < whole; at += PAIR)
		sum = _mm512_add_ps(sum, share_pair(scores + at, shares + at, PAIR, scales,
						    highest));
	if (rest)
		sum = _mm512_add_ps(sum, share_pair(scores + whole, shares + whole, rest, scales,
						    highest));
	_mm512_store_ps(sums, sum);
}

/*
 * A row's scores of the tokens from `begin` on, to shares of them. `keys` of them, which are
 * `keys_max` mostly.
 */
INLINE void share_row(struct attention_tile *tile, uint32_t row, const float *scores,
		      uint16_t *shares, uint32_t begin, uint32_t keys, uint32_t keys_max,
		      uint32_t head_dim, float scale)
{
	const uint32_t seen = tile->seen[row], visible = seen > begin ? seen - begin : 0;
	const uint32_t whole = visible / PAIR * PAIR, rest = visible % PAIR;

	if (visible >= keys_max) {
		share_keys(tile, row, scores, shares, keys_max, 0, head_dim, scale);
		return;
	}
	if (visible)
		share_keys(tile, row, scores, shares, whole, rest, head_dim, scale);
	for (uint32_t at = whole + (rest ? PAIR : 0); at < keys; at += PAIR)
		_mm512_store_si512(shares + at, _mm512_setzero_si512());
}

#endif
