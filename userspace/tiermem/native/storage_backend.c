// SPDX-License-Identifier: GPL-2.0-or-later
#include "storage_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "channel_wait.h"
#include "round_lock.h"
#include "storage_backend_link.h"

enum {
	REQUESTS = 256,		/* between two submissions */
	IN_FLIGHT_MAX = 4096,	/* of all links: as many as there is room for completions */
	DRAIN_NS = 1000000,
};

struct storage_backend {
	struct storage_device device;
	struct storage_ring ring;
	struct channel_pace pace;
	struct storage_backend_link *links[STORAGE_LINKS_MAX];
	uint32_t in_flight;
	uint32_t first;			/* the link that is asked first in this round */
	struct round_lock lock;		/* of all that a round works on */
	int is_stopping;
};

struct storage_backend *storage_backend_create(const struct storage_device *device,
					       uint64_t sleep_max_ns)
{
	struct storage_backend *const backend = calloc(1, sizeof(*backend));
	int error;

	if (!backend)
		return NULL;
	backend->device = *device;
	error = storage_ring_open(&backend->ring, REQUESTS, IN_FLIGHT_MAX, 0);
	if (error) {
		free(backend);
		errno = -error;
		return NULL;
	}
	channel_pace_begin(&backend->pace, sleep_max_ns, channel_now_ns());
	round_lock_init(&backend->lock);
	return backend;
}

/* --- a round --- */

static uint32_t take_commands(struct storage_backend *backend)
{
	uint32_t took = 0;

	for (uint32_t i = 0; i < STORAGE_LINKS_MAX; i++) {
		struct storage_backend_link *const link =
			backend->links[(backend->first + i) % STORAGE_LINKS_MAX];
		uint32_t room = storage_ring_room(&backend->ring), before;

		if (!link || !link->is_served)
			continue;
		if (room > IN_FLIGHT_MAX - backend->in_flight)
			room = IN_FLIGHT_MAX - backend->in_flight;
		if (!room)
			break;
		before = link->in_flight;
		took += storage_backend_link_take(link, &backend->ring, &backend->device, room);
		backend->in_flight += link->in_flight - before;
	}
	backend->first++;
	return took;
}

static uint32_t take_results(struct storage_backend *backend)
{
	uint64_t user_data;
	uint32_t took = 0;
	int32_t result;

	/* An operation may go on: there must be room for its next request. */
	while (storage_ring_room(&backend->ring) &&
	       storage_ring_take(&backend->ring, &user_data, &result)) {
		struct storage_backend_link *const link =
			backend->links[user_data >> STORAGE_LINK_SHIFT];
		const uint32_t before = link->in_flight;

		storage_backend_link_advance(link, &backend->ring, &backend->device,
					     (uint32_t)user_data, result);
		backend->in_flight -= before - link->in_flight;
		took++;
	}
	return took;
}

static int do_round(struct storage_backend *backend, uint64_t wait_ns)
{
	const uint32_t commands = take_commands(backend);
	uint32_t results;

	storage_ring_enter(&backend->ring, commands ? 0 : wait_ns);
	results = take_results(backend);
	for (uint32_t i = 0; i < STORAGE_LINKS_MAX; i++) {
		if (backend->links[i])
			storage_backend_link_flush(backend->links[i]);
	}
	return commands || results;
}

/* --- running --- */

void storage_backend_run(struct storage_backend *backend)
{
	uint64_t wait_ns = 0;

	/* Of a thread's usual slack of 50 us, a short sleep would be mostly slack. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	while (!__atomic_load_n(&backend->is_stopping, __ATOMIC_ACQUIRE)) {
		int is_busy;

		round_lock_take(&backend->lock);
		is_busy = do_round(backend, wait_ns);
		round_lock_give(&backend->lock);
		if (is_busy) {
			channel_pace_busy(&backend->pace, channel_now_ns());
			wait_ns = 0;
		} else {
			/* Without sched_yield between looks: see round_lock.h. */
			wait_ns = channel_pace_idle(&backend->pace, channel_now_ns());
		}
	}
}

void storage_backend_stop(struct storage_backend *backend)
{
	__atomic_store_n(&backend->is_stopping, 1, __ATOMIC_RELEASE);
}

