// SPDX-License-Identifier: GPL-2.0-or-later
#define POOL_SITE_BASE 20000
#include "pool_entries.h"

#include <stdlib.h>
#include <string.h>

#include "pool_copy.h"

#define FIELD(pool, host, entry, field) \
	(pool_entry_at(&(pool)->super, host, entry) + offsetof(struct pool_entry, field))

struct gap {
	uint64_t begin, end;
};

uint64_t pool_commit_of(struct pool *pool, uint32_t host, uint32_t entry)
{
	const uint64_t at = FIELD(pool, host, entry, commit);

	if (host != pool->host) {
		pool_invalidate(pool->memory, at, POOL_LINE_BYTES);
		pool_fence(pool->memory);
	}
	return pool_load(pool->memory, at);
}

void pool_commit(struct pool *pool, uint32_t host, uint32_t entry, uint64_t generation,
		 enum pool_state state)
{
	pool_store(pool->memory, FIELD(pool, host, entry, commit),
		   pool_commit_word(generation, state));
	pool_write_back(pool->memory, FIELD(pool, host, entry, commit), POOL_LINE_BYTES);
	pool_fence(pool->memory);
}

uint32_t pool_entry_sum(const struct pool_entry *entry, uint64_t generation)
{
	const uint64_t words[] = { generation,	  entry->offset, entry->bytes, entry->created_ns,
				   entry->checksum, entry->kind,	 entry->name_hash };

	return pool_checksum(pool_checksum(0, words, sizeof(words)), entry->name,
			     sizeof(entry->name));
}

static uint64_t hash_of(const char *name)
{
	return pool_checksum(0, name, strlen(name));
}

static int is_published(enum pool_state state)
{
	return state == POOL_PUBLISHED || state == POOL_CONDEMNED;
}

static int is_sound(const struct pool *pool, uint32_t host, const struct pool_entry *entry)
{
	const uint64_t share = pool->super.data_at + host * pool->super.share_bytes;
	const uint64_t end = share + pool->super.share_bytes;

	return entry->entry_checksum == pool_entry_sum(entry, pool_generation_of(entry->commit)) &&
	       entry->offset >= share && entry->offset <= end &&
	       entry->bytes <= end - entry->offset &&
	       entry->name[sizeof(entry->name) - 1] == '\0';
}

int pool_read_entry(struct pool *pool, uint32_t host, uint32_t entry, struct pool_entry *into)
{
	const uint64_t at = pool_entry_at(&pool->super, host, entry);
	const uint64_t commit = pool_commit_of(pool, host, entry);

	if (host != pool->host) {
		pool_invalidate(pool->memory, at, sizeof(*into));
		pool_fence(pool->memory);
	}
	pool_read(pool->memory, at, into, sizeof(*into));
	/* What was read may be of two lives of the entry, unless it was one and the same all along. */
	if (pool_commit_of(pool, host, entry) != commit || into->commit != commit)
		return POOL_CONTENDED;
	if (is_published(pool_state_of(commit)) && !is_sound(pool, host, into))
		return POOL_DAMAGED;
	return POOL_OK;
}

/* --- space --- */

static int by_begin(const void *left, const void *right)
{
	const struct gap *a = left, *b = right;

	return (a->begin > b->begin) - (a->begin < b->begin);
}

static uint64_t aligned(uint64_t offset, uint64_t bytes)
{
	const uint64_t to = bytes >= POOL_LARGE_BYTES ? POOL_LARGE_BYTES : POOL_PAGE_BYTES;

	return (offset + to - 1) & ~(to - 1);
}

/* The first place in our share where `bytes` fit between what is taken; 0: nowhere. */
static uint64_t first_fit(const struct pool *pool, const struct gap *taken, uint32_t count,
			  uint64_t bytes)
{
	const uint64_t share = pool->super.data_at + pool->host * pool->super.share_bytes;
	const uint64_t end = share + pool->super.share_bytes;
	uint64_t from = aligned(share, bytes);

	for (uint32_t i = 0; i < count; i++) {
		if (taken[i].begin >= from && taken[i].begin - from >= bytes)
			return from;
		if (taken[i].end > from)
			from = aligned(taken[i].end, bytes);
	}
	return from <= end && end - from >= bytes ? from : 0;
}

