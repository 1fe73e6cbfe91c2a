/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An io_uring by its system calls: requests go in, completions come out in any order.
 * One thread at a time. */
#ifndef STORAGE_RING_H
#define STORAGE_RING_H

#include <linux/io_uring.h>
#include <stddef.h>
#include <stdint.h>

struct storage_ring {
	int fd;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
	uint32_t sq_entries, sq_mask, cq_mask;
	uint32_t sqe_shift;		/* 1: a request takes two entries (IORING_SETUP_SQE128) */
	uint32_t unsubmitted;
	void *rings;
	size_t rings_bytes, sqes_bytes;
};

/* Powers of two: requests that are put in between two submissions, and completions that
 * may wait to be taken. setup_flags: of io_uring_setup. 0 or -errno (-ENOSYS: this
 * kernel's lacks what is needed). */
int storage_ring_open(struct storage_ring *ring, uint32_t requests, uint32_t completions,
		      uint32_t setup_flags);
/* Requests in flight end some time after; what they use must stay until they were taken. */
void storage_ring_close(struct storage_ring *ring);

/* How many requests can be put in before the next submission. */
uint32_t storage_ring_room(const struct storage_ring *ring);
/* The next request, all 0; there must be room. */
struct io_uring_sqe *storage_ring_next(struct storage_ring *ring);

/* Submits, and waits for a completion for wait_ns at most. What the kernel does not take
 * now goes in with the next call. */
void storage_ring_enter(struct storage_ring *ring, uint64_t wait_ns);

/* Takes a completion; whether there was one. */
int storage_ring_take(struct storage_ring *ring, uint64_t *user_data, int32_t *result);

#endif
