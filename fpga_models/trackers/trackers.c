// SPDX-License-Identifier: GPL-2.0-or-later
#include "trackers.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "exact.h"
#include "topk.h"

_Static_assert(sizeof(struct tiermem_list_entry) == 16, "list entry layout");
_Static_assert(sizeof(struct tiermem_list) == 64 + 16 * TIERMEM_LIST_ENTRIES_MAX, "list layout");
_Static_assert(sizeof(struct tiermem_list) <= TIERMEM_LIST_BYTES, "a list fits its slot");

enum {
	KINDS = TIERMEM_LIST_KINDS,
	TOPK_KINDS = 2,		/* HPT and HWT come first and are the ones with periods */
};

static const uint32_t unit_shift[KINDS] = {
	[TIERMEM_LIST_HPT] = 12,
	[TIERMEM_LIST_HWT] = 6,
	[TIERMEM_LIST_PAC] = 12,
	[TIERMEM_LIST_WAC] = 6,
};

/* What a configuration builds; swapped as a whole. */
struct units {
	struct tm_topk *topk[TOPK_KINDS];
	struct tm_exact *exact[KINDS];
};

struct tm_trackers {
	uint64_t base;
	uint64_t bytes;
	struct units units;
	struct tm_trackers_counters counters;

	/* No period is over before both of these are reached. */
	uint64_t next_reads;
	uint64_t next_ns;

	uint64_t period_reads[KINDS];
	uint64_t period_ns[KINDS];
	uint64_t start_reads[KINDS];
	uint64_t start_ns[KINDS];
	uint32_t kinds;
	uint64_t seed;
	uint64_t list_keys[TIERMEM_LIST_ENTRIES_MAX];
	uint32_t list_counts[TIERMEM_LIST_ENTRIES_MAX];
};

static void destroy_units(struct units *units)
{
	for (uint32_t kind = 0; kind < TOPK_KINDS; kind++)
		tm_topk_destroy(units->topk[kind]);
	for (uint32_t kind = 0; kind < KINDS; kind++)
		tm_exact_destroy(units->exact[kind]);
}

/* Returns the mask of kinds built; short of what is wanted when out of memory. */
static uint32_t build_units(struct units *units, const struct tiermem_hw_config *config,
			    uint64_t seed)
{
	const struct tiermem_tracker_config *topk[TOPK_KINDS] = { &config->hpt, &config->hwt };
	uint32_t built = 0;

	*units = (struct units){ 0 };
	for (uint32_t kind = 0; kind < TOPK_KINDS; kind++) {
		if (!topk[kind]->enabled)
			continue;
		units->topk[kind] = tm_topk_create(topk[kind], seed + kind);
		if (units->topk[kind])
			built |= 1u << kind;
	}
	for (uint32_t kind = TOPK_KINDS; kind < KINDS; kind++) {
		if (!(config->exact_enabled & 1u << kind))
			continue;
		units->exact[kind] = tm_exact_create(config->track_base, config->track_bytes,
						     unit_shift[kind]);
		if (units->exact[kind])
			built |= 1u << kind;
	}
	return built;
}

static uint32_t wanted_kinds(const struct tiermem_hw_config *config)
{
	return config->exact_enabled | (config->hpt.enabled ? 1u << TIERMEM_LIST_HPT : 0) |
	       (config->hwt.enabled ? 1u << TIERMEM_LIST_HWT : 0);
}

struct tm_trackers *tm_trackers_create(uint64_t seed)
{
	struct tm_trackers *trackers = calloc(1, sizeof(*trackers));

	if (trackers) {
		trackers->seed = seed;
		trackers->next_reads = UINT64_MAX;
		trackers->next_ns = UINT64_MAX;
	}
	return trackers;
}

void tm_trackers_destroy(struct tm_trackers *trackers)
{
	if (!trackers)
		return;
	destroy_units(&trackers->units);
	free(trackers);
}

static uint64_t add_or_max(uint64_t start, uint64_t period)
{
	return period && start + period >= start ? start + period : UINT64_MAX;
}

