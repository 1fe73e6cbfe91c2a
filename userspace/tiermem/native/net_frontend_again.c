// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames that a silent backend took along, sent once more by way of the next one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net_frontend_end.h"

size_t net_frontend_unsent(struct net_frontend *frontend, uint32_t instance, uint8_t *into,
			   size_t room)
{
	size_t bytes;

	net_thread_pause(&frontend->thread);
	bytes = net_unsent_copy(&frontend->unsent, &frontend->tx, instance, into, room);
	net_thread_resume(&frontend->thread);
	return bytes;
}

void net_frontend_drop_again(struct net_frontend_instance *instance)
{
	free(instance->again.frames);
	instance->again = (struct net_again){ 0 };
}

int net_frontend_send_again(struct net_frontend *frontend, uint32_t number, const uint8_t *frames,
			    size_t bytes)
{
	struct net_frontend_instance *instance;
	int error = 0;

	if (number >= NET_INSTANCES)
		return ENOENT;
	net_thread_pause(&frontend->thread);
	instance = &frontend->instances[number];
	net_frontend_drop_again(instance);
	if (instance->state != NET_INSTANCE_ASKED && instance->state != NET_INSTANCE_READY)
		error = ENOENT;
	else if (!(instance->again.frames = malloc(bytes)))
		error = ENOMEM;
	if (!error) {
		memcpy(instance->again.frames, frames, bytes);
		instance->again.bytes = bytes;
		frontend->has_again = 1;
	}
	net_thread_resume(&frontend->thread);
	return error;
}

/* Whether all of it was sent. */
static int send_some(struct net_frontend *frontend, uint32_t number)
{
	struct net_again *const again = &frontend->instances[number].again;

	while (again->bytes - again->next >= NET_UNSENT_HEAD_BYTES) {
		uint8_t *const into = net_ring_room(&frontend->tx);
		const uint8_t *const at = again->frames + again->next;
		uint32_t length;

		memcpy(&length, at, NET_UNSENT_HEAD_BYTES);
		if (length > NET_FRAME_BYTES_MAX ||
		    length > again->bytes - again->next - NET_UNSENT_HEAD_BYTES)
			break;
		if (frontend->requests.count == NET_BATCH)
			net_outbox_flush(&frontend->requests);
		if (!into || !net_outbox_has_room(&frontend->requests))
			return 0;
		memcpy(into, at + NET_UNSENT_HEAD_BYTES, length);
		net_frontend_send(frontend, number, into, length);
		frontend->counters.tx_again++;
		again->next += NET_UNSENT_HEAD_BYTES + length;
	}
	return 1;
}

int net_frontend_again(struct net_frontend *frontend)
{
	int worked = 0, is_left = 0;

	for (uint32_t number = 0; number < frontend->used; number++) {
		struct net_frontend_instance *const instance = &frontend->instances[number];

		if (!instance->again.frames)
			continue;
		if (instance->state == NET_INSTANCE_READY) {
			if (send_some(frontend, number))
				net_frontend_drop_again(instance);
			worked = 1;
		}
		is_left |= instance->again.frames != NULL;
	}
	frontend->has_again = is_left;
	return worked;
}
