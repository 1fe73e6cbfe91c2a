// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock_page.h"
#include "list_rings.h"
#include "memsys.h"
#include "pac_file.h"
#include "shared_file.h"
#include "tiermem_hpt_regs.h"
#include "trace_file.h"
#include "trackers.h"

enum { ALL_KINDS = (1 << TIERMEM_LIST_KINDS) - 1 };

struct device {
	char *bar;
	struct tiermem_regs *regs;
	struct tiermem_clock_page *clock;
	struct ms_memsys *memsys;
	struct tm_trackers *trackers;
	struct pac_file pac;
	struct trace_file trace;
	struct ms_range ranges[MS_RANGES_MAX];
	uint32_t nr_ranges;
	uint64_t track_base;
	uint64_t track_bytes;
	struct tiermem_command *switching;	/* whose ARM or DISARM is under way */
	uint32_t switching_doorbell;		/* of that command: others may be rung meanwhile */
	bool armed;
	bool is_shared;				/* more than one vCPU: lock */
	bool told_lost;				/* that exact counters are not */
	pthread_mutex_t lock;
};

_Static_assert(sizeof(struct tiermem_regs) <= TIERMEM_CLOCK_OFFSET, "registers fit");
_Static_assert(TIERMEM_CLOCK_OFFSET + sizeof(struct tiermem_clock_page) <=
	       TIERMEM_LISTS_OFFSET, "the clock page fits");
_Static_assert(sizeof(struct tiermem_list) <= TIERMEM_LIST_BYTES, "a list fits");
_Static_assert(TIERMEM_LISTS_OFFSET + TIERMEM_LIST_KINDS * TIERMEM_LIST_SLOTS *
	       TIERMEM_LIST_BYTES <= TIERMEM_BAR_BYTES, "all lists fit");
_Static_assert((int)TIERMEM_TIERS_MAX == (int)MS_TIERS_MAX, "one number of tiers");
_Static_assert((int)TIERMEM_RANGES_MAX == (int)MS_RANGES_MAX, "one number of ranges");
_Static_assert((int)TIERMEM_VCPUS_MAX == (int)MS_VCPUS_MAX, "one number of vCPUs");

static void lock(struct device *d)
{
	if (d->is_shared)
		pthread_mutex_lock(&d->lock);
}

static void unlock(struct device *d)
{
	if (d->is_shared)
		pthread_mutex_unlock(&d->lock);
}

static uint64_t now_ns(const struct device *d)
{
	return ms_now_ps(d->memsys) / 1000;
}

static void publish_counters(struct device *d)
{
	struct tm_trackers_counters counters;

	tm_trackers_read_counters(d->trackers, &counters);
	d->regs->reads_tracked = counters.reads_tracked;
	d->regs->reads_ignored = counters.reads_ignored;
	d->regs->writes_seen = counters.writes_seen;
	if (counters.exact_lost && !d->told_lost) {
		d->told_lost = true;
		fprintf(stderr, "tiermem: no memory for all counters of PAC or WAC: "
				"from now on they are not exact\n");
	}
}

static uint32_t emit(struct device *d, uint64_t kind, uint64_t max, uint64_t keep)
{
	struct tiermem_list *slot;
	uint32_t error;

	if (kind >= TIERMEM_LIST_KINDS || max > TIERMEM_LIST_ENTRIES_MAX || keep > 1)
		return TIERMEM_HWERR_ARGUMENT;
	slot = list_rings_slot(d->bar, d->regs, (uint32_t)kind);
	error = tm_trackers_emit(d->trackers, (uint32_t)kind, (uint32_t)max,
				 (uint32_t)keep, now_ns(d), slot);
	if (!error)
		list_rings_push(d->regs, (uint32_t)kind, slot);
	return error;
}

static void emit_due(struct device *d, uint32_t due)
{
	while (due) {
		emit(d, (uint32_t)__builtin_ctz(due), TIERMEM_LIST_ENTRIES_MAX, 0);
		due &= due - 1;
	}
}

