// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tiermem_hptN: every open file has its own mask of kinds and its own
 * position in each kind's sequence of lists.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hpt.h"

#define ALL_KINDS ((1U << TIERMEM_LIST_KINDS) - 1)

struct hpt_file {
	struct hpt_device *hpt;
	struct file *file;
	struct list_head node;		/* in hpt_device.files */

	struct mutex lock;		/* everything below, but reads of kinds and next */
	u32 kinds;
	u32 next[TIERMEM_LIST_KINDS];	/* the list number to read next */
	u32 lost[TIERMEM_LIST_KINDS];	/* skipped since the last one read */
	u32 turn;			/* the kind to look at first: none starves */
	struct hpt_list *list;
};

static int hpt_open(struct inode *inode, struct file *file)
{
	struct hpt_device *hpt = container_of(file->private_data, struct hpt_device, misc);
	struct hpt_file *reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);
	int token, kind;

	if (!reader)
		return -ENOMEM;
	reader->list = kvmalloc(sizeof(*reader->list), GFP_KERNEL_ACCOUNT);
	if (!reader->list) {
		kfree(reader);
		return -ENOMEM;
	}
	if (!hpt_enter(hpt, &token)) {
		kvfree(reader->list);
		kfree(reader);
		return -ENODEV;
	}
	for (kind = 0; kind < TIERMEM_LIST_KINDS; kind++)
		reader->next[kind] = hpt_list_head(hpt, kind);
	hpt_exit(token);

	kref_get(&hpt->ref);
	reader->hpt = hpt;
	reader->file = file;
	reader->kinds = ALL_KINDS;
	mutex_init(&reader->lock);
	mutex_lock(&hpt->files_lock);
	list_add(&reader->node, &hpt->files);
	mutex_unlock(&hpt->files_lock);
	file->private_data = reader;
	return nonseekable_open(inode, file);
}

static int hpt_release(struct inode *inode, struct file *file)
{
	struct hpt_file *reader = file->private_data;
	struct hpt_device *hpt = reader->hpt;

	mutex_lock(&hpt->files_lock);
	list_del(&reader->node);
	mutex_unlock(&hpt->files_lock);
	kvfree(reader->list);
	kfree(reader);
	hpt_put(hpt);
	return 0;
}

/* Needs hpt_enter(). */
static bool has_list(struct hpt_file *reader)
{
	u32 kinds = READ_ONCE(reader->kinds);
	u32 kind;

	for (kind = 0; kind < TIERMEM_LIST_KINDS; kind++)
		if (kinds & (1U << kind) &&
		    hpt_list_head(reader->hpt, kind) != READ_ONCE(reader->next[kind]))
			return true;
	return false;
}

/* True also when the device has gone: there is an answer, -ENODEV. */
static bool has_answer(struct hpt_file *reader)
{
	bool ready;
	int token;

	if (!hpt_enter(reader->hpt, &token))
		return true;
	ready = has_list(reader);
	if (!ready)
		hpt_kick_poll(reader->hpt);
	hpt_exit(token);
	return ready;
}

/* Copies the oldest list of a kind that is still there; false: there is none. */
static bool take_list(struct hpt_file *reader, u32 kind, int *err)
{
	u32 head = hpt_list_head(reader->hpt, kind);
	u32 *next = &reader->next[kind];

	if ((s32)(head - *next) < 0) {
		/* The device began to count anew. */
		WRITE_ONCE(*next, head);
		return false;
	}
	while (head != *next) {
		if (head - *next >= TIERMEM_LIST_SLOTS) {
			u32 skip = head - *next - (TIERMEM_LIST_SLOTS - 1);

			reader->lost[kind] += skip;
			WRITE_ONCE(*next, *next + skip);
		}
		*err = hpt_copy_list(reader->hpt, kind, *next, reader->list);
		if (*err != -ESTALE)
			return true;
		head = hpt_list_head(reader->hpt, kind);
	}
	return false;
}

