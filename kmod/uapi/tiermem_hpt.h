/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/tiermem_hptN: the tracker device as user space sees it.
 *
 * read() returns one whole list: struct tiermem_hpt_record followed by
 * nr_entries of struct tiermem_list_entry. It blocks until a list of a kind in
 * the file's mask is there (all kinds by default), or returns EAGAIN on a
 * non-blocking file; EMSGSIZE when the buffer is too small (nothing is lost).
 * mmap() of one page at offset 0, read-only, is struct tiermem_clock_page.
 */
#ifndef TIERMEM_HPT_H
#define TIERMEM_HPT_H

#ifndef TIERMEM_CDEF
#include <linux/ioctl.h>
#include <linux/types.h>
#include "tiermem_hpt_regs.h"
#endif

struct tiermem_hpt_record {
	__u32 kind;		/* enum tiermem_list_kind */
	__u32 number;
	__u32 nr_entries;
	__u32 lost;		/* lists of this kind overwritten unread since the last */
	__u64 busy_ns;
	__u64 reads;
};

struct tiermem_hpt_info {
	__u32 version;
	__u32 state;
	__u32 features;
	__u32 nr_vcpus;
};

struct tiermem_hpt_counters {
	__u64 reads_tracked;
	__u64 reads_ignored;
	__u64 writes_seen;
	__u64 rearms;
	__u64 list_overruns[4];
};

/* Ask for one list now. Entries go to entries_ptr, hottest first. */
struct tiermem_hpt_query {
	__u32 kind;
	__u32 max_entries;	/* 1..TIERMEM_LIST_ENTRIES_MAX */
	__u32 keep;		/* 1: do not clear the counters */
	__u32 nr_entries;	/* out */
	__u64 entries_ptr;
	__u64 busy_ns;		/* out */
	__u64 reads;		/* out */
};

#ifndef TIERMEM_CDEF
#define TIERMEM_HPT_MAGIC 0xc5
#define TIERMEM_HPT_GET_INFO	_IOR(TIERMEM_HPT_MAGIC, 0, struct tiermem_hpt_info)
#define TIERMEM_HPT_GET_CONFIG	_IOR(TIERMEM_HPT_MAGIC, 1, struct tiermem_hw_config)
#define TIERMEM_HPT_SET_CONFIG	_IOW(TIERMEM_HPT_MAGIC, 2, struct tiermem_hw_config)
#define TIERMEM_HPT_ARM		_IO(TIERMEM_HPT_MAGIC, 3)
#define TIERMEM_HPT_DISARM	_IO(TIERMEM_HPT_MAGIC, 4)
#define TIERMEM_HPT_QUERY	_IOWR(TIERMEM_HPT_MAGIC, 5, struct tiermem_hpt_query)
#define TIERMEM_HPT_CLEAR	_IOW(TIERMEM_HPT_MAGIC, 6, __u32)
#define TIERMEM_HPT_GET_COUNTERS _IOR(TIERMEM_HPT_MAGIC, 7, struct tiermem_hpt_counters)
#define TIERMEM_HPT_SET_KINDS	_IOW(TIERMEM_HPT_MAGIC, 8, __u32)
#endif

#endif
