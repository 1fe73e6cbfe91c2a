/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware model's clock as a load generator reads it.
 *
 * Under icount the guest's clock counts one ns an instruction and knows
 * nothing of stalls; the clock page counts modelled busy time. Modelled time
 * is therefore guest time, less a ns for each instruction counted, plus the
 * busy time (docs/benchmarks.md).
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>

#define CLOCK_TIERS 2

struct clock_sample {
	uint64_t guest_ns;
	uint64_t modelled_ns;
	uint64_t instructions;
	uint64_t stall_ns;
	uint64_t llc_hits;
	uint64_t armed;
	uint64_t reads[CLOCK_TIERS];
	uint64_t writes[CLOCK_TIERS];
};

/*
 * path: the tracker device, a file laid out like its clock page, or "none"
 * (modelled time is then the system's monotonic time). Exits with a message
 * when it cannot be mapped.
 */
void clock_open(const char *path);

/* Modelled time now, ns; only differences mean something. */
uint64_t clock_now_ns(void);

void clock_read(struct clock_sample *sample);

/*
 * Arm the model behind the device given to clock_open(), with the range of tier
 * 1 in physical addresses and no trackers; or disarm it.
 */
void clock_arm(uint64_t slow_base, uint64_t slow_bytes);
void clock_disarm(void);

#endif
