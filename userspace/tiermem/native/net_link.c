// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_link.h"

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + NET_LINK_ALIGN - 1) & ~(uint64_t)(NET_LINK_ALIGN - 1);
}

static int is_ring(uint64_t bytes)
{
	return bytes >= NET_RING_BYTES_MIN && bytes <= NET_RING_BYTES_MAX &&
	       bytes % NET_LINK_ALIGN == 0;
}

uint64_t net_link_bytes(uint32_t slots, uint64_t tx_bytes, uint64_t rx_bytes)
{
	const uint64_t channel = channel_bytes(slots, CHANNEL_SMALL_BYTES);

	if (!channel || !is_ring(tx_bytes) || !is_ring(rx_bytes))
		return 0;
	return NET_LINK_REQUESTS_AT + 2 * aligned(channel) + tx_bytes + rx_bytes;
}

static void place(struct net_link *link, uint8_t *base, const struct net_link_header *header)
{
	const uint64_t channel = aligned(channel_bytes(header->slots, CHANNEL_SMALL_BYTES));

	link->channel_bytes = channel;
	link->whole.base = base;
	link->requests.base = base + NET_LINK_REQUESTS_AT;
	link->events.base = link->requests.base + channel;
	link->tx = link->events.base + channel;
	link->rx = link->tx + header->tx_bytes;
	link->tx_bytes = header->tx_bytes;
	link->rx_bytes = header->rx_bytes;
}

int net_link_format(void *base, uint32_t slots, uint64_t tx_bytes, uint64_t rx_bytes,
		    uint64_t generation)
{
	const struct net_link_header header = {
		.magic = NET_LINK_MAGIC, .version = NET_LINK_VERSION, .slots = slots,
		.tx_bytes = tx_bytes, .rx_bytes = rx_bytes, .generation = generation,
	};
	struct host_memory whole = { .base = base };
	struct net_link link;

	if (!net_link_bytes(slots, tx_bytes, rx_bytes))
		return -1;
	place(&link, base, &header);
	channel_format(&link.requests, slots, CHANNEL_SMALL_BYTES, generation);
	channel_format(&link.events, slots, CHANNEL_SMALL_BYTES, generation);
	host_store(&whole, NET_LINK_PULSE_AT, 0);
	host_store(&whole, NET_LINK_PULSE_AT + 8, 0);
	host_write_back(&whole, NET_LINK_PULSE_AT);
	host_store(&whole, 0, header.magic);
	host_store(&whole, 8, header.version | (uint64_t)slots << 32);
	host_store(&whole, 16, tx_bytes);
	host_store(&whole, 24, rx_bytes);
	/* Last: until then it is the link that was here before, if any. */
	host_store(&whole, 32, generation);
	host_write_back(&whole, 0);
	host_fence(&whole);
	return 0;
}

int net_link_open(struct net_link *link, void *base, uint64_t bytes, uint64_t generation)
{
	struct host_memory whole = { .base = base };
	struct net_link_header header;
	uint64_t needed, word;

	if (bytes < sizeof(header))
		return -1;
	host_invalidate(&whole, 0);
	host_fence(&whole);
	header.generation = host_load(&whole, 32);
	header.magic = host_load(&whole, 0);
	word = host_load(&whole, 8);
	header.version = (uint32_t)word;
	header.slots = word >> 32;
	header.tx_bytes = host_load(&whole, 16);
	header.rx_bytes = host_load(&whole, 24);
	if (header.magic != NET_LINK_MAGIC || header.version != NET_LINK_VERSION ||
	    header.generation != generation)
		return -1;
	needed = net_link_bytes(header.slots, header.tx_bytes, header.rx_bytes);
	if (!needed || needed > bytes)
		return -1;
	place(link, base, &header);
	return 0;
}