static void find_next_period(struct tm_trackers *trackers)
{
	trackers->next_reads = UINT64_MAX;
	trackers->next_ns = UINT64_MAX;
	for (uint32_t kind = 0; kind < TOPK_KINDS; kind++) {
		uint64_t reads, ns;

		if (!trackers->units.topk[kind])
			continue;
		reads = add_or_max(trackers->start_reads[kind], trackers->period_reads[kind]);
		ns = add_or_max(trackers->start_ns[kind], trackers->period_ns[kind]);
		if (reads < trackers->next_reads)
			trackers->next_reads = reads;
		if (ns < trackers->next_ns)
			trackers->next_ns = ns;
	}
}

static void clear_kinds(struct tm_trackers *trackers, uint32_t kinds, uint64_t now_ns)
{
	for (uint32_t kind = 0; kind < KINDS; kind++) {
		if (!(kinds & 1u << kind))
			continue;
		if (kind < TOPK_KINDS && trackers->units.topk[kind])
			tm_topk_clear(trackers->units.topk[kind]);
		if (trackers->units.exact[kind])
			tm_exact_clear(trackers->units.exact[kind]);
		trackers->start_reads[kind] = trackers->counters.reads_tracked;
		trackers->start_ns[kind] = now_ns;
	}
	find_next_period(trackers);
}

const char *tm_trackers_configure(struct tm_trackers *trackers,
				  const struct tiermem_hw_config *config, uint64_t now_ns)
{
	const char *wrong = tm_config_check(config);
	struct units units;

	if (wrong)
		return wrong;
	if (build_units(&units, config, trackers->seed) != wanted_kinds(config)) {
		destroy_units(&units);
		return "out of memory";
	}
	destroy_units(&trackers->units);
	trackers->units = units;
	trackers->kinds = wanted_kinds(config);
	trackers->base = config->track_base;
	trackers->bytes = config->track_bytes;
	trackers->period_reads[TIERMEM_LIST_HPT] = config->hpt.period_reads;
	trackers->period_reads[TIERMEM_LIST_HWT] = config->hwt.period_reads;
	trackers->period_ns[TIERMEM_LIST_HPT] = config->hpt.period_ns;
	trackers->period_ns[TIERMEM_LIST_HWT] = config->hwt.period_ns;
	tm_trackers_restart(trackers, now_ns);
	return NULL;
}

void tm_trackers_restart(struct tm_trackers *trackers, uint64_t now_ns)
{
	trackers->counters = (struct tm_trackers_counters){ 0 };
	clear_kinds(trackers, (1u << KINDS) - 1, now_ns);
}

static uint32_t find_due(const struct tm_trackers *trackers, uint64_t now_ns)
{
	uint64_t reads = trackers->counters.reads_tracked;
	uint32_t due = 0;

	for (uint32_t kind = 0; kind < TOPK_KINDS; kind++) {
		if (!trackers->units.topk[kind] || reads == trackers->start_reads[kind])
			continue;
		if (reads >= add_or_max(trackers->start_reads[kind], trackers->period_reads[kind]) ||
		    now_ns >= add_or_max(trackers->start_ns[kind], trackers->period_ns[kind]))
			due |= 1u << kind;
	}
	return due;
}

uint32_t tm_trackers_due(const struct tm_trackers *trackers, uint64_t now_ns)
{
	if (trackers->counters.reads_tracked < trackers->next_reads && now_ns < trackers->next_ns)
		return 0;
	return find_due(trackers, now_ns);
}

static void count_read(struct tm_trackers *trackers, uint64_t address)
{
	const struct units *units = &trackers->units;

	trackers->counters.reads_tracked++;
	for (uint32_t kind = 0; kind < TOPK_KINDS; kind++)
		if (units->topk[kind])
			tm_topk_add(units->topk[kind], address >> unit_shift[kind]);
	for (uint32_t kind = TOPK_KINDS; kind < KINDS; kind++)
		if (units->exact[kind] && tm_exact_add(units->exact[kind], address))
			trackers->counters.exact_lost++;
}

