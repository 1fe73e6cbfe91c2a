// SPDX-License-Identifier: GPL-2.0-only
/*
 * The descriptor of an open image, and its mappings from mmap() to munmap().
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>
#include <asm/syscall.h>

#include "image.h"

/* Called for what a split, mremap() or fork() made. */
static void mapping_opened(struct vm_area_struct *vma)
{
	struct image_region *region = vma->vm_private_data;

	if (!region)
		return;
	if (region->notifier->mm == vma->vm_mm) {
		image_region_get(region);
		return;
	}
	region = image_region_part(region, vma, vma_pages(vma));
	vma->vm_private_data = IS_ERR(region) ? NULL : region;
}

/*
 * What mremap() adds is zeros, also where a part grows and the image has more behind it.
 * So is what it leaves mapped by MREMAP_DONTUNMAP, where nothing is any more. How much was
 * there before, and whether it is left, only the call itself says.
 */
static int mapping_moved(struct vm_area_struct *vma)
{
	struct image_region *region = vma->vm_private_data, *own;
	unsigned long arguments[6], pages;
	bool is_left;

	syscall_get_arguments(current, task_pt_regs(current), arguments);
	pages = min(PAGE_ALIGN(arguments[1]) >> PAGE_SHIFT, vma_pages(vma));
	is_left = arguments[3] & MREMAP_DONTUNMAP;
	if (!region || (pages == vma_pages(vma) && !is_left))
		return 0;
	own = image_region_part(region, vma, pages);
	if (IS_ERR(own))
		return PTR_ERR(own);
	vma->vm_private_data = own;
	if (is_left)
		image_region_leave(region, vma->vm_pgoff, pages);
	image_region_put(region);
	return 0;
}

static void mapping_closed(struct vm_area_struct *vma)
{
	struct image_region *region = vma->vm_private_data;

	if (region)
		image_region_put(region);
}

const struct vm_operations_struct image_vm_ops = {
	.open = mapping_opened,
	.close = mapping_closed,
	.mremap = mapping_moved,
	.fault = image_fault,
	.map_pages = image_map_pages,
	.huge_fault = image_huge_fault,
};

static int image_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct image_region *region;

	if (vma->vm_flags & (VM_SHARED | VM_MAYSHARE))
		return -EINVAL;
	region = image_region_new(file->private_data, vma->vm_mm, vma->vm_pgoff,
				  vma->vm_pgoff + vma_pages(vma));
	if (IS_ERR(region))
		return PTR_ERR(region);
	vma->vm_private_data = region;
	vma->vm_ops = &image_vm_ops;
	/* Large mappings also where the administrator wants them by madvise() only. */
	vm_flags_set(vma, VM_MIXEDMAP | VM_HUGEPAGE);
	return 0;
}

static int image_release(struct inode *inode, struct file *file)
{
	image_close(file->private_data);
	return 0;
}

static long image_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct image *image = file->private_data;
	struct tiermem_image_counters counters;

	if (command != TIERMEM_IMAGE_COUNTERS)
		return -ENOTTY;
	image_read_counts(&image->counts, &counters);
	return copy_to_user((void __user *)arg, &counters, sizeof(counters)) ? -EFAULT : 0;
}

static const struct file_operations image_fops = {
	.owner = THIS_MODULE,
	.mmap = image_mmap,
	.release = image_release,
	.unlocked_ioctl = image_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

struct file *image_make_file(struct image *image)
{
	return anon_inode_getfile("[tiermem_image]", &image_fops, image, O_RDWR);
}
