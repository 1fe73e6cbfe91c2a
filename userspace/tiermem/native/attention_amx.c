// SPDX-License-Identifier: GPL-2.0-or-later
/* The products by AMX's tiles: 16 rows times 16 columns, over 32 numbers, at once. */
#ifdef __x86_64__

#include "attention_tile.h"

#include <sys/syscall.h>
#include <unistd.h>

#define FOR_AMX __attribute__((target(AVX512 ",amx-tile,amx-bf16")))
#define INLINE_AMX FOR_AMX static inline __attribute__((always_inline))
/* Compilers do not know that tile loads read memory. */
#define WRITTEN() __asm__ volatile("" ::: "memory")

enum {
	ROWS = 32,
	HALF_ROWS = 16,
	/* Of numbers in the products' sums, and of fp32 in a row of one. */
	DEPTH = 32,
	COLUMNS = 16,
	/* That rows look at before the next: the more, the less often outputs are loaded; scores
	 * and shares stay in the first cache. */
	KEYS_BLOCKS = 4,
	KEYS = KEYS_BLOCKS * ATTENTION_BLOCK_TOKENS,
	/* Linux, Documentation/arch/x86/xstate.rst */
	REQUEST_PERMISSION = 0x1023,
	XFEATURE_XTILEDATA = 18,
};

_Static_assert(TILE_ROWS % ROWS == 0, "a tile is whole pieces");
_Static_assert((int)ATTENTION_BLOCK_TOKENS == DEPTH, "a block's values are one product deep");
_Static_assert((int)ATTENTION_LANES == COLUMNS, "keys lie side by side as products take them");

struct look_space {
	float scores[ROWS * KEYS] __attribute__((aligned(64)));
	uint16_t shares[ROWS * KEYS] __attribute__((aligned(64)));
};

