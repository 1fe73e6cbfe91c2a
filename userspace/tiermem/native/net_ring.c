// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_ring.h"

#include "net_link.h"

static uint64_t lines(uint64_t length)
{
	return (length + CHANNEL_LINE_BYTES - 1) & ~(uint64_t)(CHANNEL_LINE_BYTES - 1);
}

/* Where the next frame begins: at the head, or in the next lap where the rest is short. */
static uint64_t begin(const struct net_ring *ring)
{
	const uint64_t rest = ring->bytes - ring->head % ring->bytes;

	return rest < NET_FRAME_BYTES_MAX ? ring->head + rest : ring->head;
}

uint8_t *net_ring_room(const struct net_ring *ring)
{
	const uint64_t at = begin(ring);

	if (at + NET_FRAME_BYTES_MAX - ring->tail > ring->bytes)
		return NULL;
	return ring->base + at % ring->bytes;
}

uint32_t net_ring_put(struct net_ring *ring, uint32_t length)
{
	const uint64_t at = begin(ring);

	ring->head = at + lines(length);
	return (uint32_t)(at % ring->bytes);
}

/* Where the place of that offset is now, or will be: bytes after the tail. */
static uint64_t after_tail(const struct net_ring *ring, uint32_t offset)
{
	return (offset + ring->bytes - ring->tail % ring->bytes) % ring->bytes;
}

int net_ring_holds(const struct net_ring *ring, uint32_t offset)
{
	return after_tail(ring, offset) < ring->head - ring->tail;
}

int net_ring_free(struct net_ring *ring, uint32_t offset, uint32_t length)
{
	uint64_t at;

	if (offset >= ring->bytes || offset % CHANNEL_LINE_BYTES || !length)
		return -1;
	at = ring->tail + after_tail(ring, offset);
	if (at + lines(length) > ring->head)
		return -1;
	ring->tail = at + lines(length);
	return 0;
}
