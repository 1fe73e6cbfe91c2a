// SPDX-License-Identifier: GPL-2.0-only
/* /dev/tiermem_hptN, ioctl: what user space asks of the device, checked. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "hpt.h"

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
	int err = hpt_read_config(hpt, &config);

	if (err)
		return err;
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
	if (kinds & ~HPT_ALL_KINDS)
		return -EINVAL;
	return hpt_command(hpt, TIERMEM_CMD_CLEAR, kinds, 0, 0);
}

static long set_kinds(struct hpt_file *reader, void __user *user)
{
	u32 kinds;

	if (get_user(kinds, (u32 __user *)user))
		return -EFAULT;
	if (kinds & ~HPT_ALL_KINDS)
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

long hpt_ioctl(struct file *file, unsigned int command, unsigned long arg)
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
