// SPDX-License-Identifier: GPL-2.0-or-later
#include "memsys.h"

#include <stdlib.h>
#include <string.h>

#include "stream.h"
#include "timing.h"

struct vcpu {
	struct ms_streams streams;
	uint64_t instructions;
	uint64_t stall_ps;
	uint64_t llc_hits;
	uint64_t last_miss;	/* instruction count of the last fill */
	int missed_before;
};

struct ms_memsys {
	struct ms_cache *llc;
	struct ms_timing timing;
	struct ms_range ranges[MS_RANGES_MAX];
	uint32_t nr_ranges;
	uint32_t nr_vcpus;
	uint64_t address_mask;
	struct ms_tier_counters tiers[MS_TIERS_MAX];
	uint64_t busy_ps[MS_VCPUS_MAX];
	struct vcpu vcpus[MS_VCPUS_MAX];
};

struct ms_memsys *ms_create(const struct ms_parameters *parameters, uint32_t nr_vcpus)
{
	struct ms_memsys *m;

	if (nr_vcpus < 1 || nr_vcpus > MS_VCPUS_MAX)
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->llc = ms_cache_create(parameters->llc_bytes, (uint32_t)parameters->llc_ways);
	if (!m->llc) {
		free(m);
		return NULL;
	}
	m->nr_vcpus = nr_vcpus;
	m->address_mask = ms_cache_address_limit(m->llc) - 1;
	ms_timing_init(&m->timing, parameters);
	return m;
}

void ms_destroy(struct ms_memsys *m)
{
	if (!m)
		return;
	ms_cache_destroy(m->llc);
	free(m);
}

const char *ms_set_ranges(struct ms_memsys *m, const struct ms_range *ranges,
			  uint32_t nr_ranges)
{
	uint32_t i, j;

	if (nr_ranges > MS_RANGES_MAX)
		return "more ranges than the memory system holds";
	for (i = 0; i < nr_ranges; i++) {
		const struct ms_range *r = &ranges[i];

		if (!r->bytes || r->base + r->bytes < r->base)
			return "a range is empty or wraps around";
		if (r->tier >= m->timing.parameters.nr_tiers)
			return "a range names a tier that has no parameters";
		for (j = 0; j < i; j++)
			if (r->base < ranges[j].base + ranges[j].bytes &&
			    ranges[j].base < r->base + r->bytes)
				return "two ranges overlap";
	}
	memcpy(m->ranges, ranges, nr_ranges * sizeof(*ranges));
	m->nr_ranges = nr_ranges;
	return NULL;
}

uint32_t ms_tier_of(const struct ms_memsys *m, uint64_t address)
{
	uint32_t i;

	for (i = 0; i < m->nr_ranges; i++)
		if (address - m->ranges[i].base < m->ranges[i].bytes)
			return m->ranges[i].tier;
	return 0;
}

static void advance(struct ms_memsys *m, uint32_t vcpu, uint64_t instructions)
{
	struct vcpu *v = &m->vcpus[vcpu];
	struct ms_timing *t = &m->timing;
	uint64_t busy, progress;

	v->instructions = instructions;
	busy = instructions * t->parameters.ps_per_instruction + v->stall_ps;
	m->busy_ps[vcpu] = busy;
	progress = busy - t->window_start_ps[vcpu];
	if (progress > t->progress_ps)
		t->progress_ps = progress;
	if (progress >= t->window_ps)
		ms_timing_close_window(t, progress, m->busy_ps, m->nr_vcpus);
}

void ms_tick(struct ms_memsys *m, uint32_t vcpu, uint64_t instructions)
{
	advance(m, vcpu, instructions);
}

static uint64_t fill(struct ms_memsys *m, struct vcpu *v, uint64_t address,
		     enum ms_access_kind kind, struct ms_outcome *o)
{
	const struct ms_parameters *p = &m->timing.parameters;
	const uint32_t tier = ms_tier_of(m, address);
	struct ms_tier_timing *timing = &m->timing.tiers[tier];
	unsigned int index = kind == MS_STORE ? MS_COST_STORE : 0;
	uint64_t stall;

