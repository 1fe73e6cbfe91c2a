/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What frontend and backend tell each other through a link's channels: 16 bytes.
 *
 *	word 0	a frame's place: offset in its ring, length << 32; or a MAC address
 *	word 1	kind, instance << 8; the other bits are 0, the top one is the channel's
 */
#ifndef NET_MESSAGE_H
#define NET_MESSAGE_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum net_kind {
	/* frontend to backend */
	NET_ADD = 1,		/* an instance, by its MAC address */
	NET_REMOVE = 2,		/* an instance, by its MAC address */
	NET_SEND = 3,		/* a TX frame of an instance */
	NET_RETURN = 4,		/* RX frames up to this one were taken */
	/* backend to frontend */
	NET_ADDED = 5,
	NET_REFUSED = 6,	/* that address cannot be an instance's */
	NET_FRAME = 7,		/* an RX frame for an instance, or for NET_EVERY_INSTANCE */
	NET_SENT = 8,		/* TX frames up to this one were taken */
};

enum { NET_EVERY_INSTANCE = 0xffff };

struct net_message {
	uint64_t place;
	uint64_t what;
};

struct net_meaning {
	uint32_t kind;		/* 0 where bits are set that must not be */
	uint32_t instance;
	uint32_t offset, length;	/* of a frame */
	uint64_t mac;			/* of an instance: its first byte on the wire is bits 40 to 47 */
};

struct net_message net_message_of_frame(enum net_kind kind, uint32_t instance, uint32_t offset,
					uint32_t length);
struct net_message net_message_of_instance(enum net_kind kind, uint32_t instance, uint64_t mac);
struct net_meaning net_message_read(struct net_message message);

#ifndef TIERMEM_CDEF
_Static_assert(sizeof(struct net_message) == 16, "a message is a slot of the channel");
#endif

#endif
