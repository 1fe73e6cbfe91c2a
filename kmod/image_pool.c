// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening an image: nothing that it says is believed before it is checked.
 */
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "compat.h"
#include "image.h"

static bool is_within(u64 at, u64 bytes, u64 whole)
{
	return at <= whole && bytes <= whole - at;
}

static int check_bounds(const struct tiermem_image_open *asked)
{
	u64 runs_bytes = (u64)asked->nr_runs * sizeof(struct tiermem_image_run);
	u64 end;

	if (asked->flags & ~(u32)TIERMEM_IMAGE_COPY_ON_READ || asked->reserved)
		return -EINVAL;
	if (asked->nr_runs > TIERMEM_IMAGE_RUNS_MAX)
		return -E2BIG;
	if (!PAGE_ALIGNED(asked->pool_start) || !PAGE_ALIGNED(asked->pool_bytes) ||
	    !PAGE_ALIGNED(asked->image_at) || !asked->pool_bytes || !asked->image_bytes)
		return -EINVAL;
	if (check_add_overflow(asked->pool_start, asked->pool_bytes, &end))
		return -EINVAL;
	if (!is_within(asked->image_at, asked->image_bytes, asked->pool_bytes) ||
	    !is_within(asked->runs_at, runs_bytes, asked->image_bytes))
		return -EINVAL;
	return IS_ALIGNED(asked->runs_at, sizeof(u64)) ? 0 : -EINVAL;
}

/* The device memory that holds the whole pool, with a reference. */
static struct dev_pagemap *get_pool_memory(u64 start, u64 bytes)
{
	struct dev_pagemap *pgmap;
	int i;

	if (region_intersects(start, bytes, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	    REGION_DISJOINT)
		return ERR_PTR(-EPERM);
	pgmap = compat_get_dev_pagemap(PHYS_PFN(start));
	if (!pgmap)
		return ERR_PTR(-ENXIO);
	if (pgmap->type == MEMORY_DEVICE_GENERIC)
		for (i = 0; i < pgmap->nr_range; i++)
			if (start >= pgmap->ranges[i].start &&
			    start + bytes - 1 <= pgmap->ranges[i].end)
				return pgmap;
	put_dev_pagemap(pgmap);
	return ERR_PTR(-ENXIO);
}

/* Sorted, disjoint, inside the image and inside an address space. */
static int check_runs(struct image *image, u64 image_pages)
{
	u64 page = 0, stored = 0;
	u32 i;

	for (i = 0; i < image->nr_runs; i++) {
		const struct tiermem_image_run *run = &image->runs[i];

		if (!run->pages || run->first_page < page ||
		    !is_within(run->first_page, run->pages, TASK_SIZE_MAX >> PAGE_SHIFT) ||
		    !is_within(run->data_page, run->pages, image_pages))
			return -EUCLEAN;
		page = run->first_page + run->pages;
		image->stored_before[i] = stored;
		stored += run->pages;
	}
	image->stored_before[i] = stored;
	return 0;
}

/* The pool may change under us, by another host: so a copy is taken, then checked. */
static int read_runs(struct image *image, const struct tiermem_image_open *asked)
{
	const void *begin = phys_to_virt(asked->pool_start + asked->image_at);
	u32 count = asked->nr_runs;

	image->nr_runs = count;
	image->runs = kvmalloc_array(max(count, 1U), sizeof(*image->runs), GFP_KERNEL);
	image->stored_before = kvmalloc_array(count + 1, sizeof(u64), GFP_KERNEL);
	if (!image->runs || !image->stored_before)
		return -ENOMEM;
	memcpy(image->runs, begin + asked->runs_at, count * sizeof(*image->runs));
	return check_runs(image, asked->image_bytes >> PAGE_SHIFT);
}

struct image *image_open(const struct tiermem_image_open *asked)
{
	struct dev_pagemap *pgmap;
	struct image *image;
	int err = check_bounds(asked);

	if (err)
		return ERR_PTR(err);
	pgmap = get_pool_memory(asked->pool_start, asked->pool_bytes);
	if (IS_ERR(pgmap))
		return ERR_CAST(pgmap);
	image = kzalloc(sizeof(*image), GFP_KERNEL);
	if (!image) {
		put_dev_pagemap(pgmap);
		return ERR_PTR(-ENOMEM);
	}
	image->pgmap = pgmap;
	image->first_pfn = PHYS_PFN(asked->pool_start + asked->image_at);
	image->copies_on_read = asked->flags & TIERMEM_IMAGE_COPY_ON_READ;
	err = read_runs(image, asked);
	if (err) {
		image_close(image);
		return ERR_PTR(err);
	}
	return image;
}

void image_close(struct image *image)
{
	put_dev_pagemap(image->pgmap);
	kvfree(image->stored_before);
	kvfree(image->runs);
	kfree(image);
}

u32 image_next_run(const struct image *image, u64 page)
{
	u32 low = 0, high = image->nr_runs;

	while (low < high) {
		u32 middle = low + (high - low) / 2;
		const struct tiermem_image_run *run = &image->runs[middle];

		if (run->first_page + run->pages <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool image_find(const struct image *image, u64 page, struct image_place *place)
{
	u32 i = image_next_run(image, page);
	u64 offset;

	if (i == image->nr_runs || image->runs[i].first_page > page)
		return false;
	offset = page - image->runs[i].first_page;
	*place = (struct image_place) {
		.run = &image->runs[i],
		.index = image->stored_before[i] + offset,
		.pfn = image->first_pfn + image->runs[i].data_page + offset,
	};
	return true;
}

u64 image_stored_before(const struct image *image, u64 page)
{
	u32 i = image_next_run(image, page);
	u64 index = image->stored_before[i];

	if (i < image->nr_runs && image->runs[i].first_page < page)
		index += page - image->runs[i].first_page;
	return index;
}
