/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last-level cache: physically indexed, set-associative, true LRU,
 * write-allocate, write-back. It decides what reaches the memory controllers.
 *
 * A set is an array of 32-bit words in order of recency, most recent first, so
 * 16 ways are one cache line of the machine that runs the model. A word is
 * tag << 2 | dirty << 1 | valid; the tag is line / sets, where line = address / 64.
 *
 * The set is line % sets, all of whose bits above a page's slot (line % 64) are
 * XORed with a hash of tag and slot. Server parts hash likewise (Maurice et al.,
 * "Reverse Engineering Intel Last-Level Cache Complex Addressing Using Performance
 * Counters", RAID 2015), so that it does not matter which frames a program's pages
 * happen to lie in. With plain sets it did: PageRank missed between 186 and 266
 * million times, depending on where its policy had put the same pages.
 */
#ifndef MS_CACHE_H
#define MS_CACHE_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum ms_cache_limits {
	MS_LINE_SHIFT = 6,
	MS_LINE_BYTES = 64,
	MS_CACHE_WAYS_MAX = 32,
};

enum ms_access_kind {
	MS_LOAD = 0,
	MS_STORE = 1,
	MS_STORE_LINE = 2,	/* of the whole line: what it held need not be read */
};

enum ms_cache_result {
	MS_HIT = 0,
	MS_FILL = 1,		/* a miss: the line is read from memory */
	MS_WRITEBACK = 2,	/* with a miss: a dirty line left, see *victim */
	MS_CLAIM = 4,		/* a miss of MS_STORE_LINE: nothing is read */
};

struct ms_cache;

/* NULL when out of memory, or where bytes / (64 * ways) is not a power of two
 * or ways is outside 1..MS_CACHE_WAYS_MAX. */
struct ms_cache *ms_cache_create(uint64_t bytes, uint32_t ways);
void ms_cache_destroy(struct ms_cache *cache);

/* First address that tags cannot hold; the caller stays below it. */
uint64_t ms_cache_address_limit(const struct ms_cache *cache);

/*
 * One access. Returns a mask of enum ms_cache_result; with MS_WRITEBACK,
 * *victim is the byte address of the line that goes back to memory.
 */
uint32_t ms_cache_access(struct ms_cache *cache, uint64_t address,
			 enum ms_access_kind kind, uint64_t *victim);

/* Brings the address's set into the caches of the machine that runs the model. */
void ms_cache_prefetch(const struct ms_cache *cache, uint64_t address);

/* Forgets every line, dirty ones included. */
void ms_cache_clear(struct ms_cache *cache);

#endif
