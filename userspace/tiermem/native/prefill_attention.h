/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attention of a prefill over keys and values in blocks (attention_blocks.h), for processors that
 * multiply bfloat16: with AVX512_BF16, or with AMX beside it, which is several times as fast.
 */
#ifndef TIERMEM_PREFILL_ATTENTION_H
#define TIERMEM_PREFILL_ATTENTION_H

#ifndef TIERMEM_CDEF
#include "attention_blocks.h"
#endif

enum {
	ATTENTION_HEAD_DIM_STEP = 64,
	/* Heads of queries that share one of keys. */
	ATTENTION_GROUP_MAX = 96,
};

enum attention_kernel {
	ATTENTION_AVX512 = 0,
	ATTENTION_AMX = 1,
};

/*
 * 1: this processor, this kernel and these heads are served; else 0, and nothing else may be
 * called. For AMX the kernel is asked to let this process use it, from then on.
 */
int attention_is_served(enum attention_kernel kernel, const struct attention_heads *of);

/* How many tiles so many queries are divided into, each of which is computed by itself. */
uint32_t attention_tiles(const struct attention_heads *of, uint32_t new_tokens);

/*
 * Queries `[new_tokens, heads, head_dim]` of the last of `tokens`, each of which looks at all
 * tokens before it and itself: the tiles from `first` to before `end`. The output is written
 * over the queries. scale: above 0; scores times that stay below 2^30, or a row may be no number.
 */
void attention_attend(enum attention_kernel kernel, const struct attention_heads *of,
		      const uint16_t *blocks, const int32_t *table, uint32_t tokens,
		      uint32_t new_tokens, uint16_t *queries, float scale, uint32_t first,
		      uint32_t end);

#endif
