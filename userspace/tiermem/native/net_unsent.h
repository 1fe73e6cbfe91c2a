/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TX frames that a backend was given and has not said to have sent. When it falls silent
 * they are what is lost with it, unless they are given to the next one: instances whose
 * transport waits long before it sends again go on at once.
 */
#ifndef NET_UNSENT_H
#define NET_UNSENT_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>

#include "net_ring.h"
#endif

enum net_unsent_limits {
	NET_UNSENT_MAX = 8192,		/* of more frames the oldest are forgotten */
	NET_UNSENT_HEAD_BYTES = 4,	/* before each frame that is copied: its length */
};

struct net_unsent_frame {
	uint32_t offset, length;	/* in the TX ring */
	uint32_t instance;
};

struct net_unsent {
	struct net_unsent_frame frames[NET_UNSENT_MAX];
	uint64_t head, tail;		/* so many were ever added, and forgotten */
};

void net_unsent_add(struct net_unsent *unsent, struct net_unsent_frame frame);
/* Those that the ring does not hold any more. */
void net_unsent_forget(struct net_unsent *unsent, const struct net_ring *ring);
/* The frames of one instance, oldest first, each behind its length, as many as there is room
 * for; how many bytes that is. `into` NULL: how many there are. */
size_t net_unsent_copy(const struct net_unsent *unsent, const struct net_ring *ring,
		       uint32_t instance, uint8_t *into, size_t room);

#endif