/* Intel's manual, LDTILECFG. */
struct tile_config {
	uint8_t palette;
	uint8_t start_row;
	uint8_t reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

_Static_assert(sizeof(struct tile_config) == 64 &&
		       __builtin_offsetof(struct tile_config, row_bytes) == 16 &&
		       __builtin_offsetof(struct tile_config, rows) == 48,
	       "as the processor reads it");

int attention_has_amx(void)
{
	return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
	       syscall(SYS_arch_prctl, REQUEST_PERMISSION, XFEATURE_XTILEDATA) == 0;
}

FOR_AMX void attention_amx_begin(struct attention_amx_state *before)
{
	struct tile_config config = { .palette = 1 };

	for (int tile = 0; tile < 8; tile++) {
		config.row_bytes[tile] = 64;
		config.rows[tile] = 16;
	}
	_tile_storeconfig(before->config);
	WRITTEN();
	_tile_loadconfig(&config);
}

FOR_AMX void attention_amx_end(const struct attention_amx_state *before)
{
	_tile_loadconfig(before->config);
}

/* ROWS queries times the keys of one block. */
INLINE_AMX void score_block(const uint16_t *queries, const uint16_t *keys, uint32_t head_dim,
			    float *scores)
{
	const uint64_t query_bytes = head_dim * sizeof(*queries);

	_tile_zero(0);
	_tile_zero(1);
	_tile_zero(2);
	_tile_zero(3);
	for (uint32_t number = 0; number < head_dim; number += DEPTH) {
		_tile_loadd(4, queries + number, query_bytes);
		_tile_loadd(6, keys + number * LANES, 64);
		_tile_dpbf16ps(0, 4, 6);
		_tile_loadd(7, keys + (head_dim + number) * LANES, 64);
		_tile_dpbf16ps(1, 4, 7);
		_tile_loadd(5, queries + HALF_ROWS * head_dim + number, query_bytes);
		_tile_dpbf16ps(2, 5, 6);
		_tile_dpbf16ps(3, 5, 7);
	}
	_tile_stored(0, scores, KEYS * sizeof(*scores));
	_tile_stored(1, scores + COLUMNS, KEYS * sizeof(*scores));
	_tile_stored(2, scores + HALF_ROWS * KEYS, KEYS * sizeof(*scores));
	_tile_stored(3, scores + HALF_ROWS * KEYS + COLUMNS, KEYS * sizeof(*scores));
}

/* ROWS rows' shares times the values of the blocks: 32 numbers of the outputs. */
INLINE_AMX void add_values(const uint16_t *shares, const uint16_t *const *values, uint32_t blocks,
			   uint32_t head_dim, float *outputs)
{
	const uint64_t output_bytes = head_dim * sizeof(*outputs);
	/* Numbers of two tokens side by side. */
	const uint64_t pair_bytes = 2 * head_dim * sizeof(**values);
	float *const low = outputs + HALF_ROWS * head_dim;

	_tile_loadd(0, outputs, output_bytes);
	_tile_loadd(1, outputs + COLUMNS, output_bytes);
	_tile_loadd(2, low, output_bytes);
	_tile_loadd(3, low + COLUMNS, output_bytes);
	for (uint32_t block = 0; block < blocks; block++) {
		_tile_loadd(4, shares + block * DEPTH, KEYS * sizeof(*shares));
		_tile_loadd(6, values[block], pair_bytes);
		_tile_dpbf16ps(0, 4, 6);
		_tile_loadd(7, values[block] + 2 * COLUMNS, pair_bytes);
		_tile_dpbf16ps(1, 4, 7);
		_tile_loadd(5, shares + HALF_ROWS * KEYS + block * DEPTH, KEYS * sizeof(*shares));
		_tile_dpbf16ps(2, 5, 6);
		_tile_dpbf16ps(3, 5, 7);
	}
	_tile_stored(0, outputs, output_bytes);
	_tile_stored(1, outputs + COLUMNS, output_bytes);
	_tile_stored(2, low, output_bytes);
	_tile_stored(3, low + COLUMNS, output_bytes);
}

/* head_dim: a constant where it is a common one. */
INLINE_AMX void look_as(const struct attention_look *look, struct attention_tile *tile,
			uint32_t kv_head, uint32_t row, uint32_t begin, uint32_t head_dim)
{
	const uint32_t ahead = tile->seen[row + ROWS - 1] - begin;
	const uint32_t all = (ahead + ATTENTION_BLOCK_TOKENS - 1) / ATTENTION_BLOCK_TOKENS;
	const uint32_t blocks = all < KEYS_BLOCKS ? all : KEYS_BLOCKS;
	const uint16_t *keys[KEYS_BLOCKS];
	float *const outputs = tile->outputs + row * head_dim;
	struct look_space space;

	WRITTEN();
	for (uint32_t block = 0; block < blocks; block++) {
		keys[block] = block_keys(look, begin, block, kv_head);
		score_block(tile->queries + row * head_dim, keys[block], head_dim,
			    space.scores + block * ATTENTION_BLOCK_TOKENS);
	}
	for (uint32_t at = 0; at < ROWS; at++)
		share_row(tile, row + at, space.scores + at * KEYS, space.shares + at * KEYS,
			  begin, blocks * ATTENTION_BLOCK_TOKENS, KEYS, head_dim, look->scale);
	WRITTEN();
	for (uint32_t number = 0; number < head_dim; number += 2 * COLUMNS) {
		const uint32_t behind_keys = ATTENTION_BLOCK_TOKENS * head_dim;
		const uint16_t *values[KEYS_BLOCKS];

		for (uint32_t block = 0; block < blocks; block++)
			values[block] = keys[block] + behind_keys + 2 * number;
		add_values(space.shares, values, blocks, head_dim, outputs + number);
	}
}

FOR_AMX static void look_at(const struct attention_look *look, struct attention_tile *tile,
			    uint32_t kv_head, uint32_t row, uint32_t begin)
{
	if (look->of->head_dim == 64)
		look_as(look, tile, kv_head, row, begin, 64);
	else if (look->of->head_dim == 128)
		look_as(look, tile, kv_head, row, begin, 128);
	else
		look_as(look, tile, kv_head, row, begin, look->of->head_dim);
}

const struct attention_products attention_amx = { ROWS, KEYS, look_at };

#endif
