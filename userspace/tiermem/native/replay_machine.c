// SPDX-License-Identifier: GPL-2.0-or-later
#include "replay_machine.h"

#include <stdlib.h>
#include <string.h>

#include "page_directory.h"
#include "tiermem_promote.h"
#include "trace.h"

enum {
	PAGE_SHIFT = 12,
	LINE_BYTES = 64,
	PAGE_BYTES = 1 << PAGE_SHIFT,
	BLOCK = 128,		/* records whose translation is fetched together */
	TOUCHED = 1,		/* of a page's entry: (frame + 1) << 1 | touched */
};

#define NO_PAGE UINT64_MAX
#define NO_FRAME UINT64_MAX
#define ADDRESS_MASK ((1ULL << TM_TRACE_ADDRESS_BITS) - 1)
#define GAP_RECORD (1ULL << TM_TRACE_PAUSE_BIT)

struct tier_frames {
	uint64_t first;
	uint64_t count;
	uint64_t used;
	uint64_t fresh;		/* frames of the tier that were ever given out */
	uint64_t nr_free;
	uint64_t *free;		/* stack of frames given back */
};

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

_Static_assert((int)BLOCK <= (int)TM_BATCH_MAX, "the reads of a block fit");
_Static_assert(2 * (int)PAGE_BYTES / (int)LINE_BYTES <= (int)TM_BATCH_MAX, "the reads of a copy fit");

static int tier_init(struct tier_frames *tier, uint64_t first, uint64_t count)
{
	tier->first = first;
	tier->count = count;
	tier->free = malloc((count + 1) * sizeof(*tier->free));
	return tier->free ? 0 : -1;
}

struct replay_machine *replay_create(struct ms_memsys *memsys, struct tm_trackers *trackers,
				     uint64_t fast_frames, uint64_t slow_frames,
				     uint64_t copy_instructions)
{
	struct replay_machine *machine = calloc(1, sizeof(*machine));
	uint64_t frames = fast_frames + slow_frames;

	if (!machine)
		return NULL;
	machine->memsys = memsys;
	machine->trackers = trackers;
	machine->copy_instructions = copy_instructions;
	machine->page_of = malloc((frames + 1) * sizeof(*machine->page_of));
	machine->reads_of = calloc(frames + 1, sizeof(*machine->reads_of));
	if (tier_init(&machine->fast, 0, fast_frames) ||
	    tier_init(&machine->slow, fast_frames, slow_frames) || !machine->page_of ||
	    !machine->reads_of || page_directory_init(&machine->directory)) {
		replay_destroy(machine);
		return NULL;
	}
	memset(machine->page_of, 0xff, frames * sizeof(*machine->page_of));
	return machine;
}

void replay_destroy(struct replay_machine *machine)
{
	if (!machine)
		return;
	page_directory_destroy(&machine->directory);
	free(machine->fast.free);
	free(machine->slow.free);
	free(machine->page_of);
	free(machine->reads_of);
	free(machine);
}

static uint64_t take_frame(struct tier_frames *tier)
{
	uint64_t frame = NO_FRAME;

	if (tier->nr_free)
		frame = tier->free[--tier->nr_free];
	else if (tier->fresh < tier->count)
		frame = tier->first + tier->fresh++;
	if (frame != NO_FRAME)
		tier->used++;
	return frame;
}

static void give_frame(struct tier_frames *tier, uint64_t frame)
{
	tier->free[tier->nr_free++] = frame;
	tier->used--;
}

static uint32_t place_page(struct replay_machine *machine, uint64_t page, uint32_t *entry)
{
	uint64_t frame = take_frame(&machine->fast);

	if (frame == NO_FRAME)
		frame = take_frame(&machine->slow);
	if (frame == NO_FRAME)
		return REPLAY_NO_FRAME;
	machine->page_of[frame] = page;
	*entry = (uint32_t)(frame + 1) << 1;
	return REPLAY_END;
}

uint32_t replay_populate(struct replay_machine *machine, uint64_t first_page, uint64_t nr_pages)
{
	for (uint64_t page = first_page; page < first_page + nr_pages; page++) {
		uint32_t *entry = page_directory_entry(&machine->directory, page);
		uint32_t stop;

		if (!entry)
			return REPLAY_NO_MEMORY;
		if (*entry)
			continue;
		stop = place_page(machine, page, entry);
		if (stop != REPLAY_END)
			return stop;
	}
	return REPLAY_END;
}

/* Hands the reads collected so far to the trackers. */
static void flush_reads(struct replay_machine *machine)
{
	for (uint32_t i = 0; i < machine->nr_fills; i++)
		machine->reads_of[machine->fills[i] >> PAGE_SHIFT]++;
	tm_trackers_read_many(machine->trackers, machine->fills, machine->nr_fills,
			      machine->now_ns);
	machine->nr_fills = 0;
}

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

static void update_now(struct replay_machine *machine)
{
	machine->now_ns = ms_now_ps(machine->memsys) / 1000;
}

static inline int is_malformed_gap(uint64_t record)
{
	return record >> TM_TRACE_WRITE_BIT != 0;
}

