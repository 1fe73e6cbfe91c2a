// SPDX-License-Identifier: GPL-2.0-or-later
#include "replay_state.h"

#include <stdlib.h>
#include <string.h>

#include "trace_record.h"

enum {
	BLOCK = 128,		/* records whose translation is fetched together */
};

_Static_assert((int)BLOCK <= (int)TM_BATCH_MAX, "the reads of a block fit");

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
	if (tier_frames_init(&machine->fast, 0, fast_frames) ||
	    tier_frames_init(&machine->slow, fast_frames, slow_frames) || !machine->page_of ||
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
	tier_frames_destroy(&machine->fast);
	tier_frames_destroy(&machine->slow);
	free(machine->page_of);
	free(machine->reads_of);
	free(machine);
}

static uint32_t place_page(struct replay_machine *machine, uint64_t page, uint32_t *entry)
{
	uint64_t frame = tier_frames_take(&machine->fast);

	if (frame == NO_FRAME)
		frame = tier_frames_take(&machine->slow);
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

void replay_flush_reads(struct replay_machine *machine)
{
	for (uint32_t i = 0; i < machine->nr_fills; i++)
		machine->reads_of[machine->fills[i] >> PAGE_SHIFT]++;
	tm_trackers_read_many(machine->trackers, machine->fills, machine->nr_fills,
			      machine->now_ns);
	machine->nr_fills = 0;
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
	replay_flush_reads(machine);
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
