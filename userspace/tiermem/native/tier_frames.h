/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frames of one tier: which are free. Those given back are taken again first. */
#ifndef TIER_FRAMES_H
#define TIER_FRAMES_H

#include <stdint.h>

#define NO_FRAME UINT64_MAX

struct tier_frames {
	uint64_t first;
	uint64_t count;
	uint64_t used;
	uint64_t fresh;		/* frames of the tier that were ever given out */
	uint64_t nr_free;
	uint64_t *free;		/* stack of frames given back */
};

/* Returns 0, or -1 when out of memory. */
int tier_frames_init(struct tier_frames *tier, uint64_t first, uint64_t count);
void tier_frames_destroy(struct tier_frames *tier);

/* NO_FRAME when the tier is full. */
uint64_t tier_frames_take(struct tier_frames *tier);
void tier_frames_give(struct tier_frames *tier, uint64_t frame);

#endif
