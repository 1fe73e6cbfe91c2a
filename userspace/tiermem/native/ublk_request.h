/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request of ublk's as a command of a link, and what became of it.
 *
 * Data is copied once, by the kernel: between the pages of whoever asked and the link's
 * buffer, by reading and writing the character device (UBLK_F_USER_COPY). That one is
 * needed, for the device of another host reaches only the pool; and it is made when this
 * end says so, which the cache lines of the link, and buffers that a silent backend may
 * still use, ask for.
 */
#ifndef UBLK_REQUEST_H
#define UBLK_REQUEST_H

#include <stdint.h>

#include "storage_frontend.h"
#include "ublk_abi.h"

struct ublk_queue {
	int char_fd;
	const struct ublksrv_io_desc *descriptors;	/* one a tag of the device's */
	struct storage_frontend *frontend;
	uint32_t slice;
	uint16_t tags[STORAGE_TAGS_MAX];		/* the device's, by the link's */
};

/* More than any result that a request may have. */
enum { UBLK_REQUEST_RUNS = INT32_MAX };

/* Submits the request that was fetched under that tag: UBLK_REQUEST_RUNS, or its result:
 * -errno. */
int32_t ublk_request_begin(struct ublk_queue *queue, uint32_t tag);

/* The result of a request whose command has ended, and its tag: how many bytes, or -errno.
 * The link's tag is released. */
int32_t ublk_request_end(struct ublk_queue *queue, const struct storage_result *result,
			 uint32_t *tag);

#endif
