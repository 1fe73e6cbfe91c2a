/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend: a block device or a file of this host, for the frontends at its links.
 * One thread runs it (storage_backend_run); the other calls are for one other thread.
 *
 * No peer is trusted: commands are copied, then checked, and what does not hold is
 * refused and counted. A peer that does not take its completions loses them, and no
 * other does.
 */
#ifndef STORAGE_BACKEND_H
#define STORAGE_BACKEND_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "storage_slice.h"
#endif

enum storage_backend_limits {
	STORAGE_LINKS_MAX = 64,
};

struct storage_device {
	int fd;				/* stays the caller's */
	uint32_t block_bytes;		/* what it reads and writes at once, at least */
	uint64_t bytes;
	int is_write_through;		/* every write is made durable before it completes */
};

struct storage_counters {
	uint64_t completed;		/* commands that were run, errors of the device included */
	uint64_t failed;		/* those of them that ended in an error */
	uint64_t refused;		/* commands that were not run */
	uint64_t completions_lost;	/* there was no room for them */
};

struct storage_backend;

/* sleep_max_ns: as channel_pace. NULL with errno. */
struct storage_backend *storage_backend_create(const struct storage_device *device,
					       uint64_t sleep_max_ns);
/* Returns once storage_backend_stop was called, before or after. */
void storage_backend_run(struct storage_backend *backend);
void storage_backend_stop(struct storage_backend *backend);
/* When it does not run any more; waits for what the device still does. */
void storage_backend_destroy(struct storage_backend *backend);

/* The link must have been made, with that generation, and stays mapped until it was
 * removed. Returns its number, or -1 with errno: ENOENT where there is no such link,
 * EINVAL where its blocks are smaller than the device's, ENOSPC where there are
 * STORAGE_LINKS_MAX. */
int storage_backend_add_link(struct storage_backend *backend, void *base, uint64_t bytes,
			     uint64_t generation);
/* Takes its commands from now on: not before, since what a frontend has submitted again
 * may lie there when the link is added, and means slices that are not added yet. */
void storage_backend_serve_link(struct storage_backend *backend, uint32_t link);
/* No command of it is taken after this; when storage_backend_remove_link returns 1, what
 * was in flight has ended and its memory is not used any more. 0: ask again. */
int storage_backend_remove_link(struct storage_backend *backend, uint32_t link);

/* Of the link; 0 where there is none of that number. */
uint32_t storage_backend_block_bytes(struct storage_backend *backend, uint32_t link);

/* What the link's commands mean by slice `number`, which is none so far. -1: there is one,
 * or this one is not on the device, or not in its blocks, or no such link. */
int storage_backend_add_slice(struct storage_backend *backend, uint32_t link, uint32_t number,
			      const struct storage_slice *slice);
/* As storage_backend_remove_link: 1 when its blocks may be somebody else's. */
int storage_backend_remove_slice(struct storage_backend *backend, uint32_t link, uint32_t number);

/* All 0 where there is none of that number. */
struct storage_counters storage_backend_counters(struct storage_backend *backend, uint32_t link);

#endif
