// SPDX-License-Identifier: GPL-2.0-or-later
/* Which instances a frontend serves, and what the backend says of them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>

#include "net_frontend_end.h"

int net_frontend_answered(struct net_frontend *frontend, const struct net_meaning *meaning)
{
	struct net_frontend_instance *instance;

	if (meaning->instance >= NET_INSTANCES)
		return -1;
	instance = &frontend->instances[meaning->instance];
	if (!instance->is_asked)
		return -1;
	/* The answer to one that had this number before says nothing. */
	if (instance->state != NET_INSTANCE_ASKED || instance->mac != meaning->mac)
		return 0;
	instance->state = meaning->kind == NET_ADDED ? NET_INSTANCE_READY : NET_INSTANCE_REFUSED;
	if (instance->state == NET_INSTANCE_READY)
		frontend->taps[meaning->instance].events = POLLIN;
	return 0;
}

void net_frontend_announce(struct net_frontend *frontend)
{
	if (!frontend->has_news)
		return;
	for (uint32_t number = 0; number < frontend->used; number++) {
		struct net_frontend_instance *instance = &frontend->instances[number];
		enum net_kind kind = NET_REMOVE;

		if (instance->state == NET_INSTANCE_ASKED && !instance->is_asked)
			kind = NET_ADD;
		else if (instance->state != NET_INSTANCE_LEAVING)
			continue;
		if (!net_outbox_has_room(&frontend->requests))
			return;
		net_outbox_add(&frontend->requests,
			       net_message_of_instance(kind, number, instance->mac));
		instance->is_asked = kind == NET_ADD;
		if (kind == NET_REMOVE)
			instance->state = NET_INSTANCE_FREE;
	}
	frontend->has_news = 0;
}

static int add(struct net_frontend *frontend, int tap, uint64_t mac)
{
	int number = -1;

	for (int i = NET_INSTANCES - 1; i >= 0; i--) {
		const struct net_frontend_instance *instance = &frontend->instances[i];

		if (instance->state == NET_INSTANCE_FREE)
			number = i;
		else if (instance->mac == mac && instance->state != NET_INSTANCE_LEAVING)
			return -EEXIST;
	}
	if (number < 0)
		return -ENOSPC;
	frontend->instances[number] = (struct net_frontend_instance){
		.state = NET_INSTANCE_ASKED, .mac = mac,
	};
	frontend->taps[number] = (struct pollfd){ .fd = tap };
	frontend->has_news = 1;
	if (frontend->used <= (uint32_t)number)
		frontend->used = (uint32_t)number + 1;
	return number;
}

int net_frontend_add(struct net_frontend *frontend, int tap, uint64_t mac)
{
	int number = -EINVAL;

	if (mac && !(mac >> 48) && !net_mac_is_multicast(mac)) {
		net_thread_pause(&frontend->thread);
		number = add(frontend, tap, mac);
		net_thread_resume(&frontend->thread);
	}
	if (number >= 0)
		return number;
	errno = -number;
	return -1;
}

int net_frontend_remove(struct net_frontend *frontend, uint32_t number)
{
	int result = -1;

	if (number >= NET_INSTANCES)
		return -1;
	net_thread_pause(&frontend->thread);
	if (frontend->instances[number].state != NET_INSTANCE_FREE) {
		frontend->taps[number] = (struct pollfd){ .fd = -1 };
		net_frontend_drop_again(&frontend->instances[number]);
		frontend->instances[number].state = frontend->instances[number].is_asked ?
						    NET_INSTANCE_LEAVING : NET_INSTANCE_FREE;
		frontend->has_news = 1;
		result = 0;
	}
	net_thread_resume(&frontend->thread);
	return result;
}

enum net_instance_state net_frontend_state(struct net_frontend *frontend, uint32_t number)
{
	enum net_instance_state state;

	if (number >= NET_INSTANCES)
		return NET_INSTANCE_FREE;
	net_thread_pause(&frontend->thread);
	state = frontend->instances[number].state;
	net_thread_resume(&frontend->thread);
	return state;
}
