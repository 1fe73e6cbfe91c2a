/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An arena's memory: pages that are there before anybody uses them. */
#ifndef ARENA_MEMORY_H
#define ARENA_MEMORY_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

/*
 * Has every page of a range in memory, writable (MADV_POPULATE_WRITE, Linux 5.14).
 * Both are multiples of the page size. Returns 0 or -errno. The caller has seen that
 * there is room: where there is none, the kernel kills a process.
 */
int arena_populate(uint64_t address, uint64_t bytes);

#endif
