/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A backend's word in each of its links: that it lives, and whether its NIC has a link.
 * A frontend that hears nothing new for a while takes it for dead, without anybody's
 * clock being compared with another's.
 */
#ifndef NET_PULSE_H
#define NET_PULSE_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "net_link.h"
#endif

enum net_pulse_times {
	NET_PULSE_NS = 2000000,		/* how often it is said, and listened to */
};

enum net_peer {
	NET_PEER_WELL,
	NET_PEER_SILENT,
	NET_PEER_WITHOUT_NIC,
};

/* What a frontend is to notice. */
struct net_watch {
	uint64_t silence_ns;	/* after so long its peer is silent; 0: it never is */
	int alarm_fd;		/* an eventfd, told of each change; -1: none */
};

/* For a backend that was killed: its NIC is down. In memory when this returns. */
void net_pulse_say_down(void *link);

#ifndef TIERMEM_CDEF
struct net_listener {
	struct net_watch watch;
	uint64_t beats;
	uint64_t looked_ns;
	uint64_t quiet_ns;	/* since the last beat; time when nobody looked hardly counts */
	enum net_peer peer;
};

/* The backend. In memory when this returns. */
void net_pulse_say(struct host_memory *link, uint64_t beats, int nic_is_down);

/* The frontend, often: looks when it is time to. */
void net_pulse_listen(struct net_listener *listener, struct host_memory *link, uint64_t now_ns);
#endif

#endif
