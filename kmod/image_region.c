// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process has given back of a mapping, and how that becomes known.
 *
 * Allocators rely on memory reading as zeros after MADV_DONTNEED. The kernel asks no
 * driver before it clears page tables, but it tells MMU notifiers: MMU_NOTIFY_CLEAR for a
 * range means that it will no longer be mapped as it is. That is so for
 *
 *	MADV_DONTNEED and its like	the pages are given back: noted
 *	a copy at the first write	noted too, and harmless: the page is anonymous from
 *					now on, and is not asked for here again unless it
 *					is given back
 *	the split of a 2 MiB mapping	not to be noted: its pages come back by faults
 *
 * A split is told from the rest by who calls. (The system call would not do: madvise()
 * splits as well, when it gives back a part of the 2 MiB, or divides a mapping.)
 */
#include <linux/maple_tree.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <asm/syscall.h>

#include "image.h"

#define CALLERS_SEEN 8
#define NOTIFIER_TRIES 64

static bool is_split(const struct mmu_notifier_range *range)
{
	unsigned long callers[CALLERS_SEEN];
	char name[64];
	unsigned int n, i;

	if (range->end - range->start != PMD_SIZE || !IS_ALIGNED(range->start, PMD_SIZE))
		return false;
	n = stack_trace_save(callers, ARRAY_SIZE(callers), 1);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%ps", (void *)callers[i]);
		if (strstr(name, "split_huge_pmd"))
			return true;
	}
	return false;
}

/* Only for counting: the copy of a page clears one page as well. */
static bool is_giving_back(void)
{
	unsigned long arguments[6];
	struct pt_regs *regs;
	int call;

	if (current->flags & PF_KTHREAD)
		return false;
	regs = task_pt_regs(current);
	call = syscall_get_nr(current, regs);
	if (call != __NR_madvise && call != __NR_process_madvise)
		return false;
	syscall_get_arguments(current, regs, arguments);
	return arguments[call == __NR_madvise ? 2 : 3] != MADV_POPULATE_WRITE;
}

/* How many were not noted yet. */
static u64 mark_gone(struct image_region *region, u64 first_page, u64 end_page)
{
	struct image *image = region->image;
	u64 index, end, fresh = 0;

	first_page = max(first_page, region->first_page);
	end_page = min(end_page, region->end_page);
	if (first_page >= end_page)
		return 0;
	index = image_stored_before(image, first_page) - region->first_index;
	end = image_stored_before(image, end_page) - region->first_index;
	for (; index < end; index++)
		fresh += !__test_and_set_bit(index, region->gone);
	return fresh;
}

static void note_gone(struct image_region *region, u64 first_page, u64 end_page)
{
	struct image *image = region->image;
	u64 fresh = mark_gone(region, first_page, end_page);

	if (!fresh)
		return;
	if (end_page - first_page > 1 || is_giving_back())
		image_count(image, discarded_pages, fresh);
	else if (!(current->flags & PF_KTHREAD))
		image_count(image, copied_pages, fresh);
}

/*
 * The mappings of the range cannot change now: whoever clears page tables holds the
 * lock of the address space, of the mapping, or of all mappings of the page.
 */
static int on_clear(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	bool may_wait = mmu_notifier_range_blockable(range);
	unsigned long address = range->start;
	struct vm_area_struct *vma;

	if (range->event != MMU_NOTIFY_CLEAR || is_split(range))
		return 0;
	mt_for_each(&range->mm->mm_mt, vma, address, range->end - 1) {
		struct image_region *region = vma->vm_private_data;

		if (vma->vm_ops != &image_vm_ops || !region)
			continue;
		if (may_wait)
			down_write(&region->lock);
		else if (!down_write_trylock(&region->lock))
			return -EAGAIN;
		note_gone(region, image_page_of(vma, max(range->start, vma->vm_start)),
			  image_page_of(vma, min(range->end, vma->vm_end)));
		up_write(&region->lock);
	}
	return 0;
}

