// SPDX-License-Identifier: GPL-2.0-or-later
#include "clock_page.h"

#include "cache.h"

enum { PS_PER_NS = 1000 };

void clock_page_vcpu(struct tiermem_clock_page *page, const struct ms_memsys *memsys,
		     uint32_t vcpu)
{
	struct tiermem_clock_vcpu *entry = &page->vcpus[vcpu];
	struct ms_vcpu_counters counters;
	uint64_t busy_ns;

	ms_read_vcpu(memsys, vcpu, &counters);
	busy_ns = counters.busy_ps / PS_PER_NS;
	page->busy_ns += busy_ns - entry->busy_ns;
	entry->busy_ns = busy_ns;
	entry->instructions = counters.instructions;
	entry->stall_ns = counters.stall_ps / PS_PER_NS;
	entry->llc_hits = counters.llc_hits;
}

void clock_page_tier(struct tiermem_clock_page *page, const struct ms_memsys *memsys,
		     uint32_t tier)
{
	struct tiermem_clock_tier *entry = &page->tiers[tier];
	struct ms_tier_counters counters;

	ms_read_tier(memsys, tier, &counters);
	entry->reads = counters.reads;
	entry->writes = counters.writes;
	entry->read_bytes = counters.reads * MS_LINE_BYTES;
	entry->write_bytes = counters.writes * MS_LINE_BYTES;
	entry->stall_ns = counters.stall_ps / PS_PER_NS;
}
