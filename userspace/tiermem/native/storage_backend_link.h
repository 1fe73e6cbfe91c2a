/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the backend has of one link (storage_backend.c). */
#ifndef STORAGE_BACKEND_LINK_H
#define STORAGE_BACKEND_LINK_H

#include "storage_backend.h"
#include "storage_operation.h"
#include "storage_ring.h"

/* Of a request's user data: the link's number lies above, the tag below. */
enum { STORAGE_LINK_SHIFT = 32 };

struct storage_backend_link {
	struct storage_link link;
	struct channel_receiver commands;
	struct channel_sender completions;
	struct storage_slice slices[STORAGE_SLICES_MAX];
	struct storage_counters counters;
	uint32_t number;
	uint32_t in_flight, in_flight_of[STORAGE_SLICES_MAX];
	int is_served;			/* its commands are taken */
	int has_unflushed;		/* completions */
	struct storage_operation operations[];	/* one a tag */
};

/* NULL with errno, as storage_backend_add_link. */
struct storage_backend_link *storage_backend_link_open(uint32_t number, void *base, uint64_t bytes,
						       uint64_t generation,
						       const struct storage_device *device);

/* Takes commands, `most` at most, and puts requests for them in; how many were taken. */
uint32_t storage_backend_link_take(struct storage_backend_link *link, struct storage_ring *ring,
				   const struct storage_device *device, uint32_t most);

/* What the ring says of a tag's request; the operation goes on or is answered. */
void storage_backend_link_advance(struct storage_backend_link *link, struct storage_ring *ring,
				  const struct storage_device *device, uint32_t tag,
				  int32_t result);

/* Answers are in memory when this returns. */
void storage_backend_link_flush(struct storage_backend_link *link);

#endif
