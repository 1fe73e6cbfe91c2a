/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts that share memory behind caches that do not know of each other.
 *
 * Each host has a cache of whole lines. A load is of the cached line, however old; a
 * store changes the cached line and nothing else, until the line is written back:
 * on demand, or because it is evicted, which may happen to any line at any time. A
 * line goes back whole, with whatever stale words it has beside the new one. Lines
 * also come in unasked, as by a prefetcher.
 *
 * Write-backs, invalidations and streamed stores are asked for and happen later, in
 * any order: by the next fence of their host at the latest. So they do on x86
 * processors with memory that is shared without coherence (CXL 2.0).
 *
 * All choices come from one seed: the same calls do the same.
 */
#ifndef IC_INCOHERENT_H
#define IC_INCOHERENT_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum ic_limits {
	IC_LINE_BYTES = 64,
	IC_HOSTS_MAX = 16,
};

struct ic_system;

/* How often things happen unasked, in 1/1000 of the accesses; a line leaves, and what was
 * asked for happens, on any of the hosts. */
struct ic_chances {
	uint32_t evict;		/* a cached line leaves */
	uint32_t prefetch;	/* a line beside the one accessed comes in */
	uint32_t settle;	/* something that was asked for happens */
};

/* NULL when out of memory, or where bytes is no multiple of a line or hosts is not
 * 1..IC_HOSTS_MAX. Memory begins as zeros, caches empty. */
struct ic_system *ic_create(uint64_t bytes, uint32_t hosts, struct ic_chances chances,
			    uint64_t seed);
void ic_destroy(struct ic_system *system);

/* Ranges lie within the memory. */
void ic_load(struct ic_system *system, uint32_t host, uint64_t at, void *into, uint64_t bytes);
void ic_store(struct ic_system *system, uint32_t host, uint64_t at, const void *from,
	      uint64_t bytes);
void ic_stream(struct ic_system *system, uint32_t host, uint64_t at, const void *from,
	       uint64_t bytes);
void ic_write_back(struct ic_system *system, uint32_t host, uint64_t at, uint64_t bytes);
void ic_invalidate(struct ic_system *system, uint32_t host, uint64_t at, uint64_t bytes);
void ic_fence(struct ic_system *system, uint32_t host);

/* The host loses power: what its cache and its buffers hold is gone, or was just
 * written back, line by line as chance has it. */
void ic_lose(struct ic_system *system, uint32_t host);

/* A number below `below`, from the system's own seed. */
uint32_t ic_draw(struct ic_system *system, uint32_t below);

/* The memory itself, as behind all caches. */
uint8_t *ic_memory(struct ic_system *system);

#endif
