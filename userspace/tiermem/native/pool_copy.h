/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moving and checking bulk data: copies past the cache, CRC-32C, cache lines.
 *
 * Stores that go past the cache reach memory without the lines being read first
 * and without pushing anything out; nobody else may rely on them before a fence.
 */
#ifndef POOL_COPY_H
#define POOL_COPY_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

/* Copies with non-temporal stores. The ranges do not overlap; any alignment. */
void pool_copy_stream(void *to, const void *from, uint64_t bytes);

/* The same, and the checksum of what was copied; see pool_checksum. */
uint32_t pool_copy_checked(uint32_t checksum, void *to, const void *from, uint64_t bytes);

/* CRC-32C (RFC 3720, B.4) of data that begins with what `checksum` is of; 0: of nothing. */
uint32_t pool_checksum(uint32_t checksum, const void *from, uint64_t bytes);

/* Begins to write the lines of a range back (clwb, or what the processor has of it). */
void pool_copy_write_back(const void *at, uint64_t bytes);

/* Begins to drop the lines of a range (clflushopt or clflush). */
void pool_copy_invalidate(const void *at, uint64_t bytes);

/* Everything before is done before anything after (mfence). */
void pool_copy_fence(void);

#endif
