// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hot set that moves. Most reads go to a small part of the pages, which lie
 * scattered over the whole of the memory; half-way through a phase labelled
 * "measure" another part becomes the hot one. A unit is one object read.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "draw.h"
#include "phase.h"

#define PAGE_BYTES 4096
#define LINE_BYTES 64

struct hotset {
	const char *memory;
	uint32_t *order;	/* hot pages are order[first .. first + hot) */
	uint32_t pages, hot, first;
	uint32_t hot_percent;	/* of the reads */
	uint32_t lines;		/* an object */
	struct draw draw;
	uint64_t sum;
};

static void read_object(struct hotset *set)
{
	uint32_t page, line, lines_a_page = PAGE_BYTES / LINE_BYTES;
	const char *object;

	if (draw_below(&set->draw, 100) < set->hot_percent)
		page = (set->first + draw_below(&set->draw, set->hot)) % set->pages;
	else
		page = draw_below(&set->draw, set->pages);
	line = draw_below(&set->draw, lines_a_page / set->lines) * set->lines;
	object = set->memory + (uint64_t)set->order[page] * PAGE_BYTES + line * LINE_BYTES;
	for (uint32_t i = 0; i < set->lines; i++) {
		uint64_t word;

		memcpy(&word, object + i * LINE_BYTES, sizeof(word));
		set->sum += word;
	}
}

static void work(void *state, struct phase *phase)
{
	struct hotset *set = state;
	uint64_t moves_at = strcmp(phase->label, "measure") ? phase->units : phase->units / 2;

	for (uint64_t unit = 0; unit < phase->units; unit++) {
		if (unit == moves_at)
			set->first = (set->first + set->hot) % set->pages;
		read_object(set);
	}
}

int main(int argc, char **argv)
{
	struct params params = params_from(argc, argv);
	struct phase_options options = phase_options_from(&params);
	uint64_t megabytes = params_number(&params, "megabytes", 512, 1, 1 << 20);
	uint64_t part = params_number(&params, "hot_pages_percent", 12, 1, 50);
	struct hotset set = {
		.pages = (uint32_t)(megabytes << 8),
		.hot_percent = params_number(&params, "hot_reads_percent", 90, 0, 100),
		.lines = params_number(&params, "object_lines", 4, 1, 64),
		.draw = draw_seeded(options.seed),
	};

	params_done(&params);
	clock_open(options.clock);
	set.hot = (uint32_t)(set.pages * part / 100);
	set.memory = phase_memory(megabytes << 20);
	set.order = draw_permutation(&set.draw, set.pages);
	return phase_serve(work, &set, 0);
}
