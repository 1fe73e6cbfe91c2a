// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * move_pages(2) stops at the first batch in which a page refuses and then says
 * nothing about the pages of that batch. So where pages lie is asked before and
 * after, and what was left out is tried page by page: every page gets a truth.
 */
#define _GNU_SOURCE
#include "syscalls.h"

#include <errno.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tiermem_promote.h"

_Static_assert((int)TIERMEM_PLACE_MOVED == (int)TIERMEM_MOVED, "result codes");
_Static_assert((int)TIERMEM_PLACE_ALREADY_THERE == (int)TIERMEM_ALREADY_THERE, "result codes");
_Static_assert((int)TIERMEM_PLACE_NOT_MAPPED == (int)TIERMEM_NOT_MAPPED, "result codes");
_Static_assert((int)TIERMEM_PLACE_BUSY == (int)TIERMEM_BUSY, "result codes");
_Static_assert((int)TIERMEM_PLACE_NO_MEMORY == (int)TIERMEM_NO_MEMORY, "result codes");
_Static_assert((int)TIERMEM_PLACE_REFUSED == (int)TIERMEM_REFUSED, "result codes");
_Static_assert((int)TIERMEM_PLACE_DUPLICATE == (int)TIERMEM_DUPLICATE, "result codes");
_Static_assert((int)TIERMEM_PLACE_NOT_TRIED == (int)TIERMEM_NOT_TRIED, "result codes");
_Static_assert((int)TIERMEM_PLACE_NOT_PRESENT >= (int)TIERMEM_PROMOTE_RESULTS, "result codes");
_Static_assert((int)TIERMEM_POLICY_BIND == (int)MPOL_BIND, "policies");
_Static_assert((int)TIERMEM_POLICY_INTERLEAVE == (int)MPOL_INTERLEAVE, "policies");
_Static_assert((int)TIERMEM_POLICY_LOCAL == (int)MPOL_LOCAL, "policies");
_Static_assert((int)TIERMEM_MBIND_STRICT == MPOL_MF_STRICT, "flags");
_Static_assert((int)TIERMEM_MBIND_MOVE == MPOL_MF_MOVE, "flags");
_Static_assert((int)TIERMEM_MBIND_MOVE_ALL == MPOL_MF_MOVE_ALL, "flags");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "addresses are 64 bits wide");
_Static_assert(sizeof(unsigned long) == sizeof(uint64_t), "node masks are 64-bit words");

enum {
	CHUNK_PAGES = 512,	/* one failure makes at most this many single retries */
	UNSET = INT_MIN,	/* the kernel has not written this status */
};

struct chunk {
	int pid;
	int flags;
	int node;
	size_t count;
	const uint64_t *addresses;
	int targets[CHUNK_PAGES];
	int before[CHUNK_PAGES];
	int status[CHUNK_PAGES];
	int after[CHUNK_PAGES];
};

static long query(int pid, size_t count, const uint64_t *addresses, int *nodes)
{
	return syscall(SYS_move_pages, pid, count, addresses, NULL, nodes, 0);
}

static uint8_t meaning(int code)
{
	switch (code) {
	case -ENOENT:
		return TIERMEM_PLACE_NOT_PRESENT;
	case -EFAULT:
		return TIERMEM_PLACE_NOT_MAPPED;
	case -EACCES:
		return TIERMEM_PLACE_SHARED;
	case -EBUSY:
		return TIERMEM_PLACE_BUSY;
	case -ENOMEM:
		return TIERMEM_PLACE_NO_MEMORY;
	default:
		return TIERMEM_PLACE_REFUSED;
	}
}

/* Try one page that the kernel said nothing about. */
static uint8_t move_single(const struct chunk *chunk, size_t i)
{
	int status = UNSET, now = UNSET;
	long left = syscall(SYS_move_pages, chunk->pid, 1UL, &chunk->addresses[i],
			    &chunk->targets[i], &status, chunk->flags);
	int error = left < 0 ? -errno : 0;

	if (query(chunk->pid, 1, &chunk->addresses[i], &now) == 0 && now == chunk->node)
		return TIERMEM_PLACE_MOVED;
	if (error == -ESRCH)
		return TIERMEM_PLACE_NOT_TRIED;
	if (error)
		return meaning(error);
	if (status < 0 && status != UNSET)
		return meaning(status);
	return TIERMEM_PLACE_REFUSED;
}

