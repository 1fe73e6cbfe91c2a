/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is looked at in a frame: its head, a copy in local memory, since the memory it
 * came from may be changed by another host meanwhile.
 */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum net_frame_limits {
	NET_OFFLOAD_BYTES = 10,		/* struct virtio_net_hdr */
	NET_ETHERNET_BYTES = 14,
	NET_FRAME_BYTES_MIN = NET_OFFLOAD_BYTES + NET_ETHERNET_BYTES,
	NET_HEAD_BYTES = NET_OFFLOAD_BYTES + 42,	/* up to the end of an ARP message */
};

enum net_verdict {
	NET_FRAME_GOOD,
	NET_FRAME_MALFORMED,	/* too short, tagged, or with offloads that would change its head */
	NET_FRAME_SPOOFED,	/* from an address that is not the sender's, also within ARP */
};

/* Whether an instance with that address may send it; `bytes`: of the head, as much of
 * NET_HEAD_BYTES as the frame has. */
enum net_verdict net_frame_check(const uint8_t *head, size_t bytes, uint64_t mac);

/* Addresses of a head of at least NET_FRAME_BYTES_MIN. */
uint64_t net_frame_destination(const uint8_t *head);
uint64_t net_frame_source(const uint8_t *head);

/* Broadcast too. */
int net_mac_is_multicast(uint64_t mac);
/* Given by an administrator, not by a maker; as all instances' must be, so that none can
 * have a real device's. */
int net_mac_is_local(uint64_t mac);

#endif
