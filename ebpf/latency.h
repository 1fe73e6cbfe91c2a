/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A log2 histogram of nanoseconds: slot i counts values in [2^i, 2^(i+1)),
 * slot 0 also zero. The layout is known to probes/histogram.py.
 */
#ifndef TIERMEM_LATENCY_H
#define TIERMEM_LATENCY_H

#define LATENCY_SLOTS 64

struct latency {
	u64 total_ns;
	u64 slots[LATENCY_SLOTS];
};

static __always_inline void latency_add(struct latency *to, u64 ns)
{
	u32 slot = ns ? bpf_log2l(ns) : 0;

	/* bpf_log2l() answers one more than the index of the highest bit */
	if (slot)
		slot--;
	to->total_ns += ns;
	to->slots[slot & (LATENCY_SLOTS - 1)]++;
}

#endif
