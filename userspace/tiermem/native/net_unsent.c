// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_unsent.h"

#include <string.h>

void net_unsent_add(struct net_unsent *unsent, struct net_unsent_frame frame)
{
	if (unsent->head - unsent->tail == NET_UNSENT_MAX)
		unsent->tail++;
	unsent->frames[unsent->head++ % NET_UNSENT_MAX] = frame;
}

void net_unsent_forget(struct net_unsent *unsent, const struct net_ring *ring)
{
	while (unsent->tail != unsent->head &&
	       !net_ring_holds(ring, unsent->frames[unsent->tail % NET_UNSENT_MAX].offset))
		unsent->tail++;
}

size_t net_unsent_copy(const struct net_unsent *unsent, const struct net_ring *ring,
		       uint32_t instance, uint8_t *into, size_t room)
{
	size_t bytes = 0;

	for (uint64_t number = unsent->tail; number != unsent->head; number++) {
		const struct net_unsent_frame *frame = &unsent->frames[number % NET_UNSENT_MAX];
		const size_t needed = NET_UNSENT_HEAD_BYTES + frame->length;

		if (frame->instance != instance)
			continue;
		if (into) {
			if (needed > room - bytes)
				break;
			memcpy(into + bytes, &frame->length, NET_UNSENT_HEAD_BYTES);
			memcpy(into + bytes + NET_UNSENT_HEAD_BYTES, ring->base + frame->offset,
			       frame->length);
		}
		bytes += needed;
	}
	return bytes;
}
