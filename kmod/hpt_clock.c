// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tiermem_hptN, mmap: the clock page, read-only for good.
 *
 * The page is mapped by faults, so that it can be taken away from every process
 * when the device goes, and nobody gets it back.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "hpt.h"

static vm_fault_t clock_fault(struct vm_fault *vmf)
{
	struct hpt_file *reader = vmf->vma->vm_private_data;
	struct hpt_device *hpt = reader->hpt;
	vm_fault_t ret;
	int token;

	if (!hpt_enter(hpt, &token))
		return VM_FAULT_SIGBUS;
	ret = vmf_insert_pfn(vmf->vma, vmf->address,
			     (hpt->bar_phys + TIERMEM_CLOCK_OFFSET) >> PAGE_SHIFT);
	hpt_exit(token);
	return ret;
}

static const struct vm_operations_struct clock_vm_ops = {
	.fault = clock_fault,
};

int hpt_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	vm_flags_clear(vma, VM_MAYWRITE | VM_MAYEXEC);
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_private_data = file->private_data;
	vma->vm_ops = &clock_vm_ops;
	return 0;
}

/* After hpt_revoke(): no fault can map the clock again. */
void hpt_unmap_files(struct hpt_device *hpt)
{
	struct hpt_file *reader;

	mutex_lock(&hpt->files_lock);
	list_for_each_entry(reader, &hpt->files, node)
		unmap_mapping_range(reader->file->f_mapping, 0, 0, 1);
	mutex_unlock(&hpt->files_lock);
}
