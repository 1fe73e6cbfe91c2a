/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a receiver takes messages. Inline, with what it does about its cache as
 * constants, so that the benchmark measures the ladder of ways with the same code
 * (channel_ladder.c); channel_receive is all of them.
 */
#ifndef CHANNEL_RECEIVE_H
#define CHANNEL_RECEIVE_H

#include "channel.h"
#include "host_memory.h"

enum channel_way {
	CHANNEL_PREFETCH = 1,		/* lines ahead of the one read */
	CHANNEL_DROP_CONSUMED = 2,	/* lines whose messages were all taken */
	CHANNEL_DROP_STALE = 4,		/* lines prefetched before they were written */
	CHANNEL_BYPASS = 8,		/* drop the line before each look at it */
	CHANNEL_ALL_WAYS = CHANNEL_PREFETCH | CHANNEL_DROP_CONSUMED | CHANNEL_DROP_STALE,
};

enum {
	CHANNEL_AHEAD_LINES = 32,
	/* The sender is told each time so much of the ring was taken. */
	CHANNEL_SHARE_TOLD = 8,
};

static inline uint64_t channel_slot_at(uint64_t message, uint32_t slots, uint32_t slot_bytes)
{
	return CHANNEL_RING_AT + (message & (slots - 1)) * slot_bytes;
}

static inline uint64_t channel_epoch(uint64_t message, uint32_t slots)
{
	return message & slots ? 0 : CHANNEL_EPOCH;
}

static inline void channel_tell_consumed(struct channel_receiver *receiver)
{
	host_store(receiver->memory, CHANNEL_CONSUMED_AT, receiver->next);
	host_write_back(receiver->memory, CHANNEL_CONSUMED_AT);
	receiver->acknowledged = receiver->next;
}

/* This host's cache has no new message in the slot of `next`: has the next look be one
 * at memory, there and where lines may have come in before they were written. */
static inline void channel_drop_stale(struct channel_receiver *receiver, uint32_t slot_bytes,
				      unsigned int ways)
{
	const uint32_t per_line = CHANNEL_LINE_BYTES / slot_bytes;
	const uint64_t first = receiver->next & ~(uint64_t)(per_line - 1);
	const uint64_t end = ways & CHANNEL_DROP_STALE && receiver->ahead > first ?
			     receiver->ahead : first + per_line;

	for (uint64_t slot = first; slot < end; slot += per_line)
		host_invalidate(receiver->memory,
				   channel_slot_at(slot, receiver->slots, slot_bytes));
	host_fence(receiver->memory);
	receiver->ahead = first + per_line;
	receiver->ahead_lines = 1;
	receiver->stale_looks++;
}

static inline void channel_prefetch_ahead(struct channel_receiver *receiver, uint32_t slot_bytes)
{
	const uint32_t per_line = CHANNEL_LINE_BYTES / slot_bytes;
	uint64_t end;

	/* What is prefetched before it is written must be dropped again. */
	if (receiver->ahead_lines < CHANNEL_AHEAD_LINES)
		receiver->ahead_lines *= 2;
	end = receiver->next + (uint64_t)receiver->ahead_lines * per_line;
	if (receiver->ahead < receiver->next)
		receiver->ahead = receiver->next;
	for (; receiver->ahead < end; receiver->ahead += per_line)
		host_prefetch(receiver->memory,
				 channel_slot_at(receiver->ahead, receiver->slots, slot_bytes));
}

static inline int channel_is_new(struct channel_receiver *receiver, uint64_t last_word)
{
	return (last_word & CHANNEL_EPOCH) == channel_epoch(receiver->next, receiver->slots);
}

static inline __attribute__((always_inline)) void
channel_end_line(struct channel_receiver *receiver, uint64_t at, const uint32_t slot_bytes,
		 const unsigned int ways)
{
	if (ways & CHANNEL_DROP_CONSUMED)
		host_invalidate(receiver->memory, at);
	if (receiver->next - receiver->acknowledged >= receiver->slots / CHANNEL_SHARE_TOLD)
		channel_tell_consumed(receiver);
	if (ways & CHANNEL_PREFETCH)
		channel_prefetch_ahead(receiver, slot_bytes);
}

static inline __attribute__((always_inline)) uint32_t
channel_take(struct channel_receiver *receiver, uint64_t *messages, uint32_t most,
	     const uint32_t slot_bytes, const unsigned int ways)
{
	const uint32_t words = slot_bytes / sizeof(uint64_t);
	const uint32_t per_line = CHANNEL_LINE_BYTES / slot_bytes;
	struct host_memory *const memory = receiver->memory;
	uint32_t taken = 0;

	for (; taken < most; taken++, messages += words) {
		const uint64_t at = channel_slot_at(receiver->next, receiver->slots, slot_bytes);
		const uint64_t last_at = at + (words - 1) * sizeof(uint64_t);
		uint64_t last;

		if (ways & CHANNEL_BYPASS)
			channel_drop_stale(receiver, slot_bytes, ways);
		last = host_load(memory, last_at);
		if (!(ways & CHANNEL_BYPASS) && !channel_is_new(receiver, last)) {
			/* Those that were taken do not wait for others, of which one more
			 * could come each time. */
			if (taken)
				break;
			channel_drop_stale(receiver, slot_bytes, ways);
			last = host_load(memory, last_at);
		}
		if (!channel_is_new(receiver, last))
			break;
		for (uint32_t word = 0; word < words - 1; word++)
			messages[word] = host_load(memory, at + word * sizeof(uint64_t));
		messages[words - 1] = last & ~CHANNEL_EPOCH;
		receiver->next++;
		if (!(receiver->next & (per_line - 1)))
			channel_end_line(receiver, at, slot_bytes, ways);
	}
	return taken;
}

#endif
