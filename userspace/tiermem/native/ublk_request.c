// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ublk_request.h"

#include <errno.h>
#include <unistd.h>

enum { SECTOR_SHIFT = 9 };

/* -1: there is none for it. */
static int opcode_of(const struct ublksrv_io_desc *asked)
{
	switch (ublksrv_get_op(asked)) {
	case UBLK_IO_OP_READ:
		return STORAGE_READ;
	case UBLK_IO_OP_WRITE:
		return STORAGE_WRITE;
	case UBLK_IO_OP_FLUSH:
		return STORAGE_FLUSH;
	case UBLK_IO_OP_DISCARD:
		return STORAGE_DISCARD;
	case UBLK_IO_OP_WRITE_ZEROES:
		return STORAGE_WRITE_ZEROES;
	default:
		return -1;
	}
}

static uint64_t bytes_of(const struct ublksrv_io_desc *asked)
{
	return (uint64_t)asked->nr_sectors << SECTOR_SHIFT;
}

/* --- data --- */

/* Where a request's data lies in the character device. */
static off_t data_at(uint32_t tag)
{
	return (off_t)(UBLKSRV_IO_BUF_OFFSET + ((uint64_t)tag << UBLK_TAG_OFF));
}

/* Neither goes well when the kernel has taken the request back. */
static int fetch_data(const struct ublk_queue *queue, uint32_t tag, uint8_t *buffer, uint64_t bytes)
{
	return pread(queue->char_fd, buffer, bytes, data_at(tag)) == (ssize_t)bytes;
}

static int hand_data(const struct ublk_queue *queue, uint32_t tag, const uint8_t *buffer,
		     uint64_t bytes)
{
	return pwrite(queue->char_fd, buffer, bytes, data_at(tag)) == (ssize_t)bytes;
}

/* --- a request's begin and end --- */

static struct storage_request command_for(const struct ublk_queue *queue,
					  const struct ublksrv_io_desc *asked, int opcode)
{
	const uint32_t block_bytes = storage_frontend_block_bytes(queue->frontend);
	const int is_fua = asked->op_flags & UBLK_IO_F_FUA && opcode != STORAGE_READ;

	if (opcode == STORAGE_FLUSH)
		return (struct storage_request){ .opcode = STORAGE_FLUSH, .slice = queue->slice };
	return (struct storage_request){
		.opcode = (uint8_t)opcode,
		.flags = is_fua ? STORAGE_FUA : 0,
		.slice = queue->slice,
		.lba = (asked->start_sector << SECTOR_SHIFT) / block_bytes,
		.blocks = (uint32_t)(bytes_of(asked) / block_bytes),
	};
}

/* Whether it could be sent. */
static int submit(struct ublk_queue *queue, uint32_t tag, uint32_t link_tag, int opcode)
{
	const struct ublksrv_io_desc *const asked = &queue->descriptors[tag];
	const struct storage_request command = command_for(queue, asked, opcode);

	if (opcode == STORAGE_WRITE &&
	    (bytes_of(asked) > storage_frontend_buffer_bytes(queue->frontend) ||
	     !fetch_data(queue, tag, storage_frontend_buffer(queue->frontend, link_tag),
			 bytes_of(asked))))
		return 0;
	return storage_frontend_submit(queue->frontend, link_tag, &command) == STORAGE_SUBMITTED;
}

int32_t ublk_request_begin(struct ublk_queue *queue, uint32_t tag)
{
	const int opcode = opcode_of(&queue->descriptors[tag]);
	int link_tag;

	if (opcode < 0)
		return -EOPNOTSUPP;
	/* There are as many as the device's, but for those that a silent backend still has. */
	link_tag = storage_frontend_take_tag(queue->frontend);
	if (link_tag < 0)
		return -EIO;
	if (!submit(queue, tag, (uint32_t)link_tag, opcode)) {
		storage_frontend_release(queue->frontend, (uint32_t)link_tag);
		return -EIO;
	}
	queue->tags[link_tag] = (uint16_t)tag;
	return UBLK_REQUEST_RUNS;
}

/* Of those that the kernel knows from others: without one the upper layers do it otherwise,
 * and a full device is said to be so. */
static int32_t error_of(uint16_t status)
{
	switch (status) {
	case STORAGE_UNSUPPORTED:
		return -EOPNOTSUPP;
	case STORAGE_NO_CAPACITY:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

int32_t ublk_request_end(struct ublk_queue *queue, const struct storage_result *result,
			 uint32_t *tag)
{
	const struct ublksrv_io_desc *asked;
	int32_t ended;

	*tag = queue->tags[result->tag];
	asked = &queue->descriptors[*tag];
	ended = result->status == STORAGE_OK ? (int32_t)bytes_of(asked) : error_of(result->status);
	if (ended > 0 && ublksrv_get_op(asked) == UBLK_IO_OP_READ &&
	    !hand_data(queue, *tag, storage_frontend_buffer(queue->frontend, result->tag),
		       bytes_of(asked)))
		ended = -EIO;
	if (result->status != STORAGE_PATH_ERROR)
		storage_frontend_release(queue->frontend, result->tag);
	return ended;
}
