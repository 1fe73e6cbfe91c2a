// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "h3.h"

enum {
	PAGE_BYTES = 4096,
	COLUMNS_MIN = 16,
	COLUMNS_MAX = 1 << 24,
	CELLS_MAX = 1 << 26,
	COUNTER_BITS_MAX = 32,
};

/* Bounds the directories of PAC and WAC. */
#define TRACK_BYTES_MAX (1ULL << 40)

static void sketch_defaults(struct tiermem_tracker_config *tracker)
{
	*tracker = (struct tiermem_tracker_config){
		.enabled = 1,
		.algorithm = TIERMEM_ALG_CM_SKETCH,
		.rows = 4,
		.columns = 32768,
		.counter_bits = 14,
		.entries = 25,
	};
}

void tm_config_defaults(struct tiermem_hw_config *config)
{
	memset(config, 0, sizeof(*config));
	config->exact_enabled = 1u << TIERMEM_LIST_PAC;
	sketch_defaults(&config->hpt);
	sketch_defaults(&config->hwt);
}

void tm_config_space_saving(struct tiermem_tracker_config *tracker)
{
	*tracker = (struct tiermem_tracker_config){
		.enabled = 1,
		.algorithm = TIERMEM_ALG_SPACE_SAVING,
		.counter_bits = 32,
		.entries = 50,
	};
}

static int is_span(uint64_t base, uint64_t bytes)
{
	return base % PAGE_BYTES == 0 && bytes % PAGE_BYTES == 0 && base + bytes >= base;
}

static const char *check_ranges(const struct tiermem_hw_config *config)
{
	if (config->nr_ranges > TIERMEM_RANGES_MAX)
		return "nr_ranges: at most 4";
	for (uint32_t i = 0; i < config->nr_ranges; i++) {
		const struct tiermem_tier_range *range = &config->ranges[i];

		if (!range->bytes || !is_span(range->base, range->bytes))
			return "ranges: base and bytes are multiples of 4096, bytes above 0, no wrap";
		if (range->tier >= TIERMEM_TIERS_MAX)
			return "ranges: tier is 0..3";
		for (uint32_t j = 0; j < i; j++) {
			const struct tiermem_tier_range *other = &config->ranges[j];

			if (range->base < other->base + other->bytes &&
			    other->base < range->base + range->bytes)
				return "ranges: must not overlap";
		}
	}
	return NULL;
}

static const char *check_sketch(const struct tiermem_tracker_config *tracker)
{
	if (tracker->rows < 1 || tracker->rows > TM_ROWS_MAX)
		return "rows: 1..16";
	if (tracker->columns < COLUMNS_MIN || tracker->columns > COLUMNS_MAX ||
	    (tracker->columns & (tracker->columns - 1)))
		return "columns: a power of two, 16..16777216";
	if ((uint64_t)tracker->rows * tracker->columns > CELLS_MAX)
		return "rows x columns: at most 67108864";
	return NULL;
}

static const char *check_tracker(const struct tiermem_tracker_config *tracker)
{
	if (tracker->enabled > 1)
		return "enabled: 0 or 1";
	if (!tracker->enabled)
		return NULL;
	if (tracker->algorithm > TIERMEM_ALG_SPACE_SAVING)
		return "algorithm: 0 (count-min sketch) or 1 (Space-Saving)";
	if (tracker->counter_bits < 1 || tracker->counter_bits > COUNTER_BITS_MAX)
		return "counter_bits: 1..32";
	if (tracker->entries < 1 || tracker->entries > TIERMEM_LIST_ENTRIES_MAX)
		return "entries: 1..4096";
	return tracker->algorithm == TIERMEM_ALG_CM_SKETCH ? check_sketch(tracker) : NULL;
}

const char *tm_config_check(const struct tiermem_hw_config *config)
{
	const uint32_t exact_kinds = 1u << TIERMEM_LIST_PAC | 1u << TIERMEM_LIST_WAC;
	const char *wrong = check_ranges(config);

	if (wrong)
		return wrong;
	if (config->exact_enabled & ~exact_kinds)
		return "exact_enabled: a mask of bit 2 (PAC) and bit 3 (WAC)";
	if (!is_span(config->track_base, config->track_bytes))
		return "track_base, track_bytes: multiples of 4096, no wrap";
	if (config->track_bytes > TRACK_BYTES_MAX)
		return "track_bytes: at most 1 TiB";
	wrong = check_tracker(&config->hpt);
	return wrong ? wrong : check_tracker(&config->hwt);
}