	o->fill_tier = tier;
	o->streamed = (uint32_t)ms_streams_miss(&v->streams, address,
						(uint32_t)p->stream_trigger);
	if (o->streamed)
		index |= MS_COST_STREAMED;
	if (v->missed_before && v->instructions - v->last_miss <= p->rob_instructions)
		index |= MS_COST_OVERLAPPED;
	v->missed_before = 1;
	v->last_miss = v->instructions;
	stall = timing->cost_ps[index];
	timing->window_bytes += MS_LINE_BYTES;
	m->tiers[tier].reads++;
	m->tiers[tier].stall_ps += stall;
	return stall;
}

uint32_t ms_access(struct ms_memsys *m, uint32_t vcpu, uint64_t address,
		   enum ms_access_kind kind, uint64_t instructions, struct ms_outcome *o)
{
	struct vcpu *v = &m->vcpus[vcpu];

	memset(o, 0, sizeof(*o));
	address &= m->address_mask;
	advance(m, vcpu, instructions);
	o->events = ms_cache_access(m->llc, address, kind, &o->victim);
	if (o->events & MS_FILL) {
		o->stall_ps = fill(m, v, address, kind, o);
	} else {
		/* A claimed line is posted, as its write-back will be. */
		o->stall_ps = m->timing.parameters.llc_hit_ps;
		v->llc_hits += !(o->events & MS_CLAIM);
	}
	v->stall_ps += o->stall_ps;
	if (o->events & MS_WRITEBACK) {
		o->victim_tier = ms_tier_of(m, o->victim);
		m->tiers[o->victim_tier].writes++;
		m->timing.tiers[o->victim_tier].window_bytes += MS_LINE_BYTES;
	}
	return o->events;
}

void ms_prefetch(const struct ms_memsys *m, uint64_t address)
{
	ms_cache_prefetch(m->llc, address & m->address_mask);
}

uint64_t ms_now_ps(const struct ms_memsys *m)
{
	return m->timing.closed_ps + m->timing.progress_ps;
}

void ms_read_tier(const struct ms_memsys *m, uint32_t tier,
		  struct ms_tier_counters *counters)
{
	*counters = m->tiers[tier];
}

void ms_read_vcpu(const struct ms_memsys *m, uint32_t vcpu,
		  struct ms_vcpu_counters *counters)
{
	const struct vcpu *v = &m->vcpus[vcpu];

	counters->instructions = v->instructions;
	counters->stall_ps = v->stall_ps;
	counters->busy_ps = v->instructions * m->timing.parameters.ps_per_instruction +
			    v->stall_ps;
	counters->llc_hits = v->llc_hits;
}

void ms_cool(struct ms_memsys *m)
{
	uint32_t i;

	ms_cache_clear(m->llc);
	for (i = 0; i < m->nr_vcpus; i++)
		memset(&m->vcpus[i].streams, 0, sizeof(m->vcpus[i].streams));
}

void ms_run(struct ms_memsys *m, uint32_t vcpu, uint64_t n, const uint64_t *addresses,
	    const uint8_t *kinds, uint64_t gap, uint64_t *fills, uint64_t *nr_fills,
	    uint64_t *victims, uint64_t *nr_victims)
{
	uint64_t instructions = m->vcpus[vcpu].instructions;
	uint64_t i, filled = 0, evicted = 0;
	struct ms_outcome o;

	for (i = 0; i < n; i++) {
		instructions += gap;
		ms_access(m, vcpu, addresses[i], kinds[i], instructions, &o);
		if ((o.events & MS_FILL) && fills)
			fills[filled++] = addresses[i] & m->address_mask &
					  ~(uint64_t)(MS_LINE_BYTES - 1);
		if ((o.events & MS_WRITEBACK) && victims)
			victims[evicted++] = o.victim;
	}
	if (nr_fills)
		*nr_fills = filled;
	if (nr_victims)
		*nr_victims = evicted;
}
