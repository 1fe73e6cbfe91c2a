/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory system behind the first-level caches: last-level cache, tiers
 * with loaded latency, and one modelled clock a vCPU.
 *
 * Nothing here locks: the caller serialises calls on one object. All results
 * are integers and the same on every machine.
 *
 *	ms_access(m, vcpu, address, is_write, instructions, &o);
 *	if (o.events & MS_FILL)		the controller of o.fill_tier was read
 *	if (o.events & MS_WRITEBACK)	... of o.victim_tier wrote o.victim
 *
 * Time: busy_ps(vcpu) = instructions * ps_per_instruction + stall_ps. What an
 * access adds to stall_ps, and how utilisation turns into latency, is in
 * timing.h and docs/modelled-time.md.
 */
#ifndef MS_MEMSYS_H
#define MS_MEMSYS_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#include "cache.h"
#include "parameters.h"
#endif

struct ms_memsys;

struct ms_range {
	uint64_t base;
	uint64_t bytes;
	uint32_t tier;
	uint32_t reserved;
};

struct ms_outcome {
	uint32_t events;	/* mask of enum ms_cache_result */
	uint32_t fill_tier;	/* with MS_FILL */
	uint32_t victim_tier;	/* with MS_WRITEBACK */
	uint32_t streamed;	/* the fill was one of a stream */
	uint64_t victim;	/* byte address of the line written back */
	uint64_t stall_ps;	/* added to the vCPU's stall */
};

struct ms_tier_counters {
	uint64_t reads;		/* fills, of 64 B each */
	uint64_t writes;	/* write-backs */
	uint64_t stall_ps;
};

struct ms_vcpu_counters {
	uint64_t instructions;	/* as of the vCPU's last call */
	uint64_t stall_ps;
	uint64_t busy_ps;
	uint64_t llc_hits;
};

/* Parameters must have passed ms_parameters_check(). NULL when out of memory. */
struct ms_memsys *ms_create(const struct ms_parameters *parameters, uint32_t nr_vcpus);
void ms_destroy(struct ms_memsys *memsys);

/*
 * Which physical addresses belong to which tier; those in no range are tier 0.
 * Returns NULL, or one static sentence, and then the old ranges stay. The cache
 * keeps its lines; each line's tier is looked up when it moves.
 */
const char *ms_set_ranges(struct ms_memsys *memsys, const struct ms_range *ranges,
			  uint32_t nr_ranges);
uint32_t ms_tier_of(const struct ms_memsys *memsys, uint64_t address);

/*
 * One access by a vCPU that missed its first-level cache. instructions: how
 * many the vCPU has executed since ms_create(); never goes back.
 */
uint32_t ms_access(struct ms_memsys *memsys, uint32_t vcpu, uint64_t address,
		   enum ms_access_kind kind, uint64_t instructions,
		   struct ms_outcome *outcome);

/* Announces an access, so that the host's caches are ready; models nothing. */
void ms_prefetch(const struct ms_memsys *memsys, uint64_t address);

/* The vCPU has executed that many instructions, without an access. */
void ms_tick(struct ms_memsys *memsys, uint32_t vcpu, uint64_t instructions);

/*
 * Modelled time of the memory system as a whole, for periods and windows: it
 * advances with the vCPU that runs fastest (timing.h). With one vCPU it is
 * that vCPU's busy time.
 */
uint64_t ms_now_ps(const struct ms_memsys *memsys);

void ms_read_tier(const struct ms_memsys *memsys, uint32_t tier,
		  struct ms_tier_counters *counters);
void ms_read_vcpu(const struct ms_memsys *memsys, uint32_t vcpu,
		  struct ms_vcpu_counters *counters);

/* Cache and streams empty, as after a long pause; clocks and counters stay. */
void ms_cool(struct ms_memsys *memsys);

/*
 * n accesses of one vCPU, each `gap` instructions after the one before, in one
 * call (replay and tests). Where fills is not NULL it takes the addresses of
 * the lines read, at most n, and *nr_fills their number; likewise victims.
 */
void ms_run(struct ms_memsys *memsys, uint32_t vcpu, uint64_t n,
	    const uint64_t *addresses, const uint8_t *kinds, uint64_t gap,
	    uint64_t *fills, uint64_t *nr_fills, uint64_t *victims,
	    uint64_t *nr_victims);

#endif
