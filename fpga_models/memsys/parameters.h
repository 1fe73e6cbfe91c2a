/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every number of the memory system model. Their defaults, meaning and sources
 * are in defaults.toml, nowhere else: each field must be set by the caller.
 */
#ifndef MS_PARAMETERS_H
#define MS_PARAMETERS_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum ms_limits {
	MS_TIERS_MAX = 4,
	MS_VCPUS_MAX = 64,
	MS_RANGES_MAX = 4,
};

struct ms_tier_parameters {
	uint64_t latency_ps;		/* of a lone read */
	uint64_t bandwidth_MBps;	/* 10^6 bytes a second, reads and writes */
};

struct ms_parameters {
	uint64_t ps_per_instruction;
	uint64_t llc_bytes;
	uint64_t llc_ways;
	uint64_t llc_hit_ps;
	uint64_t rob_instructions;
	uint64_t overlap_permille;
	uint64_t store_permille;
	uint64_t stream_permille;
	uint64_t stream_trigger;
	uint64_t window_ns;
	uint64_t load_permille;
	uint64_t load_max_permille;
	uint64_t nr_tiers;
	struct ms_tier_parameters tiers[4];
};

/*
 * Sets one parameter by its name in defaults.toml. Returns 0; -1 for a name
 * that does not exist, -2 for a value that is not a decimal number or out of
 * the parameter's range, which *min and *max then hold.
 */
int ms_parameters_set(struct ms_parameters *parameters, const char *name,
		      const char *value, uint64_t *min, uint64_t *max);

/* Name of parameter i, or NULL behind the last. */
const char *ms_parameters_name(uint32_t i);

/*
 * NULL, or one sentence (static) that says which rule between parameters is
 * broken. A parameter that was never set reads 0, which is out of its range
 * unless 0 is allowed, and is reported here too.
 */
const char *ms_parameters_check(const struct ms_parameters *parameters);

#endif