static uint32_t configure(struct device *d)
{
	/* The guest may go on writing: judge and use one copy. */
	const struct tiermem_hw_config config = d->regs->config;
	struct ms_range ranges[MS_RANGES_MAX] = { 0 };
	const char *refusal = NULL;
	uint32_t i;

	for (i = 0; i < config.nr_ranges && i < MS_RANGES_MAX; i++) {
		ranges[i].base = config.ranges[i].base;
		ranges[i].bytes = config.ranges[i].bytes;
		ranges[i].tier = config.ranges[i].tier;
	}
	refusal = ms_set_ranges(d->memsys, ranges, config.nr_ranges);
	if (!refusal) {
		refusal = tm_trackers_configure(d->trackers, &config, now_ns(d));
		if (refusal)
			ms_set_ranges(d->memsys, d->ranges, d->nr_ranges);
	}
	if (refusal) {
		fprintf(stderr, "tiermem: configuration refused: %s\n", refusal);
		return TIERMEM_HWERR_CONFIG;
	}
	memcpy(d->ranges, ranges, sizeof(ranges));
	d->nr_ranges = config.nr_ranges;
	d->track_base = config.track_base;
	d->track_bytes = config.track_bytes;
	return TIERMEM_HWERR_NONE;
}

static uint32_t clear(struct device *d, uint64_t kinds)
{
	if (kinds > ALL_KINDS)
		return TIERMEM_HWERR_ARGUMENT;
	return tm_trackers_clear(d->trackers, (uint32_t)kinds, now_ns(d));
}

static void complete(struct tiermem_command *command, uint32_t doorbell, uint32_t error)
{
	command->error = error;
	__atomic_store_n(&command->completed, doorbell, __ATOMIC_RELEASE);
}

static bool is_rung(const struct tiermem_command *command)
{
	return __atomic_load_n(&command->doorbell, __ATOMIC_ACQUIRE) != command->completed;
}

/* Serves one command; ARM and DISARM stay open where there is something to do. */
static enum device_wish serve(struct device *d, struct tiermem_command *command)
{
	const uint32_t doorbell = command->doorbell;
	uint32_t error = TIERMEM_HWERR_NONE;

	switch (command->opcode) {
	case TIERMEM_CMD_NOP:
		break;
	case TIERMEM_CMD_CONFIGURE:
		error = configure(d);
		break;
	case TIERMEM_CMD_ARM:
	case TIERMEM_CMD_DISARM:
		if ((command->opcode == TIERMEM_CMD_ARM) != d->armed) {
			d->switching = command;
			d->switching_doorbell = doorbell;
			return d->armed ? DEVICE_DISARM : DEVICE_ARM;
		}
		break;
	case TIERMEM_CMD_QUERY:
		error = emit(d, command->arg0, command->arg1, command->arg2);
		break;
	case TIERMEM_CMD_CLEAR:
		error = clear(d, command->arg0);
		break;
	default:
		error = TIERMEM_HWERR_OPCODE;
	}
	publish_counters(d);
	complete(command, doorbell, error);
	return DEVICE_STAY;
}

bool device_is_rung(const struct device *d)
{
	return is_rung(&d->regs->guest) || is_rung(&d->regs->host);
}

enum device_wish device_poll(struct device *d)
{
	enum device_wish wish = DEVICE_STAY;

	lock(d);
	if (!d->switching && is_rung(&d->regs->guest))
		wish = serve(d, &d->regs->guest);
	if (!d->switching && is_rung(&d->regs->host))
		wish = serve(d, &d->regs->host);
	unlock(d);
	return wish;
}

/* QEMU may be killed later, without a chance to close files. */
static void save_trace(struct device *d)
{
	if (trace_file_flush(&d->trace))
		fprintf(stderr, "tiermem: the trace could not be written whole: %s\n",
			strerror(errno));
}

void device_switch(struct device *d, bool armed)
{
	lock(d);
	d->armed = armed;
	if (armed) {
		ms_cool(d->memsys);
		d->regs->rearms++;
	} else {
		save_trace(d);
	}
	d->clock->armed = armed;
	__atomic_store_n(&d->regs->state, armed ? TIERMEM_STATE_ARMED : TIERMEM_STATE_IDLE,
			 __ATOMIC_RELEASE);
	if (d->switching)
		complete(d->switching, d->switching_doorbell, TIERMEM_HWERR_NONE);
	d->switching = NULL;
	unlock(d);
}

bool device_owns(const struct device *d, uint64_t address)
{
	return d->regs->bar_phys && address - d->regs->bar_phys < TIERMEM_BAR_BYTES;
}

/* The CXL controller sees what is on a slower tier or in the tracked range. */
static bool reaches_trackers(const struct device *d, uint64_t address, uint32_t tier)
{
	return tier || address - d->track_base < d->track_bytes;
}

