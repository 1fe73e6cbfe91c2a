// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel's move_pages(2) over a table of pages, with its awkward habits: it
 * queues pages until one cannot be queued, migrates the queue, and when a page
 * of the queue refuses it ends the call, leaving the queue's statuses unwritten.
 * Page i is at address i * 4096 of process 1. Linked with syscalls.c in place of
 * syscall(2).
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { PAGES = 4096, NODES = 2, TARGET_MAX = NODES - 1 };

enum behaviour { MOVES, PINNED, SHARED, BUSY, ABSENT, UNMAPPED };

int sim_node[PAGES];
int sim_behaviour[PAGES];
long sim_room;		/* pages that the target still takes */
long sim_alive_calls;	/* the process ends after this many calls; < 0: never */

static int where(uint64_t address)
{
	uint64_t page = address / 4096;

	if (page >= PAGES || sim_behaviour[page] == UNMAPPED)
		return -EFAULT;
	return sim_behaviour[page] == ABSENT ? -ENOENT : sim_node[page];
}

/* 1: can be queued; 0: is there; else an error. */
static int may_queue(uint64_t address, int target, int flags)
{
	int node = where(address);

	if (node < 0)
		return node;
	if (node == target)
		return 0;
	if (sim_behaviour[address / 4096] == SHARED && !(flags & MPOL_MF_MOVE_ALL))
		return -EACCES;
	return sim_behaviour[address / 4096] == BUSY ? -EBUSY : 1;
}

/* Migrate pages[start..end); returns how many refused, or -ENOMEM. */
static long migrate(const uint64_t *pages, long start, long end, int target)
{
	long refused = 0;

	for (long i = start; i < end; i++) {
		if (sim_behaviour[pages[i] / 4096] == PINNED) {
			refused++;
		} else {
			if (sim_room == 0)
				return -ENOMEM;
			sim_room--;
			sim_node[pages[i] / 4096] = target;
		}
	}
	return refused;
}

static long move(long count, const uint64_t *pages, const int *nodes, int *status, int flags)
{
	long start = 0, result = 0;

	for (long i = 0; i < count; i++) {
		int queued = may_queue(pages[i], nodes[i], flags);

		if (queued == 1)
			continue;
		status[i] = queued ? queued : nodes[i];
		result = migrate(pages, start, i, nodes[i]);
		if (result)
			return result < 0 ? result : result + count - i;
		for (long j = start; j < i; j++)
			status[j] = nodes[i];
		start = i + 1;
	}
	if (start < count)
		result = migrate(pages, start, count, nodes[0]);
	for (long j = start; result == 0 && j < count; j++)
		status[j] = nodes[0];
	return result;
}

long simulated_syscall(long number, ...)
{
	va_list arguments;
	const uint64_t *pages;
	const int *nodes;
	int *status, flags, pid;
	long count, result = 0;

	va_start(arguments, number);
	pid = va_arg(arguments, int);
	count = va_arg(arguments, long);
	pages = va_arg(arguments, const uint64_t *);
	nodes = va_arg(arguments, const int *);
	status = va_arg(arguments, int *);
	flags = va_arg(arguments, int);
	va_end(arguments);
	if (number != SYS_move_pages)
		result = -ENOSYS;
	else if (pid != 1 || sim_alive_calls == 0)
		result = -ESRCH;
	else if (nodes && (nodes[0] < 0 || nodes[0] > TARGET_MAX))
		result = -ENODEV;
	else if (nodes)
		result = move(count, pages, nodes, status, flags);
	else
		for (long i = 0; i < count; i++)
			status[i] = where(pages[i]);
	if (sim_alive_calls > 0)
		sim_alive_calls--;
	if (result < 0) {
		errno = (int)-result;
		return -1;
	}
	return result;
}
