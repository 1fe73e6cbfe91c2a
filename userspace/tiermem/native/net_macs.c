// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_macs.h"

#include <stddef.h>

#define MASK (NET_MACS_SLOTS - 1)

static uint32_t home(uint64_t mac)
{
	/* The golden ratio's 64 bits: the upper ones depend on all of the address. */
	return (uint32_t)(mac * 0x9e3779b97f4a7c15ULL >> 32) & MASK;
}

/* The slot that has it, or the free one where it would be. */
static uint32_t slot_of(const struct net_macs *macs, uint64_t mac)
{
	uint32_t slot = home(mac);

	while (macs->slots[slot].mac && macs->slots[slot].mac != mac)
		slot = (slot + 1) & MASK;
	return slot;
}

int net_macs_add(struct net_macs *macs, struct net_owner owner)
{
	uint32_t slot;

	if (!owner.mac || macs->count == NET_MACS_MAX)
		return -1;
	slot = slot_of(macs, owner.mac);
	if (macs->slots[slot].mac)
		return -1;
	macs->slots[slot] = owner;
	macs->count++;
	return 0;
}

const struct net_owner *net_macs_find(const struct net_macs *macs, uint64_t mac)
{
	const struct net_owner *found = &macs->slots[slot_of(macs, mac)];

	return found->mac ? found : NULL;
}

int net_macs_remove(struct net_macs *macs, uint64_t mac)
{
	uint32_t hole = slot_of(macs, mac);

	if (!macs->slots[hole].mac)
		return -1;
	/* Those behind it that were pushed there move up, so that no search ends early. */
	for (uint32_t next = (hole + 1) & MASK; macs->slots[next].mac; next = (next + 1) & MASK) {
		const uint32_t pushed = (next - home(macs->slots[next].mac)) & MASK;

		if (pushed >= ((next - hole) & MASK)) {
			macs->slots[hole] = macs->slots[next];
			hole = next;
		}
	}
	macs->slots[hole] = (struct net_owner){ 0 };
	macs->count--;
	return 0;
}
