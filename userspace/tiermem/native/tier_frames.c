// SPDX-License-Identifier: GPL-2.0-or-later
#include "tier_frames.h"

#include <stdlib.h>

int tier_frames_init(struct tier_frames *tier, uint64_t first, uint64_t count)
{
	*tier = (struct tier_frames){ .first = first, .count = count };
	tier->free = malloc((count + 1) * sizeof(*tier->free));
	return tier->free ? 0 : -1;
}

void tier_frames_destroy(struct tier_frames *tier)
{
	free(tier->free);
}

uint64_t tier_frames_take(struct tier_frames *tier)
{
	uint64_t frame = NO_FRAME;

	if (tier->nr_free)
		frame = tier->free[--tier->nr_free];
	else if (tier->fresh < tier->count)
		frame = tier->first + tier->fresh++;
	if (frame != NO_FRAME)
		tier->used++;
	return frame;
}

void tier_frames_give(struct tier_frames *tier, uint64_t frame)
{
	tier->free[tier->nr_free++] = frame;
	tier->used--;
}
