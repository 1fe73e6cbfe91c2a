// SPDX-License-Identifier: GPL-2.0-or-later
#include "channel.h"

#include "host_memory.h"
#include "channel_receive.h"

uint64_t channel_bytes(uint32_t slots, uint32_t slot_bytes)
{
	if (slots < CHANNEL_SLOTS_MIN || slots > CHANNEL_SLOTS_MAX || slots & (slots - 1))
		return 0;
	if (slot_bytes != CHANNEL_SMALL_BYTES && slot_bytes != CHANNEL_LARGE_BYTES)
		return 0;
	return CHANNEL_RING_AT + (uint64_t)slots * slot_bytes;
}

static void clear_line(struct host_memory *memory, uint64_t at)
{
	for (uint64_t word = 0; word < CHANNEL_LINE_BYTES; word += sizeof(uint64_t))
		host_store(memory, at + word, 0);
}

void channel_format(struct host_memory *memory, uint32_t slots, uint32_t slot_bytes,
		    uint64_t generation)
{
	const uint64_t bytes = channel_bytes(slots, slot_bytes);

	for (uint64_t at = CHANNEL_LINE_BYTES; at < bytes; at += CHANNEL_LINE_BYTES) {
		clear_line(memory, at);
		host_write_back(memory, at);
	}
	/* Whoever sees the header sees an empty ring. */
	host_fence(memory);
	host_store(memory, 0, CHANNEL_MAGIC);
	host_store(memory, 8, CHANNEL_VERSION | (uint64_t)slot_bytes << 32);
	host_store(memory, 16, slots);
	/* Last: until then it is the channel that was here before, if any. */
	host_store(memory, 24, generation);
	host_write_back(memory, 0);
	host_fence(memory);
}

static int read_header(struct host_memory *memory, uint64_t bytes, uint64_t generation,
		       struct channel_header *header)
{
	uint64_t word;

	host_invalidate(memory, 0);
	host_fence(memory);
	header->generation = host_load(memory, 24);
	header->magic = host_load(memory, 0);
	word = host_load(memory, 8);
	header->version = (uint32_t)word;
	header->slot_bytes = word >> 32;
	header->slots = (uint32_t)host_load(memory, 16);
	if (header->magic != CHANNEL_MAGIC || header->version != CHANNEL_VERSION ||
	    header->generation != generation)
		return CHANNEL_NOT_THERE;
	word = channel_bytes(header->slots, header->slot_bytes);
	return word && word <= bytes ? CHANNEL_OK : CHANNEL_NOT_THERE;
}

/* Reads the header, and forgets whatever was cached of a channel that was here before. */
static int open_end(struct host_memory *memory, uint64_t bytes, uint64_t generation,
		    uint32_t *slots, uint32_t *slot_bytes)
{
	struct channel_header header;
	const int result = read_header(memory, bytes, generation, &header);

	if (result != CHANNEL_OK)
		return result;
	bytes = channel_bytes(header.slots, header.slot_bytes);
	for (uint64_t at = CHANNEL_LINE_BYTES; at < bytes; at += CHANNEL_LINE_BYTES)
		host_invalidate(memory, at);
	host_fence(memory);
	*slots = header.slots;
	*slot_bytes = header.slot_bytes;
	return CHANNEL_OK;
}

int channel_open_sender(struct channel_sender *sender, struct host_memory *memory,
			uint64_t bytes, uint64_t generation)
{
	*sender = (struct channel_sender){ .memory = memory };
	return open_end(memory, bytes, generation, &sender->slots, &sender->slot_bytes);
}

int channel_open_receiver(struct channel_receiver *receiver, struct host_memory *memory,
			  uint64_t bytes, uint64_t generation)
{
	*receiver = (struct channel_receiver){ .memory = memory, .ahead_lines = 1 };
	return open_end(memory, bytes, generation, &receiver->slots, &receiver->slot_bytes);
}

/* --- sending --- */

static uint32_t room(struct channel_sender *sender, uint32_t wanted)
{
	const uint32_t slots = sender->slots;
	uint64_t consumed;

	if (slots - (sender->next - sender->consumed) < wanted) {
		host_invalidate(sender->memory, CHANNEL_CONSUMED_AT);
		host_fence(sender->memory);
		consumed = host_load(sender->memory, CHANNEL_CONSUMED_AT);
		/* More than was sent, or less than was said before: of no honest receiver. */
		if (sender->next - consumed <= sender->next - sender->consumed)
			sender->consumed = consumed;
		else
			sender->refused++;
	}
	return slots - (uint32_t)(sender->next - sender->consumed);
}

uint32_t channel_room(struct channel_sender *sender)
{
	return room(sender, 1);
}

static inline __attribute__((always_inline)) void
put(struct channel_sender *sender, const uint64_t *messages, uint32_t count,
    const uint32_t slot_bytes)
{
	const uint32_t words = slot_bytes / sizeof(uint64_t);
	const uint32_t per_line = CHANNEL_LINE_BYTES / slot_bytes;
	struct host_memory *const memory = sender->memory;

	for (uint32_t i = 0; i < count; i++, messages += words) {
		const uint64_t at = channel_slot_at(sender->next, sender->slots, slot_bytes);
		const uint64_t epoch = channel_epoch(sender->next, sender->slots);

		for (uint32_t word = 0; word < words - 1; word++)
			host_store(memory, at + word * sizeof(uint64_t), messages[word]);
		/* Last: the line may leave this cache at any moment. */
		host_store(memory, at + (words - 1) * sizeof(uint64_t),
			      (messages[words - 1] & ~CHANNEL_EPOCH) | epoch);
		sender->next++;
		sender->unflushed_at = at;
		if (!(sender->next & (per_line - 1))) {
			host_write_back(memory, at);
			sender->unflushed_at = 0;
		}
	}
}

uint32_t channel_send(struct channel_sender *sender, const uint64_t *messages, uint32_t count)
{
	const uint32_t there_is = room(sender, count);

	if (count > there_is)
		count = there_is;
	if (sender->slot_bytes == CHANNEL_SMALL_BYTES)
		put(sender, messages, count, CHANNEL_SMALL_BYTES);
	else
		put(sender, messages, count, CHANNEL_LARGE_BYTES);
	return count;
}

void channel_flush(struct channel_sender *sender)
{
	if (sender->unflushed_at)
		host_write_back(sender->memory, sender->unflushed_at);
	sender->unflushed_at = 0;
	host_fence(sender->memory);
}

/* --- receiving --- */

uint32_t channel_receive(struct channel_receiver *receiver, uint64_t *messages, uint32_t most)
{
	if (receiver->slot_bytes == CHANNEL_SMALL_BYTES)
		return channel_take(receiver, messages, most, CHANNEL_SMALL_BYTES,
				    CHANNEL_ALL_WAYS);
	return channel_take(receiver, messages, most, CHANNEL_LARGE_BYTES, CHANNEL_ALL_WAYS);
}

void channel_acknowledge(struct channel_receiver *receiver)
{
	channel_tell_consumed(receiver);
	host_fence(receiver->memory);
}
