/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The folios that one promote call has met, so that a second PFN of the same
 * folio is told from a new one even after the folio has moved away and its
 * pages are free again.
 */
#ifndef TIERMEM_PROMOTE_SEEN_H
#define TIERMEM_PROMOTE_SEEN_H

#include <linux/types.h>

struct promote_seen {
	u64 *slots;		/* open addressing, 0 is empty */
	u32 mask;
	u32 orders;		/* bit mask of the folio orders inside */
};

int promote_seen_init(struct promote_seen *seen, u32 folios_max);
void promote_seen_free(struct promote_seen *seen);
void promote_seen_add(struct promote_seen *seen, unsigned long first_pfn, u32 order);
bool promote_seen_has(const struct promote_seen *seen, unsigned long pfn);

#endif
