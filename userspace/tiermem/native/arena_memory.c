// SPDX-License-Identifier: GPL-2.0-or-later
#include "arena_memory.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int arena_populate(uint64_t address, uint64_t bytes)
{
	while (madvise((void *)(uintptr_t)address, bytes, MADV_POPULATE_WRITE) < 0)
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	return 0;
}
