// SPDX-License-Identifier: GPL-2.0-or-later
/* What a backend does about a frontend's requests: instances come and go, and send. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sys/socket.h>

#include "net_announce.h"
#include "net_backend_link.h"
#include "net_frame.h"

enum outcome {
	DONE,
	REFUSED,
	LATER,		/* the same request again */
	LAST,		/* done, and enough for this round: it took the kernel long */
};

/* Switches may know it behind the port of another NIC. One that does not get this learns of
 * it by the instance's next frame. */
static void announce(struct net_backend_link *link, uint64_t mac)
{
	uint8_t frame[NET_ANNOUNCE_BYTES];

	net_announce_frame(frame, mac);
	if (send(link->socket, frame, sizeof(frame), MSG_DONTWAIT) < 0)
		link->counters.dropped_by_device++;
}

static enum outcome add(struct net_backend *backend, struct net_backend_link *link,
			const struct net_meaning *meaning)
{
	enum net_kind answer = NET_ADDED;

	if (meaning->instance >= NET_INSTANCES)
		return REFUSED;
	if (!net_outbox_has_room(&link->events))
		return LATER;
	if (net_instance_add(backend, link, meaning->instance, meaning->mac) < 0)
		answer = NET_REFUSED;
	else
		announce(link, meaning->mac);
	net_outbox_add(&link->events,
		       net_message_of_instance(answer, meaning->instance, meaning->mac));
	return LAST;
}

static enum outcome remove_instance(struct net_backend *backend, struct net_backend_link *link,
				    const struct net_meaning *meaning)
{
	if (meaning->instance >= NET_INSTANCES ||
	    net_instance_remove(backend, link, meaning->instance, meaning->mac) < 0)
		return REFUSED;
	return LAST;
}

/* Another instance behind this backend: the NIC would not send it back. */
static void deliver(struct net_backend_link *to, uint32_t instance,
		    const struct net_received *frame, uint32_t length)
{
	const struct iovec *const parts = frame->parts;
	uint8_t *into;
	uint32_t offset;

	if (!net_backend_can_deliver(to)) {
		to->counters.dropped_no_room++;
		return;
	}
	into = net_ring_room(&to->rx);
	memcpy(into, parts[0].iov_base, parts[0].iov_len);
	memcpy(into + parts[0].iov_len, parts[1].iov_base, parts[1].iov_len);
	buffer_lines_write_back(into, length);
	offset = net_ring_put(&to->rx, length);
	net_outbox_add(&to->events, net_message_of_frame(NET_FRAME, instance, offset, length));
	to->counters.rx_frames++;
	to->counters.rx_bytes += length;
}

static int has_others(const struct net_backend_link *link, uint64_t mac)
{
	for (uint32_t instance = 0; instance < NET_INSTANCES; instance++) {
		if (link->macs[instance] && link->macs[instance] != mac)
			return 1;
	}
	return 0;
}

/* But the sender, whom its frontend leaves out. */
static void deliver_to_others(struct net_backend *backend, const struct net_received *frame,
			      uint32_t length)
{
	const uint64_t from = net_frame_source(frame->head);

	for (uint32_t number = 0; number < backend->used; number++) {
		struct net_backend_link *const to = &backend->links[number];

		if (to->is_open && has_others(to, from))
			deliver(to, NET_EVERY_INSTANCE, frame, length);
	}
}

static enum outcome give_to_nic(struct net_backend_link *link, struct net_received *frame)
{
	const struct msghdr message = { .msg_iov = frame->parts, .msg_iovlen = 2 };

	if (sendmsg(link->socket, &message, MSG_DONTWAIT) >= 0)
		return DONE;
	if (errno == EAGAIN) {
		link->nic_is_full = 1;
		return LATER;
	}
	link->counters.dropped_by_device++;
	return DONE;
}

/* To whom it is addressed. What decides is the head, which is a copy; so is what is sent. */
static enum outcome forward(struct net_backend *backend, struct net_backend_link *link,
			    struct net_received *frame, uint32_t length)
{
	const uint64_t to = net_frame_destination(frame->head);
	const struct net_owner *owner = net_macs_find(&backend->macs, to);

	if (owner) {
		deliver(&backend->links[owner->link], owner->instance, frame, length);
	} else {
		if (give_to_nic(link, frame) == LATER)
			return LATER;
		if (net_mac_is_multicast(to))
			deliver_to_others(backend, frame, length);
	}
	link->counters.tx_frames++;
	link->counters.tx_bytes += length;
	return DONE;
}

static enum outcome send_frame(struct net_backend *backend, struct net_backend_link *link,
			       const struct net_meaning *meaning)
{
	struct net_received frame;
	enum outcome outcome = DONE;
	uint64_t mac;

	if (meaning->instance >= NET_INSTANCES ||
	    net_inbox_frame(meaning, link->link.tx, link->link.tx_bytes, &frame) < 0)
		return REFUSED;
	mac = link->macs[meaning->instance];
	if (!mac) {
		link->counters.dropped_nobody++;
	} else {
		switch (net_frame_check(frame.head, frame.parts[0].iov_len, mac)) {
		case NET_FRAME_GOOD:
			outcome = forward(backend, link, &frame, meaning->length);
			break;
		case NET_FRAME_SPOOFED:
			link->counters.dropped_spoofed++;
			break;
		default:
			link->counters.dropped_malformed++;
		}
	}
	if (outcome == DONE)
		link->owed = net_message_of_frame(NET_SENT, 0, meaning->offset, meaning->length);
	return outcome;
}

static enum outcome handle(struct net_backend *backend, struct net_backend_link *link,
			   const struct net_meaning *meaning)
{
	switch (meaning->kind) {
	case NET_SEND:
		return send_frame(backend, link, meaning);
	case NET_RETURN:
		return net_ring_free(&link->rx, meaning->offset, meaning->length) < 0 ? REFUSED :
											DONE;
	case NET_ADD:
		return add(backend, link, meaning);
	case NET_REMOVE:
		return remove_instance(backend, link, meaning);
	default:
		return REFUSED;
	}
}

int net_backend_serve(struct net_backend *backend, struct net_backend_link *link)
{
	const struct net_message *message;
	int served = 0;

	link->nic_is_full = 0;
	while ((message = net_inbox_look(&link->requests))) {
		const struct net_meaning meaning = net_message_read(*message);
		const enum outcome outcome = handle(backend, link, &meaning);

		if (outcome == LATER)
			break;
		if (outcome == REFUSED)
			link->counters.refused_messages++;
		net_inbox_take(&link->requests);
		served++;
		if (outcome == LAST || net_inbox_is_done(&link->requests))
			break;
	}
	if (link->owed.what && net_outbox_has_room(&link->events)) {
		net_outbox_add(&link->events, link->owed);
		link->owed.what = 0;
	}
	return served;
}
