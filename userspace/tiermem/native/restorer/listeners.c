// SPDX-License-Identifier: GPL-2.0-or-later
#include "listeners.h"

#include <asm/socket.h>
#include <linux/errno.h>

#include "descriptors.h"
#include "restorer.h"

enum {
	UNIX_SOCKETS = 1,	/* AF_UNIX */
	FAMILY_BYTES = 2,	/* before the name, in a Unix address */
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

/* The name of a Unix socket that nobody listens to any more is still there. */
static int is_left_over(const struct image_listener *listener)
{
	const char *name = (const char *)(listener + 1) + FAMILY_BYTES;
	long probe, result;

	if (listener->family != UNIX_SOCKETS || !*name)
		return 0;
	probe = call(socket, UNIX_SOCKETS, listener->type | SYSTEM_O_CLOEXEC, 0);
	result = call(connect, probe, listener + 1, listener->address_bytes);
	call(close, probe);
	return result == -ECONNREFUSED;
}

static long bind_again(const struct image_fd *fd, const struct image_listener *listener)
{
	long result = call(bind, fd->number, listener + 1, listener->address_bytes);

	if (result != -EADDRINUSE || !is_left_over(listener))
		return result;
	call(unlink, (const char *)(listener + 1) + FAMILY_BYTES);
	return call(bind, fd->number, listener + 1, listener->address_bytes);
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
		result = bind_again(fd, listener);
	if (result >= 0)
		result = call(listen, fd->number, listener->backlog);
	return result < 0 ? (int)result : 0;
}
