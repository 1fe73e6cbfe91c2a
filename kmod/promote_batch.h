/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TIERMEM_PROMOTE_BATCH_H
#define TIERMEM_PROMOTE_BATCH_H

#include <linux/types.h>

#include "uapi/tiermem_promote.h"

/* One call's work and what came of it. */
struct promote_job {
	const u64 *pfns;
	u8 *results;		/* enum tiermem_promote_result, one a PFN */
	u32 count;
	int target_node;
	bool dry_run;
	u32 batch_pages;	/* base pages handed to migrate_pages at once */

	u64 moved_pages;
	u64 isolate_ns;
	u64 migrate_ns;
};

/*
 * Judges every PFN and moves what can move. Results start as NOT_TRIED and stay
 * so for PFNs not reached when a fatal signal arrives. -ENOMEM, before any page
 * is touched, is the only failure.
 */
int promote_run(struct promote_job *job);

#endif
