/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a fill costs: loaded latency by tier, from the utilisation in windows of
 * modelled time.
 *
 * A window ends when one vCPU has lived window_ns of modelled time in it. So
 * the memory system's time advances with the fastest vCPU, and vCPUs that idle
 * neither hold it back nor have to be known as idle. At its end, each tier's
 *
 *	u = bytes moved / (time of the window x bandwidth), at most load_max
 *	loaded = latency x (1 + load x u^4 / (1 - u))
 *
 * set what the next window's fills cost: loaded x share, but never less than
 * the time the line's bytes take on the tier. The share is
 *
 *	streamed fill			stream
 *	store miss			store
 *	within rob_instructions		overlap, times the above unless streamed
 */
#ifndef MS_TIMING_H
#define MS_TIMING_H

#include <stdint.h>

#include "parameters.h"

/* Bits of the index into ms_tier_timing.cost_ps. */
enum ms_cost_bits {
	MS_COST_STORE = 1,
	MS_COST_OVERLAPPED = 2,
	MS_COST_STREAMED = 4,
	MS_COSTS = 8,
};

struct ms_tier_timing {
	uint64_t cost_ps[MS_COSTS];
	uint64_t window_bytes;
};

struct ms_timing {
	struct ms_parameters parameters;
	struct ms_tier_timing tiers[MS_TIERS_MAX];
	uint64_t window_ps;
	uint64_t closed_ps;		/* time of all windows that have ended */
	uint64_t progress_ps;		/* time of this window so far */
	uint64_t window_start_ps[MS_VCPUS_MAX];	/* busy time of each vCPU then */
};

void ms_timing_init(struct ms_timing *timing, const struct ms_parameters *parameters);

/* The window is over: every vCPU's busy time, as of its last call and without
 * what that call stalled, becomes its start in the next. */
void ms_timing_close_window(struct ms_timing *timing, uint64_t elapsed_ps,
			    const uint64_t *busy_ps, uint32_t nr_vcpus);

#endif
