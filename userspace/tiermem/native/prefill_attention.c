// SPDX-License-Identifier: GPL-2.0-or-later
#include "prefill_attention.h"

#include <string.h>

static int are_heads_served(const struct attention_heads *of)
{
	return of->kv_heads && of->heads && of->heads % of->kv_heads == 0 &&
	       of->heads / of->kv_heads <= ATTENTION_GROUP_MAX && of->head_dim &&
	       of->head_dim % ATTENTION_HEAD_DIM_STEP == 0 &&
	       of->head_dim <= ATTENTION_HEAD_DIM_MAX;
}

#ifdef __x86_64__

#include <immintrin.h>

#define FOR_THIS __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define INLINE FOR_THIS static inline __attribute__((always_inline))

enum {
	LANES = ATTENTION_LANES,
	/* Rows are queries, of all heads that share a head of keys. So many of them times two
	 * vectors of keys, or half of them times four vectors of values, fill the registers. */
	ROWS = 12,
	HALF_ROWS = ROWS / 2,
	/* Of one tile, and keys that these look at before the next: keys and values stay in the
	 * first cache, outputs in the second. */
	TILE_ROWS = ATTENTION_GROUP_MAX,
	TILE_BLOCKS = 2,
	TILE_KEYS = TILE_BLOCKS * ATTENTION_BLOCK_TOKENS,
	STEP_VECTORS = ATTENTION_HEAD_DIM_STEP / LANES,
};

struct tile {
	uint16_t queries[TILE_ROWS * ATTENTION_HEAD_DIM_MAX] __attribute__((aligned(64)));
	float outputs[TILE_ROWS * ATTENTION_HEAD_DIM_MAX] __attribute__((aligned(64)));
	float scores[ROWS * TILE_KEYS] __attribute__((aligned(64)));
	uint16_t shares[ROWS * TILE_KEYS] __attribute__((aligned(64)));
	float highest[TILE_ROWS];
	float sums[TILE_ROWS];
	/* How many tokens each row sees. */
	uint32_t seen[TILE_ROWS];
	uint32_t rows;
};

/* What is alike for all tiles of a call. */
struct look {
	const struct attention_heads *of;
	const uint16_t *blocks;
	const int32_t *table;
	float scale;
};

int attention_is_served(const struct attention_heads *of)
{
	return are_heads_served(of) && __builtin_cpu_supports("avx512bf16") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}

static uint32_t tile_tokens(const struct attention_heads *of)
{
	const uint32_t group = of->heads / of->kv_heads;

	return TILE_ROWS / group;
}

INLINE __m512 power_of_two(__m512 x)
{
	/* Below this all is zero, and minus infinity less itself would be no number. */
	const __m512 bounded = _mm512_max_ps(x, _mm512_set1_ps(-200.0f));
	const __m512 whole = _mm512_roundscale_ps(bounded, 0);
	const __m512 rest = _mm512_sub_ps(bounded, whole);
	__m512 sum = _mm512_set1_ps(0.0013333558f);

	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.0096181291f));
	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.0555041087f));
	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.2402265070f));
	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.6931471806f));
	sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f));
	return _mm512_scalef_ps(sum, whole);
}

INLINE __m512bh two_numbers(const uint16_t *from)
{
	int32_t both;

	memcpy(&both, from, sizeof(both));
	return (__m512bh)_mm512_set1_epi32(both);
}

/* ROWS queries times the keys of one block. */
INLINE void score_block(const uint16_t *queries, const uint16_t *keys, uint32_t head_dim,
			__m512 scale, float *scores)
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
		_mm512_store_ps(scores + row * TILE_KEYS, _mm512_mul_ps(sums[row][0], scale));
		_mm512_store_ps(scores + row * TILE_KEYS + LANES,
				_mm512_mul_ps(sums[row][1], scale));
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
			const __m512bh share = two_numbers(shares + row * TILE_KEYS + key);

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

