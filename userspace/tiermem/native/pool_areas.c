// SPDX-License-Identifier: GPL-2.0-or-later
#define POOL_SITE_BASE 35000
#include "pool_entries.h"

void pool_stream_zeros(struct pool_memory *memory, uint64_t at, uint64_t end)
{
	static const uint8_t zeros[POOL_PAGE_BYTES];

	for (; at < end; at += sizeof(zeros))
		pool_stream(memory, at, zeros, end - at < sizeof(zeros) ? end - at : sizeof(zeros));
}

int pool_clear(struct pool *pool, const struct pool_extent *extent)
{
	struct pool_entry entry;

	if (extent->host != pool->host || extent->entry >= pool->super.entries)
		return POOL_ABSENT;
	pool_read_entry(pool, extent->host, extent->entry, &entry);
	if (entry.commit != pool_commit_word(extent->generation, POOL_RESERVED))
		return POOL_ABSENT;
	pool_stream_zeros(pool->memory, entry.offset, entry.offset + entry.bytes);
	return POOL_OK;
}

void pool_forget(struct pool *pool, uint64_t offset, uint64_t bytes)
{
	pool_invalidate(pool->memory, offset, bytes);
	pool_fence(pool->memory);
}

static void forget_if_area(struct pool *pool, uint32_t host, uint32_t number)
{
	struct pool_extent extent = { .host = host, .entry = number };
	struct pool_entry entry;
	int result;

	do
		result = pool_read_entry(pool, host, number, &entry);
	while (result == POOL_CONTENDED);
	if (result != POOL_OK || entry.kind != POOL_KIND_AREA)
		return;
	extent.generation = pool_generation_of(entry.commit);
	if (pool_holds(pool, &extent))
		pool_forget(pool, entry.offset, entry.bytes);
}

void pool_forget_held_areas(struct pool *pool)
{
	const uint64_t counts = (1ULL << POOL_REF_COUNT_BITS) - 1;

	for (uint32_t host = 0; host < pool->super.hosts; host++)
		for (uint32_t entry = 0; entry < pool->super.entries; entry++)
			if (pool_load(pool->memory,
				      pool_reference_at(&pool->super, pool->host, host, entry)) &
			    counts)
				forget_if_area(pool, host, entry);
}