void storage_backend_destroy(struct storage_backend *backend)
{
	for (uint32_t i = 0; i < STORAGE_LINKS_MAX; i++) {
		if (backend->links[i])
			backend->links[i]->is_served = 0;
	}
	while (backend->in_flight)
		do_round(backend, DRAIN_NS);
	for (uint32_t i = 0; i < STORAGE_LINKS_MAX; i++)
		free(backend->links[i]);
	storage_ring_close(&backend->ring);
	round_lock_destroy(&backend->lock);
	free(backend);
}

/* --- what other threads ask for --- */

static struct storage_backend_link *find_link(struct storage_backend *backend, uint32_t number)
{
	return number < STORAGE_LINKS_MAX ? backend->links[number] : NULL;
}

int storage_backend_add_link(struct storage_backend *backend, void *base, uint64_t bytes,
			     uint64_t generation)
{
	uint32_t number = 0;

	round_lock_pause(&backend->lock);
	while (number < STORAGE_LINKS_MAX && backend->links[number])
		number++;
	if (number < STORAGE_LINKS_MAX)
		backend->links[number] = storage_backend_link_open(number, base, bytes, generation,
								   &backend->device);
	round_lock_resume(&backend->lock);
	if (number == STORAGE_LINKS_MAX)
		errno = ENOSPC;
	return number < STORAGE_LINKS_MAX && backend->links[number] ? (int)number : -1;
}

void storage_backend_serve_link(struct storage_backend *backend, uint32_t number)
{
	struct storage_backend_link *link;

	round_lock_pause(&backend->lock);
	link = find_link(backend, number);
	if (link)
		link->is_served = 1;
	round_lock_resume(&backend->lock);
}

int storage_backend_remove_link(struct storage_backend *backend, uint32_t number)
{
	struct storage_backend_link *link;
	int is_gone = 1;

	round_lock_pause(&backend->lock);
	link = find_link(backend, number);
	if (link) {
		link->is_served = 0;
		is_gone = !link->in_flight;
	}
	if (link && is_gone) {
		backend->links[number] = NULL;
		free(link);
	}
	round_lock_resume(&backend->lock);
	return is_gone;
}

uint32_t storage_backend_block_bytes(struct storage_backend *backend, uint32_t number)
{
	const struct storage_backend_link *link;
	uint32_t block_bytes;

	round_lock_pause(&backend->lock);
	link = find_link(backend, number);
	block_bytes = link ? link->link.block_bytes : 0;
	round_lock_resume(&backend->lock);
	return block_bytes;
}

static int is_on_device(const struct storage_device *device, uint32_t block_bytes,
			const struct storage_slice *slice)
{
	return slice->offset_bytes % device->block_bytes == 0 &&
	       slice->offset_bytes <= device->bytes &&
	       slice->blocks <= (device->bytes - slice->offset_bytes) / block_bytes;
}

int storage_backend_add_slice(struct storage_backend *backend, uint32_t number, uint32_t slice,
			      const struct storage_slice *what)
{
	struct storage_backend_link *link;
	int result = -1;

	round_lock_pause(&backend->lock);
	link = find_link(backend, number);
	if (link && slice < STORAGE_SLICES_MAX && !link->slices[slice].blocks &&
	    !link->in_flight_of[slice] &&
	    is_on_device(&backend->device, link->link.block_bytes, what)) {
		link->slices[slice] = *what;
		result = 0;
	}
	round_lock_resume(&backend->lock);
	return result;
}

int storage_backend_remove_slice(struct storage_backend *backend, uint32_t number, uint32_t slice)
{
	struct storage_backend_link *link;
	int is_gone = 1;

	round_lock_pause(&backend->lock);
	link = find_link(backend, number);
	if (link && slice < STORAGE_SLICES_MAX) {
		link->slices[slice].blocks = 0;
		is_gone = !link->in_flight_of[slice];
	}
	round_lock_resume(&backend->lock);
	return is_gone;
}

struct storage_counters storage_backend_counters(struct storage_backend *backend, uint32_t number)
{
	struct storage_counters counters = { 0 };
	const struct storage_backend_link *link;

	round_lock_pause(&backend->lock);
	link = find_link(backend, number);
	if (link)
		counters = link->counters;
	round_lock_resume(&backend->lock);
	return counters;
}
