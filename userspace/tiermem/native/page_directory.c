// SPDX-License-Identifier: GPL-2.0-or-later
#include "page_directory.h"

#include <stdlib.h>

enum {
	FIRST_PLACES = 1024,
};

int page_directory_init(struct page_directory *directory)
{
	directory->mask = FIRST_PLACES - 1;
	directory->nr_regions = 0;
	directory->regions = calloc(FIRST_PLACES, sizeof(*directory->regions));
	return directory->regions ? 0 : -1;
}

void page_directory_destroy(struct page_directory *directory)
{
	if (!directory->regions)
		return;
	for (uint64_t place = 0; place <= directory->mask; place++)
		free(directory->regions[place].entries);
	free(directory->regions);
}

static struct page_region *find(const struct page_directory *directory, uint64_t number)
{
	uint64_t place = page_region_home(directory, number);

	while (directory->regions[place].entries && directory->regions[place].number != number)
		place = (place + 1) & directory->mask;
	return &directory->regions[place];
}

static int grow(struct page_directory *directory)
{
	struct page_directory larger = {
		.mask = directory->mask * 2 + 1,
		.nr_regions = directory->nr_regions,
	};

	larger.regions = calloc(larger.mask + 1, sizeof(*larger.regions));
	if (!larger.regions)
		return -1;
	for (uint64_t place = 0; place <= directory->mask; place++)
		if (directory->regions[place].entries)
			*find(&larger, directory->regions[place].number) =
				directory->regions[place];
	free(directory->regions);
	*directory = larger;
	return 0;
}

uint32_t *page_directory_add(struct page_directory *directory, uint64_t page)
{
	uint64_t number = page >> REGION_SHIFT;
	struct page_region *region = find(directory, number);

	if (!region->entries) {
		/* At most one place in four is taken, so that most finds are one look. */
		if (4 * directory->nr_regions > directory->mask) {
			if (grow(directory))
				return NULL;
			region = find(directory, number);
		}
		region->entries = calloc(REGION_PAGES, sizeof(*region->entries));
		if (!region->entries)
			return NULL;
		region->number = number;
		directory->nr_regions++;
	}
	return &region->entries[page & (REGION_PAGES - 1)];
}
