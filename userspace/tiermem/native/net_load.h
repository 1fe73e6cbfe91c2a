/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load on sockets, for bench/net_load.py: loops of system calls and readings of the clock,
 * so that what is measured is the network and not who measures it. The sockets block.
 */
#ifndef NET_LOAD_H
#define NET_LOAD_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum net_load_limits {
	NET_LOAD_BYTES_MIN = 8,		/* of a UDP message: its number */
	NET_LOAD_BYTES_MAX = 1 << 16,
};

/* Each of these returns 0 or an errno. */

/* Sends `count` messages of `bytes` on a connected UDP socket, each gap_ns after the answer
 * to the one before; latencies_ns: how long each took. EAGAIN: no answer within the socket's
 * SO_RCVTIMEO. EBADMSG: another one than what was sent. */
int net_load_ask(int socket, uint32_t bytes, uint32_t count, uint64_t gap_ns,
		 uint32_t *latencies_ns);
/* Sends back whatever comes, until the socket fails. */
int net_load_echo(int socket);

/* A NIC of this host's own behind a TAP: frames from one to the other and back, with nothing
 * between them, never asleep, until one fails. mac: of the TAP. */
int net_load_relay(int tap, uint32_t nic_index, uint64_t mac);

/* TCP: as much as goes through for that long; all that comes until the other side ends, and
 * the time from the first byte to the last. */
int net_load_flood(int socket, double seconds);
int net_load_sink(int socket, uint64_t *bytes, double *seconds);

#endif
