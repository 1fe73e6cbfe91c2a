/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rings of hot lists in the BAR: four slots for each kind of list. */
#ifndef TIERMEM_LIST_RINGS_H
#define TIERMEM_LIST_RINGS_H

#include <stdint.h>

#include "tiermem_hpt_regs.h"

/* Where the kind's next list goes. */
struct tiermem_list *list_rings_slot(char *bar, const struct tiermem_regs *regs,
				     uint32_t kind);

/* Hands the list in that slot to the guest; one the guest has not consumed is
 * counted as overrun when its slot is taken. */
void list_rings_push(struct tiermem_regs *regs, uint32_t kind, struct tiermem_list *list);

#endif
