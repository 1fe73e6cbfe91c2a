/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Measures a channel between two threads, each on a processor of its own: messages a
 * second by each of the receiver's ways (the ladder of Oasis, SOSP 2025, fig. on
 * message channels), and one-way latency at a given load.
 */
#ifndef CHANNEL_LADDER_H
#define CHANNEL_LADDER_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum ladder_rung {
	LADDER_BYPASS,		/* the cache is bypassed: each message written back and read anew */
	LADDER_PREFETCH,	/* lines ahead are prefetched; only what is found stale is dropped */
	LADDER_DROP_CONSUMED,	/* and lines that were taken whole */
	LADDER_ALL,		/* and lines prefetched too early: the channel as it is */
	LADDER_RUNGS,
};

enum { LADDER_BUCKETS = 1 << 16 };	/* of LADDER_BUCKET_NS each; the last: that or more */
enum { LADDER_BUCKET_NS = 10 };

struct ladder_setup {
	void *memory;		/* channel_bytes of it, shared or not */
	uint32_t slots, slot_bytes;
	uint32_t sender_cpu, receiver_cpu;
	uint32_t batch;		/* messages the sender hands over at once, at most */
	double seconds;
	double rate;		/* messages a second; 0: as many as go through */
};

struct ladder_result {
	uint64_t messages;
	double seconds;
	uint64_t wrong;		/* messages that were not the ones sent, in order */
	uint64_t stale_looks;
	uint64_t latency[LADDER_BUCKETS];	/* messages by one-way latency, where there is a rate */
};

/* 0, or the errno of what could not be done (no such processor, no thread). */
int ladder_measure(const struct ladder_setup *setup, enum ladder_rung rung,
		   struct ladder_result *result);

#endif