static int find_list(struct hpt_file *reader, u32 *kind)
{
	u32 n;

	for (n = 0; n < TIERMEM_LIST_KINDS; n++) {
		int err = 0;

		*kind = (reader->turn + n) % TIERMEM_LIST_KINDS;
		if (reader->kinds & (1U << *kind) && take_list(reader, *kind, &err)) {
			/* A list that cannot be right is skipped, not offered again. */
			if (err)
				WRITE_ONCE(reader->next[*kind], reader->next[*kind] + 1);
			return err;
		}
	}
	return -EAGAIN;
}

static ssize_t copy_record(struct hpt_file *reader, u32 kind, char __user *user, size_t size)
{
	const struct hpt_list *list = reader->list;
	size_t entries_bytes = list->nr_entries * sizeof(list->entries[0]);
	struct tiermem_hpt_record record = {
		.kind = kind,
		.number = list->number,
		.nr_entries = list->nr_entries,
		.lost = reader->lost[kind],
		.busy_ns = list->busy_ns,
		.reads = list->reads,
	};

	if (size < sizeof(record) + entries_bytes)
		return -EMSGSIZE;
	if (copy_to_user(user, &record, sizeof(record)) ||
	    copy_to_user(user + sizeof(record), list->entries, entries_bytes))
		return -EFAULT;

	reader->lost[kind] = 0;
	reader->turn = kind + 1;
	WRITE_ONCE(reader->next[kind], list->number + 1);
	hpt_mark_consumed(reader->hpt, kind, list->number + 1);
	return sizeof(record) + entries_bytes;
}

static ssize_t read_once(struct hpt_file *reader, char __user *user, size_t size)
{
	ssize_t ret;
	int token;
	u32 kind;

	if (mutex_lock_interruptible(&reader->lock))
		return -ERESTARTSYS;
	if (hpt_enter(reader->hpt, &token)) {
		ret = find_list(reader, &kind);
		if (!ret)
			ret = copy_record(reader, kind, user, size);
		hpt_exit(token);
	} else {
		ret = -ENODEV;
	}
	mutex_unlock(&reader->lock);
	return ret;
}

static ssize_t hpt_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	struct hpt_file *reader = file->private_data;

	for (;;) {
		ssize_t ret = read_once(reader, user, size);

		if (ret != -EAGAIN || file->f_flags & O_NONBLOCK)
			return ret;
		if (wait_event_interruptible(reader->hpt->waiters, has_answer(reader)))
			return -ERESTARTSYS;
	}
}

static __poll_t hpt_poll(struct file *file, poll_table *table)
{
	struct hpt_file *reader = file->private_data;
	__poll_t events = 0;
	int token;

	poll_wait(file, &reader->hpt->waiters, table);
	if (!hpt_enter(reader->hpt, &token))
		return EPOLLERR | EPOLLHUP;
	if (has_list(reader))
		events = EPOLLIN | EPOLLRDNORM;
	else
		hpt_kick_poll(reader->hpt);
	hpt_exit(token);
	return events;
}