uint32_t tm_trackers_access(struct tm_trackers *trackers, uint64_t address, int is_write,
			    uint64_t now_ns)
{
	if (is_write)
		trackers->counters.writes_seen++;
	else if (address - trackers->base >= trackers->bytes)
		trackers->counters.reads_ignored++;
	else
		count_read(trackers, address);
	return tm_trackers_due(trackers, now_ns);
}

uint32_t tm_trackers_read_many(struct tm_trackers *trackers, const uint64_t *addresses,
			       uint32_t n, uint64_t now_ns)
{
	const struct units *units = &trackers->units;
	uint64_t inside[TM_BATCH_MAX];
	uint64_t keys[TM_BATCH_MAX];
	uint32_t tracked = 0;

	for (uint32_t i = 0; i < n; i++) {
		inside[tracked] = addresses[i];
		tracked += addresses[i] - trackers->base < trackers->bytes;
	}
	trackers->counters.reads_tracked += tracked;
	trackers->counters.reads_ignored += n - tracked;
	for (uint32_t kind = 0; kind < TOPK_KINDS; kind++) {
		if (!units->topk[kind] || !tracked)
			continue;
		for (uint32_t i = 0; i < tracked; i++)
			keys[i] = inside[i] >> unit_shift[kind];
		tm_topk_add_many(units->topk[kind], keys, tracked);
	}
	for (uint32_t kind = TOPK_KINDS; kind < KINDS; kind++)
		for (uint32_t i = 0; units->exact[kind] && i < tracked; i++)
			if (tm_exact_add(units->exact[kind], inside[i]))
				trackers->counters.exact_lost++;
	return tm_trackers_due(trackers, now_ns);
}

static uint32_t list_topk(struct tm_trackers *trackers, uint32_t kind, uint32_t max,
			  struct tiermem_list_entry *entries)
{
	uint32_t listed = tm_topk_list(trackers->units.topk[kind], max, trackers->list_keys,
				       trackers->list_counts);

	for (uint32_t i = 0; i < listed; i++) {
		entries[i].address = trackers->list_keys[i] << unit_shift[kind];
		entries[i].count = trackers->list_counts[i];
	}
	return listed;
}

uint32_t tm_trackers_emit(struct tm_trackers *trackers, uint32_t kind, uint32_t max_entries,
			  uint32_t keep, uint64_t now_ns, struct tiermem_list *list)
{
	if (kind >= KINDS || max_entries < 1 || max_entries > TIERMEM_LIST_ENTRIES_MAX)
		return TIERMEM_HWERR_ARGUMENT;
	if (!(trackers->kinds & 1u << kind))
		return TIERMEM_HWERR_STATE;
	if (kind < TOPK_KINDS)
		list->nr_entries = list_topk(trackers, kind, max_entries, list->entries);
	else
		list->nr_entries = tm_exact_top(trackers->units.exact[kind], max_entries,
						list->entries);
	list->busy_ns = now_ns;
	list->reads = trackers->counters.reads_tracked - trackers->start_reads[kind];
	if (!keep)
		clear_kinds(trackers, 1u << kind, now_ns);
	return TIERMEM_HWERR_NONE;
}

uint32_t tm_trackers_clear(struct tm_trackers *trackers, uint32_t kinds, uint64_t now_ns)
{
	if (kinds >> KINDS)
		return TIERMEM_HWERR_ARGUMENT;
	clear_kinds(trackers, kinds, now_ns);
	return TIERMEM_HWERR_NONE;
}

uint32_t tm_trackers_kinds(const struct tm_trackers *trackers)
{
	return trackers->kinds;
}

void tm_trackers_read_counters(const struct tm_trackers *trackers,
			       struct tm_trackers_counters *counters)
{
	*counters = trackers->counters;
}

void tm_trackers_read_exact(const struct tm_trackers *trackers, uint32_t kind,
			    uint64_t first_unit, uint64_t nr_units, uint32_t *counts)
{
	const struct tm_exact *exact = kind < KINDS ? trackers->units.exact[kind] : NULL;

	if (exact)
		tm_exact_read(exact, first_unit, nr_units, counts);
	else
		memset(counts, 0, nr_units * sizeof(*counts));
}
