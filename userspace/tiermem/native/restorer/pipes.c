// SPDX-License-Identifier: GPL-2.0-or-later
#include "pipes.h"

#include <linux/errno.h>

#include "descriptors.h"
#include "restorer.h"

enum { PIPE_BYTES = 65536 };	/* what a new one holds */

static int is_reader(const struct image_fd *fd)
{
	return (fd->open_flags & SYSTEM_O_ACCMODE) == SYSTEM_O_RDONLY;
}

/* The first end of that pipe that reads, or writes. */
static const struct image_fd *find_end(struct restorer *r, uint64_t object, int reads)
{
	const struct image_fd *fd = image_fds(r->image);

	for (uint64_t i = 0; i < r->image->fds.count; i++, fd++)
		if (fd->kind == IMAGE_FD_PIPE && fd->same_as < 0 && fd->object == object &&
		    is_reader(fd) == reads)
			return fd;
	return NULL;
}

static long set_up_end(const struct image_fd *fd, int end)
{
	long result;

	if (!fd) {
		call(close, end);
		return 0;
	}
	result = settle_descriptor(fd, end);
	if (result >= 0)
		result = call(fcntl, fd->number, SYSTEM_F_SETFL, fd->open_flags);
	return result;
}

int make_pipe_end(struct restorer *r, const struct image_fd *fd)
{
	const struct image_fd *reader = find_end(r, fd->object, 1);
	const struct image_fd *writer = find_end(r, fd->object, 0);
	const struct image_part *held = reader ? &reader->extra : NULL;
	int ends[2];
	long result;

	if (fd != reader && fd != writer)
		return -EOPNOTSUPP;
	if ((reader && reader < fd) || (writer && writer < fd))
		return 0;
	/* Writes must not wait, whatever it holds. */
	result = call(pipe2, ends, SYSTEM_O_NONBLOCK | (fd->open_flags & SYSTEM_O_DIRECT));
	if (result < 0)
		return (int)result;
	if (fd->value && fd->value != PIPE_BYTES)
		result = call(fcntl, ends[1], SYSTEM_F_SETPIPE_SZ, fd->value);
	if (result >= 0 && held && held->count) {
		result = call(write, ends[1], image_at(r->image, held->at), held->count);
		if (result >= 0 && (uint64_t)result != held->count)
			result = -ENOSPC;
	}
	if (result < 0)
		return (int)result;
	/* The number that the first gets may be where the other end is. */
	if (reader && ends[1] == reader->number) {
		ends[1] = (int)call(fcntl, ends[1], SYSTEM_F_DUPFD, r->image->max_fd + 1);
		call(close, reader->number);
	}
	result = ends[1] < 0 ? ends[1] : set_up_end(reader, ends[0]);
	if (result >= 0)
		result = set_up_end(writer, ends[1]);
	return result < 0 ? (int)result : 0;
}
