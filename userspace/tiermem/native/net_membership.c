// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net_membership.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_socket.h"

/* An address of `these` that `those` lack; 0: none. */
static uint64_t difference(const struct net_macs *these, const struct net_macs *those)
{
	for (uint32_t slot = 0; slot < NET_MACS_SLOTS; slot++) {
		const uint64_t mac = these->slots[slot].mac;

		if (mac && !net_macs_find(those, mac))
			return mac;
	}
	return 0;
}

/* Asks for one address more or less; 0 where all is as wanted. Locked, but not meanwhile. */
static int change_one(struct net_membership *membership)
{
	const uint64_t more = difference(&membership->wanted, &membership->joined);
	const uint64_t less = difference(&membership->joined, &membership->wanted);

	if (more)
		net_macs_add(&membership->joined, (struct net_owner){ .mac = more });
	else if (less)
		net_macs_remove(&membership->joined, less);
	else
		return 0;
	pthread_mutex_unlock(&membership->lock);
	if (more)
		net_socket_join(membership->socket, membership->nic_index, more);
	else
		net_socket_leave(membership->socket, membership->nic_index, less);
	pthread_mutex_lock(&membership->lock);
	return 1;
}

static void *run(void *argument)
{
	struct net_membership *const membership = argument;

	pthread_mutex_lock(&membership->lock);
	while (!membership->is_stopping) {
		if (!change_one(membership))
			pthread_cond_wait(&membership->changed, &membership->lock);
	}
	pthread_mutex_unlock(&membership->lock);
	return NULL;
}

static int start(struct net_membership *membership)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&membership->thread, NULL, run, membership);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

void net_membership_init(struct net_membership *membership)
{
	*membership = (struct net_membership){ .socket = -1 };
	pthread_mutex_init(&membership->lock, NULL);
	pthread_cond_init(&membership->changed, NULL);
}

int net_membership_open(struct net_membership *membership, uint32_t nic_index)
{
	int error;

	if (membership->socket >= 0)
		return 0;
	membership->nic_index = nic_index;
	/* Of no protocol: it receives nothing. */
	membership->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (membership->socket < 0)
		return errno;
	error = start(membership);
	if (error) {
		close(membership->socket);
		membership->socket = -1;
	}
	return error;
}

void net_membership_close(struct net_membership *membership)
{
	if (membership->socket < 0)
		return;
	pthread_mutex_lock(&membership->lock);
	membership->is_stopping = 1;
	pthread_cond_signal(&membership->changed);
	pthread_mutex_unlock(&membership->lock);
	pthread_join(membership->thread, NULL);
	close(membership->socket);
	membership->socket = -1;
}

void net_membership_add(struct net_membership *membership, uint64_t mac)
{
	pthread_mutex_lock(&membership->lock);
	net_macs_add(&membership->wanted, (struct net_owner){ .mac = mac });
	pthread_cond_signal(&membership->changed);
	pthread_mutex_unlock(&membership->lock);
}

void net_membership_remove(struct net_membership *membership, uint64_t mac)
{
	pthread_mutex_lock(&membership->lock);
	net_macs_remove(&membership->wanted, mac);
	pthread_cond_signal(&membership->changed);
	pthread_mutex_unlock(&membership->lock);
}
