/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Register page of the tiermem tracker device.
 *
 * The device is a PCI function (1af4:1110) whose BAR2 is memory shared with
 * the hardware model. This file is the only description of that memory: the
 * model, the kernel driver and user space (through cffi) all include it.
 *
 * All fields are little-endian and naturally aligned. "Guest writes" and
 * "device writes" name the one writer of a field. A guest command is issued by
 * filling the command block and then storing a new value to guest.doorbell;
 * the device answers by storing that value to guest.completed. The host side
 * has a command block of its own, and only config has two writers: CONFIGURE
 * takes it for either side. They must not configure at the same time, and a
 * side whose configuration is refused puts back the one that it found.
 */
#ifndef TIERMEM_HPT_REGS_H
#define TIERMEM_HPT_REGS_H

#ifndef TIERMEM_CDEF
#include <linux/types.h>
#endif

#define TIERMEM_MAGIC 0x314d454d52454954ULL	/* "TIERMEM1" */

enum tiermem_hw_layout {
	TIERMEM_PCI_VENDOR = 0x1af4,
	TIERMEM_PCI_DEVICE = 0x1110,
	TIERMEM_BAR = 2,
	TIERMEM_BAR_BYTES = 2097152,
	TIERMEM_REGS_OFFSET = 0,
	TIERMEM_CLOCK_OFFSET = 4096,
	TIERMEM_LISTS_OFFSET = 65536,
	TIERMEM_LIST_BYTES = 69632,
	TIERMEM_LIST_SLOTS = 4,
	TIERMEM_LIST_KINDS = 4,
	TIERMEM_LIST_ENTRIES_MAX = 4096,
	TIERMEM_TIERS_MAX = 4,
	TIERMEM_RANGES_MAX = 4,
	TIERMEM_VCPUS_MAX = 64,
	TIERMEM_REGS_VERSION = 1,
};

/* Device state, in tiermem_regs.state. */
enum tiermem_hw_state {
	TIERMEM_STATE_ABSENT = 0,	/* no model behind the memory */
	TIERMEM_STATE_IDLE = 1,		/* nothing is counted, the clock stands */
	TIERMEM_STATE_ARMED = 2,
};

/* Commands, in tiermem_command.opcode. */
enum tiermem_hw_command {
	TIERMEM_CMD_NOP = 0,
	TIERMEM_CMD_CONFIGURE = 1,	/* take tiermem_regs.config */
	TIERMEM_CMD_ARM = 2,
	TIERMEM_CMD_DISARM = 3,
	TIERMEM_CMD_QUERY = 4,		/* arg0 = list kind, arg1 = max entries,
					 * arg2 = 1 to keep the counters;
					 * emits one list into its ring */
	TIERMEM_CMD_CLEAR = 5,		/* arg0 = bit mask of list kinds */
};

enum tiermem_hw_error {
	TIERMEM_HWERR_NONE = 0,
	TIERMEM_HWERR_OPCODE = 1,
	TIERMEM_HWERR_ARGUMENT = 2,
	TIERMEM_HWERR_CONFIG = 3,
	TIERMEM_HWERR_STATE = 4,
};

/* What a list holds; also the bit number in masks of kinds. */
enum tiermem_list_kind {
	TIERMEM_LIST_HPT = 0,	/* hot pages: address of 4 KiB page, count */
	TIERMEM_LIST_HWT = 1,	/* hot words: address of 64 B line, count */
	TIERMEM_LIST_PAC = 2,	/* exact top pages since the last PAC query */
	TIERMEM_LIST_WAC = 3,	/* exact top words since the last WAC query */
};

enum tiermem_algorithm {
	TIERMEM_ALG_CM_SKETCH = 0,	/* count-min sketch and sorted CAM */
	TIERMEM_ALG_SPACE_SAVING = 1,
};

