/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracker driver's inside: hpt_pci.c binds the PCI function, hpt_device.c
 * speaks to its memory; hpt_file.c, hpt_ioctl.c and hpt_clock.c are what user
 * space sees.
 *
 * A device may be unbound while files on it are open. Whoever touches its
 * memory does so between hpt_enter() and hpt_exit(); hpt_enter() fails once the
 * device has gone. Files keep the structure itself alive by its kref.
 *
 * The device's memory is written by someone we do not trust: every count read
 * from it is bounded before use.
 */
#ifndef TIERMEM_HPT_DRIVER_H
#define TIERMEM_HPT_DRIVER_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "uapi/tiermem_hpt.h"

#define HPT_ALL_KINDS ((1U << TIERMEM_LIST_KINDS) - 1)

struct hpt_device {
	struct kref ref;
	struct miscdevice misc;
	char name[24];
	int id;

	void __iomem *bar;
	phys_addr_t bar_phys;
	bool gone;		/* read under hpt_enter()'s SRCU */

	struct mutex command_lock;	/* the guest's command block, and regs.config */

	wait_queue_head_t waiters;
	struct hrtimer poll_timer;
	spinlock_t poll_lock;
	bool polling;		/* the timer is on; only while somebody waits */
	u32 polled_head[TIERMEM_LIST_KINDS];

	struct mutex files_lock;
	struct list_head files;		/* struct hpt_file */
};

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

/* A list copied out of the device, checked. */
struct hpt_list {
	u32 number;
	u32 nr_entries;
	u64 busy_ns;
	u64 reads;
	struct tiermem_list_entry entries[TIERMEM_LIST_ENTRIES_MAX];
};

/* hpt_device.c */
bool hpt_enter(struct hpt_device *hpt, int *token);
void hpt_exit(int token);
void hpt_revoke(struct hpt_device *hpt);
u32 hpt_list_head(struct hpt_device *hpt, u32 kind);
void hpt_mark_consumed(struct hpt_device *hpt, u32 kind, u32 next);
int hpt_copy_list(struct hpt_device *hpt, u32 kind, u32 number, struct hpt_list *list);
int hpt_command(struct hpt_device *hpt, u32 opcode, u64 arg0, u64 arg1, u64 arg2);
int hpt_read_config(struct hpt_device *hpt, struct tiermem_hw_config *config);
int hpt_configure(struct hpt_device *hpt, const struct tiermem_hw_config *config);
int hpt_query(struct hpt_device *hpt, const struct tiermem_hpt_query *query,
	      struct hpt_list *list);
void hpt_read_info(struct hpt_device *hpt, struct tiermem_hpt_info *info);
void hpt_read_counters(struct hpt_device *hpt, struct tiermem_hpt_counters *counters);
void hpt_kick_poll(struct hpt_device *hpt);
int hpt_device_init(struct hpt_device *hpt);
void hpt_device_exit(struct hpt_device *hpt);

/* hpt_file.c */
extern const struct file_operations hpt_fops;

/* hpt_ioctl.c */
long hpt_ioctl(struct file *file, unsigned int command, unsigned long arg);

/* hpt_clock.c */
int hpt_mmap(struct file *file, struct vm_area_struct *vma);
void hpt_unmap_files(struct hpt_device *hpt);

/* hpt_pci.c */
void hpt_put(struct hpt_device *hpt);

#endif
