// SPDX-License-Identifier: GPL-2.0-or-later
#include "ranking.h"

#include <stdlib.h>
#include <string.h>

enum {
	NONE = TM_RANKING_NONE,
};

struct entry {
	uint64_t key;
	uint16_t bucket;
	uint16_t hotter;	/* neighbours within the bucket */
	uint16_t colder;
};

/* All entries of one count, in the order in which they reached it. */
struct bucket {
	uint32_t count;
	uint16_t first;
	uint16_t last;
	uint16_t hotter;
	uint16_t colder;
};

/*
 * Buckets form a list from hottest to coldest. A count mostly grows by one, so
 * an entry finds its new bucket next to the old one, whatever the capacity.
 */
struct tm_ranking {
	uint32_t capacity;
	uint32_t size;
	uint32_t floor;
	uint32_t hash_mask;
	uint16_t hottest;
	uint16_t coldest;
	uint16_t free_bucket;	/* list through `colder` */
	struct entry *entries;
	struct bucket *buckets;
	uint16_t *hash;		/* open addressing, linear probing; entry or NONE */
};

struct tm_ranking *tm_ranking_create(uint32_t capacity)
{
	struct tm_ranking *ranking = calloc(1, sizeof(*ranking));
	uint32_t hash_size = 64;

	if (!ranking)
		return NULL;
	while (hash_size < 4 * capacity)
		hash_size *= 2;
	ranking->capacity = capacity;
	ranking->hash_mask = hash_size - 1;
	ranking->entries = calloc(capacity, sizeof(*ranking->entries));
	/* One more: an entry that moves takes its new bucket before it frees the old. */
	ranking->buckets = calloc(capacity + 1, sizeof(*ranking->buckets));
	ranking->hash = calloc(hash_size, sizeof(*ranking->hash));
	if (!ranking->entries || !ranking->buckets || !ranking->hash) {
		tm_ranking_destroy(ranking);
		return NULL;
	}
	tm_ranking_clear(ranking);
	return ranking;
}

void tm_ranking_destroy(struct tm_ranking *ranking)
{
	if (!ranking)
		return;
	free(ranking->entries);
	free(ranking->buckets);
	free(ranking->hash);
	free(ranking);
}

void tm_ranking_clear(struct tm_ranking *ranking)
{
	ranking->size = 0;
	ranking->floor = 0;
	ranking->hottest = NONE;
	ranking->coldest = NONE;
	ranking->free_bucket = 0;
	for (uint32_t i = 0; i <= ranking->capacity; i++)
		ranking->buckets[i].colder = (uint16_t)(i + 1);
	ranking->buckets[ranking->capacity].colder = NONE;
	memset(ranking->hash, 0xff, ((size_t)ranking->hash_mask + 1) * sizeof(*ranking->hash));
}

uint32_t tm_ranking_size(const struct tm_ranking *ranking)
{
	return ranking->size;
}

uint32_t tm_ranking_floor(const struct tm_ranking *ranking)
{
	return ranking->floor;
}

static uint32_t home_of(const struct tm_ranking *ranking, uint64_t key)
{
	return (uint32_t)((key * 0x9e3779b97f4a7c15ULL) >> 32) & ranking->hash_mask;
}

/* Where the key is in the hash, or the free place where it would go. */
static uint32_t find_place(const struct tm_ranking *ranking, uint64_t key)
{
	uint32_t place = home_of(ranking, key);

	while (ranking->hash[place] != NONE && ranking->entries[ranking->hash[place]].key != key)
		place = (place + 1) & ranking->hash_mask;
	return place;
}

/* Closes the gap that a removed key leaves, so that probing never meets one. */
static void unhash(struct tm_ranking *ranking, uint64_t key)
{
	uint32_t mask = ranking->hash_mask;
	uint32_t gap = find_place(ranking, key);

	for (uint32_t place = (gap + 1) & mask; ranking->hash[place] != NONE;
	     place = (place + 1) & mask) {
		uint32_t home = home_of(ranking, ranking->entries[ranking->hash[place]].key);

		if (((place - home) & mask) >= ((place - gap) & mask)) {
			ranking->hash[gap] = ranking->hash[place];
			gap = place;
		}
	}
	ranking->hash[gap] = NONE;
}

static void free_bucket(struct tm_ranking *ranking, uint16_t index)
{
	struct bucket *bucket = &ranking->buckets[index];

	if (bucket->hotter == NONE)
		ranking->hottest = bucket->colder;
	else
		ranking->buckets[bucket->hotter].colder = bucket->colder;
	if (bucket->colder == NONE)
		ranking->coldest = bucket->hotter;
	else
		ranking->buckets[bucket->colder].hotter = bucket->hotter;
	bucket->colder = ranking->free_bucket;
	ranking->free_bucket = index;
}

