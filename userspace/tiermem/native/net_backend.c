// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_backend_link.h"
#include "net_frame.h"
#include "net_socket.h"

int net_backend_can_deliver(struct net_backend_link *link)
{
	if (link->events.count == NET_BATCH)
		net_outbox_flush(&link->events);
	return net_ring_room(&link->rx) && net_outbox_has_room(&link->events);
}

/* --- from the NIC --- */

/* A frame that lies in the ring already: to whom of this link it goes. */
static void pass_on(struct net_backend *backend, struct net_backend_link *link, uint8_t *at,
		    uint32_t length)
{
	uint32_t offset, instance = NET_EVERY_INSTANCE;
	uint8_t head[NET_FRAME_BYTES_MIN];
	uint64_t to;

	memcpy(head, at, sizeof(head));
	to = net_frame_destination(head);
	if (!net_mac_is_multicast(to)) {
		const struct net_owner *owner = net_macs_find(&backend->macs, to);

		if (!owner || owner->link != link->number) {
			link->counters.dropped_nobody++;
			return;
		}
		instance = owner->instance;
	}
	buffer_lines_write_back(at, length);
	offset = net_ring_put(&link->rx, length);
	net_outbox_add(&link->events, net_message_of_frame(NET_FRAME, instance, offset, length));
	link->counters.rx_frames++;
	link->counters.rx_bytes += length;
}

/* Whether there was a frame. */
static int receive(struct net_backend *backend, struct net_backend_link *link)
{
	ssize_t bytes = 0;

	for (int frames = 0; frames < NET_BATCH && bytes < NET_FRAME_BYTES_MAX; frames++) {
		uint8_t *at;
		ssize_t length;

		if (!net_backend_can_deliver(link))
			break;
		at = net_ring_room(&link->rx);
		length = recv(link->socket, at, NET_FRAME_BYTES_MAX, MSG_DONTWAIT | MSG_TRUNC);
		if (length < 0 && errno != EINVAL)
			break;
		/* EINVAL: of a kind that virtio_net_hdr has no words for. */
		if (length < NET_FRAME_BYTES_MIN || length > NET_FRAME_BYTES_MAX) {
			link->counters.dropped_malformed++;
			continue;
		}
		pass_on(backend, link, at, (uint32_t)length);
		bytes += length;
		/* The first does not wait for more, of which there may be none. */
		if (!frames)
			net_outbox_flush(&link->events);
	}
	net_outbox_flush(&link->events);
	return bytes > 0;
}

/* A receive tells as well as poll whether there is a frame, and has it then. */
static int receive_from_all(struct net_backend *backend)
{
	int worked = 0;

	for (uint32_t number = 0; number < backend->used; number++) {
		if (backend->links[number].is_open)
			worked |= receive(backend, &backend->links[number]);
	}
	return worked;
}

/* --- the rounds --- */

static int serve_frontends(struct net_backend *backend)
{
	int served = 0;

	for (uint32_t number = 0; number < backend->used; number++) {
		if (backend->links[number].is_open)
			served |= net_backend_serve(backend, &backend->links[number]);
	}
	for (uint32_t number = 0; number < backend->used; number++) {
		struct net_backend_link *const link = &backend->links[number];
		struct pollfd *const socket = &backend->sockets[number];

		if (!link->is_open)
			continue;
		/* Without room frames wait in the socket, and are dropped there. */
		socket->events = (short)((net_backend_can_deliver(link) ? POLLIN : 0) |
					 (link->nic_is_full ? POLLOUT : 0));
	}
	return served;
}

static void say_how_it_is(struct net_backend *backend, uint64_t now_ns)
{
	backend->said_ns = now_ns;
	backend->beats++;
	for (uint32_t number = 0; number < backend->used; number++) {
		struct net_backend_link *const link = &backend->links[number];

		if (link->is_open)
			net_pulse_say(&link->link.whole, backend->beats, backend->nic_is_down);
	}
}

static void flush_all(struct net_backend *backend)
{
	for (uint32_t number = 0; number < backend->used; number++) {
		if (backend->links[number].is_open)
			net_outbox_flush(&backend->links[number].events);
	}
}

static int round_of_work(void *engine, uint64_t wait_ns)
{
	struct net_backend *const backend = engine;
	const int served = serve_frontends(backend);
	const uint64_t now_ns = channel_now_ns();
	struct timespec wait = { 0, 0 };
	int worked;

	if (now_ns - backend->said_ns >= NET_PULSE_NS)
		say_how_it_is(backend, now_ns);
	if (!served)
		wait.tv_nsec = (long)(wait_ns < NET_PULSE_NS ? wait_ns : NET_PULSE_NS);

	if (!wait.tv_nsec && backend->used <= NET_READ_STRAIGHT) {
		worked = receive_from_all(backend);
		/* After the frames, which a program waits for; nobody does for what is told else. */
		flush_all(backend);
		return served || worked;
	}
	flush_all(backend);
	if (ppoll(backend->sockets, backend->used, &wait, NULL) <= 0)
		return served;
	for (uint32_t number = 0; number < backend->used; number++) {
		/* An error, of a NIC that went down, is taken by receiving too. */
		if (backend->sockets[number].revents & (POLLIN | POLLERR))
			receive(backend, &backend->links[number]);
	}
	return 1;
}

