// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_frame.h"

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <string.h>

/* From the begin of the Ethernet frame. */
enum {
	SOURCE_AT = 6,
	TYPE_AT = 12,
	ARP_SENDER_AT = 22,
	ARP_BYTES = 42,
	/* Behind the smallest network header, that of IPv4. */
	CHECKSUM_AT_LEAST = NET_ETHERNET_BYTES + 20,
};

_Static_assert(sizeof(struct virtio_net_hdr) == NET_OFFLOAD_BYTES, "as the kernel has it");
_Static_assert(NET_HEAD_BYTES == NET_OFFLOAD_BYTES + ARP_BYTES, "ARP is seen whole");

static uint64_t mac_at(const uint8_t *at)
{
	uint64_t mac = 0;

	for (int i = 0; i < ETH_ALEN; i++)
		mac = mac << 8 | at[i];
	return mac;
}

uint64_t net_frame_destination(const uint8_t *head)
{
	return mac_at(head + NET_OFFLOAD_BYTES);
}

uint64_t net_frame_source(const uint8_t *head)
{
	return mac_at(head + NET_OFFLOAD_BYTES + SOURCE_AT);
}

int net_mac_is_multicast(uint64_t mac)
{
	return mac >> 40 & 1;
}

int net_mac_is_local(uint64_t mac)
{
	return mac >> 40 & 2 && !net_mac_is_multicast(mac);
}

/* The kernel writes the checksum where it is told to, also into addresses. */
static int changes_head(const struct virtio_net_hdr *offload)
{
	return offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	       offload->csum_start < CHECKSUM_AT_LEAST;
}

enum net_verdict net_frame_check(const uint8_t *head, size_t bytes, uint64_t mac)
{
	const uint8_t *const frame = head + NET_OFFLOAD_BYTES;
	struct virtio_net_hdr offload;
	uint16_t type;

	if (bytes < NET_FRAME_BYTES_MIN)
		return NET_FRAME_MALFORMED;
	if (mac_at(frame + SOURCE_AT) != mac)
		return NET_FRAME_SPOOFED;
	memcpy(&offload, head, sizeof(offload));
	type = (uint16_t)(frame[TYPE_AT] << 8 | frame[TYPE_AT + 1]);
	if (changes_head(&offload) || type == ETH_P_8021Q || type == ETH_P_8021AD)
		return NET_FRAME_MALFORMED;
	if (type != ETH_P_ARP && type != ETH_P_RARP)
		return NET_FRAME_GOOD;
	if (bytes < NET_HEAD_BYTES || offload.flags || offload.gso_type)
		return NET_FRAME_MALFORMED;
	return mac_at(frame + ARP_SENDER_AT) == mac ? NET_FRAME_GOOD : NET_FRAME_SPOOFED;
}
