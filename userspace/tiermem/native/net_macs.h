/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose a MAC address is, among all instances behind one backend. */
#ifndef NET_MACS_H
#define NET_MACS_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum net_macs_limits {
	NET_LINKS = 16,		/* of a backend */
	NET_MACS_MAX = 1024,	/* as many as all links may have instances */
	NET_MACS_SLOTS = 2048,	/* a power of two */
};

struct net_owner {
	uint64_t mac;		/* 0: nobody's slot */
	uint32_t link, instance;
};

struct net_macs {
	uint32_t count;
	struct net_owner slots[NET_MACS_SLOTS];
};

/* -1 where somebody has it, where there is no room, or where it is 0. */
int net_macs_add(struct net_macs *macs, struct net_owner owner);

/* NULL where it is nobody's; until the next change. */
const struct net_owner *net_macs_find(const struct net_macs *macs, uint64_t mac);

/* -1 where it is nobody's. */
int net_macs_remove(struct net_macs *macs, uint64_t mac);

#endif
