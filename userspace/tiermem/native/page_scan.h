/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages of another process are not all zeros, at a fraction of the cost of reading them. */
#ifndef PAGE_SCAN_H
#define PAGE_SCAN_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

/*
 * `held` has a byte for each of `pages` pages from `address` on; those that are not 0 are
 * looked at, and set to 0 where the page is all zeros. `memory` is /proc/PID/mem of `pid`.
 * Returns 0, or a negative errno where a page cannot be read.
 */
int page_scan(int pid, int memory, uint64_t address, size_t pages, uint8_t *held);

#endif
