/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only ways in which the code of channels and of rows touches shared memory.
 *
 * Compiled as it is, they are the processor's instructions. With HOST_MODEL defined, the
 * same calls go to the model of hosts whose caches are not coherent (channel_model.c,
 * row_model.c), where tests leave one write-back, invalidation or fence out at a time.
 * `at` counts from the begin of the memory.
 *
 *	store		into this host's cache
 *	write_back	begins to write a line back (clwb)
 *	invalidate	begins to drop a line, so that the next load is of memory
 *	prefetch	brings a line in, some time
 *	fence		waits until the write-backs and invalidations have happened;
 *			nothing after it happens before it (mfence: loads too)
 */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include <stdint.h>

#ifdef HOST_MODEL

struct host_memory;

uint64_t host_load(struct host_memory *memory, uint64_t at);
void host_store(struct host_memory *memory, uint64_t at, uint64_t value);
void host_prefetch(struct host_memory *memory, uint64_t at);
void host_write_back_at(struct host_memory *memory, uint64_t at, int site, const char *in);
void host_invalidate_at(struct host_memory *memory, uint64_t at, int site, const char *in);
void host_fence_at(struct host_memory *memory, int site, const char *in);

/* A site is a place in the source, by its number and its function's name. */
#define host_write_back(memory, at) host_write_back_at(memory, at, __COUNTER__, __func__)
#define host_invalidate(memory, at) host_invalidate_at(memory, at, __COUNTER__, __func__)
#define host_fence(memory) host_fence_at(memory, __COUNTER__, __func__)

#else

#include <immintrin.h>

#include "line_instructions.h"

struct host_memory {
	uint8_t *base;
};

static inline uint64_t host_load(struct host_memory *memory, uint64_t at)
{
	return *(volatile const uint64_t *)(memory->base + at);
}

static inline void host_store(struct host_memory *memory, uint64_t at, uint64_t value)
{
	*(volatile uint64_t *)(memory->base + at) = value;
}

static inline void host_prefetch(struct host_memory *memory, uint64_t at)
{
	_mm_prefetch((const char *)memory->base + at, _MM_HINT_T0);
}

static inline void host_write_back(struct host_memory *memory, uint64_t at)
{
	line_write_back(memory->base + at);
}

static inline void host_invalidate(struct host_memory *memory, uint64_t at)
{
	line_invalidate(memory->base + at);
}

static inline void host_fence(struct host_memory *memory)
{
	(void)memory;
	_mm_mfence();
}

#endif

#endif
