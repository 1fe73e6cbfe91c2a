/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of any length in a ring of bytes that one host writes and another reads.
 *
 * The writer keeps the state, in its own memory. The reader knows nothing but the
 * frames it is told of, and tells which one it took last: with that one all before it
 * are free again. A frame lies in one piece, at a multiple of a cache line.
 */
#ifndef NET_RING_H
#define NET_RING_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

struct net_ring {
	uint8_t *base;
	uint64_t bytes;
	uint64_t head;		/* bytes ever used; the next frame is put there */
	uint64_t tail;		/* bytes ever free again */
};

/* Where the next frame goes, NET_FRAME_BYTES_MAX of it; NULL while there is no room. */
uint8_t *net_ring_room(const struct net_ring *ring);

/* A frame of `length` bytes was put there; its offset. */
uint32_t net_ring_put(struct net_ring *ring, uint32_t length);

/* The reader has taken the frame of that place; -1 where no frame can be there. */
int net_ring_free(struct net_ring *ring, uint32_t offset, uint32_t length);

/* Whether a frame that was put there is not free yet. */
int net_ring_holds(const struct net_ring *ring, uint32_t offset);

#endif
