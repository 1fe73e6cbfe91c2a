/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel as it lies in memory that two hosts share without coherence: a ring of
 * messages from one sender to one receiver (Oasis, SOSP 2025).
 *
 *	line 0		struct channel_header, written once, by whoever makes the channel
 *	CONSUMED_AT	how many messages the receiver has taken; its own word
 *	RING_AT		the slots, of 16 or 64 bytes; the sender's own words
 *
 * The last word of a message holds the epoch in its top bit: 1 in the first lap of
 * the ring, 0 in the second, and so on. It is stored last, and a line travels whole,
 * so a message whose epoch is the lap's is all there.
 */
#ifndef CHANNEL_LAYOUT_H
#define CHANNEL_LAYOUT_H

#ifndef TIERMEM_CDEF

#include <stddef.h>
#include <stdint.h>
#endif

enum channel_limits {
	CHANNEL_LINE_BYTES = 64,
	CHANNEL_CONSUMED_AT = 256,	/* no prefetcher takes it for the header's neighbour */
	CHANNEL_RING_AT = 4096,
	CHANNEL_SLOTS = 8192,		/* as many as Oasis has */
	CHANNEL_SLOTS_MIN = 8,
	CHANNEL_SLOTS_MAX = 1 << 20,
	CHANNEL_SMALL_BYTES = 16,
	CHANNEL_LARGE_BYTES = 64,
	CHANNEL_VERSION = 1,
};

struct channel_header {
	uint64_t magic;
	uint32_t version;
	uint32_t slot_bytes;
	uint32_t slots;			/* a power of two */
	uint32_t reserved;
	uint64_t generation;		/* grows each time the channel is made anew */
};

#ifndef TIERMEM_CDEF
#define CHANNEL_MAGIC 0x6c6e6e6863747274ULL	/* "trtchnnl" */
#define CHANNEL_EPOCH (1ULL << 63)

_Static_assert(sizeof(struct channel_header) == 32, "the layout is shared by hosts");
_Static_assert(offsetof(struct channel_header, generation) == 24, "the layout is shared by hosts");
_Static_assert(sizeof(struct channel_header) <= CHANNEL_LINE_BYTES, "the header is one line");
#endif

#endif
