// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults: pages are read where they lie in the pool, and copied when written to.
 *
 * They are mapped as ordinary, counted pages, as the device's own mappings are, so that
 * whatever looks at a process's memory (ptrace, direct I/O, pinning) finds them, and a
 * write copies them however it comes. Large mappings are not counted; what looks at them
 * finds the pages all the same, and they are split before a write.
 */
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>

#include "compat.h"
#include "image.h"

#define AROUND_MAX PTRS_PER_PTE

static unsigned int around_pages = 16;
module_param(around_pages, uint, 0644);
MODULE_PARM_DESC(around_pages, "pages mapped at a read fault, a power of two, 1 to 512");

/* 1 if it was mapped, 0 if something is there already. */
static int map_page(struct vm_area_struct *vma, unsigned long address, struct page *page)
{
	int err = vm_insert_page(vma, address, page);

	if (err == -EBUSY)
		return 0;
	return err ? err : 1;
}

/* The window of address that a read fault maps: in one page table, in the mapping. */
static void choose_window(const struct vm_area_struct *vma, unsigned long address,
			  unsigned long *start, unsigned long *end)
{
	unsigned int pages = clamp(READ_ONCE(around_pages), 1U, (unsigned int)AROUND_MAX);
	unsigned long bytes = rounddown_pow_of_two(pages) * PAGE_SIZE;

	*start = max(ALIGN_DOWN(address, bytes), vma->vm_start);
	*end = min(ALIGN_DOWN(address, bytes) + bytes, vma->vm_end);
}

static void map_around(struct vm_area_struct *vma, unsigned long address)
{
	struct image_region *region = vma->vm_private_data;
	struct image_place place;
	unsigned long at, end;
	int mapped = 0;

	choose_window(vma, address, &at, &end);
	for (; at < end; at += PAGE_SIZE)
		if (image_region_find(region, image_page_of(vma, at), &place) &&
		    map_page(vma, at, pfn_to_page(place.pfn)) > 0)
			mapped++;
	image_count(region->image, mapped_pages, mapped);
}

/* The region is locked for reading. */
static vm_fault_t map_for_reading(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct image_region *region = vma->vm_private_data;
	struct image_place place;
	int err;

	if (image_region_find(region, vmf->pgoff, &place)) {
		err = map_page(vma, vmf->address, pfn_to_page(place.pfn));
		if (err > 0) {
			image_count(region->image, mapped_pages, 1);
			map_around(vma, vmf->address);
		}
	} else {
		err = map_page(vma, vmf->address, ZERO_PAGE(vmf->address));
		if (err > 0)
			image_count(region->image, zero_pages, 1);
	}
	if (err < 0)
		return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	return VM_FAULT_NOPAGE;
}

/* The kernel copies the page that it gets here to one of its own and maps that. */
static vm_fault_t give_to_copy(struct vm_fault *vmf)
{
	struct image_region *region = vmf->vma->vm_private_data;
	struct image_place place;

	if (image_region_find(region, vmf->pgoff, &place)) {
		vmf->page = pfn_to_page(place.pfn);
		image_count(region->image, copied_pages, 1);
	} else {
		vmf->page = ZERO_PAGE(vmf->address);
		image_count(region->image, zero_pages, 1);
	}
	get_page(vmf->page);
	return 0;
}

static bool copies_now(const struct vm_fault *vmf)
{
	struct image_region *region = vmf->vma->vm_private_data;
	struct image_place place;
	bool copies;

	if (!region->image->copies_on_read)
		return false;
	down_read(&region->lock);
	copies = image_region_find(region, vmf->pgoff, &place);
	up_read(&region->lock);
	return copies;
}

/*
 * As if it were a write, which maps it writable only where the mapping is. Protection
 * keys were looked at for the read, and must not be for the write: hence REMOTE.
 */
static vm_fault_t copy_for_reading(struct vm_fault *vmf)
{
	unsigned int keep = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT |
			    FAULT_FLAG_KILLABLE | FAULT_FLAG_TRIED |
			    FAULT_FLAG_INTERRUPTIBLE | FAULT_FLAG_VMA_LOCK;
	vm_fault_t result;

	result = handle_mm_fault(vmf->vma, vmf->address,
				 (vmf->flags & keep) | FAULT_FLAG_WRITE | FAULT_FLAG_REMOTE,
				 NULL);
	if (result & (VM_FAULT_ERROR | VM_FAULT_RETRY))
		return result;
	return VM_FAULT_NOPAGE;
}

vm_fault_t image_fault(struct vm_fault *vmf)
{
	struct image_region *region = vmf->vma->vm_private_data;
	bool is_write = vmf->flags & FAULT_FLAG_WRITE;
	unsigned int no_reclaim;
	vm_fault_t result;

	/* fork() had no memory for it. */
	if (!region)
		return VM_FAULT_SIGBUS;
	if (!is_write && copies_now(vmf))
		return copy_for_reading(vmf);
	image_count(region->image, faults, 1);

	/* Reclaim would tell our notifier, which takes the lock, of this region's pages. */
	no_reclaim = memalloc_noreclaim_save();
	down_read(&region->lock);
	result = is_write ? give_to_copy(vmf) : map_for_reading(vmf);
	up_read(&region->lock);
	memalloc_noreclaim_restore(no_reclaim);
	return result;
}

/*
 * Maps nothing, since here nothing may sleep. That it exists says that faults can be
 * served under the lock of the mapping alone; else the kernel begins each of them anew,
 * with the lock of the address space.
 */
vm_fault_t image_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	return 0;
}

vm_fault_t image_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct image_region *region = vma->vm_private_data;
	unsigned long start = ALIGN_DOWN(vmf->address, PMD_SIZE);
	vm_fault_t result = VM_FAULT_FALLBACK;
	struct image_place place;
	u64 page;

	if (order != PMD_ORDER || vmf->flags & FAULT_FLAG_WRITE || !region ||
	    region->image->copies_on_read)
		return VM_FAULT_FALLBACK;
	if (start < vma->vm_start || start + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	page = image_page_of(vma, start);
	if (page + HPAGE_PMD_NR > region->end_page)
		return VM_FAULT_FALLBACK;

	down_read(&region->lock);
	if (image_region_find(region, page, &place) && IS_ALIGNED(place.pfn, HPAGE_PMD_NR) &&
	    page + HPAGE_PMD_NR <= place.run->first_page + place.run->pages &&
	    !image_region_lost_any(region, place.index, HPAGE_PMD_NR)) {
		result = compat_insert_pfn_pmd(vmf, place.pfn);
		if (result == VM_FAULT_NOPAGE) {
			image_count(region->image, faults, 1);
			image_count(region->image, mapped_large, 1);
		}
	}
	up_read(&region->lock);
	return result;
}
