// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace_pages.h"

#include "page_directory.h"
#include "trace_record.h"

uint64_t trace_count_pages(const uint64_t *records, uint64_t n, uint64_t *bad)
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
