/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to a peer, gathered so that one fence is enough for all of their frames. */
#ifndef NET_OUTBOX_H
#define NET_OUTBOX_H

#include <stdint.h>

#include "channel.h"
#include "buffer_lines.h"
#include "net_message.h"

enum { NET_BATCH = 32 };

struct net_outbox {
	struct channel_sender sender;
	struct net_message messages[NET_BATCH];
	uint32_t count;
};

static inline int net_outbox_has_room(struct net_outbox *outbox)
{
	return outbox->count < NET_BATCH && channel_room(&outbox->sender) > outbox->count;
}

/* There is room. */
static inline void net_outbox_add(struct net_outbox *outbox, struct net_message message)
{
	outbox->messages[outbox->count++] = message;
}

/* Behind all lines that were being written back. */
static inline void net_outbox_flush(struct net_outbox *outbox)
{
	if (!outbox->count)
		return;
	buffer_lines_fence();
	/* There is room for all of them: there was when each was added. */
	channel_send(&outbox->sender, (const uint64_t *)outbox->messages, outbox->count);
	channel_flush(&outbox->sender);
	outbox->count = 0;
}

#endif
