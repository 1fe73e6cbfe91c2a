// SPDX-License-Identifier: GPL-2.0-or-later
#define POOL_SITE_BASE 30000
#include "pool_entries.h"

#define WISH (1ULL << POOL_REF_COUNT_BITS)
#define COUNT_MASK (WISH - 1)
#define GENERATION_MASK (~0ULL >> POOL_REF_GENERATION_SHIFT)

static uint64_t reference_word(uint64_t generation, uint64_t wish, uint64_t count)
{
	return (generation & GENERATION_MASK) << POOL_REF_GENERATION_SHIFT | wish | count;
}

/* The word in which `host` notes what it has of an extent; 0 if it is of an earlier life. */
static uint64_t reference_of(struct pool *pool, uint32_t host, const struct pool_extent *extent)
{
	const uint64_t at =
		pool_reference_at(&pool->super, host, extent->host, extent->entry);
	uint64_t word;

	if (host != pool->host) {
		pool_invalidate(pool->memory, at, sizeof(word));
		pool_fence(pool->memory);
	}
	word = pool_load(pool->memory, at);
	if (word >> POOL_REF_GENERATION_SHIFT != (extent->generation & GENERATION_MASK))
		return 0;
	return word & (WISH | COUNT_MASK);
}

static void store_reference(struct pool *pool, const struct pool_extent *extent, uint64_t wish,
			    uint64_t count)
{
	const uint64_t at =
		pool_reference_at(&pool->super, pool->host, extent->host, extent->entry);

	pool_store(pool->memory, at, reference_word(extent->generation, wish, count));
	pool_write_back(pool->memory, at, sizeof(uint64_t));
	pool_fence(pool->memory);
}

uint64_t pool_holds(struct pool *pool, const struct pool_extent *extent)
{
	return reference_of(pool, pool->host, extent) & COUNT_MASK;
}

void pool_set_holds(struct pool *pool, const struct pool_extent *extent, uint64_t count)
{
	store_reference(pool, extent, reference_of(pool, pool->host, extent) & WISH,
			count < COUNT_MASK ? count : COUNT_MASK);
}

int pool_hold(struct pool *pool, const struct pool_extent *extent)
{
	const uint64_t count = pool_holds(pool, extent);

	/* Ours first, then theirs, as the owner does when it removes: one sees the other. */
	pool_set_holds(pool, extent, count + 1);
	if (pool_commit_of(pool, extent->host, extent->entry) ==
	    pool_commit_word(extent->generation, POOL_PUBLISHED))
		return POOL_OK;
	pool_set_holds(pool, extent, count);
	return POOL_ABSENT;
}

void pool_let_go(struct pool *pool, const struct pool_extent *extent)
{
	const uint64_t count = pool_holds(pool, extent);

	if (count)
		pool_set_holds(pool, extent, count - 1);
}

int pool_remove(struct pool *pool, const struct pool_extent *extent)
{
	const uint64_t commit = pool_commit_of(pool, extent->host, extent->entry);

	if (commit != pool_commit_word(extent->generation, POOL_PUBLISHED))
		return POOL_ABSENT;
	if (extent->host == pool->host)
		pool_commit(pool, extent->host, extent->entry, extent->generation,
			    POOL_CONDEMNED);
	else
		store_reference(pool, extent, WISH, pool_holds(pool, extent));
	return POOL_OK;
}

static int is_wished_away(struct pool *pool, const struct pool_extent *extent)
{
	for (uint32_t host = 0; host < pool->super.hosts; host++)
		if (reference_of(pool, host, extent) & WISH)
			return 1;
	return 0;
}

static int is_held(struct pool *pool, const struct pool_extent *extent)
{
	for (uint32_t host = 0; host < pool->super.hosts; host++)
		if (!(pool->dead_hosts >> host & 1) &&
		    reference_of(pool, host, extent) & COUNT_MASK)
			return 1;
	return 0;
}

uint32_t pool_collect(struct pool *pool)
{
	uint32_t freed = 0;

	for (uint32_t entry = 0; entry < pool->super.entries; entry++) {
		const uint64_t commit = pool_commit_of(pool, pool->host, entry);
		const struct pool_extent extent = {
			.host = pool->host,
			.entry = entry,
			.generation = pool_generation_of(commit),
		};
		enum pool_state state = pool_state_of(commit);

		if (state == POOL_PUBLISHED && is_wished_away(pool, &extent)) {
			pool_commit(pool, pool->host, entry, extent.generation, POOL_CONDEMNED);
			state = POOL_CONDEMNED;
		}
		if (state == POOL_CONDEMNED && !is_held(pool, &extent)) {
			pool_commit(pool, pool->host, entry, extent.generation, POOL_FREE);
			freed++;
		}
	}
	return freed;
}
