// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_link.h"

enum {
	/* Of frames that wait in the kernel for the link's thread, or for the NIC. */
	WAITING_BYTES = 8 << 20,
	FILTER_HEAD = 6,
	FILTER_EACH = 5,
	FILTER_MAX = FILTER_HEAD + FILTER_EACH * NET_INSTANCES + 1,
};

#define TAKE BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)
#define DROP BPF_STMT(BPF_RET | BPF_K, 0)

static int set(int socket, int level, int option, const void *value, socklen_t bytes)
{
	return setsockopt(socket, level, option, value, bytes);
}

static int prepare(int socket, uint32_t nic_index)
{
	const int on = 1, bytes = WAITING_BYTES;
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)nic_index,
	};

	/* Before it is bound, so that nothing comes that is not wanted. What this host sends,
	 * other links' frames too, does not come back. */
	if (net_socket_receive_for(socket, NULL, 0) < 0 ||
	    set(socket, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
	    set(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
	    set(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    set(socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		return -1;
	return bind(socket, (const struct sockaddr *)&address, sizeof(address));
}

int net_socket_open(uint32_t nic_index)
{
	const int opened = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (opened >= 0 && prepare(opened, nic_index) < 0) {
		const int error = errno;

		close(opened);
		errno = error;
		return -1;
	}
	return opened;
}

int net_socket_receive_for(int socket, const uint64_t *macs, uint32_t count)
{
	struct sock_filter filter[FILTER_MAX];
	struct sock_fprog program = { .filter = filter };
	uint16_t end = 0;

	if (count) {
		const struct sock_filter head[FILTER_HEAD] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
				 (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
			DROP,
			BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
			/* Multicast or broadcast. */
			BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
			TAKE,
		};

		for (; end < FILTER_HEAD; end++)
			filter[end] = head[end];
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct sock_filter one[FILTER_EACH] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(macs[i] >> 16), 0, 3),
			BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint16_t)macs[i], 0, 1),
			TAKE,
		};

		for (int j = 0; j < FILTER_EACH; j++)
			filter[end++] = one[j];
	}
	filter[end++] = (struct sock_filter)DROP;
	program.len = end;
	return set(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int membership(int socket, uint32_t nic_index, uint64_t mac, int option)
{
	struct packet_mreq request = {
		.mr_ifindex = (int)nic_index,
		.mr_type = PACKET_MR_UNICAST,
		.mr_alen = ETH_ALEN,
	};

	for (int i = 0; i < ETH_ALEN; i++)
		request.mr_address[i] = (uint8_t)(mac >> (8 * (ETH_ALEN - 1 - i)));
	return set(socket, SOL_PACKET, option, &request, sizeof(request));
}

int net_socket_join(int socket, uint32_t nic_index, uint64_t mac)
{
	return membership(socket, nic_index, mac, PACKET_ADD_MEMBERSHIP);
}

int net_socket_leave(int socket, uint32_t nic_index, uint64_t mac)
{
	return membership(socket, nic_index, mac, PACKET_DROP_MEMBERSHIP);
}

uint32_t net_socket_dropped(int socket)
{
	struct tpacket_stats counts = { 0 };
	socklen_t bytes = sizeof(counts);

	getsockopt(socket, SOL_PACKET, PACKET_STATISTICS, &counts, &bytes);
	return counts.tp_drops;
}
