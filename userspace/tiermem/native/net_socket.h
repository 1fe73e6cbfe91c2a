/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A link's socket on the backend's NIC: it sends frames of the link's instances, and
 * receives what is for them and for everybody. Which frames those are the kernel sees,
 * by a filter, before it copies anything.
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stdint.h>

/* A raw, non-blocking socket with offloads (PACKET_VNET_HDR) on that NIC of this network
 * namespace, which receives nothing yet; -1 with errno. */
int net_socket_open(uint32_t nic_index);

/* Has it receive frames for `macs` and, where there are any, those for everybody. */
int net_socket_receive_for(int socket, const uint64_t *macs, uint32_t count);

/* Has the NIC let frames for that address through, or not any longer. */
int net_socket_join(int socket, uint32_t nic_index, uint64_t mac);
int net_socket_leave(int socket, uint32_t nic_index, uint64_t mac);

/* How many frames the kernel dropped since the last call, for lack of room. */
uint32_t net_socket_dropped(int socket);

#endif
