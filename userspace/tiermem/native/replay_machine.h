/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine that `tiermem replay` runs a trace on: a page table over a fast
 * and a slow tier, the memory system model and the trackers, in one loop.
 *
 * Physical memory: frames 0..fast_frames-1 are the fast tier, the rest the
 * slow one; a frame's address is its number times 4096. A page gets its frame
 * at its first touch, fast frames first, as Linux does. Trackers see what the
 * last-level cache lets through.
 */
#ifndef REPLAY_MACHINE_H
#define REPLAY_MACHINE_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#include "memsys.h"
#include "trackers.h"
#endif

enum replay_stop {
	REPLAY_END = 0,		/* all records are done */
	REPLAY_TIME = 1,	/* modelled time has reached stop_ns */
	REPLAY_BAD_RECORD = 2,	/* the record at the returned position is malformed */
	REPLAY_NO_FRAME = 3,	/* it touches a new page and both tiers are full */
	REPLAY_NO_MEMORY = 4,	/* the host is out of memory */
};

struct replay_counters {
	uint64_t accesses;
	uint64_t instructions;
	uint64_t fast_used;	/* frames in use */
	uint64_t slow_used;
	uint64_t promoted;	/* pages moved up */
	uint64_t demoted;	/* pages moved down to make room */
};

struct replay_machine;

/* Borrows the memory system and the trackers. NULL when out of memory. */
struct replay_machine *replay_create(struct ms_memsys *memsys, struct tm_trackers *trackers,
				     uint64_t fast_frames, uint64_t slow_frames,
				     uint64_t copy_instructions);
void replay_destroy(struct replay_machine *machine);

/* Gives nr_pages pages from first_page on a frame each, without an access.
 * Returns an enum replay_stop: END, NO_FRAME or NO_MEMORY. */
uint32_t replay_populate(struct replay_machine *machine, uint64_t first_page,
			 uint64_t nr_pages);

/*
 * Runs records (see trace.h) until one of enum replay_stop, which *stop takes.
 * Returns how many are done.
 */
uint64_t replay_run(struct replay_machine *machine, const uint64_t *records, uint64_t n,
		    uint64_t stop_ns, uint32_t *stop);

/*
 * Pushes pages down to the slow tier, at most `pages`: each the next one of a
 * clock over the fast frames that was not touched since the hand last passed
 * (it stands for the kernel's reclaim). Returns how many went.
 */
uint64_t replay_make_room(struct replay_machine *machine, uint64_t pages);

/*
 * Moves slow frames into free fast ones, in order. results[i] is one of
 * TIERMEM_MOVED, _ALREADY_THERE, _NO_SUCH_PFN, _NOT_MAPPED and _NO_MEMORY
 * (kmod/uapi/tiermem_promote.h). Returns the number moved.
 *
 * Every copy, here and in replay_make_room(), is charged: its reads and writes
 * pass through the memory system and copy_instructions are executed.
 */
uint64_t replay_promote(struct replay_machine *machine, const uint64_t *frames, uint64_t n,
			uint8_t *results);

/* Executes instructions that touch no memory (a policy's own time). */
void replay_spend(struct replay_machine *machine, uint64_t instructions);

/* Modelled time. */
uint64_t replay_now_ns(const struct replay_machine *machine);

void replay_read_counters(const struct replay_machine *machine,
			  struct replay_counters *counters);

/* Reads that reached memory by frame since the start, copies' own left out
 * (32 bits, wrapping); they move with the page. Valid until replay_destroy(). */
const uint32_t *replay_reads(const struct replay_machine *machine);

/* The page in each frame, UINT64_MAX where there is none; as long valid. */
const uint64_t *replay_pages(const struct replay_machine *machine);

#endif
