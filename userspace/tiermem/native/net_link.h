/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A link of the net engine: what a frontend (the host of instances) and a backend (the
 * host of a NIC) share, in memory without coherence across hosts.
 *
 *	line 0		struct net_link_header, written once, by whoever makes the link
 *	PULSE_AT	struct net_link_pulse, the backend's (net_pulse.h)
 *	REQUESTS_AT	the channel from frontend to backend
 *	then		the channel from backend to frontend
 *	then		TX frames, a ring (net_ring.h); the frontend's own words
 *	then		RX frames, a ring; the backend's own words
 *
 * The parts begin at multiples of NET_LINK_ALIGN. A frame is a virtio_net_hdr, then
 * the frame as Ethernet has it, without tag and checksum.
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "host_memory.h"
#endif

enum net_link_limits {
	NET_LINK_VERSION = 2,
	NET_LINK_ALIGN = 4096,
	NET_LINK_PULSE_AT = 1024,
	NET_LINK_REQUESTS_AT = 4096,
	NET_FRAME_BYTES_MAX = 68 << 10,	/* 64 KiB of segments to be cut, and their headers */
	NET_RING_BYTES_MIN = 4 * NET_FRAME_BYTES_MAX,
	NET_RING_BYTES_MAX = 1 << 30,	/* offsets have 32 bits */
	NET_INSTANCES = 64,		/* of a link */
};

struct net_link_header {
	uint64_t magic;
	uint32_t version;
	uint32_t slots;			/* of each channel */
	uint64_t tx_bytes;		/* of the ring of TX frames */
	uint64_t rx_bytes;
	uint64_t generation;		/* another each time the link is made anew */
};

/* bytes of all of it; 0 where not allowed (slots as of a channel, rings of whole pages). */
uint64_t net_link_bytes(uint32_t slots, uint64_t tx_bytes, uint64_t rx_bytes);

/* Makes an empty link; no end may be open. -1 where the numbers are not allowed. */
int net_link_format(void *base, uint32_t slots, uint64_t tx_bytes, uint64_t rx_bytes,
		    uint64_t generation);

struct net_link_pulse {
	uint64_t beats;			/* another number each time the backend says that it lives */
	uint64_t nic_is_down;
};

#ifndef TIERMEM_CDEF
#define NET_LINK_MAGIC 0x6b6e696c74656e74ULL	/* "tnetlink" */

_Static_assert(sizeof(struct net_link_header) == 40, "the layout is shared by hosts");
_Static_assert(offsetof(struct net_link_header, tx_bytes) == 16, "the layout is shared by hosts");
_Static_assert(offsetof(struct net_link_header, generation) == 32, "the layout is shared by hosts");

/* Where the parts lie in this process. */
struct net_link {
	struct host_memory whole, requests, events;
	uint64_t channel_bytes;		/* of each */
	uint8_t *tx, *rx;
	uint64_t tx_bytes, rx_bytes;
};

/* The link of that generation, `bytes` of memory at most; -1 where it is not there. */
int net_link_open(struct net_link *link, void *base, uint64_t bytes, uint64_t generation);
#endif

#endif
