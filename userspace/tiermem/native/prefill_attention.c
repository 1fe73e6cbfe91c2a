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

#include "attention_tile.h"

int attention_is_served(enum attention_kernel kernel, const struct attention_heads *of)
{
	return are_heads_served(of) && __builtin_cpu_supports("avx512bf16") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") &&
	       (kernel == ATTENTION_AVX512 || attention_has_amx());
}

static uint32_t tile_tokens(const struct attention_heads *of)
{
	const uint32_t group = of->heads / of->kv_heads;

	return TILE_ROWS / group;
}

/* Of so many tokens from `first` on, the queries that look at this head of keys. */
static void fill_tile(const struct attention_heads *of, struct attention_tile *tile,
		      uint32_t multiple, const uint16_t *queries, uint32_t first, uint32_t tokens,
		      uint32_t seen)
{
	const uint32_t group = of->heads / of->kv_heads, head_dim = of->head_dim;

	tile->rows = (tokens * group + multiple - 1) / multiple * multiple;
	for (uint32_t row = 0; row < tile->rows; row++) {
		/* Those behind the last one are the last one again. */
		const uint32_t at = row < tokens * group ? row : tokens * group - 1;
		const uint32_t token = first + at / group;

		memcpy(tile->queries + row * head_dim,
		       queries + ((uint64_t)token * of->heads + at % group) * head_dim,
		       head_dim * sizeof(*queries));
		tile->highest[row] = -__builtin_inff();
		tile->seen[row] = seen + at / group + 1;
	}
	memset(tile->sums, 0, tile->rows * LANES * sizeof(*tile->sums));
	memset(tile->outputs, 0, (uint64_t)tile->rows * head_dim * sizeof(*tile->outputs));
}

FOR_AVX512 static void empty_tile(const struct attention_heads *of,
				  const struct attention_tile *tile, uint16_t *queries,
				  uint32_t first, uint32_t tokens)
{
	const uint32_t group = of->heads / of->kv_heads, head_dim = of->head_dim;

	for (uint32_t row = 0; row < tokens * group; row++) {
		const uint64_t token = first + row / group;
		uint16_t *const to = queries + (token * of->heads + row % group) * head_dim;
		const float sum = _mm512_reduce_add_ps(_mm512_load_ps(tile->sums + row * LANES));
		const __m512 share = _mm512_set1_ps(1 / sum);

		for (uint32_t at = 0; at < head_dim; at += LANES)
			_mm256_storeu_si256(
				(__m256i *)(to + at),
				(__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(
					share, _mm512_load_ps(tile->outputs + row * head_dim +
							      at))));
	}
}

/* All rows of the tile look at all tokens that they see. */
static void look_at_all(const struct attention_products *by, const struct attention_look *look,
			struct attention_tile *tile, uint32_t kv_head)
{
	const uint32_t last_seen = tile->seen[tile->rows - 1];

	for (uint32_t begin = 0; begin < last_seen; begin += by->keys)
		for (uint32_t row = 0; row < tile->rows; row += by->rows)
			if (begin < tile->seen[row + by->rows - 1])
				by->look_at(look, tile, kv_head, row, begin);
}

uint32_t attention_tiles(const struct attention_heads *of, uint32_t new_tokens)
{
	return of->kv_heads * ((new_tokens + tile_tokens(of) - 1) / tile_tokens(of));
}

void attention_attend(enum attention_kernel kernel, const struct attention_heads *of,
		      const uint16_t *blocks, const int32_t *table, uint32_t tokens,
		      uint32_t new_tokens, uint16_t *queries, float scale, uint32_t first,
		      uint32_t end)
{
	static const float log2_of_e = 1.4426950409f;
	const struct attention_look look = { of, blocks, table, scale * log2_of_e };
	const int is_amx = kernel == ATTENTION_AMX;
	const struct attention_products *const by = is_amx ? &attention_amx : &attention_avx512;
	const uint32_t group = of->heads / of->kv_heads;
	const uint32_t control = _mm_getcsr();
	struct attention_amx_state before;
	struct attention_tile tile;

	/* Shares too small for fp32 are zero; to keep what is left of them takes a hundred times as
	 * long. */
	_mm_setcsr(control | _MM_FLUSH_ZERO_ON);
	if (is_amx)
		attention_amx_begin(&before);
	for (uint32_t number = first; number < end; number++) {
		const uint32_t kv_head = number % of->kv_heads;
		const uint32_t begin = number / of->kv_heads * tile_tokens(of);
		const uint32_t left = new_tokens - begin;
		const uint32_t here = left < tile_tokens(of) ? left : tile_tokens(of);
		uint16_t *const of_head = queries + (uint64_t)kv_head * group * of->head_dim;

		fill_tile(of, &tile, by->rows, of_head, begin, here, tokens - new_tokens + begin);
		look_at_all(by, &look, &tile, kv_head);
		empty_tile(of, &tile, of_head, begin, here);
	}
	if (is_amx)
		attention_amx_end(&before);
	_mm_setcsr(control);
}

#else

int attention_is_served(enum attention_kernel kernel, const struct attention_heads *of)
{
	(void)kernel, (void)are_heads_served(of);
	return 0;
}

/* The rest may not be called where nothing is served. */
uint32_t attention_tiles(const struct attention_heads *of, uint32_t new_tokens)
{
	(void)of, (void)new_tokens;
	return 0;
}

void attention_attend(enum attention_kernel kernel, const struct attention_heads *of,
		      const uint16_t *blocks, const int32_t *table, uint32_t tokens,
		      uint32_t new_tokens, uint16_t *queries, float scale, uint32_t first,
		      uint32_t end)
{
	(void)kernel, (void)of, (void)blocks, (void)table, (void)tokens, (void)new_tokens;
	(void)queries, (void)scale, (void)first, (void)end;
}

#endif