/* --- control --- */

struct net_backend *net_backend_create(uint32_t nic_index, uint64_t nic_mac, struct net_pace pace)
{
	struct net_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return NULL;
	backend->nic_index = nic_index;
	backend->nic_mac = nic_mac;
	for (uint32_t number = 0; number < NET_LINKS; number++)
		backend->sockets[number].fd = -1;
	net_membership_init(&backend->membership);
	net_thread_init(&backend->thread, round_of_work, backend, pace);
	return backend;
}

int net_backend_start(struct net_backend *backend)
{
	return net_thread_start(&backend->thread);
}

static int open_link(struct net_backend_link *link, void *base, uint64_t bytes, uint64_t generation)
{
	if (net_link_open(&link->link, base, bytes, generation) < 0 ||
	    channel_open_receiver(&link->requests.receiver, &link->link.requests,
				  link->link.channel_bytes, generation) != CHANNEL_OK ||
	    channel_open_sender(&link->events.sender, &link->link.events,
				link->link.channel_bytes, generation) != CHANNEL_OK)
		return -1;
	link->rx = (struct net_ring){ .base = link->link.rx, .bytes = link->link.rx_bytes };
	return 0;
}

static int add_link(struct net_backend *backend, void *base, uint64_t bytes, uint64_t generation)
{
	uint32_t number = 0;
	struct net_backend_link *link;
	int error;

	while (number < NET_LINKS && backend->links[number].is_open)
		number++;
	if (number == NET_LINKS)
		return -ENOSPC;
	link = &backend->links[number];
	*link = (struct net_backend_link){ .number = number };
	if (open_link(link, base, bytes, generation) < 0)
		return -ENOENT;
	error = net_membership_open(&backend->membership, backend->nic_index);
	if (error)
		return -error;
	link->socket = net_socket_open(backend->nic_index);
	if (link->socket < 0)
		return -errno;
	backend->sockets[number].fd = link->socket;
	link->is_open = 1;
	if (backend->used <= number)
		backend->used = number + 1;
	return (int)number;
}

int net_backend_add_link(struct net_backend *backend, void *base, uint64_t bytes,
			 uint64_t generation)
{
	int number;

	net_thread_pause(&backend->thread);
	number = add_link(backend, base, bytes, generation);
	net_thread_resume(&backend->thread);
	if (number >= 0)
		return number;
	errno = -number;
	return -1;
}

void net_backend_set_nic(struct net_backend *backend, int is_down)
{
	net_thread_pause(&backend->thread);
	backend->nic_is_down = is_down;
	say_how_it_is(backend, channel_now_ns());
	net_thread_resume(&backend->thread);
}

/* Its socket, still to be closed. */
static int leave_link(struct net_backend *backend, struct net_backend_link *link)
{
	for (uint32_t instance = 0; instance < NET_INSTANCES; instance++)
		net_instance_remove(backend, link, instance, link->macs[instance]);
	backend->sockets[link->number] = (struct pollfd){ .fd = -1 };
	link->is_open = 0;
	return link->socket;
}

int net_backend_remove_link(struct net_backend *backend, uint32_t number)
{
	int socket = -1;

	net_thread_pause(&backend->thread);
	if (number < NET_LINKS && backend->links[number].is_open)
		socket = leave_link(backend, &backend->links[number]);
	net_thread_resume(&backend->thread);
	if (socket < 0)
		return -1;
	/* The kernel takes milliseconds, for which the other links do not wait. */
	close(socket);
	return 0;
}

void net_backend_destroy(struct net_backend *backend)
{
	net_thread_stop(&backend->thread);
	for (uint32_t number = 0; number < NET_LINKS; number++)
		net_backend_remove_link(backend, number);
	net_membership_close(&backend->membership);
	free(backend);
}

struct net_counters net_backend_counters(struct net_backend *backend, uint32_t number)
{
	struct net_counters counters = { 0 };

	net_thread_pause(&backend->thread);
	if (number < NET_LINKS && backend->links[number].is_open) {
		struct net_backend_link *const link = &backend->links[number];

		link->counters.dropped_waiting += net_socket_dropped(link->socket);
		counters = link->counters;
		counters.refused_messages += link->events.sender.refused;
	}
	net_thread_resume(&backend->thread);
	return counters;
}