static inline uint32_t translate(struct replay_machine *machine, uint64_t record,
				 uint64_t *address)
{
	uint64_t page = (record & ADDRESS_MASK) >> PAGE_SHIFT;
	uint32_t *entry;

	if (record & GAP_RECORD)
		return is_malformed_gap(record) ? REPLAY_BAD_RECORD : REPLAY_END;
	entry = page_directory_entry(&machine->directory, page);
	if (!entry)
		return REPLAY_NO_MEMORY;
	if (!*entry) {
		uint32_t stop = place_page(machine, page, entry);

		if (stop != REPLAY_END)
			return stop;
	}
	*entry |= TOUCHED;
	*address = ((uint64_t)(*entry >> 1) - 1) << PAGE_SHIFT | record % PAGE_BYTES;
	ms_prefetch(machine->memsys, *address);
	return REPLAY_END;
}

/* Translates until a record cannot be; returns how many can, *stop says why not more. */
static uint32_t translate_block(struct replay_machine *machine, const uint64_t *records,
				uint32_t n, uint64_t *addresses, uint32_t *stop)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t *entry = page_directory_peek(
			&machine->directory, (records[i] & ADDRESS_MASK) >> PAGE_SHIFT);

		if (entry)
			__builtin_prefetch(entry, 1);
	}
	for (uint32_t i = 0; i < n; i++) {
		*stop = translate(machine, records[i], &addresses[i]);
		if (*stop != REPLAY_END)
			return i;
	}
	return n;
}

/* Returns how many records are done: n, or fewer when the time has come. */
static uint32_t run_block(struct replay_machine *machine, const uint64_t *records,
			  const uint64_t *addresses, uint32_t n, uint64_t stop_ps)
{
	uint32_t done;

	for (done = 0; done < n && ms_now_ps(machine->memsys) < stop_ps; done++) {
		uint64_t record = records[done];

		if (record & GAP_RECORD) {
			machine->counters.instructions += record & ADDRESS_MASK;
			ms_tick(machine->memsys, 0, machine->counters.instructions);
			continue;
		}
		machine->counters.instructions += record >> TM_TRACE_GAP_SHIFT;
		machine->counters.accesses++;
		touch_memory(machine, addresses[done], (int)(record >> TM_TRACE_WRITE_BIT & 1));
	}
	update_now(machine);
	flush_reads(machine);
	return done;
}

uint64_t replay_run(struct replay_machine *machine, const uint64_t *records, uint64_t n,
		    uint64_t stop_ns, uint32_t *stop)
{
	uint64_t stop_ps = stop_ns < UINT64_MAX / 1000 ? stop_ns * 1000 : UINT64_MAX;
	uint64_t addresses[BLOCK];
	uint64_t done = 0;

	*stop = REPLAY_END;
	while (done < n && *stop == REPLAY_END) {
		uint32_t wanted = n - done < BLOCK ? (uint32_t)(n - done) : BLOCK;
		uint32_t ready = translate_block(machine, records + done, wanted, addresses, stop);
		uint32_t ran = run_block(machine, records + done, addresses, ready, stop_ps);

		if (ran < ready)
			*stop = REPLAY_TIME;
		done += ran;
	}
	return done;
}

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
	flush_reads(machine);
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
		uint64_t to = take_frame(&machine->slow);
		uint64_t victim;

		if (to == NO_FRAME)
			break;
		victim = choose_victim(machine);
		copy_page(machine, victim, to);
		/* Cold it was, and the copy did not make it otherwise. */
		*page_directory_entry(&machine->directory, machine->page_of[to]) &=
			~(uint32_t)TOUCHED;
		give_frame(&machine->fast, victim);
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
	to = take_frame(&machine->fast);
	if (to == NO_FRAME)
		return TIERMEM_NO_MEMORY;
	copy_page(machine, frame, to);
	give_frame(&machine->slow, frame);
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

void replay_spend(struct replay_machine *machine, uint64_t instructions)
{
	machine->counters.instructions += instructions;
	ms_tick(machine->memsys, 0, machine->counters.instructions);
	update_now(machine);
}

uint64_t replay_now_ns(const struct replay_machine *machine)
{
	return machine->now_ns;
}

void replay_read_counters(const struct replay_machine *machine, struct replay_counters *counters)
{
	*counters = machine->counters;
	counters->fast_used = machine->fast.used;
	counters->slow_used = machine->slow.used;
}

const uint32_t *replay_reads(const struct replay_machine *machine)
{
	return machine->reads_of;
}

const uint64_t *replay_pages(const struct replay_machine *machine)
{
	return machine->page_of;
}

uint64_t replay_count_pages(const uint64_t *records, uint64_t n, uint64_t *bad)
{
	struct page_directory directory;
	uint64_t pages = 0;

	*bad = n;
	if (page_directory_init(&directory))
		return UINT64_MAX;
	for (uint64_t i = 0; i < n; i++) {
		uint32_t *entry;

		if (records[i] & GAP_RECORD) {
			if (!is_malformed_gap(records[i]))
				continue;
			*bad = i;
			break;
		}
		entry = page_directory_entry(&directory, (records[i] & ADDRESS_MASK) >> PAGE_SHIFT);
		if (!entry) {
			pages = UINT64_MAX;
			break;
		}
		pages += !*entry;
		*entry = 1;
	}
	page_directory_destroy(&directory);
	return pages;
}
