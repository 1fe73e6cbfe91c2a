// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "storage_operation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "buffer_lines.h"

static void request_data(const struct storage_operation *operation, struct io_uring_sqe *sqe)
{
	const int is_write = operation->opcode == STORAGE_WRITE;

	sqe->opcode = is_write ? IORING_OP_WRITE : IORING_OP_READ;
	sqe->off = operation->device_at + operation->done_bytes;
	sqe->addr = (uint64_t)(uintptr_t)(operation->buffer + operation->done_bytes);
	sqe->len = (uint32_t)(operation->bytes - operation->done_bytes);
	sqe->rw_flags = is_write && operation->is_fua ? RWF_DSYNC : 0;
}

static void request_sync(struct io_uring_sqe *sqe)
{
	sqe->opcode = IORING_OP_FSYNC;
	sqe->fsync_flags = IORING_FSYNC_DATASYNC;
}

static void request_zeroes(const struct storage_operation *operation, struct io_uring_sqe *sqe)
{
	sqe->opcode = IORING_OP_FALLOCATE;
	sqe->off = operation->device_at;
	sqe->addr = operation->bytes;
	sqe->len = FALLOC_FL_KEEP_SIZE | (operation->opcode == STORAGE_DISCARD ?
					  FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

void storage_operation_request(const struct storage_operation *operation, int device_fd,
			       struct io_uring_sqe *sqe)
{
	sqe->fd = device_fd;
	if (operation->stage == STORAGE_SYNCING || operation->opcode == STORAGE_FLUSH)
		request_sync(sqe);
	else if (operation->opcode == STORAGE_READ || operation->opcode == STORAGE_WRITE)
		request_data(operation, sqe);
	else
		request_zeroes(operation, sqe);
}

static enum storage_status status_of(uint8_t opcode, int error)
{
	switch (error) {
	case EOPNOTSUPP:
	case ENOSYS:
		return STORAGE_UNSUPPORTED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return STORAGE_NO_CAPACITY;
	case EROFS:
		return STORAGE_WRITE_PROTECTED;
	case EIO:
		return opcode == STORAGE_READ ? STORAGE_READ_ERROR : STORAGE_WRITE_FAULT;
	default:
		return STORAGE_INTERNAL_ERROR;
	}
}

/* Whether there is more to do after a request that went well. */
static int goes_on(struct storage_operation *operation, uint32_t result)
{
	if (operation->stage == STORAGE_SYNCING || operation->opcode == STORAGE_FLUSH)
		return 0;
	if (operation->opcode == STORAGE_READ || operation->opcode == STORAGE_WRITE) {
		operation->done_bytes += result;
		return operation->done_bytes < operation->bytes;
	}
	/* fallocate has no way to ask for it. */
	if (operation->is_fua)
		operation->stage = STORAGE_SYNCING;
	return operation->is_fua;
}

static int is_data_short(const struct storage_operation *operation, int32_t result)
{
	return result == 0 && operation->stage == STORAGE_RUNNING &&
	       (operation->opcode == STORAGE_READ || operation->opcode == STORAGE_WRITE);
}

int storage_operation_advance(struct storage_operation *operation, int32_t result,
			      enum storage_status *status)
{
	if (result == -EAGAIN || result == -EINTR)
		return 0;
	/* The device ends before the slice does. */
	if (is_data_short(operation, result))
		result = -EIO;
	if (result >= 0 && goes_on(operation, (uint32_t)result))
		return 0;
	*status = result < 0 ? status_of(operation->opcode, -result) : STORAGE_OK;
	/* Also what a read that failed has left in this host's cache. */
	if (operation->opcode == STORAGE_READ)
		buffer_lines_drop(operation->buffer, operation->bytes);
	return 1;
}
