/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All trackers of one device: HPT, HWT, PAC and WAC behind one stream of
 * accesses that missed the last-level cache. The QEMU plugin and `tiermem
 * replay` call exactly this.
 *
 * Only reads inside [track_base, track_base + track_bytes) count. Nothing here
 * locks: the caller serialises calls on one object.
 *
 *	due = tm_trackers_access(t, address, is_write, now_ns);
 *	while (due) {
 *		kind = __builtin_ctz(due);
 *		tm_trackers_emit(t, kind, TIERMEM_LIST_ENTRIES_MAX, 0, now_ns, slot);
 *		due &= due - 1;
 *	}
 */
#ifndef TM_TRACKERS_H
#define TM_TRACKERS_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#include "tiermem_hpt_regs.h"
#include "topk.h"
#endif

struct tm_trackers;

struct tm_trackers_counters {
	uint64_t reads_tracked;
	uint64_t reads_ignored;		/* outside the tracked range */
	uint64_t writes_seen;		/* anywhere */
	uint64_t exact_lost;		/* PAC or WAC had no memory for a new leaf: above 0,
					 * their counts are not exact; for the owner to say */
};

/* No tracker is on until configured. NULL when out of memory. */
struct tm_trackers *tm_trackers_create(uint64_t seed);
void tm_trackers_destroy(struct tm_trackers *trackers);

/*
 * Takes a configuration as a whole: everything is cleared and periods start at
 * now_ns. Returns NULL, or one static sentence saying what is wrong (see
 * tm_config_check(); also "out of memory"), and then nothing has changed.
 */
const char *tm_trackers_configure(struct tm_trackers *trackers,
				  const struct tiermem_hw_config *config,
				  uint64_t now_ns);

/* Clears every tracker and starts its period; the counters below go to 0. */
void tm_trackers_restart(struct tm_trackers *trackers, uint64_t now_ns);

/*
 * One access behind the last-level cache. Returns a mask of list kinds whose
 * period is over; they stay due until emitted or cleared. now_ns is modelled
 * time and never goes back.
 */
uint32_t tm_trackers_access(struct tm_trackers *trackers, uint64_t address,
			    int is_write, uint64_t now_ns);

/*
 * Reads behind the last-level cache, in order, as by tm_trackers_access(), but
 * faster; periods are looked at once, after the last. n is at most TM_BATCH_MAX.
 */
uint32_t tm_trackers_read_many(struct tm_trackers *trackers, const uint64_t *addresses,
			       uint32_t n, uint64_t now_ns);

/* The same mask without an access. A period without a read is never due. */
uint32_t tm_trackers_due(const struct tm_trackers *trackers, uint64_t now_ns);

/*
 * Writes one list of a kind, hottest first, at most max_entries, and clears
 * that tracker and restarts its period, unless keep is set. Only the entries
 * written are touched, and list->number is left to the owner of the ring.
 * Returns an enum tiermem_hw_error: ARGUMENT for a kind that does not exist
 * or max_entries outside 1..TIERMEM_LIST_ENTRIES_MAX, STATE for a tracker that
 * is not enabled; the list is untouched then.
 */
uint32_t tm_trackers_emit(struct tm_trackers *trackers, uint32_t kind,
			  uint32_t max_entries, uint32_t keep, uint64_t now_ns,
			  struct tiermem_list *list);

/* Clears the trackers of the kinds in the mask and restarts their periods.
 * Returns TIERMEM_HWERR_ARGUMENT, with nothing cleared, for unknown bits. */
uint32_t tm_trackers_clear(struct tm_trackers *trackers, uint32_t kinds,
			   uint64_t now_ns);

/* Mask of the kinds that are enabled. */
uint32_t tm_trackers_kinds(const struct tm_trackers *trackers);

void tm_trackers_read_counters(const struct tm_trackers *trackers,
			       struct tm_trackers_counters *counters);

/* PAC (TIERMEM_LIST_PAC) or WAC counts of nr_units units from first_unit,
 * 0 = the unit at track_base; zeros where that tracker is off. */
void tm_trackers_read_exact(const struct tm_trackers *trackers, uint32_t kind,
			    uint64_t first_unit, uint64_t nr_units,
			    uint32_t *counts);

#endif
