/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only ways in which a channel's code touches shared memory.
 *
 * Compiled as it is, they are the processor's instructions. With CHANNEL_MODEL
 * defined, the same calls go to the model of hosts whose caches are not coherent
 * (channel_model.h), where tests leave one write-back, invalidation or fence out at a
 * time. `at` counts from the channel's begin.
 *
 *	store		into this host's cache
 *	write_back	begins to write a line back (clwb)
 *	invalidate	begins to drop a line, so that the next load is of memory
 *	prefetch	brings a line in, some time
 *	fence		waits until the write-backs and invalidations have happened;
 *			nothing after it happens before it (mfence: loads too)
 */
#ifndef CHANNEL_MEMORY_H
#define CHANNEL_MEMORY_H

#include <stdint.h>

#include "channel_layout.h"

#ifdef CHANNEL_MODEL

struct channel_memory;

uint64_t channel_load(struct channel_memory *memory, uint64_t at);
void channel_store(struct channel_memory *memory, uint64_t at, uint64_t value);
void channel_prefetch(struct channel_memory *memory, uint64_t at);
void channel_write_back_at(struct channel_memory *memory, uint64_t at, int site, const char *in);
void channel_invalidate_at(struct channel_memory *memory, uint64_t at, int site, const char *in);
void channel_fence_at(struct channel_memory *memory, int site, const char *in);

/* A site is a place in the source, by its number and its function's name. */
#define channel_write_back(memory, at) channel_write_back_at(memory, at, __COUNTER__, __func__)
#define channel_invalidate(memory, at) channel_invalidate_at(memory, at, __COUNTER__, __func__)
#define channel_fence(memory) channel_fence_at(memory, __COUNTER__, __func__)

#else

#include <immintrin.h>

#include "line_instructions.h"

struct channel_memory {
	uint8_t *base;
};

static inline uint64_t channel_load(struct channel_memory *memory, uint64_t at)
{
	return *(volatile const uint64_t *)(memory->base + at);
}

static inline void channel_store(struct channel_memory *memory, uint64_t at, uint64_t value)
{
	*(volatile uint64_t *)(memory->base + at) = value;
}

static inline void channel_prefetch(struct channel_memory *memory, uint64_t at)
{
	_mm_prefetch((const char *)memory->base + at, _MM_HINT_T0);
}

static inline void channel_write_back(struct channel_memory *memory, uint64_t at)
{
	line_write_back(memory->base + at);
}

static inline void channel_invalidate(struct channel_memory *memory, uint64_t at)
{
	line_invalidate(memory->base + at);
}

static inline void channel_fence(struct channel_memory *memory)
{
	(void)memory;
	_mm_mfence();
}

#endif

#endif
