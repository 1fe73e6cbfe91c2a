/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tracker device behind its register page (kmod/uapi/tiermem_hpt_regs.h):
 * commands from guest and host, list rings, clock page, PAC file, and the
 * memory system and trackers they speak of. Knows nothing of QEMU.
 *
 * Arming and disarming need the caller, who owns the hooks that feed accesses:
 * device_poll() says what is wanted and device_switch() finishes it. Commands
 * behind it wait until then.
 *
 * Calls are serialised inside where there is more than one vCPU.
 */
#ifndef TIERMEM_DEVICE_H
#define TIERMEM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"
#include "parameters.h"

struct device;

struct device_options {
	const char *bar_path;
	const char *pac_path;		/* NULL: no export */
	uint64_t pac_limit_bytes;	/* physical addresses below it have counters */
	const char *trace_path;		/* NULL: no recording */
	uint64_t trace_records;		/* at most */
	uint64_t seed;			/* of the trackers' hashes */
	uint32_t nr_vcpus;
	struct ms_parameters parameters;
};

enum device_wish {
	DEVICE_STAY,
	DEVICE_ARM,
	DEVICE_DISARM,
};

/* NULL with one sentence in error. */
struct device *device_open(const struct device_options *options, char *error,
			   size_t error_bytes);
/* Marks the device absent in its register page and lets go of everything. */
void device_close(struct device *device);

/* A doorbell has been rung and not served: two loads, no lock. */
bool device_is_rung(const struct device *device);

/*
 * Serves the commands that wait. DEVICE_ARM or DEVICE_DISARM is returned once
 * for each switch: the caller must call device_switch() then.
 */
enum device_wish device_poll(struct device *device);

/* The hooks are in place (armed) or gone. */
void device_switch(struct device *device, bool armed);

/* Whether the address lies in the BAR as the guest has mapped it. */
bool device_owns(const struct device *device, uint64_t address);

/* One access behind a vCPU's first-level cache. */
void device_access(struct device *device, uint32_t vcpu, uint64_t address,
		   enum ms_access_kind kind, uint64_t instructions);

/* Brings the clock page up to the vCPU's instruction count. */
void device_tick(struct device *device, uint32_t vcpu, uint64_t instructions);

#endif