static long get_info(struct hpt_device *hpt, void __user *user)
{
	struct tiermem_hpt_info info;

	hpt_read_info(hpt, &info);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long get_counters(struct hpt_device *hpt, void __user *user)
{
	struct tiermem_hpt_counters counters;

	hpt_read_counters(hpt, &counters);
	return copy_to_user(user, &counters, sizeof(counters)) ? -EFAULT : 0;
}

static long get_config(struct hpt_device *hpt, void __user *user)
{
	struct tiermem_hw_config config;

	if (mutex_lock_interruptible(&hpt->command_lock))
		return -ERESTARTSYS;
	config = hpt->config;
	mutex_unlock(&hpt->command_lock);
	return copy_to_user(user, &config, sizeof(config)) ? -EFAULT : 0;
}

static long set_config(struct hpt_device *hpt, void __user *user)
{
	struct tiermem_hw_config config;

	if (copy_from_user(&config, user, sizeof(config)))
		return -EFAULT;
	return hpt_configure(hpt, &config);
}

static long clear(struct hpt_device *hpt, void __user *user)
{
	u32 kinds;

	if (get_user(kinds, (u32 __user *)user))
		return -EFAULT;
	if (kinds & ~ALL_KINDS)
		return -EINVAL;
	return hpt_command(hpt, TIERMEM_CMD_CLEAR, kinds, 0, 0);
}

static long set_kinds(struct hpt_file *reader, void __user *user)
{
	u32 kinds;

	if (get_user(kinds, (u32 __user *)user))
		return -EFAULT;
	if (kinds & ~ALL_KINDS)
		return -EINVAL;
	WRITE_ONCE(reader->kinds, kinds);
	/* Somebody may be waiting in this file with the old mask. */
	wake_up_interruptible(&reader->hpt->waiters);
	return 0;
}

static long query(struct hpt_file *reader, void __user *user)
{
	struct tiermem_hpt_query arg;
	struct hpt_list *list;
	long err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.kind >= TIERMEM_LIST_KINDS || arg.keep > 1 ||
	    !arg.max_entries || arg.max_entries > TIERMEM_LIST_ENTRIES_MAX)
		return -EINVAL;
	list = kvmalloc(sizeof(*list), GFP_KERNEL);
	if (!list)
		return -ENOMEM;

	err = hpt_query(reader->hpt, &arg, list);
	if (!err) {
		arg.nr_entries = min(list->nr_entries, arg.max_entries);
		arg.busy_ns = list->busy_ns;
		arg.reads = list->reads;
		if (copy_to_user(u64_to_user_ptr(arg.entries_ptr), list->entries,
				 arg.nr_entries * sizeof(list->entries[0])) ||
		    copy_to_user(user, &arg, sizeof(arg)))
			err = -EFAULT;
	}
	if (!err) {
		/* This file has it; a read() need not bring it again. */
		mutex_lock(&reader->lock);
		if (reader->next[arg.kind] == list->number)
			WRITE_ONCE(reader->next[arg.kind], list->number + 1);
		mutex_unlock(&reader->lock);
	}
	kvfree(list);
	return err;
}

static long dispatch(struct hpt_file *reader, unsigned int command, void __user *user)
{
	struct hpt_device *hpt = reader->hpt;

	switch (command) {
	case TIERMEM_HPT_GET_INFO:
		return get_info(hpt, user);
	case TIERMEM_HPT_GET_CONFIG:
		return get_config(hpt, user);
	case TIERMEM_HPT_SET_CONFIG:
		return set_config(hpt, user);
	case TIERMEM_HPT_ARM:
		return hpt_command(hpt, TIERMEM_CMD_ARM, 0, 0, 0);
	case TIERMEM_HPT_DISARM:
		return hpt_command(hpt, TIERMEM_CMD_DISARM, 0, 0, 0);
	case TIERMEM_HPT_QUERY:
		return query(reader, user);
	case TIERMEM_HPT_CLEAR:
		return clear(hpt, user);
	case TIERMEM_HPT_GET_COUNTERS:
		return get_counters(hpt, user);
	case TIERMEM_HPT_SET_KINDS:
		return set_kinds(reader, user);
	default:
		return -ENOTTY;
	}
}

static long hpt_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct hpt_file *reader = file->private_data;
	long err;
	int token;

	if (!hpt_enter(reader->hpt, &token))
		return -ENODEV;
	err = dispatch(reader, command, (void __user *)arg);
	hpt_exit(token);
	return err;
}

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

static int hpt_mmap(struct file *file, struct vm_area_struct *vma)
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

const struct file_operations hpt_fops = {
	.owner = THIS_MODULE,
	.open = hpt_open,
	.release = hpt_release,
	.read = hpt_read,
	.poll = hpt_poll,
	.unlocked_ioctl = hpt_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = hpt_mmap,
};
