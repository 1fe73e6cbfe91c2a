// SPDX-License-Identifier: GPL-2.0-or-later
#include "descriptors.h"

#include <linux/errno.h>

#include "epolls.h"
#include "listeners.h"
#include "pipes.h"
#include "restorer.h"
#include "special_files.h"

enum { DESCRIPTOR_IS_CLOSED_ON_EXEC = 1 };

long settle_descriptor(const struct image_fd *fd, long opened)
{
	long result = opened;

	if (opened >= 0 && opened != fd->number) {
		result = call(dup2, opened, fd->number);
		call(close, opened);
	}
	/* Opened without it; what is inherited has it here. */
	if (result >= 0)
		result = call(fcntl, fd->number, SYSTEM_F_SETFD,
			      fd->descriptor_flags & DESCRIPTOR_IS_CLOSED_ON_EXEC);
	return result;
}

static int open_by_name(struct restorer *r, const struct image_fd *fd)
{
	const char *name = image_path_name(r->image, fd->path);
	long result = call(open, name, fd->open_flags | SYSTEM_O_NOCTTY, 0);

	result = settle_descriptor(fd, result);
	if (result >= 0 && fd->position && !(fd->open_flags & SYSTEM_O_PATH))
		result = call(lseek, fd->number, fd->position, 0);
	/* Where a device cannot be positioned, it has none. */
	return result == -ESPIPE ? 0 : (int)(result < 0 ? result : 0);
}

static int make_descriptor(struct restorer *r, const struct image_fd *fd)
{
	const struct image_fd *fds = image_fds(r->image);

	if (fd->same_as >= 0)
		return (int)settle_descriptor(fd, call(dup, fds[fd->same_as].number));
	switch (fd->kind) {
	case IMAGE_FD_PATH:
		return open_by_name(r, fd);
	case IMAGE_FD_PIPE:
		return make_pipe_end(r, fd);
	case IMAGE_FD_EVENT:
		return make_event(fd);
	case IMAGE_FD_EPOLL:
		return make_epoll(fd);
	case IMAGE_FD_TIMER:
		return make_timer_file(r, fd);
	case IMAGE_FD_SIGNAL:
		return make_signal_file(fd);
	case IMAGE_FD_LISTENING:
		return make_listener(r, fd);
	case IMAGE_FD_MEMORY:
		return make_memory_file(r, fd);
	case IMAGE_FD_INHERITED:
		if (fd->number > RESTORE_FD_STDERR - RESTORE_FD_STDIN)
			return -EINVAL;
		return (int)settle_descriptor(fd, call(dup, r->fds[RESTORE_FD_STDIN + fd->number]));
	default:
		return -EINVAL;
	}
}

int make_descriptors(struct restorer *r)
{
	const struct image_fd *fds = image_fds(r->image);
	uint64_t i;
	int result = 0;

	for (i = 0; i < r->image->fds.count && result >= 0; i++)
		result = make_descriptor(r, &fds[i]);
	if (result < 0)
		return failed(r, RESTORE_STEP_DESCRIPTOR, i - 1, result);
	/* They may watch each other. */
	for (i = 0; i < r->image->fds.count && result >= 0; i++)
		if (fds[i].kind == IMAGE_FD_EPOLL && fds[i].same_as < 0)
			result = fill_epoll(r, &fds[i]);
	return result < 0 ? failed(r, RESTORE_STEP_DESCRIPTOR, i - 1, result) : 0;
}