static int find_space(struct pool *pool, uint64_t bytes, uint32_t *free_entry, uint64_t *offset)
{
	const uint32_t entries = pool->super.entries;
	struct gap *taken = malloc(entries * sizeof(*taken));
	uint32_t count = 0;

	if (!taken)
		return POOL_NO_MEMORY;
	*free_entry = entries;
	for (uint32_t entry = entries; entry-- > 0;) {
		const uint64_t commit = pool_commit_of(pool, pool->host, entry);

		if (pool_state_of(commit) == POOL_FREE) {
			*free_entry = entry;
			continue;
		}
		taken[count].begin = pool_load(pool->memory, FIELD(pool, pool->host, entry, offset));
		taken[count].end = aligned(
			taken[count].begin +
				pool_load(pool->memory, FIELD(pool, pool->host, entry, bytes)),
			POOL_PAGE_BYTES);
		count++;
	}
	qsort(taken, count, sizeof(*taken), by_begin);
	*offset = first_fit(pool, taken, count, bytes);
	free(taken);
	if (*free_entry == entries)
		return POOL_NO_ENTRY;
	return *offset ? POOL_OK : POOL_NO_SPACE;
}

int pool_reserve(struct pool *pool, uint64_t bytes, uint64_t holder, struct pool_extent *extent,
		 uint64_t *offset)
{
	uint32_t entry;
	int result;

	if (!bytes || bytes > pool->super.share_bytes)
		return POOL_NO_SPACE;
	result = find_space(pool, (bytes + POOL_PAGE_BYTES - 1) & ~(uint64_t)(POOL_PAGE_BYTES - 1),
			    &entry, offset);
	if (result != POOL_OK)
		return result;
	extent->host = pool->host;
	extent->entry = entry;
	extent->generation = pool_generation_of(pool_commit_of(pool, pool->host, entry)) + 1;
	pool_store(pool->memory, FIELD(pool, pool->host, entry, offset), *offset);
	pool_store(pool->memory, FIELD(pool, pool->host, entry, bytes), bytes);
	pool_store(pool->memory, FIELD(pool, pool->host, entry, holder), holder);
	pool_commit(pool, pool->host, entry, extent->generation, POOL_RESERVED);
	return POOL_OK;
}

/* --- names --- */

static int is_ours(struct pool *pool, const struct pool_extent *extent, enum pool_state state)
{
	return extent->host == pool->host && extent->entry < pool->super.entries &&
	       pool_commit_of(pool, extent->host, extent->entry) ==
		       pool_commit_word(extent->generation, state);
}

int pool_claim(struct pool *pool, const struct pool_extent *extent, const char *name,
	       uint32_t checksum, uint64_t kind, uint64_t created_ns)
{
	const uint64_t at = pool_entry_at(&pool->super, extent->host, extent->entry);
	struct pool_entry entry;

	if (!is_ours(pool, extent, POOL_RESERVED))
		return POOL_ABSENT;
	pool_read(pool->memory, at, &entry, sizeof(entry));
	memset(entry.name, 0, sizeof(entry.name));
	strncpy(entry.name, name, sizeof(entry.name) - 1);
	entry.name_hash = hash_of(entry.name);
	entry.checksum = checksum;
	entry.kind = kind;
	entry.created_ns = created_ns;
	entry.entry_checksum = pool_entry_sum(&entry, extent->generation);
	/* All but the first word. Until the fence of the commit, others may see that and not
	 * these: an intent whose checksum does not fit claims nothing yet. */
	pool_stream(pool->memory, at + sizeof(entry.commit),
		    (const uint8_t *)&entry + sizeof(entry.commit),
		    sizeof(entry) - sizeof(entry.commit));
	pool_commit(pool, extent->host, extent->entry, extent->generation, POOL_INTENT);
	return POOL_OK;
}

