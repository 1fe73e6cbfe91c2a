// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE

#include "page_scan.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	PAGE_BYTES = 4096,
	BATCH = 512,		/* pages a call; the kernel takes 1024 pieces */
};

struct batch {
	size_t count;
	uint8_t *held[BATCH];
	struct iovec words[BATCH];	/* the first of each page */
};

static int is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static int look_at_whole(int memory, uint64_t address, uint8_t *held)
{
	uint8_t page[PAGE_BYTES];
	ssize_t got;

	do
		got = pread(memory, page, PAGE_BYTES, (off_t)address);
	while (got < 0 && errno == EINTR);
	if (got != PAGE_BYTES)
		return got < 0 ? -errno : -EIO;
	*held = !is_zero(page);
	return 0;
}

/* Most pages that are not zeros do not begin with a zero. The kernel does not read words of
 * pages that the process itself may not read: all that it did not give is looked at whole. */
static int look_at_batch(int pid, int memory, const struct batch *batch)
{
	uint64_t first[BATCH];
	struct iovec into = { first, batch->count * sizeof(*first) };
	ssize_t got = process_vm_readv(pid, &into, 1, batch->words, batch->count, 0);
	const size_t known = got < 0 ? 0 : (size_t)got / sizeof(*first);
	int err = 0;

	for (size_t i = 0; !err && i < batch->count; i++)
		if (i >= known || !first[i])
			err = look_at_whole(memory, (uint64_t)(uintptr_t)batch->words[i].iov_base,
					    batch->held[i]);
	return err;
}

int page_scan(int pid, int memory, uint64_t address, size_t pages, uint8_t *held)
{
	struct batch batch = { .count = 0 };
	int err = 0;

	for (size_t i = 0; !err && i < pages; i++) {
		if (held[i]) {
			const uint64_t at = address + i * PAGE_BYTES;

			batch.held[batch.count] = &held[i];
			batch.words[batch.count].iov_base = (void *)(uintptr_t)at;
			batch.words[batch.count++].iov_len = sizeof(uint64_t);
		}
		if (batch.count == BATCH || (batch.count && i + 1 == pages)) {
			err = look_at_batch(pid, memory, &batch);
			batch.count = 0;
		}
	}
	return err;
}