/* Scores of a row to shares: its highest score so far becomes 1. */
FOR_THIS static void share_row(struct tile *tile, uint32_t row, uint32_t in_rows, uint32_t keys,
			       uint32_t visible, uint32_t head_dim)
{
	float *const scores = tile->scores + in_rows * TILE_KEYS;
	const __m512i lanes =
		_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	__m512 parts[TILE_KEYS / LANES];
	__m512 most = _mm512_set1_ps(-__builtin_inff());
	__m512 sum = _mm512_setzero_ps();
	float highest;

	for (uint32_t at = 0; at < keys; at += LANES) {
		const __mmask16 is_visible = _mm512_cmplt_epu32_mask(
			_mm512_add_epi32(lanes, _mm512_set1_epi32((int)at)),
			_mm512_set1_epi32((int)visible));

		parts[at / LANES] = _mm512_mask_blend_ps(is_visible,
							 _mm512_set1_ps(-__builtin_inff()),
							 _mm512_load_ps(scores + at));
		most = _mm512_max_ps(most, parts[at / LANES]);
	}
	highest = _mm512_reduce_max_ps(most);
	if (highest > tile->highest[row]) {
		const __m512 shrink = power_of_two(_mm512_set1_ps(tile->highest[row] - highest));
		float *const outputs = tile->outputs + row * head_dim;

		tile->highest[row] = highest;
		tile->sums[row] *= _mm512_cvtss_f32(shrink);
		for (uint32_t at = 0; at < head_dim; at += LANES)
			_mm512_store_ps(outputs + at,
					_mm512_mul_ps(shrink, _mm512_load_ps(outputs + at)));
	}
	for (uint32_t at = 0; at < keys; at += LANES) {
		const __m512 share = power_of_two(_mm512_sub_ps(
			parts[at / LANES], _mm512_set1_ps(tile->highest[row])));

		sum = _mm512_add_ps(sum, share);
		_mm256_store_si256((__m256i *)(tile->shares + in_rows * TILE_KEYS + at),
				   (__m256i)_mm512_cvtneps_pbh(share));
	}
	tile->sums[row] += _mm512_reduce_add_ps(sum);
}

/* Of a head, in the input's block that is so many behind the one of token `begin`. */
static const uint16_t *block_keys(const struct look *look, uint32_t begin, uint32_t block,
				  uint32_t kv_head)
{
	const int32_t number = look->table[begin / ATTENTION_BLOCK_TOKENS + block];

	return look->blocks + attention_keys_at(look->of, number, kv_head);
}

/* ROWS rows look at up to TILE_KEYS keys from `begin` on. */
INLINE void look_at(const struct look *look, struct tile *tile, uint32_t row, uint32_t kv_head,
		    uint32_t begin, uint32_t head_dim)
{
	const uint32_t last_seen = tile->seen[row + ROWS - 1];
	const __m512 scale = _mm512_set1_ps(look->scale);
	uint32_t blocks = (last_seen - begin + ATTENTION_BLOCK_TOKENS - 1) / ATTENTION_BLOCK_TOKENS;

	if (blocks > TILE_BLOCKS)
		blocks = TILE_BLOCKS;
	for (uint32_t block = 0; block < blocks; block++)
		score_block(tile->queries + row * head_dim,
			    block_keys(look, begin, block, kv_head), head_dim, scale,
			    tile->scores + block * ATTENTION_BLOCK_TOKENS);
	for (uint32_t in_rows = 0; in_rows < ROWS; in_rows++) {
		const uint32_t seen = tile->seen[row + in_rows];

		share_row(tile, row + in_rows, in_rows, blocks * ATTENTION_BLOCK_TOKENS,
			  seen > begin ? seen - begin : 0, head_dim);
	}
	for (uint32_t block = 0; block < blocks; block++) {
		const uint16_t *const values =
			block_keys(look, begin, block, kv_head) + ATTENTION_BLOCK_TOKENS * head_dim;

		for (uint32_t half = 0; half < ROWS; half += HALF_ROWS)
			for (uint32_t step = 0; step < head_dim; step += ATTENTION_HEAD_DIM_STEP)
				add_values(tile->shares + half * TILE_KEYS +
						   block * ATTENTION_BLOCK_TOKENS,
					   values + 2 * step, head_dim,
					   tile->outputs + (row + half) * head_dim + step);
	}
}

INLINE void attend_tile(const struct look *look, struct tile *tile, uint32_t kv_head,
			uint32_t head_dim)
{
	const uint32_t last_seen = tile->seen[tile->rows - 1];

	for (uint32_t begin = 0; begin < last_seen; begin += TILE_KEYS)
		for (uint32_t row = 0; row < tile->rows; row += ROWS)
			if (begin < tile->seen[row + ROWS - 1])
				look_at(look, tile, row, kv_head, begin, head_dim);
}

FOR_THIS static void attend_64(const struct look *look, struct tile *tile, uint32_t kv_head)
{
	attend_tile(look, tile, kv_head, 64);
}