/* Whether an entry claims or has the name whose hash is given; its state. */
static int has_name(struct pool *pool, uint32_t host, uint32_t entry, const char *name,
		    uint64_t hash, enum pool_state *state)
{
	const uint64_t at = pool_entry_at(&pool->super, host, entry);
	const uint64_t commit = pool_commit_of(pool, host, entry);
	struct pool_entry theirs;

	*state = pool_state_of(commit);
	if (*state != POOL_INTENT && *state != POOL_PUBLISHED)
		return 0;
	if (pool_load(pool->memory, FIELD(pool, host, entry, name_hash)) != hash)
		return 0;
	if (host != pool->host) {
		pool_invalidate(pool->memory, at, sizeof(theirs));
		pool_fence(pool->memory);
	}
	pool_read(pool->memory, at, &theirs, sizeof(theirs));
	if (*state == POOL_INTENT &&
	    theirs.entry_checksum != pool_entry_sum(&theirs, pool_generation_of(commit)))
		return 0;
	theirs.name[sizeof(theirs.name) - 1] = '\0';
	return strcmp(theirs.name, name) == 0;
}

/* How another's entry stands in the way of ours. */
static int settle_with(struct pool *pool, const struct pool_extent *ours, uint32_t host,
		       uint32_t entry, const char *name, uint64_t hash)
{
	const int is_before = host < ours->host || (host == ours->host && entry < ours->entry);
	enum pool_state state;

	if (host == ours->host && entry == ours->entry)
		return POOL_OK;
	if (!has_name(pool, host, entry, name, hash, &state))
		return POOL_OK;
	if (state == POOL_PUBLISHED)
		return POOL_EXISTS;
	if (pool->dead_hosts >> host & 1)
		return POOL_OK;
	return is_before ? POOL_EXISTS : POOL_CONTENDED;
}

int pool_settle(struct pool *pool, const struct pool_extent *extent)
{
	char name[POOL_NAME_BYTES];
	int result = POOL_OK;
	uint64_t hash;

	if (!is_ours(pool, extent, POOL_INTENT))
		return POOL_ABSENT;
	pool_read(pool->memory, FIELD(pool, extent->host, extent->entry, name), name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	hash = hash_of(name);
	for (uint32_t host = 0; host < pool->super.hosts && result != POOL_EXISTS; host++) {
		for (uint32_t entry = 0; entry < pool->super.entries; entry++) {
			const int found = settle_with(pool, extent, host, entry, name, hash);

			if (found == POOL_EXISTS) {
				result = found;
				break;
			}
			if (found != POOL_OK)
				result = found;
		}
	}
	if (result == POOL_OK)
		pool_commit(pool, extent->host, extent->entry, extent->generation, POOL_PUBLISHED);
	if (result == POOL_EXISTS)
		pool_commit(pool, extent->host, extent->entry, extent->generation, POOL_RESERVED);
	return result;
}

int pool_withdraw(struct pool *pool, const struct pool_extent *extent)
{
	if (!is_ours(pool, extent, POOL_RESERVED) && !is_ours(pool, extent, POOL_INTENT))
		return POOL_ABSENT;
	pool_commit(pool, extent->host, extent->entry, extent->generation, POOL_FREE);
	return POOL_OK;
}

int pool_find(struct pool *pool, const char *name, struct pool_extent *extent,
	      struct pool_entry *entry)
{
	const uint64_t hash = hash_of(name);
	enum pool_state state;
	int result;

	for (uint32_t host = 0; host < pool->super.hosts; host++) {
		for (uint32_t at = 0; at < pool->super.entries; at++) {
			if (!has_name(pool, host, at, name, hash, &state) ||
			    state != POOL_PUBLISHED)
				continue;
			result = pool_read_entry(pool, host, at, entry);
			extent->host = host;
			extent->entry = at;
			extent->generation = pool_generation_of(entry->commit);
			if (result == POOL_DAMAGED)
				return result;
			if (result == POOL_OK &&
			    pool_state_of(entry->commit) == POOL_PUBLISHED &&
			    strcmp(entry->name, name) == 0)
				return POOL_OK;
			/* Removed while we looked. */
		}
	}
	return POOL_ABSENT;
}
