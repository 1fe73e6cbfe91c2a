// SPDX-License-Identifier: GPL-2.0-or-later
#include "list_rings.h"

#include <stddef.h>

struct tiermem_list *list_rings_slot(char *bar, const struct tiermem_regs *regs,
				     uint32_t kind)
{
	const uint32_t slot = regs->list_head[kind] % TIERMEM_LIST_SLOTS;

	return (struct tiermem_list *)(bar + TIERMEM_LISTS_OFFSET +
		(kind * TIERMEM_LIST_SLOTS + slot) * (size_t)TIERMEM_LIST_BYTES);
}

void list_rings_push(struct tiermem_regs *regs, uint32_t kind, struct tiermem_list *list)
{
	const uint32_t head = regs->list_head[kind];
	const uint32_t tail = __atomic_load_n(&regs->list_tail[kind], __ATOMIC_ACQUIRE);

	list->number = head;
	if (head - tail >= TIERMEM_LIST_SLOTS)
		regs->list_overruns[kind]++;
	__atomic_store_n(&regs->list_head[kind], head + 1, __ATOMIC_RELEASE);
}