static struct mmu_notifier *alloc_notifier(struct mm_struct *mm)
{
	struct mmu_notifier *notifier = kzalloc(sizeof(*notifier), GFP_KERNEL);

	return notifier ? notifier : ERR_PTR(-ENOMEM);
}

static void free_notifier(struct mmu_notifier *notifier)
{
	kfree(notifier);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = on_clear,
	.alloc_notifier = alloc_notifier,
	.free_notifier = free_notifier,
};

/*
 * Registering gives up while the caller has a signal or other work waiting, which fork()
 * could not report: it has to wait a little longer.
 */
static struct mmu_notifier *get_notifier(struct mm_struct *mm)
{
	bool has_signal = false, has_work = false;
	struct mmu_notifier *notifier;
	int tries;

	for (tries = 0; tries < NOTIFIER_TRIES; tries++) {
		notifier = mmu_notifier_get_locked(&notifier_ops, mm);
		if (notifier != ERR_PTR(-EINTR))
			break;
		has_signal |= test_and_clear_thread_flag(TIF_SIGPENDING);
		has_work |= test_and_clear_thread_flag(TIF_NOTIFY_SIGNAL);
	}
	if (has_signal)
		set_thread_flag(TIF_SIGPENDING);
	if (has_work)
		set_thread_flag(TIF_NOTIFY_SIGNAL);
	return notifier;
}

struct image_region *image_region_new(struct image *image, struct mm_struct *mm,
				      u64 first_page, u64 end_page)
{
	struct image_region *region = kzalloc(sizeof(*region), GFP_KERNEL);
	int err = -ENOMEM;

	if (!region)
		return ERR_PTR(-ENOMEM);
	refcount_set(&region->users, 1);
	init_rwsem(&region->lock);
	region->image = image;
	region->first_page = first_page;
	region->end_page = end_page;
	region->first_index = image_stored_before(image, first_page);
	region->nr_stored = image_stored_before(image, end_page) - region->first_index;
	region->gone = kvcalloc(BITS_TO_LONGS(region->nr_stored) + 1, sizeof(long), GFP_KERNEL);
	if (!region->gone)
		goto free;
	region->notifier = get_notifier(mm);
	if (!IS_ERR(region->notifier))
		return region;
	err = PTR_ERR(region->notifier);
free:
	kvfree(region->gone);
	kfree(region);
	return ERR_PTR(err);
}

/* Both address spaces are locked for writing. */
struct image_region *image_region_part(struct image_region *parent, struct vm_area_struct *vma,
				       u64 pages)
{
	u64 first_page = max(parent->first_page, (u64)vma->vm_pgoff);
	u64 end_page = min(parent->end_page, vma->vm_pgoff + pages);
	struct image_region *child;
	u64 offset, bit, end;

	child = image_region_new(parent->image, vma->vm_mm, first_page, max(first_page, end_page));
	if (IS_ERR(child))
		return child;
	offset = child->first_index - parent->first_index;
	bit = offset;
	end = offset + child->nr_stored;
	for_each_set_bit_from(bit, parent->gone, end)
		__set_bit(bit - offset, child->gone);
	return child;
}

void image_region_leave(struct image_region *region, u64 first_page, u64 pages)
{
	down_write(&region->lock);
	mark_gone(region, first_page, first_page + pages);
	up_write(&region->lock);
}

void image_region_get(struct image_region *region)
{
	refcount_inc(&region->users);
}

void image_region_put(struct image_region *region)
{
	if (!refcount_dec_and_test(&region->users))
		return;
	mmu_notifier_put(region->notifier);
	kvfree(region->gone);
	kfree(region);
}

bool image_region_find(const struct image_region *region, u64 page, struct image_place *place)
{
	return page >= region->first_page && page < region->end_page &&
	       image_find(region->image, page, place) &&
	       !test_bit(place->index - region->first_index, region->gone);
}

bool image_region_lost_any(const struct image_region *region, u64 first_index, u64 pages)
{
	u64 first = first_index - region->first_index;

	return find_next_bit(region->gone, first + pages, first) < first + pages;
}
