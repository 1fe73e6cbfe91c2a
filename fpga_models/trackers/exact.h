/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exact access counters of a physical range: PAC with a shift of 12 (4 KiB
 * pages), WAC with a shift of 6 (64 B words). Memory is taken a leaf at a time
 * as addresses are seen, so a large range costs what is used of it.
 * Counters are 32 bits wide and saturate.
 */
#ifndef TM_EXACT_H
#define TM_EXACT_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#include "tiermem_hpt_regs.h"
#endif

struct tm_exact;

/* base and bytes: multiples of the unit, 1 << shift. NULL when out of memory. */
struct tm_exact *tm_exact_create(uint64_t base, uint64_t bytes, uint32_t shift);
void tm_exact_destroy(struct tm_exact *exact);

/* Counts one access. Returns 0, or -1 where the address is out of range or
 * there is no memory for its leaf (nothing is counted then). */
int tm_exact_add(struct tm_exact *exact, uint64_t address);

/* Copies the counts of nr_units units from first_unit (0 = the one at base);
 * units outside the range read as 0. */
void tm_exact_read(const struct tm_exact *exact, uint64_t first_unit,
		   uint64_t nr_units, uint32_t *counts);

/* The hottest units, hottest first, lower address first among equals; units
 * never accessed are left out. Returns the number written, at most max. */
uint32_t tm_exact_top(const struct tm_exact *exact, uint32_t max,
		      struct tiermem_list_entry *entries);
uint64_t tm_exact_total(const struct tm_exact *exact);
void tm_exact_clear(struct tm_exact *exact);

#endif
