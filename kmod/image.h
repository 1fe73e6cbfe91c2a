/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tiermem_image: an image is an open part of a pool; a region is one mapping of it.
 *
 *	image_dev.c	/dev/tiermem_image: what user space asks, checked
 *	image_pool.c	opening an image: its memory and its runs, checked; finding pages
 *	image_file.c	the image's descriptor and its mappings
 *	image_region.c	a mapping's memory of what its process has given back
 *	image_fault.c	page faults
 *	image_pages.c	what the page tables of a process say
 */
#ifndef TIERMEM_IMAGE_MODULE_H
#define TIERMEM_IMAGE_MODULE_H

#include <linux/atomic.h>
#include <linux/memremap.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>

#include "uapi/tiermem_image.h"

struct image_counts {
	atomic64_t mapped_pages;
	atomic64_t mapped_large;
	atomic64_t copied_pages;
	atomic64_t zero_pages;
	atomic64_t discarded_pages;
	atomic64_t faults;
};

/* Of all images, since the module was loaded. */
extern struct image_counts image_totals;

#define image_count(image, what, number)				\
	do {								\
		atomic64_add(number, &(image)->counts.what);		\
		atomic64_add(number, &image_totals.what);		\
	} while (0)

struct image {
	struct dev_pagemap *pgmap;	/* held: the memory stays while the image is open */
	unsigned long first_pfn;
	u64 *stored_before;		/* pages of all runs before a run; one more than runs */
	struct tiermem_image_run *runs;
	u32 nr_runs;
	bool copies_on_read;
	struct image_counts counts;
};

/* A page of an image: which run it is in, and its place among all that are stored. */
struct image_place {
	const struct tiermem_image_run *run;
	u64 index;
	unsigned long pfn;
};

struct image *image_open(const struct tiermem_image_open *asked);
void image_close(struct image *image);
/* Of the first run that ends after page; nr_runs if there is none. */
u32 image_next_run(const struct image *image, u64 page);
bool image_find(const struct image *image, u64 page, struct image_place *place);
/* How many stored pages lie before page. */
u64 image_stored_before(const struct image *image, u64 page);

/* Which closes the image when it is closed. */
struct file *image_make_file(struct image *image);
void image_read_counts(const struct image_counts *counts, struct tiermem_image_counters *out);

/*
 * One mmap call's mapping; mappings split from it share it. What its process gave back
 * reads as zeros from then on, so it is noted here, a bit for each stored page.
 */
struct image_region {
	refcount_t users;
	struct image *image;
	struct mmu_notifier *notifier;
	/* Read: a page is looked up and mapped. Written: pages are noted as given back. */
	struct rw_semaphore lock;
	u64 first_page;
	u64 end_page;		/* what lies behind was added by mremap and is zeros */
	u64 first_index;	/* of the first stored page: bit 0 */
	u64 nr_stored;
	unsigned long *gone;
};

extern const struct vm_operations_struct image_vm_ops;

struct image_region *image_region_new(struct image *image, struct mm_struct *mm,
				      u64 first_page, u64 end_page);
/* One of its own for a mapping, of which the first pages are the parent's. */
struct image_region *image_region_part(struct image_region *parent, struct vm_area_struct *vma,
				       u64 pages);
/* What lay there is the other's now, and zeros here. */
void image_region_leave(struct image_region *region, u64 first_page, u64 pages);
void image_region_get(struct image_region *region);
void image_region_put(struct image_region *region);
/* The stored page behind page, unless it was given back or is not the region's. */
bool image_region_find(const struct image_region *region, u64 page, struct image_place *place);
bool image_region_lost_any(const struct image_region *region, u64 first_index, u64 pages);

vm_fault_t image_fault(struct vm_fault *vmf);
vm_fault_t image_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last);
vm_fault_t image_huge_fault(struct vm_fault *vmf, unsigned int order);

long image_read_pages(struct tiermem_image_pages __user *user);

static inline u64 image_page_of(const struct vm_area_struct *vma, unsigned long address)
{
	return vma->vm_pgoff + ((address - vma->vm_start) >> PAGE_SHIFT);
}

#endif
