// SPDX-License-Identifier: GPL-2.0-or-later
#include "special_files.h"

#include <linux/errno.h>

#include "descriptors.h"
#include "restorer.h"

enum {
	EVENT_IS_SEMAPHORE = 1,		/* EFD_SEMAPHORE */
	TIMER_SET_TICKS = 0x40085400,	/* TFD_IOC_SET_TICKS */
	MEMORY_MAY_BE_SEALED = 2,	/* MFD_ALLOW_SEALING */
};

int make_event(const struct image_fd *fd)
{
	uint64_t flags = (fd->open_flags & SYSTEM_O_NONBLOCK) |
			 (fd->object ? EVENT_IS_SEMAPHORE : 0);
	long result = settle_descriptor(fd, call(eventfd2, 0, flags));

	if (result >= 0 && fd->value)
		result = call(write, fd->number, &fd->value, sizeof(fd->value));
	return result < 0 ? (int)result : 0;
}

int make_signal_file(const struct image_fd *fd)
{
	long opened = call(signalfd4, -1, &fd->value, SYSTEM_SIGNAL_SET_BYTES,
			   fd->open_flags & SYSTEM_O_NONBLOCK);

	return (int)settle_descriptor(fd, opened);
}

int make_timer_file(struct restorer *r, const struct image_fd *fd)
{
	const struct image_timerfd *timer = image_at(r->image, fd->extra.at);
	uint64_t setting[4] = {
		timer->interval_ns / NS_PER_S,
		timer->interval_ns % NS_PER_S,
		timer->value_ns / NS_PER_S,
		timer->value_ns % NS_PER_S,
	};
	long result;

	result = call(timerfd_create, timer->clock, fd->open_flags & SYSTEM_O_NONBLOCK);
	result = settle_descriptor(fd, result);
	/* It is given as what is left, whatever it was set by. */
	if (result >= 0 && timer->value_ns)
		result = call(timerfd_settime, fd->number, 0, setting, NULL);
	if (result >= 0 && timer->ticks)
		result = call(ioctl, fd->number, TIMER_SET_TICKS, &timer->ticks);
	return result < 0 ? (int)result : 0;
}

static long write_all(int fd, const uint8_t *from, uint64_t bytes)
{
	while (bytes) {
		long part = call(write, fd, from, bytes);

		if (part <= 0)
			return part ? part : -ENOSPC;
		from += part;
		bytes -= (uint64_t)part;
	}
	return 0;
}

int make_memory_file(struct restorer *r, const struct image_fd *fd)
{
	const char *name = image_path_name(r->image, fd->path);
	long result = settle_descriptor(fd, call(memfd_create, name, MEMORY_MAY_BE_SEALED));

	if (result >= 0)
		result = write_all(fd->number, image_at(r->image, fd->extra.at), fd->extra.count);
	if (result >= 0)
		result = call(lseek, fd->number, fd->position, 0);
	if (result >= 0 && fd->value)
		result = call(fcntl, fd->number, SYSTEM_F_ADD_SEALS, fd->value);
	if (result >= 0)
		result = call(fcntl, fd->number, SYSTEM_F_SETFL, fd->open_flags);
	return result < 0 ? (int)result : 0;
}
