/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frontend's end of a link: instances, each with a TAP interface, whose frames go
 * to the backend, and the backend's to them. One thread does all of it; the calls here
 * are for one other thread.
 */
#ifndef NET_FRONTEND_H
#define NET_FRONTEND_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>

#include "net_counters.h"
#include "net_pulse.h"
#include "net_thread.h"
#endif

struct net_frontend;

enum net_instance_state {
	NET_INSTANCE_FREE,	/* its number is nobody's */
	NET_INSTANCE_ASKED,	/* the backend has not answered yet */
	NET_INSTANCE_READY,
	NET_INSTANCE_REFUSED,	/* the backend does not want its address */
	NET_INSTANCE_LEAVING,	/* the backend is not told yet */
};

/* The link must have been made, with that generation, and stays mapped. NULL with errno:
 * ENOENT where there is no such link. */
struct net_frontend *net_frontend_create(void *base, uint64_t bytes, uint64_t generation,
					 struct net_pace pace, struct net_watch watch);
int net_frontend_start(struct net_frontend *frontend);
/* Stops it too. The TAPs stay open. */
void net_frontend_destroy(struct net_frontend *frontend);

/* `tap`: an open TAP interface, non-blocking, with offloads (IFF_VNET_HDR) and without
 * IFF_PI; stays the caller's, open until the instance is removed. Returns its number, or
 * -1 with errno: EINVAL for a multicast address, EEXIST for one that is here already,
 * ENOSPC where there are NET_INSTANCES. */
int net_frontend_add(struct net_frontend *frontend, int tap, uint64_t mac);
/* Its TAP is not used any more when this returns. -1: there is none of that number. */
int net_frontend_remove(struct net_frontend *frontend, uint32_t instance);
enum net_instance_state net_frontend_state(struct net_frontend *frontend, uint32_t instance);

/* Frames that the instance of that number gave to this backend, which has not said that it
 * sent them, each behind its length (net_unsent.h); `into` NULL: how many bytes that is. Also
 * just after it was removed. */
size_t net_frontend_unsent(struct net_frontend *frontend, uint32_t instance, uint8_t *into,
			   size_t room);
/* Has an instance that was added just now send such frames, which are copied, before others;
 * they are checked as those of its TAP. ENOENT: there is none. ENOMEM. */
int net_frontend_send_again(struct net_frontend *frontend, uint32_t instance,
			    const uint8_t *frames, size_t bytes);

/* How the backend is, by what it says in the link. */
enum net_peer net_frontend_peer(struct net_frontend *frontend);
struct net_counters net_frontend_counters(struct net_frontend *frontend);

#endif
