// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_message.h"

#define MAC_BITS 48
#define WHAT_BITS 24

static uint64_t what(enum net_kind kind, uint32_t instance)
{
	return (uint64_t)kind | (uint64_t)(uint16_t)instance << 8;
}

struct net_message net_message_of_frame(enum net_kind kind, uint32_t instance, uint32_t offset,
					uint32_t length)
{
	return (struct net_message){ offset | (uint64_t)length << 32, what(kind, instance) };
}

struct net_message net_message_of_instance(enum net_kind kind, uint32_t instance, uint64_t mac)
{
	return (struct net_message){ mac, what(kind, instance) };
}

struct net_meaning net_message_read(struct net_message message)
{
	struct net_meaning meaning = {
		.kind = message.what & 0xff,
		.instance = message.what >> 8 & 0xffff,
	};
	const int is_instance = meaning.kind == NET_ADD || meaning.kind == NET_REMOVE ||
				meaning.kind == NET_ADDED || meaning.kind == NET_REFUSED;

	if (message.what >> WHAT_BITS || (is_instance && message.place >> MAC_BITS)) {
		meaning.kind = 0;
	} else if (is_instance) {
		meaning.mac = message.place;
	} else {
		meaning.offset = (uint32_t)message.place;
		meaning.length = message.place >> 32;
	}
	return meaning;
}
