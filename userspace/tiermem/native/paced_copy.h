/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bulk copies between memories, of which some are told to be slower than they are.
 *
 * A pace is one memory's schedule, shared by all threads: each piece of a copy takes
 * the next free stretch of it, as long as the piece takes at the stated bandwidth, and
 * is not done before that stretch has ended. So copies that run at once share the
 * bandwidth, and none is ever faster than stated; where the real memory is slower,
 * nothing is waited for.
 */
#ifndef PACED_COPY_H
#define PACED_COPY_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum paced_copy_limits {
	/* A piece takes about so long, so that copies in turn get equal shares ... */
	PACED_PIECE_NS = 500000,
	PACED_PIECE_MIN_BYTES = 4096,
	PACED_PIECE_MAX_BYTES = 1048576,
	/* ... a copy may be ahead of its schedule by this before its last piece ... */
	PACED_AHEAD_NS = 200000,
	/* ... and a sleep ends so long before the moment, for it may be late. */
	PACED_AWAKE_NS = 100000,
};

struct copy_pace {
	uint64_t bytes_per_s;	/* more than 0 */
	uint64_t latency_ns;	/* of each copy, once */
	uint64_t busy_until_ns;	/* CLOCK_MONOTONIC: where the free part of the schedule begins */
};

/*
 * Copies past the cache; when it returns, the bytes are in memory. The ranges do not
 * overlap; any alignment. A pace may be NULL: that memory is as fast as it is.
 */
void paced_copy(struct copy_pace *target, struct copy_pace *source, void *to, const void *from,
		uint64_t bytes);

/*
 * Bytes that a device has moved into or out of that memory since `begun_ns` (CLOCK_MONOTONIC): they
 * take their stretch of the schedule, and when it returns, that has ended.
 */
void paced_transfer(struct copy_pace *pace, uint64_t begun_ns, uint64_t bytes);

#endif
