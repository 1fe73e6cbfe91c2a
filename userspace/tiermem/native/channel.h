/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ends of a channel (channel_layout.h). One sender and one receiver, each used by
 * one thread. Nothing here waits: what cannot be done now is said so.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "channel_layout.h"
#endif

struct host_memory;

enum channel_result {
	CHANNEL_OK = 0,
	CHANNEL_NOT_THERE = -1,	/* not one at all, or not of this generation */
};

struct channel_sender {
	struct host_memory *memory;
	uint32_t slots, slot_bytes;
	uint64_t next;		/* messages sent so far */
	uint64_t consumed;	/* as last read: the receiver may be further */
	uint64_t unflushed_at;	/* the line being filled, 0: none */
	uint64_t refused;	/* counts of the receiver that cannot be right */
};

struct channel_receiver {
	struct host_memory *memory;
	uint32_t slots, slot_bytes;
	uint64_t next;		/* messages taken so far */
	uint64_t acknowledged;	/* what the sender was told of that */
	uint64_t ahead;		/* the first slot whose line was not prefetched */
	uint32_t ahead_lines;	/* how far to prefetch: further, the longer there is more */
	uint64_t stale_looks;	/* how often a line had to be read anew */
};

/* slots: a power of two within the limits; slot_bytes: 16 or 64. 0 where not allowed. */
uint64_t channel_bytes(uint32_t slots, uint32_t slot_bytes);

/* Makes an empty channel; neither end may be open, not even of one that was there before. */
void channel_format(struct host_memory *memory, uint32_t slots, uint32_t slot_bytes,
		    uint64_t generation);

/* The channel of that generation, once it has been made; `bytes`: how much of the memory
 * there is for it. */
int channel_open_sender(struct channel_sender *sender, struct host_memory *memory,
			uint64_t bytes, uint64_t generation);
int channel_open_receiver(struct channel_receiver *receiver, struct host_memory *memory,
			  uint64_t bytes, uint64_t generation);

/* How many messages can be sent now: 0, or at least as many as the receiver told of. */
uint32_t channel_room(struct channel_sender *sender);

/*
 * Sends as many of `count` messages as there is room for; returns how many. The top
 * bit of a message's last word is the channel's. Full lines are on their way at once,
 * the rest with the next flush.
 */
uint32_t channel_send(struct channel_sender *sender, const uint64_t *messages, uint32_t count);

/* All that was sent is in memory when this returns. */
void channel_flush(struct channel_sender *sender);

/* Takes up to `most` messages; returns how many, 0 where none was flushed before the call.
 * There may be more: those that are there do not wait while others come. The top bit of
 * their last words is 0. */
uint32_t channel_receive(struct channel_receiver *receiver, uint64_t *messages, uint32_t most);

/* Tells the sender now how much was taken, for when nothing more is taken for long. */
void channel_acknowledge(struct channel_receiver *receiver);

#endif
