// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "file_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage_ring.h"

enum { WAIT_NS = 100000000 };

struct file_ring {
	struct storage_ring ring;
	uint32_t requests;
};

struct file_ring *file_ring_create(uint32_t requests)
{
	struct file_ring *const ring = calloc(1, sizeof(*ring));
	int error;

	if (!ring)
		return NULL;
	error = storage_ring_open(&ring->ring, requests, 2 * requests, 0);
	if (error) {
		free(ring);
		errno = -error;
		return NULL;
	}
	ring->requests = requests;
	return ring;
}

void file_ring_destroy(struct file_ring *ring)
{
	storage_ring_close(&ring->ring);
	free(ring);
}

static void put(struct file_ring *ring, int fd, const struct file_transfer *transfer,
		uint64_t number)
{
	struct io_uring_sqe *const sqe = storage_ring_next(&ring->ring);

	sqe->opcode = transfer->is_write ? IORING_OP_WRITE : IORING_OP_READ;
	sqe->fd = fd;
	sqe->addr = transfer->address + transfer->done_bytes;
	sqe->len = (uint32_t)(transfer->bytes - transfer->done_bytes);
	sqe->off = transfer->offset + transfer->done_bytes;
	sqe->user_data = number;
}

/* Whether the rest of it is to be done still. */
static int note(struct file_transfer *transfer, int64_t result)
{
	if (result == -EINTR || result == -EAGAIN)
		return 1;
	if (result < 0)
		transfer->error = (int32_t)-result;
	if (result <= 0)
		return 0;
	transfer->done_bytes += (uint64_t)result;
	return transfer->done_bytes < transfer->bytes;
}

static void begin(struct file_transfer *transfer)
{
	transfer->done_bytes = 0;
	transfer->error = 0;
}

void file_ring_transfer(struct file_ring *ring, int fd, struct file_transfer *transfers,
			uint32_t count)
{
	uint32_t next = 0, in_flight = 0;
	uint64_t number;
	int32_t result;

	while (next < count || in_flight) {
		for (; next < count && in_flight < ring->requests && storage_ring_room(&ring->ring);
		     next++, in_flight++) {
			begin(&transfers[next]);
			put(ring, fd, &transfers[next], next);
		}
		storage_ring_enter(&ring->ring, WAIT_NS);
		while (storage_ring_take(&ring->ring, &number, &result)) {
			if (note(&transfers[number], result))
				put(ring, fd, &transfers[number], number);
			else
				in_flight--;
		}
	}
}

void file_calls_transfer(int fd, struct file_transfer *transfers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct file_transfer *const one = &transfers[i];
		int64_t result;

		begin(one);
		do {
			void *const address = (void *)(uintptr_t)(one->address + one->done_bytes);
			const uint64_t left = one->bytes - one->done_bytes;
			const off_t at = (off_t)(one->offset + one->done_bytes);

			result = one->is_write ? pwrite(fd, address, left, at) :
						 pread(fd, address, left, at);
		} while (note(one, result < 0 ? -errno : result));
	}
}
