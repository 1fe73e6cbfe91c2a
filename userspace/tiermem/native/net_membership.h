/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which addresses the NIC lets through, beside its own. The kernel changes that under its
 * lock of all interfaces, which may be held for tens of milliseconds, so a thread of its
 * own asks for it: the frames of others do not wait meanwhile.
 */
#ifndef NET_MEMBERSHIP_H
#define NET_MEMBERSHIP_H

#include <pthread.h>
#include <stdint.h>

#include "net_macs.h"

struct net_membership {
	int socket;		/* has the addresses as long as it is open; -1: not open */
	uint32_t nic_index;
	pthread_t thread;
	pthread_mutex_t lock;	/* of all below */
	pthread_cond_t changed;
	int is_stopping;
	struct net_macs wanted, joined;
};

void net_membership_init(struct net_membership *membership);

/* Of a NIC of this thread's network namespace. 0, also where it is open; else an errno. */
int net_membership_open(struct net_membership *membership, uint32_t nic_index);
void net_membership_close(struct net_membership *membership);

/* Soon, and with no answer: a NIC that has no room for one more lets everything through. */
void net_membership_add(struct net_membership *membership, uint64_t mac);
void net_membership_remove(struct net_membership *membership, uint64_t mac);

#endif
