/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/tiermem_promote: move pages, named by page frame number, to a node.
 *
 * Every PFN gets one result code; nothing is reported as moved that did not
 * move. The call fails as a whole (EINVAL, ENODEV, E2BIG, EFAULT, ...) only
 * before the first page is touched.
 */
#ifndef TIERMEM_PROMOTE_H
#define TIERMEM_PROMOTE_H

#ifndef TIERMEM_CDEF
#include <linux/ioctl.h>
#include <linux/types.h>
#endif

enum tiermem_promote_limits {
	TIERMEM_PROMOTE_BATCH_MAX = 65536,	/* PFNs (or pages of ranges) a call */
};

/* One a PFN. */
enum tiermem_promote_result {
	TIERMEM_MOVED = 0,
	TIERMEM_ALREADY_THERE = 1,	/* the page lies on the target node */
	TIERMEM_NO_SUCH_PFN = 2,	/* no online page behind the number */
	TIERMEM_NOT_MAPPED = 3,		/* no process maps it: free, or kernel's */
	TIERMEM_NOT_MOVABLE = 4,	/* pinned, mlocked-and-refused, device, hugetlb, kernel */
	TIERMEM_BUSY = 5,		/* locked, under writeback, or isolated elsewhere */
	TIERMEM_NO_MEMORY = 6,		/* the target node had no room */
	TIERMEM_REFUSED = 7,		/* migration started and failed */
	TIERMEM_DUPLICATE = 8,		/* same folio as an earlier PFN of the batch */
	TIERMEM_NOT_TRIED = 9,		/* the call was interrupted before it */
	TIERMEM_PROMOTE_RESULTS = 10,
};

enum tiermem_promote_flags {
	TIERMEM_PROMOTE_DRY_RUN = 1,	/* judge, do not move (MOVED: it would be tried) */
};

struct tiermem_promote_pfns {
	__u64 pfns_ptr;		/* __u64[count] */
	__u64 results_ptr;	/* __u8[count], enum tiermem_promote_result */
	__u32 count;
	__s32 target_node;
	__u32 flags;
	__u32 reserved;		/* must be 0 */
	__u64 moved_pages;	/* out: base pages moved (a large folio counts all of its own) */
	__u64 isolate_ns;	/* out: time by phase, guest clock */
	__u64 migrate_ns;
};

struct tiermem_pfn_range {
	__u64 first_pfn;
	__u64 pages;
};

/* As above, over ranges; one result a page, in order. */
struct tiermem_promote_ranges {
	__u64 ranges_ptr;	/* struct tiermem_pfn_range[nr_ranges] */
	__u64 results_ptr;
	__u32 nr_ranges;
	__s32 target_node;
	__u32 flags;
	__u32 reserved;
	__u64 moved_pages;
	__u64 isolate_ns;
	__u64 migrate_ns;
};

/* Since the module was loaded. */
struct tiermem_promote_counters {
	__u64 calls;
	__u64 results[10];	/* by enum tiermem_promote_result */
	__u64 moved_pages;
	__u64 isolate_ns;
	__u64 migrate_ns;
};

#ifndef TIERMEM_CDEF
#define TIERMEM_PROMOTE_MAGIC 0xc6
#define TIERMEM_PROMOTE_PFNS	_IOWR(TIERMEM_PROMOTE_MAGIC, 0, struct tiermem_promote_pfns)
#define TIERMEM_PROMOTE_RANGES	_IOWR(TIERMEM_PROMOTE_MAGIC, 1, struct tiermem_promote_ranges)
#define TIERMEM_PROMOTE_COUNTERS _IOR(TIERMEM_PROMOTE_MAGIC, 2, struct tiermem_promote_counters)
#endif

#endif
