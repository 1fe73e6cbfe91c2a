/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine behind replay_machine.h, and how its memory is accessed: by the
 * program (replay_machine.c), and by the copies of moves (replay_moves.c).
 */
#ifndef REPLAY_STATE_H
#define REPLAY_STATE_H

#include <stdint.h>

#include "memsys.h"
#include "page_directory.h"
#include "replay_machine.h"
#include "tier_frames.h"
#include "trackers.h"

enum {
	TOUCHED = 1,		/* of a page's entry: (frame + 1) << 1 | touched */
};

#define NO_PAGE UINT64_MAX

struct replay_machine {
	struct ms_memsys *memsys;
	struct tm_trackers *trackers;
	struct page_directory directory;
	struct tier_frames fast;
	struct tier_frames slow;
	uint64_t *page_of;
	uint32_t *reads_of;
	uint64_t clock_hand;
	uint64_t copy_instructions;
	uint64_t now_ns;
	struct replay_counters counters;
	uint32_t nr_fills;
	uint64_t fills[TM_BATCH_MAX];	/* reads that the trackers have not seen yet */
};

/* Hands the reads collected so far to the trackers. */
void replay_flush_reads(struct replay_machine *machine);

/* One access of the only vCPU, through the cache. */
static inline void touch_memory(struct replay_machine *machine, uint64_t address,
				enum ms_access_kind kind)
{
	struct ms_outcome outcome;
	uint32_t events = ms_access(machine->memsys, 0, address, kind,
				    machine->counters.instructions, &outcome);

	if (events & MS_FILL) {
		__builtin_prefetch(&machine->reads_of[address >> PAGE_SHIFT], 1);
		machine->fills[machine->nr_fills++] = address;
	}
	if (events & MS_WRITEBACK)
		tm_trackers_access(machine->trackers, outcome.victim, 1, machine->now_ns);
}

static inline void update_now(struct replay_machine *machine)
{
	machine->now_ns = ms_now_ps(machine->memsys) / 1000;
}

#endif
