// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net_frontend.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net_frontend_end.h"

/* --- from the backend --- */

static void deliver_to(struct net_frontend *frontend, uint32_t number,
		       const struct net_received *received, uint32_t length)
{
	struct net_counters *const counters = &frontend->counters;

	if (frontend->instances[number].state != NET_INSTANCE_READY) {
		counters->dropped_nobody++;
		return;
	}
	if (writev(frontend->taps[number].fd, received->parts, 2) < 0) {
		counters->dropped_by_device++;
		return;
	}
	counters->rx_frames++;
	counters->rx_bytes += length;
}

static void deliver_to_all(struct net_frontend *frontend, const struct net_received *received,
			   uint32_t length)
{
	const uint64_t source = net_frame_source(received->head);

	for (uint32_t number = 0; number < frontend->used; number++) {
		const struct net_frontend_instance *instance = &frontend->instances[number];

		if (instance->state == NET_INSTANCE_READY && instance->mac != source)
			deliver_to(frontend, number, received, length);
	}
}

/* The kernel's copy into the instance's packet is the one that isolates: what the peer
 * changes later is not seen, and nothing is decided by what lies in shared memory. */
static int deliver(struct net_frontend *frontend, const struct net_meaning *meaning)
{
	struct net_received received;

	if (meaning->instance >= NET_INSTANCES && meaning->instance != NET_EVERY_INSTANCE)
		return -1;
	if (net_inbox_frame(meaning, frontend->link.rx, frontend->link.rx_bytes, &received) < 0)
		return -1;
	if (meaning->instance == NET_EVERY_INSTANCE)
		deliver_to_all(frontend, &received, meaning->length);
	else
		deliver_to(frontend, meaning->instance, &received, meaning->length);
	frontend->owed = net_message_of_frame(NET_RETURN, 0, meaning->offset, meaning->length);
	return 0;
}

static int handle(struct net_frontend *frontend, const struct net_meaning *meaning)
{
	switch (meaning->kind) {
	case NET_FRAME:
		return deliver(frontend, meaning);
	case NET_SENT:
		if (net_ring_free(&frontend->tx, meaning->offset, meaning->length) < 0)
			return -1;
		net_unsent_forget(&frontend->unsent, &frontend->tx);
		return 0;
	case NET_ADDED:
	case NET_REFUSED:
		return net_frontend_answered(frontend, meaning);
	default:
		return -1;
	}
}

/* What came at once: the TAPs, to which a new look may show more, do not wait for that. */
static int take_events(struct net_frontend *frontend)
{
	const struct net_message *message;
	int taken = 0;

	while ((message = net_inbox_look(&frontend->events))) {
		const struct net_meaning meaning = net_message_read(*message);

		net_inbox_take(&frontend->events);
		if (handle(frontend, &meaning) < 0)
			frontend->counters.refused_messages++;
		taken++;
		if (net_inbox_is_done(&frontend->events))
			break;
	}
	if (frontend->owed.what && net_outbox_has_room(&frontend->requests)) {
		net_outbox_add(&frontend->requests, frontend->owed);
		frontend->owed.what = 0;
	}
	return taken;
}

/* --- to the backend --- */

void net_frontend_send(struct net_frontend *frontend, uint32_t number, uint8_t *frame,
		       uint32_t length)
{
	struct net_counters *const counters = &frontend->counters;
	uint32_t offset;

	switch (net_frame_check(frame, length, frontend->instances[number].mac)) {
	case NET_FRAME_GOOD:
		buffer_lines_write_back(frame, length);
		offset = net_ring_put(&frontend->tx, length);
		net_unsent_add(&frontend->unsent,
			       (struct net_unsent_frame){ offset, length, number });
		net_outbox_add(&frontend->requests,
			       net_message_of_frame(NET_SEND, number, offset, length));
		counters->tx_frames++;
		counters->tx_bytes += length;
		break;
	case NET_FRAME_SPOOFED:
		counters->dropped_spoofed++;
		break;
	default:
		counters->dropped_malformed++;
	}
}

/* One frame straight into the ring; 0 where the TAP has none. */
static int read_frame(struct net_frontend *frontend, uint32_t number, uint8_t *into)
{
	const ssize_t length = read(frontend->taps[number].fd, into, NET_FRAME_BYTES_MAX);

	if (length <= 0) {
		/* Its interface went with its namespace: there is nothing to wait for. */
		if (length < 0 && errno == EBADFD)
			frontend->taps[number].fd = -1;
		return 0;
	}
	net_frontend_send(frontend, number, into, (uint32_t)length);
	return (int)length;
}

