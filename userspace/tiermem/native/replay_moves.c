// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages of the replayed machine that move between tiers, and what that costs. */
#include "replay_state.h"

#include "tiermem_promote.h"

enum {
	LINE_BYTES = 64,
};

_Static_assert(2 * (int)PAGE_BYTES / (int)LINE_BYTES <= (int)TM_BATCH_MAX, "the reads of a copy fit");

static void copy_page(struct replay_machine *machine, uint64_t from, uint64_t to)
{
	uint64_t page = machine->page_of[from];
	uint32_t reads = machine->reads_of[from];
	uint32_t *entry = page_directory_entry(&machine->directory, page);

	machine->counters.instructions += machine->copy_instructions;
	for (uint64_t line = 0; line < PAGE_BYTES; line += LINE_BYTES) {
		touch_memory(machine, (from << PAGE_SHIFT) + line, 0);
		touch_memory(machine, (to << PAGE_SHIFT) + line, 1);
	}
	update_now(machine);
	replay_flush_reads(machine);
	/* The copy's own reads say nothing about the page's heat. */
	machine->reads_of[to] = reads;
	machine->reads_of[from] = 0;
	machine->page_of[to] = page;
	machine->page_of[from] = NO_PAGE;
	*entry = (uint32_t)(to + 1) << 1 | TOUCHED;
}

/* The clock's next page that was not touched; its entry says so from then on. */
static uint64_t choose_victim(struct replay_machine *machine)
{
	for (;;) {
		uint64_t frame = machine->clock_hand;
		uint32_t *entry;

		machine->clock_hand = (frame + 1) % machine->fast.count;
		if (machine->page_of[frame] == NO_PAGE)
			continue;
		entry = page_directory_entry(&machine->directory, machine->page_of[frame]);
		if (!(*entry & TOUCHED))
			return frame;
		*entry &= ~(uint32_t)TOUCHED;
	}
}

uint64_t replay_make_room(struct replay_machine *machine, uint64_t pages)
{
	uint64_t freed;

	for (freed = 0; freed < pages && machine->fast.used; freed++) {
		uint64_t to = tier_frames_take(&machine->slow);
		uint64_t victim;

		if (to == NO_FRAME)
			break;
		victim = choose_victim(machine);
		copy_page(machine, victim, to);
		/* Cold it was, and the copy did not make it otherwise. */
		*page_directory_entry(&machine->directory, machine->page_of[to]) &=
			~(uint32_t)TOUCHED;
		tier_frames_give(&machine->fast, victim);
		machine->counters.demoted++;
	}
	return freed;
}

static uint8_t promote_one(struct replay_machine *machine, uint64_t frame)
{
	uint64_t to;

	if (frame >= machine->fast.count + machine->slow.count)
		return TIERMEM_NO_SUCH_PFN;
	if (frame < machine->fast.count)
		return TIERMEM_ALREADY_THERE;
	if (machine->page_of[frame] == NO_PAGE)
		return TIERMEM_NOT_MAPPED;
	to = tier_frames_take(&machine->fast);
	if (to == NO_FRAME)
		return TIERMEM_NO_MEMORY;
	copy_page(machine, frame, to);
	tier_frames_give(&machine->slow, frame);
	machine->counters.promoted++;
	return TIERMEM_MOVED;
}

uint64_t replay_promote(struct replay_machine *machine, const uint64_t *frames, uint64_t n,
			uint8_t *results)
{
	uint64_t moved = 0;

	for (uint64_t i = 0; i < n; i++) {
		results[i] = promote_one(machine, frames[i]);
		moved += results[i] == TIERMEM_MOVED;
	}
	return moved;
}
