/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The backend's end of one link, and what all of them share; within the backend. */
#ifndef NET_BACKEND_LINK_H
#define NET_BACKEND_LINK_H

#include <poll.h>
#include <stdint.h>

#include "net_backend.h"
#include "net_inbox.h"
#include "net_link.h"
#include "net_membership.h"
#include "net_outbox.h"
#include "net_pulse.h"
#include "net_ring.h"

struct net_backend_link {
	int is_open;
	uint32_t number;
	struct net_link link;
	struct net_inbox requests;
	struct net_outbox events;
	struct net_ring rx;
	struct net_message owed;	/* up to where TX frames were taken; kind 0: told */
	int socket;
	int nic_is_full;		/* the next frame waits until it is not */
	uint64_t macs[NET_INSTANCES];	/* 0: no such instance */
	struct net_counters counters;
};

struct net_backend {
	struct net_thread thread;
	uint32_t nic_index;
	uint64_t nic_mac;
	uint64_t beats, said_ns;	/* see net_pulse.h */
	int nic_is_down;
	struct net_macs macs;
	struct net_membership membership;
	uint32_t used;			/* so many of these have ever been open */
	struct net_backend_link links[NET_LINKS];
	struct pollfd sockets[NET_LINKS];	/* -1 where there is no link */
};

/* Room for a frame and its message. */
int net_backend_can_deliver(struct net_backend_link *link);

/* net_backend_instances.c: 0 where it is an instance now, or is none any longer; else -1 */
int net_instance_add(struct net_backend *backend, struct net_backend_link *link,
		     uint32_t instance, uint64_t mac);
int net_instance_remove(struct net_backend *backend, struct net_backend_link *link,
			uint32_t instance, uint64_t mac);

/* net_backend_requests.c: does what the frontend asks for; whether it asked for anything. */
int net_backend_serve(struct net_backend *backend, struct net_backend_link *link);

#endif
