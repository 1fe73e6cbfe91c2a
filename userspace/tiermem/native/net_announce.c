// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_announce.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <string.h>

enum { OP_REVERSE_REQUEST = 3, IPV4_BYTES = 4 };

struct announcement {
	uint8_t offloads[NET_OFFLOAD_BYTES];
	struct ethhdr ethernet;
	struct arphdr arp;
	uint8_t sender[ETH_ALEN];
	uint8_t sender_address[IPV4_BYTES];
	uint8_t target[ETH_ALEN];
	uint8_t target_address[IPV4_BYTES];
} __attribute__((packed));

_Static_assert(sizeof(struct announcement) <= NET_ANNOUNCE_BYTES, "and zeros up to 60 bytes");

static void put_mac(uint8_t at[ETH_ALEN], uint64_t mac)
{
	for (int i = 0; i < ETH_ALEN; i++)
		at[i] = (uint8_t)(mac >> (8 * (ETH_ALEN - 1 - i)));
}

void net_announce_frame(uint8_t frame[NET_ANNOUNCE_BYTES], uint64_t mac)
{
	struct announcement made = {
		.ethernet = { .h_proto = htons(ETH_P_RARP) },
		.arp = {
			.ar_hrd = htons(ARPHRD_ETHER),
			.ar_pro = htons(ETH_P_IP),
			.ar_hln = ETH_ALEN,
			.ar_pln = IPV4_BYTES,
			.ar_op = htons(OP_REVERSE_REQUEST),
		},
	};

	memset(made.ethernet.h_dest, 0xff, ETH_ALEN);
	put_mac(made.ethernet.h_source, mac);
	put_mac(made.sender, mac);
	put_mac(made.target, mac);
	memset(frame, 0, NET_ANNOUNCE_BYTES);
	memcpy(frame, &made, sizeof(made));
}
