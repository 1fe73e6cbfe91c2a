// SPDX-License-Identifier: GPL-2.0-or-later
#include "parameters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parameter {
	const char *name;
	size_t offset;
	uint64_t min;
	uint64_t max;
};

#define FIELD(name, min, max) { #name, offsetof(struct ms_parameters, name), min, max }
#define TIER(i)                                                                   \
	{ "tier" #i "_latency_ps", offsetof(struct ms_parameters, tiers[i].latency_ps), \
	  1000, 100000000 },                                                      \
	{ "tier" #i "_bandwidth_MBps",                                            \
	  offsetof(struct ms_parameters, tiers[i].bandwidth_MBps), 1, 10000000 }

static const struct parameter parameters_table[] = {
	FIELD(ps_per_instruction, 1, 1000000),
	FIELD(llc_bytes, 64, 1ULL << 32),
	FIELD(llc_ways, 1, 32),
	FIELD(llc_hit_ps, 0, 1000000),
	FIELD(rob_instructions, 0, 1000000),
	FIELD(overlap_permille, 0, 1000),
	FIELD(store_permille, 0, 1000),
	FIELD(stream_permille, 0, 1000),
	FIELD(stream_trigger, 1, 63),
	FIELD(window_ns, 100, 1000000000),
	FIELD(load_permille, 0, 100000),
	FIELD(load_max_permille, 0, 999),
	FIELD(nr_tiers, 1, 4),
	TIER(0),
	TIER(1),
	TIER(2),
	TIER(3),
};

enum { NR_PARAMETERS = sizeof(parameters_table) / sizeof(parameters_table[0]) };

static uint64_t *field(struct ms_parameters *parameters, const struct parameter *p)
{
	return (uint64_t *)((char *)parameters + p->offset);
}

const char *ms_parameters_name(uint32_t i)
{
	return i < NR_PARAMETERS ? parameters_table[i].name : NULL;
}

int ms_parameters_set(struct ms_parameters *parameters, const char *name,
		      const char *value, uint64_t *min, uint64_t *max)
{
	uint64_t number;
	uint32_t i;
	char *end;

	for (i = 0; i < NR_PARAMETERS; i++)
		if (!strcmp(parameters_table[i].name, name))
			break;
	if (i == NR_PARAMETERS)
		return -1;
	*min = parameters_table[i].min;
	*max = parameters_table[i].max;
	if (*value < '0' || *value > '9')
		return -2;
	errno = 0;
	number = strtoull(value, &end, 10);
	if (errno || *end || number < *min || number > *max)
		return -2;
	*field(parameters, &parameters_table[i]) = number;
	return 0;
}

const char *ms_parameters_check(const struct ms_parameters *parameters)
{
	uint64_t sets;
	uint32_t i;

	for (i = 0; i < NR_PARAMETERS; i++) {
		const struct parameter *p = &parameters_table[i];
		const uint64_t value = *field((struct ms_parameters *)parameters, p);

		if (value < p->min || value > p->max)
			return "a parameter is missing or out of its range";
	}
	sets = parameters->llc_bytes / 64 / parameters->llc_ways;
	if (!sets || (sets & (sets - 1)) ||
	    sets * parameters->llc_ways * 64 != parameters->llc_bytes)
		return "llc_bytes must be 64 x llc_ways x a power of two";
	return NULL;
}
