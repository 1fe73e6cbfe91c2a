// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "storage_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NS_A_SECOND = 1000000000 };

static const uint32_t NEEDED = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;

static void *map_ring(int fd, size_t bytes, off_t at)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);
}

static int map_rings(struct storage_ring *ring, const struct io_uring_params *params)
{
	const size_t sq = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	const size_t cq = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	uint32_t *array;

	ring->rings_bytes = sq > cq ? sq : cq;
	ring->rings = map_ring(ring->fd, ring->rings_bytes, IORING_OFF_SQ_RING);
	if (ring->rings == MAP_FAILED)
		return -errno;
	ring->sqes_bytes = (params->sq_entries * sizeof(struct io_uring_sqe)) << ring->sqe_shift;
	ring->sqes = map_ring(ring->fd, ring->sqes_bytes, IORING_OFF_SQES);
	if (ring->sqes == MAP_FAILED) {
		const int error = -errno;

		munmap(ring->rings, ring->rings_bytes);
		return error;
	}
	array = (uint32_t *)((uint8_t *)ring->rings + params->sq_off.array);
	for (uint32_t i = 0; i < params->sq_entries; i++)
		array[i] = i;
	return 0;
}

static void find_words(struct storage_ring *ring, const struct io_uring_params *params)
{
	uint8_t *const rings = ring->rings;

	ring->sq_head = (uint32_t *)(rings + params->sq_off.head);
	ring->sq_tail = (uint32_t *)(rings + params->sq_off.tail);
	ring->cq_head = (uint32_t *)(rings + params->cq_off.head);
	ring->cq_tail = (uint32_t *)(rings + params->cq_off.tail);
	ring->cqes = (struct io_uring_cqe *)(rings + params->cq_off.cqes);
	ring->sq_entries = params->sq_entries;
	ring->sq_mask = params->sq_entries - 1;
	ring->cq_mask = params->cq_entries - 1;
}

int storage_ring_open(struct storage_ring *ring, uint32_t requests, uint32_t completions,
		      uint32_t setup_flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | setup_flags, .cq_entries = completions,
	};
	int error;

	*ring = (struct storage_ring){
		.fd = -1, .sqe_shift = setup_flags & IORING_SETUP_SQE128 ? 1 : 0,
	};
	ring->fd = (int)syscall(__NR_io_uring_setup, requests, &params);
	if (ring->fd < 0)
		return -errno;
	error = (params.features & NEEDED) == NEEDED ? map_rings(ring, &params) : -ENOSYS;
	if (error) {
		close(ring->fd);
		return error;
	}
	find_words(ring, &params);
	return 0;
}

void storage_ring_close(struct storage_ring *ring)
{
	munmap(ring->sqes, ring->sqes_bytes);
	munmap(ring->rings, ring->rings_bytes);
	close(ring->fd);
}

uint32_t storage_ring_room(const struct storage_ring *ring)
{
	return ring->sq_entries - ring->unsubmitted;
}

struct io_uring_sqe *storage_ring_next(struct storage_ring *ring)
{
	const uint32_t next = *ring->sq_tail + ring->unsubmitted++;
	struct io_uring_sqe *const sqe = &ring->sqes[(next & ring->sq_mask) << ring->sqe_shift];

	memset(sqe, 0, sizeof(*sqe) << ring->sqe_shift);
	return sqe;
}

void storage_ring_enter(struct storage_ring *ring, uint64_t wait_ns)
{
	struct __kernel_timespec timeout = {
		.tv_sec = (int64_t)(wait_ns / NS_A_SECOND), .tv_nsec = wait_ns % NS_A_SECOND,
	};
	const struct io_uring_getevents_arg argument = { .ts = (uint64_t)(uintptr_t)&timeout };
	const uint32_t tail = *ring->sq_tail + ring->unsubmitted;
	uint32_t left;

	/* What an earlier call did not take lies before the tail already. */
	left = tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
	if (!left && !wait_ns)
		return;
	__atomic_store_n(ring->sq_tail, tail, __ATOMIC_RELEASE);
	syscall(__NR_io_uring_enter, ring->fd, left, wait_ns ? 1 : 0,
		IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof(argument));
	left = tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
	/* Those are put in again, as if they were new. */
	__atomic_store_n(ring->sq_tail, tail - left, __ATOMIC_RELEASE);
	ring->unsubmitted = left;
}

int storage_ring_take(struct storage_ring *ring, uint64_t *user_data, int32_t *result)
{
	const uint32_t head = *ring->cq_head;
	const struct io_uring_cqe *const cqe = &ring->cqes[head & ring->cq_mask];

	if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		return 0;
	*user_data = cqe->user_data;
	*result = cqe->res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return 1;
}
