// SPDX-License-Identifier: GPL-2.0-or-later
#include "clear.h"

#include "restorer.h"

#define USER_SPACE_END 0x7ffffffff000ULL

static long unmap(uint64_t from, uint64_t to)
{
	return from < to ? call(munmap, from, to - from) : 0;
}

int clear_address_space(struct restorer *r)
{
	struct arena image = { r->pool_map_at, r->pool_map_bytes };
	struct arena low = r->arena.start < image.start ? r->arena : image;
	struct arena high = r->arena.start < image.start ? image : r->arena;
	long result = unmap(0, low.start);

	if (result == 0)
		result = unmap(low.start + low.bytes, high.start);
	if (result == 0)
		result = unmap(high.start + high.bytes, USER_SPACE_END);
	return result < 0 ? failed(r, RESTORE_STEP_PLACE, 0, result) : 0;
}
