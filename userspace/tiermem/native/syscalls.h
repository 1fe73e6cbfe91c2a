/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's memory placement calls, for tiermem.layer.placement. Addresses
 * are of the process `pid` (0: the caller). Functions return 0 or -errno; a
 * node mask is `nr_words` 64-bit words, node 0 the lowest bit of the first.
 */
#ifndef TIERMEM_SYSCALLS_H
#define TIERMEM_SYSCALLS_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

/*
 * What became of one page. Where the kernel module's promoter says the same
 * (enum tiermem_promote_result), the number is the same.
 */
enum tiermem_place_result {
	TIERMEM_PLACE_MOVED = 0,
	TIERMEM_PLACE_ALREADY_THERE = 1,
	TIERMEM_PLACE_NOT_MAPPED = 3,	/* no mapping there, or the zero page */
	TIERMEM_PLACE_BUSY = 5,		/* isolated or under I/O just now */
	TIERMEM_PLACE_NO_MEMORY = 6,	/* the target node had no room */
	TIERMEM_PLACE_REFUSED = 7,	/* tried, and the page did not move: pinned, unmovable */
	TIERMEM_PLACE_DUPLICATE = 8,	/* same page as an earlier one of the call */
	TIERMEM_PLACE_NOT_TRIED = 9,	/* the call ended before it: process gone, node full */
	TIERMEM_PLACE_NOT_PRESENT = 16,	/* mapped and never touched, or swapped out */
	TIERMEM_PLACE_SHARED = 17,	/* others map it too, and shared pages were not asked for */
};

/* Memory policies and flags, as in <linux/mempolicy.h>. */
enum tiermem_policy {
	TIERMEM_POLICY_DEFAULT = 0,
	TIERMEM_POLICY_PREFERRED = 1,
	TIERMEM_POLICY_BIND = 2,
	TIERMEM_POLICY_INTERLEAVE = 3,
	TIERMEM_POLICY_LOCAL = 4,
	TIERMEM_POLICY_PREFERRED_MANY = 5,
	TIERMEM_POLICY_WEIGHTED_INTERLEAVE = 6,
};

enum tiermem_policy_flags {
	TIERMEM_MBIND_STRICT = 1,
	TIERMEM_MBIND_MOVE = 2,
	TIERMEM_MBIND_MOVE_ALL = 4,
};

/*
 * Move `count` pages to `node`, one enum tiermem_place_result each. An error is
 * returned only while nothing has moved. `shared` also moves pages that other
 * processes map (needs CAP_SYS_NICE).
 */
int tiermem_move_pages(int pid, size_t count, const uint64_t *addresses, int node, int shared,
		       uint8_t *results);

/* Where `count` pages lie: the node, or -errno (-ENOENT not present, -EFAULT not mapped). */
int tiermem_query_pages(int pid, size_t count, const uint64_t *addresses, int32_t *nodes);

/* Set the policy of the caller's own address range. */
int tiermem_mbind(uint64_t address, uint64_t bytes, int policy, const uint64_t *mask,
		  size_t nr_words, unsigned int flags);

/* Set the calling thread's policy, for memory it allocates from now on. */
int tiermem_set_mempolicy(int policy, const uint64_t *mask, size_t nr_words);

/* The calling thread's policy, or (address not 0) that of the mapping at `address`. */
int tiermem_get_mempolicy(int *policy, uint64_t *mask, size_t nr_words, uint64_t address);

/* Move all pages of a process from one set of nodes to another; *left did not move. */
int tiermem_migrate_process(int pid, const uint64_t *from, const uint64_t *to, size_t nr_words,
			    uint64_t *left);

#endif
