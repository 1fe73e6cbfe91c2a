// SPDX-License-Identifier: GPL-2.0-or-later
#include "storage_link.h"

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + STORAGE_LINK_ALIGN - 1) & ~(uint64_t)(STORAGE_LINK_ALIGN - 1);
}

/* Twice as many as there are tags: what was taken is told late (an eighth of the ring),
 * and a channel is never full for a peer that keeps to its tags. */
static uint32_t slots_for(uint32_t tags)
{
	uint32_t slots = CHANNEL_SLOTS_MIN;

	while (slots < 2 * tags)
		slots *= 2;
	return slots;
}

static uint64_t room_of_channel(uint32_t tags)
{
	return aligned(channel_bytes(slots_for(tags), CHANNEL_LARGE_BYTES));
}

static int is_allowed(uint32_t tags, uint32_t block_bytes, uint32_t buffer_bytes)
{
	return tags >= 1 && tags <= STORAGE_TAGS_MAX && block_bytes >= STORAGE_BLOCK_BYTES_MIN &&
	       block_bytes <= STORAGE_BLOCK_BYTES_MAX && !(block_bytes & (block_bytes - 1)) &&
	       buffer_bytes && buffer_bytes <= STORAGE_BUFFER_BYTES_MAX &&
	       buffer_bytes % STORAGE_LINK_ALIGN == 0;
}

uint64_t storage_link_bytes(uint32_t tags, uint32_t block_bytes, uint32_t buffer_bytes)
{
	if (!is_allowed(tags, block_bytes, buffer_bytes))
		return 0;
	return STORAGE_LINK_COMMANDS_AT + 2 * room_of_channel(tags) + (uint64_t)tags * buffer_bytes;
}

static void place(struct storage_link *link, uint8_t *base,
		  const struct storage_link_header *header)
{
	const uint64_t channel = room_of_channel(header->tags);

	*link = (struct storage_link){
		.commands.base = base + STORAGE_LINK_COMMANDS_AT,
		.completions.base = base + STORAGE_LINK_COMMANDS_AT + channel,
		.channel_bytes = channel,
		.buffers = base + STORAGE_LINK_COMMANDS_AT + 2 * channel,
		.buffers_bytes = (uint64_t)header->tags * header->buffer_bytes,
		.tags = header->tags,
		.block_bytes = header->block_bytes,
		.buffer_bytes = header->buffer_bytes,
		.generation = header->generation,
	};
}

int storage_link_format(void *base, uint32_t tags, uint32_t block_bytes, uint32_t buffer_bytes,
			uint64_t generation)
{
	const struct storage_link_header header = {
		.magic = STORAGE_LINK_MAGIC, .version = STORAGE_LINK_VERSION, .tags = tags,
		.block_bytes = block_bytes, .buffer_bytes = buffer_bytes,
		.generation = generation,
	};
	struct host_memory whole = { .base = base };
	struct storage_link link;

	if (!is_allowed(tags, block_bytes, buffer_bytes))
		return -1;
	place(&link, base, &header);
	channel_format(&link.commands, slots_for(tags), CHANNEL_LARGE_BYTES, generation);
	channel_format(&link.completions, slots_for(tags), CHANNEL_LARGE_BYTES, generation);
	host_store(&whole, 0, header.magic);
	host_store(&whole, 8, header.version | (uint64_t)tags << 32);
	host_store(&whole, 16, block_bytes | (uint64_t)buffer_bytes << 32);
	/* Last: until then it is the link that was here before, if any. */
	host_store(&whole, 24, generation);
	host_write_back(&whole, 0);
	host_fence(&whole);
	return 0;
}

int storage_link_open(struct storage_link *link, void *base, uint64_t bytes, uint64_t generation)
{
	struct host_memory whole = { .base = base };
	struct storage_link_header header;
	uint64_t needed, word;

	if (bytes < sizeof(header))
		return -1;
	host_invalidate(&whole, 0);
	host_fence(&whole);
	header.generation = host_load(&whole, 24);
	header.magic = host_load(&whole, 0);
	word = host_load(&whole, 8);
	header.version = (uint32_t)word;
	header.tags = word >> 32;
	word = host_load(&whole, 16);
	header.block_bytes = (uint32_t)word;
	header.buffer_bytes = word >> 32;
	if (header.magic != STORAGE_LINK_MAGIC || header.version != STORAGE_LINK_VERSION ||
	    header.generation != generation)
		return -1;
	needed = storage_link_bytes(header.tags, header.block_bytes, header.buffer_bytes);
	if (!needed || needed > bytes)
		return -1;
	place(link, base, &header);
	return 0;
}
