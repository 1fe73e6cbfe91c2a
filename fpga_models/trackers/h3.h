/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * H3 hashing: the hash of a key is the XOR of one random table entry for each
 * bit set in the key (Carter and Wegman's class H3; what a tracker in hardware
 * uses, since it is one layer of XOR gates).
 *
 * Entry (bit, row) is drawn from splitmix64: with state = seed, bits 0..63 in
 * the outer loop and rows in the inner one, each draw's upper 32 bits are the
 * entry, masked to the columns.
 */
#ifndef TM_H3_H
#define TM_H3_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum tm_h3_limits {
	TM_ROWS_MAX = 16,
};

struct tm_h3;

/* rows: 1..TM_ROWS_MAX; columns: a power of two. NULL when out of memory. */
struct tm_h3 *tm_h3_create(uint32_t rows, uint32_t columns, uint64_t seed);
void tm_h3_destroy(struct tm_h3 *h3);

/* Writes one column number a row. */
void tm_h3_hash(const struct tm_h3 *h3, uint64_t key, uint32_t *columns);

/* The same for n keys, one after the other. */
void tm_h3_hash_many(const struct tm_h3 *h3, const uint64_t *keys, uint32_t n,
		     uint32_t *columns);

#endif
