// SPDX-License-Identifier: GPL-2.0-or-later
#include "listeners.h"

#include <asm/socket.h>

#include "descriptors.h"
#include "restorer.h"

enum {
	LEVEL_IPV6 = 41,
	IPV6_ONLY = 26,
	OPTION_REUSE_ADDRESS = 1,	/* bits of struct image_listener's options */
	OPTION_REUSE_PORT = 2,
	OPTION_IPV6_ONLY = 4,
};

static long set_options(int fd, uint32_t options)
{
	static const struct {
		int32_t bit;
		int32_t level;
		int32_t name;
	} known[] = {
		{ OPTION_REUSE_ADDRESS, SOL_SOCKET, SO_REUSEADDR },
		{ OPTION_REUSE_PORT, SOL_SOCKET, SO_REUSEPORT },
		{ OPTION_IPV6_ONLY, LEVEL_IPV6, IPV6_ONLY },
	};
	int on = 1;
	long result = 0;

	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]) && result == 0; i++)
		if (options & (uint32_t)known[i].bit)
			result = call(setsockopt, fd, known[i].level, known[i].name, &on,
				      sizeof(on));
	return result;
}

int make_listener(struct restorer *r, const struct image_fd *fd)
{
	const struct image_listener *listener = image_at(r->image, fd->extra.at);
	int type = listener->type | (int)(fd->open_flags & SYSTEM_O_NONBLOCK);
	long result = call(socket, listener->family, type, listener->protocol);

	result = settle_descriptor(fd, result);
	if (result >= 0)
		result = set_options(fd->number, listener->options);
	if (result >= 0)
		result = call(bind, fd->number, listener + 1, listener->address_bytes);
	if (result >= 0)
		result = call(listen, fd->number, listener->backlog);
	return result < 0 ? (int)result : 0;
}