/* A physical range that belongs to a tier; addresses in none are tier 0. */
struct tiermem_tier_range {
	__u64 base;
	__u64 bytes;
	__u32 tier;
	__u32 reserved;
};

/* One top-K tracker. A period of 0 means: only on QUERY. */
struct tiermem_tracker_config {
	__u32 enabled;
	__u32 algorithm;
	__u32 rows;
	__u32 columns;		/* power of two */
	__u32 counter_bits;	/* 1..32, saturating */
	__u32 entries;		/* K */
	__u64 period_reads;
	__u64 period_ns;	/* modelled time */
};

/* Guest or host writes; taken by CONFIGURE as a whole or not at all. */
struct tiermem_hw_config {
	struct tiermem_tier_range ranges[4];
	__u32 nr_ranges;
	__u32 exact_enabled;	/* bit TIERMEM_LIST_PAC, TIERMEM_LIST_WAC */
	__u64 track_base;	/* trackers count reads in this range only */
	__u64 track_bytes;
	struct tiermem_tracker_config hpt;
	struct tiermem_tracker_config hwt;
};

struct tiermem_command {
	__u32 opcode;
	__u32 doorbell;		/* store last; any value but the previous */
	__u64 arg0;
	__u64 arg1;
	__u64 arg2;
	__u32 completed;	/* device writes: the doorbell it has served */
	__u32 error;		/* device writes: enum tiermem_hw_error */
	__u64 reserved[3];
};

/* BAR offset 0. */
struct tiermem_regs {
	__u64 magic;		/* TIERMEM_MAGIC, device writes */
	__u32 version;
	__u32 state;
	__u64 bar_phys;		/* guest writes: where it mapped the BAR */
	__u32 nr_vcpus;
	__u32 features;		/* bit mask of list kinds */
	struct tiermem_command guest;	/* the guest's command block */
	struct tiermem_command host;	/* the host's command block */
	struct tiermem_hw_config config;
	__u32 list_head[4];	/* per kind: lists emitted so far (wraps) */
	__u32 list_tail[4];	/* guest writes: lists consumed so far */
	__u64 list_overruns[4];	/* lists overwritten before consumed */
	__u64 reads_tracked;	/* reads that the trackers counted */
	__u64 reads_ignored;	/* device reads outside the tracked range */
	__u64 writes_seen;
	__u64 rearms;
};

/* Per-tier traffic behind the last-level cache. */
struct tiermem_clock_tier {
	__u64 read_bytes;
	__u64 write_bytes;
	__u64 reads;
	__u64 writes;
	__u64 stall_ns;
	__u64 reserved[3];
};

struct tiermem_clock_vcpu {
	__u64 instructions;
	__u64 stall_ns;
	__u64 busy_ns;		/* instructions x time per instruction + stall */
	__u64 llc_hits;
};

/* BAR offset 4096: the modelled clock, device writes. */
struct tiermem_clock_page {
	__u32 version;
	__u32 nr_vcpus;
	__u32 nr_tiers;
	__u32 ps_per_instruction;
	__u64 armed;
	__u64 busy_ns;		/* sum over vCPUs */
	__u64 reserved[4];
	struct tiermem_clock_tier tiers[4];
	struct tiermem_clock_vcpu vcpus[64];
};

struct tiermem_list_entry {
	__u64 address;		/* guest physical, aligned to the kind's unit */
	__u64 count;
};

/*
 * One emitted list. Slot i of kind k lies at
 * TIERMEM_LISTS_OFFSET + (k * TIERMEM_LIST_SLOTS + i) * TIERMEM_LIST_BYTES;
 * list number n of a kind is in slot n % TIERMEM_LIST_SLOTS.
 */
struct tiermem_list {
	__u32 number;
	__u32 nr_entries;
	__u64 busy_ns;		/* modelled time when it was emitted */
	__u64 reads;		/* reads counted since the last list */
	__u64 reserved[5];
	struct tiermem_list_entry entries[4096];
};

#endif