static void judge(const struct chunk *chunk, int node_is_full, uint8_t *results)
{
	for (size_t i = 0; i < chunk->count; i++) {
		if (chunk->before[i] == chunk->node) {
			results[i] = TIERMEM_PLACE_ALREADY_THERE;
		} else if (chunk->after[i] == chunk->node) {
			results[i] = TIERMEM_PLACE_MOVED;
		} else if (chunk->after[i] < 0) {
			results[i] = meaning(chunk->after[i]);
		} else if (chunk->status[i] < 0 && chunk->status[i] != UNSET) {
			results[i] = meaning(chunk->status[i]);
		} else if (node_is_full) {
			results[i] = TIERMEM_PLACE_NO_MEMORY;
		} else {
			results[i] = move_single(chunk, i);
			node_is_full = results[i] == TIERMEM_PLACE_NO_MEMORY;
		}
	}
}

/* Returns 0, 1 when the node is full, or -errno before anything moved. */
static int move_chunk(struct chunk *chunk, uint8_t *results)
{
	int error = 0;

	if (query(chunk->pid, chunk->count, chunk->addresses, chunk->before) < 0)
		return -errno;
	for (size_t i = 0; i < chunk->count; i++) {
		chunk->targets[i] = chunk->node;
		chunk->status[i] = UNSET;
		chunk->after[i] = UNSET;
	}
	if (syscall(SYS_move_pages, chunk->pid, chunk->count, chunk->addresses, chunk->targets,
		    chunk->status, chunk->flags) < 0)
		error = -errno;
	if (error && error != -ENOMEM && error != -EBUSY && error != -EIO && error != -EAGAIN)
		return error;
	if (query(chunk->pid, chunk->count, chunk->addresses, chunk->after) < 0) {
		memset(results, TIERMEM_PLACE_NOT_TRIED, chunk->count);
		return -errno;
	}
	judge(chunk, error == -ENOMEM, results);
	return error == -ENOMEM;
}

int tiermem_move_pages(int pid, size_t count, const uint64_t *addresses, int node, int shared,
		       uint8_t *results)
{
	struct chunk chunk = {
		.pid = pid,
		.node = node,
		.flags = shared ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE,
	};

	memset(results, TIERMEM_PLACE_NOT_TRIED, count);
	for (size_t done = 0; done < count; done += chunk.count) {
		int status;

		chunk.addresses = addresses + done;
		chunk.count = count - done < CHUNK_PAGES ? count - done : CHUNK_PAGES;
		status = move_chunk(&chunk, results + done);
		if (status < 0)
			return done ? 0 : status;
		if (status > 0)
			return 0;
	}
	return 0;
}

int tiermem_query_pages(int pid, size_t count, const uint64_t *addresses, int32_t *nodes)
{
	return query(pid, count, addresses, nodes) < 0 ? -errno : 0;
}

/* The kernel takes the number of bits plus one. */
static unsigned long max_node(size_t nr_words)
{
	return nr_words * 64 + 1;
}

/* Policies without nodes want no mask at all, not an empty one. */
static const uint64_t *mask_or_null(const uint64_t *mask, size_t nr_words)
{
	return nr_words ? mask : NULL;
}

int tiermem_mbind(uint64_t address, uint64_t bytes, int policy, const uint64_t *mask,
		  size_t nr_words, unsigned int flags)
{
	const uint64_t *nodes = mask_or_null(mask, nr_words);
	long status =
		syscall(SYS_mbind, address, bytes, policy, nodes, max_node(nr_words), flags);

	return status < 0 ? -errno : 0;
}

int tiermem_set_mempolicy(int policy, const uint64_t *mask, size_t nr_words)
{
	const uint64_t *nodes = mask_or_null(mask, nr_words);

	return syscall(SYS_set_mempolicy, policy, nodes, max_node(nr_words)) < 0 ? -errno : 0;
}

int tiermem_get_mempolicy(int *policy, uint64_t *mask, size_t nr_words, uint64_t address)
{
	unsigned int flags = address ? MPOL_F_ADDR : 0;
	long status = syscall(SYS_get_mempolicy, policy, mask, max_node(nr_words), address, flags);

	return status < 0 ? -errno : 0;
}

int tiermem_migrate_process(int pid, const uint64_t *from, const uint64_t *to, size_t nr_words,
			    uint64_t *left)
{
	long status = syscall(SYS_migrate_pages, pid, max_node(nr_words), from, to);

	if (status < 0)
		return -errno;
	*left = (uint64_t)status;
	return 0;
}
