/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/tiermem_image: map the pages of a process image straight from pool memory.
 *
 * TIERMEM_IMAGE_OPEN takes an image that lies in a pool and gives a descriptor for
 * it. Its mappings are private: a page of the image is read where it lies, shared by
 * all who map it, and copied to local memory when it is written to. The offset of a
 * mapping is an address in the process that was checkpointed, so page P of it is the
 * page that lay at P there; addresses without a page in the image read as zeros, and
 * so does what was given back by MADV_DONTNEED: the mapping behaves like the anonymous
 * memory that it stands for.
 *
 * Nothing here is trusted to be right in the image: its runs are checked when it is
 * opened. That its bytes are those that were published, and that this host's caches
 * hold nothing older, is for the caller to see to before.
 *
 * TIERMEM_IMAGE_OPEN fails with
 *	EPERM	no CAP_SYS_ADMIN, or the pool reaches into this kernel's own memory
 *	ENXIO	no device memory with struct pages (devdax) holds the whole pool
 *	EINVAL	a part lies outside of what it is a part of, an alignment, flags, reserved
 *	E2BIG	more than TIERMEM_IMAGE_RUNS_MAX runs
 *	EUCLEAN	the runs are not sorted, overlap, or leave the image or the address space
 *	ENOMEM, EFAULT, EMFILE, ENFILE
 * TIERMEM_IMAGE_PAGES fails with
 *	EPERM	no CAP_SYS_ADMIN
 *	ESRCH	no such process, or one without memory
 *	EINVAL	start is not a multiple of the page size, no user addresses, reserved
 *	ENOMEM, EFAULT
 *	EINTR	killed while it waited for the process's memory
 * mmap() of an image fails with EINVAL if it is shared, and with ENOMEM.
 */
#ifndef TIERMEM_IMAGE_H
#define TIERMEM_IMAGE_H

#ifndef TIERMEM_CDEF
#include <linux/ioctl.h>
#include <linux/types.h>
#endif

enum tiermem_image_limits {
	TIERMEM_IMAGE_RUNS_MAX = 1048576,
	TIERMEM_IMAGE_PAGE_SHIFT = 12,
};

/* Pages that follow each other in the process and in the image. Sorted, disjoint. */
struct tiermem_image_run {
	__u64 first_page;	/* address in the process >> 12 */
	__u64 pages;
	__u64 data_page;	/* of the first: pages from the image's begin */
};

enum tiermem_image_flags {
	TIERMEM_IMAGE_COPY_ON_READ = 1,	/* copied at the first touch, not at the first write */
};

struct tiermem_image_open {
	__u64 pool_start;	/* physical; device memory, never this kernel's own */
	__u64 pool_bytes;
	__u64 image_at;		/* in the pool, a multiple of the page size */
	__u64 image_bytes;
	__u64 runs_at;		/* in the image, struct tiermem_image_run[nr_runs] */
	__u32 nr_runs;
	__u32 flags;
	__s32 fd;		/* out: close-on-exec */
	__u32 reserved;		/* must be 0 */
};

/* What the page tables of a process say of a range of its addresses; a bit a page,
 * the first page's lowest, in words of 64. A null pointer: not wanted. */
struct tiermem_image_pages {
	__u64 start;		/* address, page-aligned */
	__u64 pages;
	__u64 held_ptr;		/* has contents of its own: mapped, swapped, or in an image */
	__u64 accessed_ptr;	/* the A bit */
	__u64 dirty_ptr;	/* the D bit */
	__s32 pid;
	__u32 reserved;		/* must be 0 */
};

/* Of an image's descriptor, since it was opened; of the device's, all together. */
struct tiermem_image_counters {
	__u64 mapped_pages;	/* put into page tables one by one, read-only */
	__u64 mapped_large;	/* 2 MiB at a time */
	__u64 copied_pages;	/* to local memory */
	__u64 zero_pages;	/* given out where the image has none, or no longer */
	__u64 discarded_pages;	/* of the image, given back by the process */
	__u64 faults;		/* that came here: not writes to pages mapped before */
};

#ifndef TIERMEM_CDEF
#define TIERMEM_IMAGE_MAGIC 0xc7
#define TIERMEM_IMAGE_OPEN	_IOWR(TIERMEM_IMAGE_MAGIC, 0, struct tiermem_image_open)
#define TIERMEM_IMAGE_PAGES	_IOW(TIERMEM_IMAGE_MAGIC, 1, struct tiermem_image_pages)
#define TIERMEM_IMAGE_COUNTERS	_IOR(TIERMEM_IMAGE_MAGIC, 2, struct tiermem_image_counters)
#endif

#endif
