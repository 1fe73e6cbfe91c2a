// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitops.h>
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/mm.h>

#include "promote_seen.h"

#define ORDER_BITS 6

static u64 make_key(unsigned long first_pfn, u32 order)
{
	return (((u64)first_pfn << ORDER_BITS) | order) + 1;
}

static u32 find_slot(const struct promote_seen *seen, u64 key)
{
	u32 slot = hash_64(key, 32) & seen->mask;

	while (seen->slots[slot] && seen->slots[slot] != key)
		slot = (slot + 1) & seen->mask;
	return slot;
}

int promote_seen_init(struct promote_seen *seen, u32 folios_max)
{
	u32 slots = roundup_pow_of_two(2 * (folios_max + 1));

	seen->slots = kvcalloc(slots, sizeof(*seen->slots), GFP_KERNEL);
	if (!seen->slots)
		return -ENOMEM;
	seen->mask = slots - 1;
	seen->orders = 0;
	return 0;
}

void promote_seen_free(struct promote_seen *seen)
{
	kvfree(seen->slots);
}

void promote_seen_add(struct promote_seen *seen, unsigned long first_pfn, u32 order)
{
	u64 key = make_key(first_pfn, order);

	seen->slots[find_slot(seen, key)] = key;
	seen->orders |= BIT(order);
}

/* Folios are aligned to their size, so each order has one candidate head. */
bool promote_seen_has(const struct promote_seen *seen, unsigned long pfn)
{
	unsigned long orders = seen->orders;
	unsigned int order;

	/* A key has no room for it, and no frame has such a number. */
	if (pfn >> (BITS_PER_LONG - ORDER_BITS))
		return false;
	for_each_set_bit(order, &orders, 32) {
		u64 key = make_key(pfn & ~(BIT(order) - 1), order);

		if (seen->slots[find_slot(seen, key)])
			return true;
	}
	return false;
}
