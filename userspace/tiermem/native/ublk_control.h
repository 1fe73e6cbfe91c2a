/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control of ublk's block devices, by way of /dev/ublk-control. A device is added,
 * its requests are fetched (ublk_server.h), then it is started. When its server has gone
 * the kernel holds requests back, until another one has taken it over: begin recovery,
 * fetch, end recovery.
 *
 * All return 0 or -errno: -ENODEV where there is no such device, -ETIMEDOUT where the
 * kernel still waits after UBLK_CONTROL_LIMIT_MS.
 */
#ifndef UBLK_CONTROL_H
#define UBLK_CONTROL_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum ublk_control_limits {
	UBLK_CONTROL_LIMIT_MS = 30000,
	UBLK_OWNER_BITS = 48,
};

struct ublk_device {
	uint32_t number;		/* of /dev/ublkbN */
	uint32_t depth;			/* requests in flight */
	uint32_t block_bytes;
	uint32_t request_bytes_max;	/* of data */
	uint64_t bytes;
	uint64_t owner;			/* who it is for, below 2^UBLK_OWNER_BITS */
	int is_read_only;
	int has_cache;			/* what completes is durable only after a flush, or with FUA */
	int is_ours;			/* was added by ublk_add */
	int is_without_server;		/* and waits for one */
	int is_stopped;			/* or not started yet: nobody can use it */
};

/* Sets its number. -EOPNOTSUPP where the kernel lacks what is needed (6.9 has it). */
int ublk_add(int control_fd, struct ublk_device *device);
/* What the device of that number is. */
int ublk_find(int control_fd, uint32_t number, struct ublk_device *device);
/* All of its requests are fetched, or will soon be; `pid` is this process. */
int ublk_start(int control_fd, uint32_t number, int32_t pid);
/* No more requests, not even those for what its users have not yet flushed. */
int ublk_stop(int control_fd, uint32_t number);
/* Stopped or not: its users' requests fail from now on. Its number is free again when all
 * of them have closed it. */
int ublk_delete(int control_fd, uint32_t number);

/* -EBUSY: its server has not gone, or not quite. */
int ublk_begin_recovery(int control_fd, uint32_t number);
/* As ublk_start. */
int ublk_end_recovery(int control_fd, uint32_t number, int32_t pid);

#endif
