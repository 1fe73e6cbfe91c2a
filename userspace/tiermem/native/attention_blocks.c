// SPDX-License-Identifier: GPL-2.0-or-later
#include "attention_blocks.h"

#include <string.h>

static uint64_t head_numbers(const struct attention_heads *of)
{
	return 2ULL * ATTENTION_BLOCK_TOKENS * of->head_dim;
}

uint64_t attention_keys_at(const struct attention_heads *of, int32_t block, uint32_t kv_head)
{
	return ((uint64_t)block * of->kv_heads + kv_head) * head_numbers(of);
}

/* Of keys, pairs of numbers of 16 tokens lie side by side; of values, numbers of two tokens. */
static void store_token(uint16_t *keys_there, uint32_t place, uint32_t head_dim,
			const uint16_t *keys, const uint16_t *values)
{
	const uint32_t lane = place % ATTENTION_LANES;
	uint16_t *const k = keys_there + (place - lane) * head_dim + lane * 2;
	uint16_t *const v =
		keys_there + (ATTENTION_BLOCK_TOKENS + place / 2 * 2) * head_dim + place % 2;

	for (uint32_t pair = 0; pair < head_dim / 2; pair++)
		memcpy(k + pair * 2 * ATTENTION_LANES, keys + 2 * pair, 2 * sizeof(*keys));
	for (uint32_t number = 0; number < head_dim; number++)
		v[2 * number] = values[number];
}

void attention_store(const struct attention_heads *of, uint16_t *blocks, const int32_t *table,
		     uint32_t at, uint32_t tokens, const uint16_t *keys, const uint16_t *values,
		     uint64_t stride)
{
	static const uint16_t zeros[ATTENTION_HEAD_DIM_MAX];
	const uint32_t end = at + tokens;
	const uint32_t block_end = (end + ATTENTION_BLOCK_TOKENS - 1) / ATTENTION_BLOCK_TOKENS *
				   ATTENTION_BLOCK_TOKENS;

	for (uint32_t token = at; token < block_end; token++) {
		const int32_t block = table[token / ATTENTION_BLOCK_TOKENS];

		for (uint32_t head = 0; head < of->kv_heads; head++) {
			const uint64_t from = (token - at) * stride + head * of->head_dim;

			store_token(blocks + attention_keys_at(of, block, head),
				    token % ATTENTION_BLOCK_TOKENS, of->head_dim,
				    token < end ? keys + from : zeros,
				    token < end ? values + from : zeros);
		}
	}
}
