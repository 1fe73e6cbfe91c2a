/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Spreads page numbers over places: a permutation of 40-bit numbers, whose high
 * bits choose a place and whose low ones tell apart the pages that share it.
 */
#ifndef PAGE_HASH_H
#define PAGE_HASH_H

#include <stdint.h>

enum {
	PAGE_BITS = 40,		/* of a page number: x86 has 52 address bits */
};

#define PAGE_MASK ((1ULL << PAGE_BITS) - 1)
/* Odd, so that multiplying by it modulo 2^40 can be undone. */
#define HASH_FACTOR 0x9e3779b97f4a7c15ULL
#define HASH_INVERSE 0xf1de83e19937733dULL

static inline uint64_t page_hash(uint64_t page)
{
	return page * HASH_FACTOR & PAGE_MASK;
}

static inline uint64_t page_unhash(uint64_t hashed)
{
	return hashed * HASH_INVERSE & PAGE_MASK;
}

#endif
