// SPDX-License-Identifier: GPL-2.0-or-later
#include "epolls.h"

#include <linux/eventpoll.h>

#include "descriptors.h"
#include "restorer.h"

int make_epoll(const struct image_fd *fd)
{
	return (int)settle_descriptor(fd, call(epoll_create1, 0));
}

int fill_epoll(struct restorer *r, const struct image_fd *fd)
{
	const struct image_epoll_item *items = image_at(r->image, fd->extra.at);
	uint64_t count = fd->extra.count / sizeof(*items);
	long result = 0;

	for (uint64_t i = 0; i < count && result == 0; i++) {
		struct epoll_event event = { .events = items[i].events, .data = items[i].data };

		result = call(epoll_ctl, fd->number, EPOLL_CTL_ADD, items[i].fd, &event);
	}
	return (int)result;
}
