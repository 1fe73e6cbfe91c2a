// SPDX-License-Identifier: GPL-2.0-or-later
#define POOL_SITE_BASE 10000
#include "pool.h"

#include <string.h>

#include "pool_copy.h"
#include "pool_entries.h"

static uint32_t super_sum(const struct pool_super *super)
{
	struct pool_super copy = *super;

	copy.checksum = 0;
	return pool_checksum(0, &copy, sizeof(copy));
}

static uint64_t up_to(uint64_t value, uint64_t multiple)
{
	return (value + multiple - 1) / multiple * multiple;
}

int pool_plan(struct pool_super *super)
{
	super->magic = POOL_MAGIC;
	super->version = POOL_VERSION;
	super->area_at = POOL_PAGE_BYTES;
	super->area_bytes = pool_area_bytes(super->hosts, super->entries);
	super->data_at = up_to(super->area_at + super->hosts * super->area_bytes,
			       POOL_LARGE_BYTES);
	if (super->data_at >= super->bytes)
		return POOL_NO_SPACE;
	super->share_bytes = (super->bytes - super->data_at) / super->hosts / POOL_LARGE_BYTES *
			     POOL_LARGE_BYTES;
	super->checksum = super_sum(super);
	return super->share_bytes ? POOL_OK : POOL_NO_SPACE;
}

static void store_magic(struct pool_memory *memory, uint64_t magic)
{
	pool_store(memory, 0, magic);
	pool_write_back(memory, 0, sizeof(magic));
	pool_fence(memory);
}

void pool_format(struct pool_memory *memory, const struct pool_super *super)
{
	/* A pool that was here must not be found while it is half overwritten. */
	store_magic(memory, 0);
	pool_stream_zeros(memory, super->area_at, super->area_at + super->hosts * super->area_bytes);
	pool_stream(memory, sizeof(super->magic), (const uint8_t *)super + sizeof(super->magic),
		    sizeof(*super) - sizeof(super->magic));
	pool_fence(memory);
	store_magic(memory, super->magic);
}

int pool_attach(struct pool *pool, struct pool_memory *memory, uint32_t host)
{
	struct pool_super *super = &pool->super;

	memset(pool, 0, sizeof(*pool));
	pool->memory = memory;
	pool->host = host;
	pool_invalidate(memory, 0, sizeof(*super));
	pool_fence(memory);
	pool_read(memory, 0, super, sizeof(*super));
	if (super->magic != POOL_MAGIC)
		return POOL_NOT_A_POOL;
	if (super->version != POOL_VERSION)
		return POOL_OTHER_VERSION;
	return super->checksum == super_sum(super) ? POOL_OK : POOL_DAMAGED;
}

void pool_read_host(struct pool *pool, uint32_t host, struct pool_host *into)
{
	const uint64_t at = pool_area(&pool->super, host);

	if (host != pool->host) {
		pool_invalidate(pool->memory, at, sizeof(*into));
		pool_fence(pool->memory);
	}
	pool_read(pool->memory, at, into, sizeof(*into));
	into->name[sizeof(into->name) - 1] = '\0';
}

static uint64_t host_word(const struct pool *pool, size_t field)
{
	return pool_area(&pool->super, pool->host) + field;
}

static void store_host_word(struct pool *pool, size_t field, uint64_t value)
{
	pool_store(pool->memory, host_word(pool, field), value);
	pool_write_back(pool->memory, host_word(pool, field), sizeof(value));
	pool_fence(pool->memory);
}

void pool_beat(struct pool *pool, uint64_t heartbeat)
{
	store_host_word(pool, offsetof(struct pool_host, heartbeat), heartbeat);
}

static void store_name(struct pool *pool, const char *name)
{
	char words[POOL_HOST_NAME_BYTES] = { 0 };
	const uint64_t at = host_word(pool, offsetof(struct pool_host, name));

	strncpy(words, name, sizeof(words) - 1);
	pool_stream(pool->memory, at, words, sizeof(words));
}

/* Frees what a host had begun and not published. */
static void drop_unfinished(struct pool *pool, uint32_t host)
{
	for (uint32_t entry = 0; entry < pool->super.entries; entry++) {
		const uint64_t commit = pool_commit_of(pool, host, entry);
		const enum pool_state state = pool_state_of(commit);

		if (state == POOL_RESERVED || state == POOL_INTENT)
			pool_commit(pool, host, entry, pool_generation_of(commit), POOL_FREE);
	}
}

static void drop_references(struct pool *pool)
{
	const uint64_t begin = pool_reference_at(&pool->super, pool->host, 0, 0);
	const uint64_t end = pool_reference_at(&pool->super, pool->host, pool->super.hosts, 0);

	pool_stream_zeros(pool->memory, begin, end);
	pool_fence(pool->memory);
}

static int is_adopted(struct pool *pool)
{
	for (uint32_t host = 0; host < pool->super.hosts; host++) {
		struct pool_host other;

		if (host == pool->host || pool->dead_hosts >> host & 1)
			continue;
		pool_read_host(pool, host, &other);
		if (other.adopts == pool->host + 1)
			return 1;
	}
	return 0;
}

int pool_begin(struct pool *pool, const char *name)
{
	const uint64_t area = pool_area(&pool->super, pool->host);

	store_host_word(pool, offsetof(struct pool_host, incarnation),
			pool_load(pool->memory,
				  host_word(pool, offsetof(struct pool_host, incarnation))) + 1);
	if (is_adopted(pool))
		return POOL_HELD;
	/* Another host may have written here while we were dead, and our caches may be warm.
	 * The fence of the next store is this one's too. */
	pool_invalidate(pool->memory, area, pool->super.area_bytes);
	store_host_word(pool, offsetof(struct pool_host, adopts), 0);
	store_name(pool, name);
	drop_unfinished(pool, pool->host);
	/* While they are held nobody else has the space: the last moment for what was stored. */
	pool_forget_held_areas(pool);
	drop_references(pool);
	return POOL_OK;
}

uint32_t pool_adopt(struct pool *pool, uint32_t dead)
{
	const uint32_t ours = pool->host;
	struct pool_host before, after;
	uint32_t freed = 0;

	pool_read_host(pool, dead, &before);
	store_host_word(pool, offsetof(struct pool_host, adopts), dead + 1);
	pool_read_host(pool, dead, &after);
	/* One that comes back writes its incarnation, then looks who adopts: one of us sees. */
	if (after.incarnation == before.incarnation && after.heartbeat == before.heartbeat) {
		pool_invalidate(pool->memory, pool_area(&pool->super, dead),
				pool->super.area_bytes);
		pool_fence(pool->memory);
		pool->host = dead;
		drop_unfinished(pool, dead);
		freed = pool_collect(pool);
		pool->host = ours;
	}
	store_host_word(pool, offsetof(struct pool_host, adopts), 0);
	return freed;
}
