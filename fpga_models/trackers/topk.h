/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One top-K tracker: HPT with page numbers as keys, HWT with line numbers.
 *
 * Count-min sketch and sorted CAM: each access is counted in the sketch; its
 * estimate updates the key's CAM entry, or replaces the smallest entry if it
 * is larger (or takes a free one). Space-Saving: a key without an entry takes
 * the smallest entry over, its count plus one.
 */
#ifndef TM_TOPK_H
#define TM_TOPK_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#include "tiermem_hpt_regs.h"
#endif

enum tm_topk_limits {
	TM_BATCH_MAX = 256,
};

struct tm_topk;

/* The configuration must have passed tm_config_check(). NULL when out of memory. */
struct tm_topk *tm_topk_create(const struct tiermem_tracker_config *config,
			       uint64_t seed);
void tm_topk_destroy(struct tm_topk *topk);
void tm_topk_add(struct tm_topk *topk, uint64_t key);

/* The same for n keys in order, at most TM_BATCH_MAX. */
void tm_topk_add_many(struct tm_topk *topk, const uint64_t *keys, uint32_t n);
uint32_t tm_topk_list(const struct tm_topk *topk, uint32_t max, uint64_t *keys,
		      uint32_t *counts);
void tm_topk_clear(struct tm_topk *topk);

#endif
