/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A peer's messages, and the frames they name, all of it checked before it is used. */
#ifndef NET_INBOX_H
#define NET_INBOX_H

#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "channel.h"
#include "net_frame.h"
#include "buffer_lines.h"
#include "net_link.h"
#include "net_message.h"

enum { NET_INBOX_MESSAGES = 32 };

struct net_inbox {
	struct channel_receiver receiver;
	struct net_message messages[NET_INBOX_MESSAGES];
	uint32_t count, next;
};

/* The next message, which stays the next until it is taken; NULL: none now. */
static inline const struct net_message *net_inbox_look(struct net_inbox *inbox)
{
	if (inbox->next == inbox->count) {
		inbox->next = 0;
		inbox->count = channel_receive(&inbox->receiver, (uint64_t *)inbox->messages,
					       NET_INBOX_MESSAGES);
	}
	return inbox->next < inbox->count ? &inbox->messages[inbox->next] : NULL;
}

/* Whether what was received together with the last one has been taken. */
static inline int net_inbox_is_done(const struct net_inbox *inbox)
{
	return inbox->next == inbox->count;
}

static inline void net_inbox_take(struct net_inbox *inbox)
{
	inbox->next++;
}

/* A frame for writev and sendmsg: its head, copied here, and the rest, where it lies. */
struct net_received {
	uint8_t head[NET_HEAD_BYTES];
	struct iovec parts[2];
};

/* The frame that the message names, in the peer's ring; -1 where it cannot be one. */
static inline int net_inbox_frame(const struct net_meaning *meaning, uint8_t *ring,
				  uint64_t ring_bytes, struct net_received *received)
{
	size_t head = NET_HEAD_BYTES;
	uint8_t *at;

	if (meaning->length < NET_FRAME_BYTES_MIN || meaning->length > NET_FRAME_BYTES_MAX ||
	    meaning->offset % CHANNEL_LINE_BYTES ||
	    (uint64_t)meaning->offset + meaning->length > ring_bytes)
		return -1;
	at = ring + meaning->offset;
	if (meaning->length < head)
		head = meaning->length;
	buffer_lines_drop(at, meaning->length);
	memcpy(received->head, at, head);
	received->parts[0] = (struct iovec){ received->head, head };
	received->parts[1] = (struct iovec){ at + head, meaning->length - head };
	return 0;
}

#endif