/* A bucket just colder than `hotter` (NONE: the hottest of all). */
static uint16_t take_bucket(struct tm_ranking *ranking, uint16_t hotter, uint32_t count)
{
	uint16_t index = ranking->free_bucket;
	struct bucket *bucket = &ranking->buckets[index];
	uint16_t colder = hotter == NONE ? ranking->hottest : ranking->buckets[hotter].colder;

	ranking->free_bucket = bucket->colder;
	*bucket = (struct bucket){ count, NONE, NONE, hotter, colder };
	if (hotter == NONE)
		ranking->hottest = index;
	else
		ranking->buckets[hotter].colder = index;
	if (colder == NONE)
		ranking->coldest = index;
	else
		ranking->buckets[colder].hotter = index;
	return index;
}

static void detach(struct tm_ranking *ranking, uint16_t slot)
{
	struct entry *entry = &ranking->entries[slot];
	struct bucket *bucket = &ranking->buckets[entry->bucket];

	if (entry->hotter == NONE)
		bucket->first = entry->colder;
	else
		ranking->entries[entry->hotter].colder = entry->colder;
	if (entry->colder == NONE)
		bucket->last = entry->hotter;
	else
		ranking->entries[entry->colder].hotter = entry->hotter;
	if (bucket->first == NONE)
		free_bucket(ranking, entry->bucket);
}

static void append(struct tm_ranking *ranking, uint16_t slot, uint16_t index)
{
	struct entry *entry = &ranking->entries[slot];
	struct bucket *bucket = &ranking->buckets[index];

	entry->bucket = index;
	entry->colder = NONE;
	entry->hotter = bucket->last;
	if (bucket->last == NONE)
		bucket->first = slot;
	else
		ranking->entries[bucket->last].colder = slot;
	bucket->last = slot;
}

/* The bucket of this count; the search goes hotter from `index`. */
static uint16_t bucket_of(struct tm_ranking *ranking, uint16_t index, uint32_t count)
{
	while (index != NONE && ranking->buckets[index].count < count)
		index = ranking->buckets[index].hotter;
	if (index != NONE && ranking->buckets[index].count == count)
		return index;
	return take_bucket(ranking, index, count);
}

static void raise_entry(struct tm_ranking *ranking, uint16_t slot, uint32_t count)
{
	struct entry *entry = &ranking->entries[slot];
	uint16_t target;

	if (count <= ranking->buckets[entry->bucket].count)
		return;
	target = bucket_of(ranking, entry->bucket, count);
	detach(ranking, slot);
	append(ranking, slot, target);
}

void tm_ranking_put(struct tm_ranking *ranking, uint64_t key, uint32_t count)
{
	uint32_t place = find_place(ranking, key);
	uint16_t slot = ranking->hash[place];

	if (slot != NONE) {
		raise_entry(ranking, slot, count);
	} else {
		if (ranking->size < ranking->capacity) {
			slot = (uint16_t)ranking->size++;
		} else {
			slot = ranking->buckets[ranking->coldest].last;
			detach(ranking, slot);
			unhash(ranking, ranking->entries[slot].key);
			place = find_place(ranking, key);
		}
		ranking->entries[slot].key = key;
		ranking->hash[place] = slot;
		append(ranking, slot, bucket_of(ranking, ranking->coldest, count));
	}
	if (ranking->size == ranking->capacity)
		ranking->floor = ranking->buckets[ranking->coldest].count;
}

uint32_t tm_ranking_count(const struct tm_ranking *ranking, uint64_t key)
{
	uint16_t slot = ranking->hash[find_place(ranking, key)];

	return slot == NONE ? 0 : ranking->buckets[ranking->entries[slot].bucket].count;
}

uint32_t tm_ranking_list(const struct tm_ranking *ranking, uint32_t max, uint64_t *keys,
			 uint32_t *counts)
{
	uint32_t listed = 0;

	for (uint16_t b = ranking->hottest; b != NONE; b = ranking->buckets[b].colder) {
		const struct bucket *bucket = &ranking->buckets[b];

		for (uint16_t e = bucket->first; e != NONE && listed < max;
		     e = ranking->entries[e].colder, listed++) {
			keys[listed] = ranking->entries[e].key;
			counts[listed] = bucket->count;
		}
	}
	return listed;
}
