/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the pool's own sources share: entries' words, written and read in the one right way. */
#ifndef POOL_ENTRIES_H
#define POOL_ENTRIES_H

#include "pool.h"
#include "pool_memory.h"

#define POOL_STATE_MASK 0xffULL
#define POOL_STATE_BITS 8

static inline uint64_t pool_commit_word(uint64_t generation, enum pool_state state)
{
	return generation << POOL_STATE_BITS | state;
}

static inline enum pool_state pool_state_of(uint64_t commit)
{
	return (enum pool_state)(commit & POOL_STATE_MASK);
}

static inline uint64_t pool_generation_of(uint64_t commit)
{
	return commit >> POOL_STATE_BITS;
}

/* The commit word of an entry: of our own from the cache, of others' from memory. */
uint64_t pool_commit_of(struct pool *pool, uint32_t host, uint32_t entry);

/* Commits a state of an entry in `host`'s area; on return all hosts can see it. */
void pool_commit(struct pool *pool, uint32_t host, uint32_t entry, uint64_t generation,
		 enum pool_state state);

/* Zeros past the cache, with the next fence. */
void pool_stream_zeros(struct pool_memory *memory, uint64_t at, uint64_t end);

/* pool_forget for each area that this host holds. */
void pool_forget_held_areas(struct pool *pool);

/* CRC-32C of what an entry says for good. */
uint32_t pool_entry_sum(const struct pool_entry *entry, uint64_t generation);

#endif
