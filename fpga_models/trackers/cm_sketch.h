/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Count-min sketch with saturating counters over H3 hashes.
 *
 * Until a counter saturates, the estimate of a key is never below its count.
 * Clearing costs time by the counters touched, not by the sketch's size.
 */
#ifndef TM_CM_SKETCH_H
#define TM_CM_SKETCH_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

struct tm_sketch;

/* counter_bits: 1..32. NULL when out of memory. */
struct tm_sketch *tm_sketch_create(uint32_t rows, uint32_t columns,
				   uint32_t counter_bits, uint64_t seed);
void tm_sketch_destroy(struct tm_sketch *sketch);

/* Counts one access; returns the key's estimate after it. */
uint32_t tm_sketch_add(struct tm_sketch *sketch, uint64_t key);

/* The same for n keys in order; faster, since their counters are fetched together. */
void tm_sketch_add_many(struct tm_sketch *sketch, const uint64_t *keys, uint32_t n,
			uint32_t *estimates);

uint32_t tm_sketch_estimate(const struct tm_sketch *sketch, uint64_t key);
void tm_sketch_clear(struct tm_sketch *sketch);

#endif
