// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tiermem_hptN, open, read and poll: every open file has its own mask of
 * kinds and its own position in each kind's sequence of lists.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hpt.h"

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
	reader->kinds = HPT_ALL_KINDS;
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

/* Needs hpt_enter() and to be among the waiters; if false, they are woken for a list. */
static bool has_list_or_watch(struct hpt_file *reader)
{
	if (has_list(reader))
		return true;
	hpt_kick_poll(reader->hpt);
	return has_list(reader);
}

/* True also when the device has gone: there is an answer, -ENODEV. */
static bool has_answer(struct hpt_file *reader)
{
	bool ready;
	int token;

	if (!hpt_enter(reader->hpt, &token))
		return true;
	ready = has_list_or_watch(reader);
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
	if (has_list_or_watch(reader))
		events = EPOLLIN | EPOLLRDNORM;
	hpt_exit(token);
	return events;
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