FOR_THIS static void attend_128(const struct look *look, struct tile *tile, uint32_t kv_head)
{
	attend_tile(look, tile, kv_head, 128);
}

FOR_THIS static void attend_any(const struct look *look, struct tile *tile, uint32_t kv_head)
{
	attend_tile(look, tile, kv_head, look->of->head_dim);
}

/* Of so many tokens from `first` on, the queries that look at this head of keys. */
static void fill_tile(const struct attention_heads *of, struct tile *tile, const uint16_t *queries,
		      uint32_t first, uint32_t tokens, uint32_t seen)
{
	const uint32_t group = of->heads / of->kv_heads, head_dim = of->head_dim;

	tile->rows = (tokens * group + ROWS - 1) / ROWS * ROWS;
	for (uint32_t row = 0; row < tile->rows; row++) {
		/* Those behind the last one are the last one again. */
		const uint32_t at = row < tokens * group ? row : tokens * group - 1;
		const uint32_t token = first + at / group;

		memcpy(tile->queries + row * head_dim,
		       queries + ((uint64_t)token * of->heads + at % group) * head_dim,
		       head_dim * sizeof(*queries));
		tile->highest[row] = -__builtin_inff();
		tile->sums[row] = 0;
		tile->seen[row] = seen + at / group + 1;
	}
	memset(tile->outputs, 0, (uint64_t)tile->rows * head_dim * sizeof(*tile->outputs));
}

FOR_THIS static void empty_tile(const struct attention_heads *of, const struct tile *tile,
				uint16_t *queries, uint32_t first, uint32_t tokens)
{
	const uint32_t group = of->heads / of->kv_heads, head_dim = of->head_dim;

	for (uint32_t row = 0; row < tokens * group; row++) {
		const uint64_t token = first + row / group;
		uint16_t *const to = queries + (token * of->heads + row % group) * head_dim;
		const __m512 share = _mm512_set1_ps(1 / tile->sums[row]);

		for (uint32_t at = 0; at < head_dim; at += LANES)
			_mm256_storeu_si256(
				(__m256i *)(to + at),
				(__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(
					share, _mm512_load_ps(tile->outputs + row * head_dim +
							      at))));
	}
}

uint32_t attention_tiles(const struct attention_heads *of, uint32_t new_tokens)
{
	return of->kv_heads * ((new_tokens + tile_tokens(of) - 1) / tile_tokens(of));
}

void attention_attend(const struct attention_heads *of, const uint16_t *blocks,
		      const int32_t *table, uint32_t tokens, uint32_t new_tokens,
		      uint16_t *queries, float scale, uint32_t first, uint32_t end)
{
	static const float log2_of_e = 1.4426950409f;
	const struct look look = { of, blocks, table, scale * log2_of_e };
	const uint32_t group = of->heads / of->kv_heads;
	struct tile tile;

	for (uint32_t number = first; number < end; number++) {
		const uint32_t kv_head = number % of->kv_heads;
		const uint32_t begin = number / of->kv_heads * tile_tokens(of);
		const uint32_t left = new_tokens - begin;
		const uint32_t here = left < tile_tokens(of) ? left : tile_tokens(of);
		uint16_t *const of_head = queries + (uint64_t)kv_head * group * of->head_dim;

		fill_tile(of, &tile, of_head, begin, here, tokens - new_tokens + begin);
		if (of->head_dim == 64)
			attend_64(&look, &tile, kv_head);
		else if (of->head_dim == 128)
			attend_128(&look, &tile, kv_head);
		else
			attend_any(&look, &tile, kv_head);
		empty_tile(of, &tile, of_head, begin, here);
	}
}

#else

int attention_is_served(const struct attention_heads *of)
{
	(void)are_heads_served(of);
	return 0;
}

/* The rest may not be called where nothing is served. */
uint32_t attention_tiles(const struct attention_heads *of, uint32_t new_tokens)
{
	(void)of, (void)new_tokens;
	return 0;
}

void attention_attend(const struct attention_heads *of, const uint16_t *blocks,
		      const int32_t *table, uint32_t tokens, uint32_t new_tokens,
		      uint16_t *queries, float scale, uint32_t first, uint32_t end)
{
	(void)of, (void)blocks, (void)table, (void)tokens, (void)new_tokens, (void)queries;
	(void)scale, (void)first, (void)end;
}

#endif