/* Frames of one TAP, as many as the peer should wait for; whether there was one. */
static int read_tap(struct net_frontend *frontend, uint32_t number)
{
	int bytes = 0;

	for (int frames = 0; frames < NET_BATCH && bytes < NET_FRAME_BYTES_MAX; frames++) {
		uint8_t *const into = net_ring_room(&frontend->tx);
		int length;

		if (!into || !net_outbox_has_room(&frontend->requests))
			break;
		length = read_frame(frontend, number, into);
		if (!length)
			break;
		bytes += length;
		/* The first does not wait for more, of which there may be none. */
		if (!frames)
			net_outbox_flush(&frontend->requests);
	}
	net_outbox_flush(&frontend->requests);
	return bytes > 0;
}

/* A read tells as well as poll whether there is a frame, and has it then. */
static int read_taps(struct net_frontend *frontend)
{
	int worked = 0;

	for (uint32_t number = 0; number < frontend->used; number++) {
		const struct pollfd *const tap = &frontend->taps[number];

		if (tap->fd >= 0 && tap->events)
			worked |= read_tap(frontend, number);
	}
	return worked;
}

static int serve_taps(struct net_frontend *frontend)
{
	int worked = 0;

	for (uint32_t number = 0; number < frontend->used; number++) {
		struct pollfd *const tap = &frontend->taps[number];

		if (tap->revents & POLLIN) {
			read_tap(frontend, number);
			worked = 1;
		} else if (tap->revents) {
			/* Its interface went with its namespace: there is nothing to wait for. */
			tap->fd = -1;
		}
	}
	return worked;
}

static int round_of_work(void *engine, uint64_t wait_ns)
{
	struct net_frontend *const frontend = engine;
	struct timespec wait = { 0, (long)(wait_ns < NET_PULSE_NS ? wait_ns : NET_PULSE_NS) };
	int worked, can_send;

	net_pulse_listen(&frontend->listener, &frontend->link.whole, channel_now_ns());
	worked = take_events(frontend);
	net_frontend_announce(frontend);
	if (frontend->has_again)
		worked |= net_frontend_again(frontend);
	if (worked)
		wait.tv_nsec = 0;
	/* Without room frames wait in the TAPs, which holds their senders back. */
	can_send = net_ring_room(&frontend->tx) && net_outbox_has_room(&frontend->requests);
	if (!wait.tv_nsec && frontend->used <= NET_READ_STRAIGHT) {
		worked |= can_send && read_taps(frontend);
	} else {
		net_outbox_flush(&frontend->requests);
		if (ppoll(frontend->taps, can_send ? frontend->used : 0, &wait, NULL) > 0)
			worked |= serve_taps(frontend);
	}
	/* After the frames, which a program waits for; nobody does for what is told else. */
	net_outbox_flush(&frontend->requests);
	return worked;
}

/* --- control --- */

struct net_frontend *net_frontend_create(void *base, uint64_t bytes, uint64_t generation,
					 struct net_pace pace, struct net_watch watch)
{
	struct net_frontend *frontend = calloc(1, sizeof(*frontend));

	if (!frontend)
		return NULL;
	if (net_link_open(&frontend->link, base, bytes, generation) < 0 ||
	    channel_open_sender(&frontend->requests.sender, &frontend->link.requests,
				frontend->link.channel_bytes, generation) != CHANNEL_OK ||
	    channel_open_receiver(&frontend->events.receiver, &frontend->link.events,
				  frontend->link.channel_bytes, generation) != CHANNEL_OK) {
		free(frontend);
		errno = ENOENT;
		return NULL;
	}
	frontend->tx = (struct net_ring){ .base = frontend->link.tx,
					  .bytes = frontend->link.tx_bytes };
	for (uint32_t number = 0; number < NET_INSTANCES; number++)
		frontend->taps[number].fd = -1;
	frontend->listener.watch = watch;
	frontend->listener.looked_ns = channel_now_ns();
	net_thread_init(&frontend->thread, round_of_work, frontend, pace);
	return frontend;
}

int net_frontend_start(struct net_frontend *frontend)
{
	return net_thread_start(&frontend->thread);
}

void net_frontend_destroy(struct net_frontend *frontend)
{
	net_thread_stop(&frontend->thread);
	for (uint32_t number = 0; number < NET_INSTANCES; number++)
		net_frontend_drop_again(&frontend->instances[number]);
	free(frontend);
}

enum net_peer net_frontend_peer(struct net_frontend *frontend)
{
	enum net_peer peer;

	net_thread_pause(&frontend->thread);
	peer = frontend->listener.peer;
	net_thread_resume(&frontend->thread);
	return peer;
}

struct net_counters net_frontend_counters(struct net_frontend *frontend)
{
	struct net_counters counters;

	net_thread_pause(&frontend->thread);
	counters = frontend->counters;
	counters.refused_messages += frontend->requests.sender.refused;
	net_thread_resume(&frontend->thread);
	return counters;
}
