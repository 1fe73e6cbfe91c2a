/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only ways in which the pool's code touches the pool.
 *
 * Compiled as it is, they are the processor's instructions on a mapping. With
 * POOL_MODEL defined, the same calls go to the model of hosts whose caches are not
 * coherent (fpga_models/hosts/incoherent.h), where tests drop one write-back or
 * invalidation at a time, interrupt the code at any of them, and kill it there.
 *
 *	store		into this host's cache; others see it when it is written back,
 *			which may happen by chance at any time before
 *	write_back	begins to write lines back (clwb)
 *	invalidate	begins to drop lines, so that the next load is of memory
 *			(clflushopt)
 *	fence		waits until both have happened, and for stream's stores; nothing
 *			after it happens before it (mfence: later loads too)
 *	stream		copies bulk data in past the cache (non-temporal stores)
 */
#ifndef POOL_MEMORY_H
#define POOL_MEMORY_H

#include <stdint.h>
#include <string.h>

#include "pool_layout.h"

#ifdef POOL_MODEL

struct pool_memory;

uint64_t pool_load(struct pool_memory *memory, uint64_t at);
void pool_store(struct pool_memory *memory, uint64_t at, uint64_t value);
void pool_read(struct pool_memory *memory, uint64_t at, void *into, uint64_t bytes);
void pool_stream(struct pool_memory *memory, uint64_t at, const void *from, uint64_t bytes);
void pool_write_back_site(struct pool_memory *memory, uint64_t at, uint64_t bytes, int site);
void pool_invalidate_site(struct pool_memory *memory, uint64_t at, uint64_t bytes, int site);
void pool_fence_site(struct pool_memory *memory, int site);

#define POOL_SITE (POOL_SITE_BASE + __LINE__)
#define pool_write_back(memory, at, bytes) pool_write_back_site(memory, at, bytes, POOL_SITE)
#define pool_invalidate(memory, at, bytes) pool_invalidate_site(memory, at, bytes, POOL_SITE)
#define pool_fence(memory) pool_fence_site(memory, POOL_SITE)

#else

#include <immintrin.h>

#include "pool_copy.h"

struct pool_memory {
	uint8_t *base;
};

static inline uint64_t pool_load(struct pool_memory *memory, uint64_t at)
{
	return *(volatile const uint64_t *)(memory->base + at);
}

static inline void pool_store(struct pool_memory *memory, uint64_t at, uint64_t value)
{
	*(volatile uint64_t *)(memory->base + at) = value;
}

static inline void pool_read(struct pool_memory *memory, uint64_t at, void *into, uint64_t bytes)
{
	memcpy(into, memory->base + at, bytes);
}

static inline void pool_stream(struct pool_memory *memory, uint64_t at, const void *from,
			       uint64_t bytes)
{
	pool_copy_stream(memory->base + at, from, bytes);
}

static inline void pool_write_back(struct pool_memory *memory, uint64_t at, uint64_t bytes)
{
	pool_copy_write_back(memory->base + at, bytes);
}

static inline void pool_invalidate(struct pool_memory *memory, uint64_t at, uint64_t bytes)
{
	pool_copy_invalidate(memory->base + at, bytes);
}

static inline void pool_fence(struct pool_memory *memory)
{
	(void)memory;
	_mm_mfence();
}

#endif

#endif
