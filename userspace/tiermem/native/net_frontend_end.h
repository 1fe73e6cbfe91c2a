/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frontend's end of its link; within the frontend. */
#ifndef NET_FRONTEND_END_H
#define NET_FRONTEND_END_H

#include <poll.h>
#include <stdint.h>

#include "net_frontend.h"
#include "net_inbox.h"
#include "net_link.h"
#include "net_outbox.h"
#include "net_pulse.h"
#include "net_ring.h"
#include "net_unsent.h"

/* Frames to be sent before others, each behind its length. */
struct net_again {
	uint8_t *frames;
	size_t bytes, next;
};

struct net_frontend_instance {
	enum net_instance_state state;
	int is_asked;		/* the backend was told of it */
	uint64_t mac;
	struct net_again again;
};

struct net_frontend {
	struct net_thread thread;
	struct net_link link;
	struct net_listener listener;
	struct net_outbox requests;
	struct net_inbox events;
	struct net_ring tx;
	struct net_unsent unsent;	/* of the ring */
	struct net_message owed;	/* up to where RX frames were taken; kind 0: told */
	struct net_frontend_instance instances[NET_INSTANCES];
	uint32_t used;			/* so many of these have ever been somebody's */
	int has_news;			/* of instances, for the backend */
	int has_again;			/* some instance has frames to be sent again */
	struct pollfd taps[NET_INSTANCES];	/* of those that are ready; else -1 */
	struct net_counters counters;
};

/* net_frontend_instances.c: what the backend answered about an instance; -1 where it was
 * not asked. */
int net_frontend_answered(struct net_frontend *frontend, const struct net_meaning *meaning);
/* Says to the backend what it does not know yet about the instances. */
void net_frontend_announce(struct net_frontend *frontend);

/* net_frontend.c: a frame that lies where the ring has room, if the instance may send it;
 * there is room in the outbox. */
void net_frontend_send(struct net_frontend *frontend, uint32_t number, uint8_t *frame,
		       uint32_t length);

/* net_frontend_again.c: sends what is to be sent again; whether there was something. */
int net_frontend_again(struct net_frontend *frontend);
void net_frontend_drop_again(struct net_frontend_instance *instance);

#endif
