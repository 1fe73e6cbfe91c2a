/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only ways in which a row's code touches shared memory.
 *
 * Compiled as it is, they are the processor's instructions. With ROW_MODEL defined, the
 * same calls go to the model of hosts whose caches are not coherent (row_model.h), where
 * tests leave one write-back, invalidation or fence out at a time. `at` counts from the
 * begin of the memory; what they mean is as for channels (channel_memory.h).
 */
#ifndef ROW_MEMORY_H
#define ROW_MEMORY_H

#include <stdint.h>

#ifdef ROW_MODEL

struct row_memory;

uint64_t row_load(struct row_memory *memory, uint64_t at);
void row_store(struct row_memory *memory, uint64_t at, uint64_t value);
void row_write_back_at(struct row_memory *memory, uint64_t at, int site, const char *in);
void row_invalidate_at(struct row_memory *memory, uint64_t at, int site, const char *in);
void row_fence_at(struct row_memory *memory, int site, const char *in);

/* A site is a place in the source, by its number and its function's name. */
#define row_write_back(memory, at) row_write_back_at(memory, at, __COUNTER__, __func__)
#define row_invalidate(memory, at) row_invalidate_at(memory, at, __COUNTER__, __func__)
#define row_fence(memory) row_fence_at(memory, __COUNTER__, __func__)

#else

#include <immintrin.h>

#include "line_instructions.h"

struct row_memory {
	uint8_t *base;
};

static inline uint64_t row_load(struct row_memory *memory, uint64_t at)
{
	return *(volatile const uint64_t *)(memory->base + at);
}

static inline void row_store(struct row_memory *memory, uint64_t at, uint64_t value)
{
	*(volatile uint64_t *)(memory->base + at) = value;
}

static inline void row_write_back(struct row_memory *memory, uint64_t at)
{
	line_write_back(memory->base + at);
}

static inline void row_invalidate(struct row_memory *memory, uint64_t at)
{
	line_invalidate(memory->base + at);
}

static inline void row_fence(struct row_memory *memory)
{
	(void)memory;
	_mm_mfence();
}

#endif

#endif
