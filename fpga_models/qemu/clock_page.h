/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modelled clock as the guest reads it: nanoseconds out of picoseconds. */
#ifndef TIERMEM_CLOCK_PAGE_H
#define TIERMEM_CLOCK_PAGE_H

#include <stdint.h>

#include "memsys.h"
#include "tiermem_hpt_regs.h"

/* Brings one vCPU's entry and the sum up to date. */
void clock_page_vcpu(struct tiermem_clock_page *page, const struct ms_memsys *memsys,
		     uint32_t vcpu);
void clock_page_tier(struct tiermem_clock_page *page, const struct ms_memsys *memsys,
		     uint32_t tier);

#endif
