/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling the switches of a network behind which port an address is now. */
#ifndef NET_ANNOUNCE_H
#define NET_ANNOUNCE_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "net_frame.h"
#endif

enum { NET_ANNOUNCE_BYTES = NET_OFFLOAD_BYTES + 60 };

/*
 * The frame that says it, for everybody: a request of RARP (RFC 903), as hypervisors send
 * for a machine that they have moved. It needs no IP address, which does not change.
 */
void net_announce_frame(uint8_t frame[NET_ANNOUNCE_BYTES], uint64_t mac);

#endif
