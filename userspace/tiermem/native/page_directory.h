/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sparse page table of a replayed address space: page number to a 32-bit entry.
 *
 * A hash table of 2 MiB regions with one leaf of 512 entries each: an address
 * space has few regions, so the hash stays in the host's first-level cache.
 */
#ifndef PAGE_DIRECTORY_H
#define PAGE_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

enum {
	PAGE_SHIFT = 12,
	PAGE_BYTES = 1 << PAGE_SHIFT,
	REGION_SHIFT = 9,
	REGION_PAGES = 1 << REGION_SHIFT,
};

struct page_region {
	uint64_t number;
	uint32_t *entries;	/* NULL: a free place of the hash table */
};

struct page_directory {
	struct page_region *regions;
	uint64_t mask;
	uint64_t nr_regions;
};

/* Returns 0, or -1 when out of memory. */
int page_directory_init(struct page_directory *directory);
void page_directory_destroy(struct page_directory *directory);

/* Adds the page's region; returns the page's entry, or NULL when out of memory. */
uint32_t *page_directory_add(struct page_directory *directory, uint64_t page);

static inline uint64_t page_region_home(const struct page_directory *directory,
					uint64_t region)
{
	return (region * 0x9e3779b97f4a7c15ULL) >> 32 & directory->mask;
}

/* The page's entry where its region is in its home place, else NULL. */
static inline uint32_t *page_directory_peek(const struct page_directory *directory,
					    uint64_t page)
{
	uint64_t number = page >> REGION_SHIFT;
	const struct page_region *region =
		&directory->regions[page_region_home(directory, number)];

	if (region->entries && region->number == number)
		return &region->entries[page & (REGION_PAGES - 1)];
	return NULL;
}

/* The page's entry (0 at first), or NULL when out of memory. */
static inline uint32_t *page_directory_entry(struct page_directory *directory, uint64_t page)
{
	uint32_t *entry = page_directory_peek(directory, page);

	return entry ? entry : page_directory_add(directory, page);
}

#endif
