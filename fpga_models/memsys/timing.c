// SPDX-License-Identifier: GPL-2.0-or-later
#include "timing.h"

#include <string.h>

#include "cache.h"

static uint64_t share_permille(const struct ms_parameters *p, unsigned int index)
{
	uint64_t share = 1000;

	if (index & MS_COST_STREAMED)
		return p->stream_permille;
	if (index & MS_COST_STORE)
		share = share * p->store_permille / 1000;
	if (index & MS_COST_OVERLAPPED)
		share = share * p->overlap_permille / 1000;
	return share;
}

/* load_fixed: load x u^4 / (1 - u) in units of 2^-20. */
static void set_costs(struct ms_timing *timing, uint32_t tier, uint64_t load_fixed)
{
	const struct ms_tier_parameters *p = &timing->parameters.tiers[tier];
	const uint64_t line_ps = MS_LINE_BYTES * 1000000ULL / p->bandwidth_MBps;
	const uint64_t loaded_ps = p->latency_ps + (p->latency_ps * load_fixed >> 20);
	unsigned int i;

	for (i = 0; i < MS_COSTS; i++) {
		const uint64_t cost =
			loaded_ps * share_permille(&timing->parameters, i) / 1000;

		timing->tiers[tier].cost_ps[i] = cost > line_ps ? cost : line_ps;
	}
}

void ms_timing_init(struct ms_timing *timing, const struct ms_parameters *parameters)
{
	uint32_t tier;

	memset(timing, 0, sizeof(*timing));
	timing->parameters = *parameters;
	timing->window_ps = parameters->window_ns * 1000;
	for (tier = 0; tier < MS_TIERS_MAX; tier++)
		set_costs(timing, tier, 0);
}

static void load_tier(struct ms_timing *timing, uint32_t tier, uint64_t elapsed_ps)
{
	struct ms_tier_timing *t = &timing->tiers[tier];
	const struct ms_parameters *p = &timing->parameters;
	const uint64_t capacity = elapsed_ps / 1000 * p->tiers[tier].bandwidth_MBps / 1000;
	uint64_t u, u4;

	u = capacity ? t->window_bytes * 1000 / capacity : 1000;
	t->window_bytes = 0;
	if (u > p->load_max_permille)
		u = p->load_max_permille;
	u4 = u * u * u * u;	/* at most 10^12 */
	set_costs(timing, tier,
		  (u4 / 1000000 * p->load_permille << 20) / ((1000 - u) * 1000000));
}

void ms_timing_close_window(struct ms_timing *timing, uint64_t elapsed_ps,
			    const uint64_t *busy_ps, uint32_t nr_vcpus)
{
	uint32_t tier;

	timing->closed_ps += elapsed_ps;
	timing->progress_ps = 0;
	memcpy(timing->window_start_ps, busy_ps, nr_vcpus * sizeof(*busy_ps));
	for (tier = 0; tier < timing->parameters.nr_tiers; tier++)
		load_tier(timing, tier, elapsed_ps);
}
