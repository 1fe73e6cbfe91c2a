/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command that was checked, as it runs on the device: one request of io_uring after
 * the other until it is done. Data goes between the device and the link's buffer.
 */
#ifndef STORAGE_OPERATION_H
#define STORAGE_OPERATION_H

#include <linux/io_uring.h>
#include <stdint.h>

#include "storage_command.h"

enum storage_stage {
	STORAGE_IDLE,		/* its tag is free */
	STORAGE_RUNNING,
	STORAGE_SYNCING,	/* done, and to be made durable */
};

struct storage_operation {
	enum storage_stage stage;
	uint8_t opcode, is_fua, slice;
	uint64_t serial;
	uint8_t *buffer;
	uint64_t device_at;	/* bytes */
	uint64_t bytes;
	uint64_t done_bytes;
};

/* Fills in the next request, which is all 0 but for its user data. */
void storage_operation_request(const struct storage_operation *operation, int device_fd,
			       struct io_uring_sqe *sqe);

/*
 * What the last request came to. Returns 1 when the operation has ended, with its status;
 * 0: it goes on with another request. What was read has been written back to memory.
 */
int storage_operation_advance(struct storage_operation *operation, int32_t result,
			      enum storage_status *status);

#endif
