// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the page tables of a process say of a range of its addresses.
 *
 * Read without page-table locks, entry by entry: of a running process it is a snapshot
 * that is old at once, of a stopped one it is right. Page tables are freed only after
 * all readers under RCU are done.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "image.h"

#define CHUNK_PAGES 32768
#define CHUNK_WORDS (CHUNK_PAGES / BITS_PER_LONG)

struct page_bits {
	unsigned long held[CHUNK_WORDS];
	unsigned long accessed[CHUNK_WORDS];
	unsigned long dirty[CHUNK_WORDS];
};

struct walk {
	struct mm_struct *mm;
	struct page_bits *bits;
	unsigned long start;	/* of bit 0 */
};

static void note(struct walk *walk, unsigned long address, unsigned long end,
		 bool accessed, bool dirty)
{
	unsigned long bit = (address - walk->start) >> PAGE_SHIFT;
	unsigned long pages = (end - address) >> PAGE_SHIFT;

	bitmap_set(walk->bits->held, bit, pages);
	if (accessed)
		bitmap_set(walk->bits->accessed, bit, pages);
	if (dirty)
		bitmap_set(walk->bits->dirty, bit, pages);
}

static void walk_ptes(struct walk *walk, pmd_t *pmd, unsigned long address, unsigned long end)
{
	pte_t *entry = pte_offset_kernel(pmd, address);

	for (; address < end; address += PAGE_SIZE, entry++) {
		pte_t pte = ptep_get_lockless(entry);

		if (pte_none(pte) || compat_pte_is_marker(pte))
			continue;
		if (pte_present(pte) && pte_pfn(pte) == page_to_pfn(ZERO_PAGE(address)))
			continue;
		note(walk, address, address + PAGE_SIZE, pte_present(pte) && pte_young(pte),
		     pte_present(pte) && pte_dirty(pte));
	}
}

static void walk_pmds(struct walk *walk, pud_t *pud, unsigned long address, unsigned long end)
{
	pmd_t *entry = pmd_offset(pud, address);
	unsigned long next;

	for (; address < end; address = next, entry++) {
		pmd_t pmd = pmdp_get_lockless(entry);

		next = pmd_addr_end(address, end);
		if (pmd_none(pmd))
			continue;
		if (!pmd_present(pmd))
			note(walk, address, next, false, false);
		else if (pmd_leaf(pmd))
			note(walk, address, next, pmd_young(pmd), pmd_dirty(pmd));
		else
			walk_ptes(walk, &pmd, address, next);
	}
}

static void walk_puds(struct walk *walk, p4d_t *p4d, unsigned long address, unsigned long end)
{
	pud_t *entry = pud_offset(p4d, address);
	unsigned long next;

	for (; address < end; address = next, entry++) {
		pud_t pud = READ_ONCE(*entry);

		next = pud_addr_end(address, end);
		if (pud_none(pud))
			continue;
		if (pud_leaf(pud))
			note(walk, address, next, pud_young(pud), pud_dirty(pud));
		else if (pud_present(pud))
			walk_pmds(walk, &pud, address, next);
	}
}

static void walk_page_tables(struct walk *walk, unsigned long address, unsigned long end)
{
	pgd_t *pgd = pgd_offset(walk->mm, address);
	unsigned long next, next_p4d;

	for (; address < end; address = next, pgd++) {
		p4d_t *p4d;

		next = pgd_addr_end(address, end);
		if (pgd_none(READ_ONCE(*pgd)))
			continue;
		p4d = p4d_offset(pgd, address);
		for (; address < next; address = next_p4d, p4d++) {
			next_p4d = p4d_addr_end(address, next);
			if (!p4d_none(READ_ONCE(*p4d)))
				walk_puds(walk, p4d, address, next_p4d);
		}
	}
}

/* Pages of images that nobody has touched yet are in no page table. */
static void add_untouched(struct walk *walk, unsigned long start, unsigned long end)
{
	unsigned long at = start, address;
	struct vm_area_struct *vma;
	struct image_place place;

	mt_for_each(&walk->mm->mm_mt, vma, at, end - 1) {
		struct image_region *region = vma->vm_private_data;

		if (vma->vm_ops != &image_vm_ops || !region)
			continue;
		down_read(&region->lock);
		for (address = max(start, vma->vm_start); address < min(end, vma->vm_end);
		     address += PAGE_SIZE)
			if (image_region_find(region, image_page_of(vma, address), &place))
				__set_bit((address - walk->start) >> PAGE_SHIFT,
					  walk->bits->held);
		up_read(&region->lock);
	}
}

static int put_words(u64 pointer, u64 first_page, const unsigned long *bits, u64 pages)
{
	void __user *at = u64_to_user_ptr(pointer) + first_page / BITS_PER_BYTE;

	if (!pointer)
		return 0;
	return copy_to_user(at, bits, BITS_TO_LONGS(pages) * sizeof(long)) ? -EFAULT : 0;
}

static int read_chunk(struct walk *walk, const struct tiermem_image_pages *asked, u64 done,
		      u64 pages)
{
	unsigned long end;
	int err;

	memset(walk->bits, 0, sizeof(*walk->bits));
	walk->start = asked->start + (done << PAGE_SHIFT);
	end = walk->start + (pages << PAGE_SHIFT);
	err = mmap_read_lock_killable(walk->mm);
	if (err)
		return err;
	rcu_read_lock();
	walk_page_tables(walk, walk->start, end);
	rcu_read_unlock();
	add_untouched(walk, walk->start, end);
	mmap_read_unlock(walk->mm);

	err = put_words(asked->held_ptr, done, walk->bits->held, pages);
	if (!err)
		err = put_words(asked->accessed_ptr, done, walk->bits->accessed, pages);
	if (!err)
		err = put_words(asked->dirty_ptr, done, walk->bits->dirty, pages);
	return err;
}

static struct mm_struct *get_mm(pid_t number)
{
	struct pid *pid = find_get_pid(number);
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);
	struct mm_struct *mm = task ? get_task_mm(task) : NULL;

	if (task)
		put_task_struct(task);
	put_pid(pid);
	return mm;
}

static bool is_in_user_space(u64 start, u64 pages)
{
	return PAGE_ALIGNED(start) && start <= TASK_SIZE_MAX &&
	       pages <= (TASK_SIZE_MAX - start) >> PAGE_SHIFT;
}

long image_read_pages(struct tiermem_image_pages __user *user)
{
	struct tiermem_image_pages asked;
	struct walk walk = {};
	u64 done, pages;
	int err = 0;

	if (copy_from_user(&asked, user, sizeof(asked)))
		return -EFAULT;
	if (asked.reserved || !is_in_user_space(asked.start, asked.pages))
		return -EINVAL;
	walk.mm = get_mm(asked.pid);
	if (!walk.mm)
		return -ESRCH;
	walk.bits = kvmalloc(sizeof(*walk.bits), GFP_KERNEL);
	if (!walk.bits)
		err = -ENOMEM;
	for (done = 0; !err && done < asked.pages; done += pages) {
		pages = min(asked.pages - done, (u64)CHUNK_PAGES);
		err = read_chunk(&walk, &asked, done, pages);
		cond_resched();
	}
	kvfree(walk.bits);
	mmput(walk.mm);
	return err;
}
