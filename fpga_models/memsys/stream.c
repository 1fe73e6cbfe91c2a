// SPDX-License-Identifier: GPL-2.0-or-later
#include "stream.h"

enum { PAGE_SHIFT = 12, LINE_SHIFT = 6, LINES_A_PAGE = 64 };

int ms_streams_miss(struct ms_streams *streams, uint64_t address, uint32_t trigger)
{
	const uint64_t page = (address >> PAGE_SHIFT) + 1;
	const int32_t line = (int32_t)(address >> LINE_SHIFT) & (LINES_A_PAGE - 1);
	struct ms_stream_entry *entry = &streams->entries[page % MS_STREAMS];
	int32_t step;
	int streamed;

	if (entry->page != page) {
		entry->page = page;
		entry->line = line;
		entry->direction = 0;
		entry->run = 0;
		return 0;
	}
	step = line - entry->line;
	entry->line = line;
	if (step != 1 && step != -1) {
		entry->direction = 0;
		entry->run = 0;
		return 0;
	}
	if (step != entry->direction) {
		entry->direction = step;
		entry->run = 0;
	}
	streamed = entry->run >= trigger;
	entry->run++;
	return streamed;
}
