// SPDX-License-Identifier: GPL-2.0-or-later
#include "cache.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum ms_cache_index {
	SLOT_BITS = 6,		/* a 4 KiB page's 64 lines */
	HASH_SHIFT = 40,
};

#define HASH_FACTOR 0x9e3779b97f4a7c15ULL	/* 2^64 over the golden ratio */

enum ms_cache_word {
	WORD_VALID = 1,
	WORD_DIRTY = 2,
	WORD_TAG_SHIFT = 2,
	WORD_TAG_BITS = 30,
};

struct ms_cache {
	uint32_t *words;	/* sets x stride, most recent first */
	uint64_t set_mask;
	uint64_t group_mask;	/* the bits of a set's number above its page's slot */
	uint32_t set_shift;	/* log2(sets) */
	uint32_t ways;
	uint32_t stride;	/* ways rounded up to whole vectors; the rest stays 0 */
};

static uint32_t log2_exact(uint64_t value)
{
	return (uint32_t)__builtin_ctzll(value);
}

struct ms_cache *ms_cache_create(uint64_t bytes, uint32_t ways)
{
	struct ms_cache *cache;
	uint64_t sets;

	if (ways < 1 || ways > MS_CACHE_WAYS_MAX)
		return NULL;
	sets = bytes / MS_LINE_BYTES / ways;
	if (!sets || (sets & (sets - 1)) || sets * ways * MS_LINE_BYTES != bytes)
		return NULL;
	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return NULL;
	cache->ways = ways;
	cache->stride = (ways + 3) & ~3U;
	cache->set_mask = sets - 1;
	cache->group_mask = cache->set_mask & ~((1ULL << SLOT_BITS) - 1);
	cache->set_shift = log2_exact(sets);
	if (posix_memalign((void **)&cache->words, MS_LINE_BYTES,
			   sets * cache->stride * sizeof(uint32_t))) {
		free(cache);
		return NULL;
	}
	ms_cache_clear(cache);
	return cache;
}

void ms_cache_destroy(struct ms_cache *cache)
{
	if (!cache)
		return;
	free(cache->words);
	free(cache);
}

uint64_t ms_cache_address_limit(const struct ms_cache *cache)
{
	const uint32_t bits = WORD_TAG_BITS + cache->set_shift + MS_LINE_SHIFT;

	return bits < 64 ? 1ULL << bits : UINT64_MAX;
}

/*
 * What the set's number and the line's own low bits differ by: it depends on the
 * tag and the slot, neither of which it changes, so either gives the other.
 */
static uint64_t scatter(const struct ms_cache *cache, uint64_t tag, uint64_t low)
{
	const uint64_t slot = low & ((1ULL << SLOT_BITS) - 1);

	return (tag << SLOT_BITS | slot) * HASH_FACTOR >> HASH_SHIFT & cache->group_mask;
}

static uint64_t set_of(const struct ms_cache *cache, uint64_t line)
{
	return (line & cache->set_mask) ^ scatter(cache, line >> cache->set_shift, line);
}

static uint64_t line_at(const struct ms_cache *cache, uint64_t index, uint64_t tag)
{
	return tag << cache->set_shift | (index ^ scatter(cache, tag, index));
}

/* Position of the word that equals wanted but for the dirty bit, or -1. */
static int find(const uint32_t *set, uint32_t stride, uint32_t wanted)
{
	uint32_t i;

#ifdef __SSE2__
	const __m128i target = _mm_set1_epi32((int)(wanted | WORD_DIRTY));
	const __m128i dirty = _mm_set1_epi32(WORD_DIRTY);

	for (i = 0; i < stride; i += 4) {
		const __m128i words = _mm_load_si128((const __m128i *)(set + i));
		const __m128i equal = _mm_cmpeq_epi32(_mm_or_si128(words, dirty), target);
		const int mask = _mm_movemask_ps(_mm_castsi128_ps(equal));

		if (mask)
			return (int)i + __builtin_ctz((unsigned int)mask);
	}
#else
	for (i = 0; i < stride; i++)
		if ((set[i] | WORD_DIRTY) == (wanted | WORD_DIRTY))
			return (int)i;
#endif
	return -1;
}

/* Puts a word in front of the first `position` words, over the one behind them. */
static void move_to_front(uint32_t *set, uint32_t position, uint32_t word)
{
	memmove(set + 1, set, position * sizeof(*set));
	set[0] = word;
}

uint32_t ms_cache_access(struct ms_cache *cache, uint64_t address,
			 enum ms_access_kind kind, uint64_t *victim)
{
	const uint64_t line = address >> MS_LINE_SHIFT;
	const uint64_t index = set_of(cache, line);
	const uint32_t tag = (uint32_t)(line >> cache->set_shift);
	const uint32_t wanted = tag << WORD_TAG_SHIFT | WORD_VALID;
	const uint32_t dirty = kind == MS_LOAD ? 0 : WORD_DIRTY;
	const uint32_t missed = kind == MS_STORE_LINE ? MS_CLAIM : MS_FILL;
	uint32_t *set = cache->words + index * cache->stride;
	uint32_t last;
	int position;

	if ((set[0] | WORD_DIRTY) == (wanted | WORD_DIRTY)) {
		set[0] |= dirty;
		return MS_HIT;
	}
	position = find(set, cache->stride, wanted);
	if (position >= 0) {
		move_to_front(set, (uint32_t)position, set[position] | dirty);
		return MS_HIT;
	}
	last = set[cache->ways - 1];
	move_to_front(set, cache->ways - 1, wanted | dirty);
	if (!(last & WORD_DIRTY))
		return missed;
	*victim = line_at(cache, index, last >> WORD_TAG_SHIFT) << MS_LINE_SHIFT;
	return missed | MS_WRITEBACK;
}

void ms_cache_prefetch(const struct ms_cache *cache, uint64_t address)
{
	const uint64_t index = set_of(cache, address >> MS_LINE_SHIFT);

	__builtin_prefetch(cache->words + index * cache->stride, 1);
}

void ms_cache_clear(struct ms_cache *cache)
{
	memset(cache->words, 0,
	       (cache->set_mask + 1) * cache->stride * sizeof(uint32_t));
}
