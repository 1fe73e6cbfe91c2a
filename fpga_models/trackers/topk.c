// SPDX-License-Identifier: GPL-2.0-or-later
#include "topk.h"

#include <stdlib.h>

#include "cm_sketch.h"
#include "ranking.h"

struct tm_topk {
	struct tm_sketch *sketch;	/* NULL: Space-Saving */
	struct tm_ranking *ranking;
	uint32_t count_max;
};

struct tm_topk *tm_topk_create(const struct tiermem_tracker_config *config, uint64_t seed)
{
	struct tm_topk *topk = calloc(1, sizeof(*topk));
	int has_sketch = config->algorithm == TIERMEM_ALG_CM_SKETCH;

	if (!topk)
		return NULL;
	topk->count_max = (uint32_t)((1ULL << config->counter_bits) - 1);
	topk->ranking = tm_ranking_create(config->entries);
	if (has_sketch)
		topk->sketch = tm_sketch_create(config->rows, config->columns,
						config->counter_bits, seed);
	if (!topk->ranking || (has_sketch && !topk->sketch)) {
		tm_topk_destroy(topk);
		return NULL;
	}
	return topk;
}

void tm_topk_destroy(struct tm_topk *topk)
{
	if (!topk)
		return;
	tm_sketch_destroy(topk->sketch);
	tm_ranking_destroy(topk->ranking);
	free(topk);
}

static inline void offer(struct tm_topk *topk, uint64_t key, uint32_t estimate)
{
	/* An entry's own estimate exceeds the floor unless it is saturated, so
	 * nothing that would change the ranking is turned away here. */
	if (estimate > tm_ranking_floor(topk->ranking))
		tm_ranking_put(topk->ranking, key, estimate);
}

static void add_space_saving(struct tm_topk *topk, uint64_t key)
{
	uint32_t count = tm_ranking_count(topk->ranking, key);

	if (!count)
		count = tm_ranking_floor(topk->ranking);
	tm_ranking_put(topk->ranking, key, count < topk->count_max ? count + 1 : count);
}

void tm_topk_add(struct tm_topk *topk, uint64_t key)
{
	if (topk->sketch)
		offer(topk, key, tm_sketch_add(topk->sketch, key));
	else
		add_space_saving(topk, key);
}

void tm_topk_add_many(struct tm_topk *topk, const uint64_t *keys, uint32_t n)
{
	uint32_t estimates[TM_BATCH_MAX];

	if (topk->sketch) {
		tm_sketch_add_many(topk->sketch, keys, n, estimates);
		for (uint32_t i = 0; i < n; i++)
			offer(topk, keys[i], estimates[i]);
	} else {
		for (uint32_t i = 0; i < n; i++)
			add_space_saving(topk, keys[i]);
	}
}

uint32_t tm_topk_list(const struct tm_topk *topk, uint32_t max, uint64_t *keys, uint32_t *counts)
{
	return tm_ranking_list(topk->ranking, max, keys, counts);
}

void tm_topk_clear(struct tm_topk *topk)
{
	if (topk->sketch)
		tm_sketch_clear(topk->sketch);
	tm_ranking_clear(topk->ranking);
}
