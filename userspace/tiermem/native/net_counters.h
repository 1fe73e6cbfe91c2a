/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one side of a link has done; each reason for a drop by itself. */
#ifndef NET_COUNTERS_H
#define NET_COUNTERS_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

struct net_counters {
	uint64_t tx_frames, tx_bytes;	/* from instances; bytes with virtio_net_hdr */
	uint64_t tx_again;		/* of these frames: such that a silent backend had before */
	uint64_t rx_frames, rx_bytes;	/* to instances */
	uint64_t dropped_spoofed;	/* from an address that is not the instance's */
	uint64_t dropped_malformed;	/* too short, too long, tagged, offloads not understood */
	uint64_t dropped_no_room;	/* the peer does not take its frames */
	uint64_t dropped_waiting;	/* in the backend's socket: they came faster than were taken */
	uint64_t dropped_by_device;	/* the TAP or the NIC did not want it */
	uint64_t dropped_nobody;	/* for an instance that is not here, or no longer */
	uint64_t refused_messages;	/* of the peer: unknown, out of place, out of bounds */
};

#endif
