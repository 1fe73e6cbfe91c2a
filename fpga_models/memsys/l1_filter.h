/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU's first-level data cache, as far as it matters for what lies behind
 * it: direct-mapped, virtually indexed and tagged, 64 B lines. An access that
 * finds its line here is a first-level hit and goes no further; it costs
 * nothing beyond the time of its instruction.
 *
 * A line is entered clean by a load and dirty by a store. A store to a clean
 * line goes on to the last-level cache once, which marks its copy dirty there;
 * so write-backs are accounted without a victim path from this level.
 *
 * Keys carry the generation of the address space. Changing it forgets every
 * line of user space; kernel addresses (bit 63 set) are the same in all address
 * spaces and stay until ms_l1_clear(). User addresses are taken to be below
 * 2^47, which is where Linux places mappings unless a program asks otherwise.
 */
#ifndef MS_L1_FILTER_H
#define MS_L1_FILTER_H

#include <stdint.h>
#include <string.h>

enum ms_l1_layout {
	MS_L1_LINES = 512,		/* 32 KiB */
	MS_L1_GENERATION_SHIFT = 42,	/* line number << 1 of a user address ends here */
	MS_L1_GENERATIONS = 1 << 16,
	MS_L1_DIRTY = 1,
};

struct ms_l1 {
	uint64_t entries[MS_L1_LINES];	/* line << 1 | generation | dirty */
	uint64_t generation;		/* shifted into place */
};

static inline void ms_l1_clear(struct ms_l1 *l1)
{
	/* The line number with all bits set is no line's key: bit 63 is clear in keys. */
	memset(l1->entries, 0xff, sizeof(l1->entries));
	l1->generation = 0;
}

static inline void ms_l1_forget_user(struct ms_l1 *l1)
{
	const uint64_t next = (l1->generation >> MS_L1_GENERATION_SHIFT) + 1;

	if (next == MS_L1_GENERATIONS)
		ms_l1_clear(l1);
	else
		l1->generation = next << MS_L1_GENERATION_SHIFT;
}

/* The clean key of an address. */
static inline uint64_t ms_l1_key(const struct ms_l1 *l1, uint64_t vaddr)
{
	const uint64_t is_user = (vaddr >> 63) - 1;

	return (vaddr >> 6) << 1 | (l1->generation & is_user);
}

static inline uint64_t *ms_l1_entry(struct ms_l1 *l1, uint64_t vaddr)
{
	return &l1->entries[(vaddr >> 6) % MS_L1_LINES];
}

static inline int ms_l1_load_hits(uint64_t entry, uint64_t key)
{
	return (entry | MS_L1_DIRTY) == (key | MS_L1_DIRTY);
}

static inline int ms_l1_store_hits(uint64_t entry, uint64_t key)
{
	return entry == (key | MS_L1_DIRTY);
}

#endif