static void track(struct device *d, uint64_t address, bool is_write)
{
	emit_due(d, tm_trackers_access(d->trackers, address, is_write, now_ns(d)));
	publish_counters(d);
}

void device_access(struct device *d, uint32_t vcpu, uint64_t address,
		   enum ms_access_kind kind, uint64_t instructions)
{
	struct ms_outcome outcome;

	lock(d);
	trace_file_add(&d->trace, vcpu, address, kind != MS_LOAD, instructions);
	ms_access(d->memsys, vcpu, address, kind, instructions, &outcome);
	if (outcome.events & MS_FILL) {
		pac_file_count(&d->pac, address);
		clock_page_tier(d->clock, d->memsys, outcome.fill_tier);
		if (reaches_trackers(d, address, outcome.fill_tier))
			track(d, address, false);
	}
	if (outcome.events & MS_WRITEBACK) {
		clock_page_tier(d->clock, d->memsys, outcome.victim_tier);
		if (reaches_trackers(d, outcome.victim, outcome.victim_tier))
			track(d, outcome.victim, true);
	}
	clock_page_vcpu(d->clock, d->memsys, vcpu);
	unlock(d);
}

void device_tick(struct device *d, uint32_t vcpu, uint64_t instructions)
{
	lock(d);
	ms_tick(d->memsys, vcpu, instructions);
	clock_page_vcpu(d->clock, d->memsys, vcpu);
	unlock(d);
}

static void reset_registers(struct device *d, const struct device_options *options)
{
	memset(d->bar, 0, TIERMEM_LISTS_OFFSET);
	d->clock->version = TIERMEM_REGS_VERSION;
	d->clock->nr_vcpus = options->nr_vcpus;
	d->clock->nr_tiers = (uint32_t)options->parameters.nr_tiers;
	d->clock->ps_per_instruction = (uint32_t)options->parameters.ps_per_instruction;
	d->regs->version = TIERMEM_REGS_VERSION;
	d->regs->state = TIERMEM_STATE_IDLE;
	d->regs->nr_vcpus = options->nr_vcpus;
	d->regs->features = ALL_KINDS;
	__atomic_store_n(&d->regs->magic, TIERMEM_MAGIC, __ATOMIC_RELEASE);
}

static int open_files(struct device *d, const struct device_options *options,
		      char *error, size_t error_bytes)
{
	d->bar = shared_file_map(options->bar_path, TIERMEM_BAR_BYTES, 0);
	if (!d->bar) {
		snprintf(error, error_bytes, "cannot map the BAR's file %s: %s",
			 options->bar_path, strerror(errno));
		return -1;
	}
	d->regs = (struct tiermem_regs *)d->bar;
	d->clock = (struct tiermem_clock_page *)(d->bar + TIERMEM_CLOCK_OFFSET);
	if (options->pac_path &&
	    pac_file_open(&d->pac, options->pac_path, options->pac_limit_bytes)) {
		snprintf(error, error_bytes, "cannot create the PAC file %s: %s",
			 options->pac_path, strerror(errno));
		return -1;
	}
	if (options->trace_path &&
	    trace_file_open(&d->trace, options->trace_path, options->trace_records)) {
		snprintf(error, error_bytes, "cannot create the trace %s: %s",
			 options->trace_path, strerror(errno));
		return -1;
	}
	return 0;
}

static void release(struct device *d)
{
	save_trace(d);
	trace_file_close(&d->trace);
	pac_file_close(&d->pac);
	if (d->bar)
		shared_file_unmap(d->bar, TIERMEM_BAR_BYTES);
	tm_trackers_destroy(d->trackers);
	ms_destroy(d->memsys);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

struct device *device_open(const struct device_options *options, char *error,
			   size_t error_bytes)
{
	struct device *d = calloc(1, sizeof(*d));

	if (!d) {
		snprintf(error, error_bytes, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->is_shared = options->nr_vcpus > 1;
	d->memsys = ms_create(&options->parameters, options->nr_vcpus);
	d->trackers = tm_trackers_create(options->seed);
	if (!d->memsys || !d->trackers) {
		snprintf(error, error_bytes, "out of memory, or more than %d vCPUs",
			 MS_VCPUS_MAX);
		release(d);
		return NULL;
	}
	if (open_files(d, options, error, error_bytes)) {
		release(d);
		return NULL;
	}
	reset_registers(d, options);
	return d;
}

void device_close(struct device *d)
{
	d->regs->magic = 0;
	d->regs->state = TIERMEM_STATE_ABSENT;
	release(d);
}
