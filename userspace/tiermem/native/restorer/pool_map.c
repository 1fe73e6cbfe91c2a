// SPDX-License-Identifier: GPL-2.0-or-later
#include "pool_map.h"

#include <linux/errno.h>
#include <linux/mman.h>

#include "restorer.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum {
	DEVICE_ALIGN_BYTES = 2 << 20,	/* a devdax device maps in units of that */
	TRIES_A_GAP = 16,
};

#define LOWEST_ADDRESS 0x10000ULL
#define USER_SPACE_END 0x7ffffffff000ULL

static uint64_t round_down(uint64_t value)
{
	return value / DEVICE_ALIGN_BYTES * DEVICE_ALIGN_BYTES;
}

static uint64_t round_up(uint64_t value)
{
	return round_down(value + DEVICE_ALIGN_BYTES - 1);
}

/* Between two mappings of the process, far from both where there is room. */
static int64_t claim_between(uint64_t from, uint64_t to, uint64_t bytes)
{
	uint64_t begin = round_up(from), end = round_down(to), step;
	long result = -ENOMEM;

	if (begin >= end || end - begin < bytes)
		return -ENOMEM;
	step = round_down((end - begin - bytes) / TRIES_A_GAP);
	for (uint64_t i = 0; i <= TRIES_A_GAP; i++) {
		uint64_t at = begin + (TRIES_A_GAP / 2 + i) % (TRIES_A_GAP + 1) * step;

		result = call(mmap, at, bytes, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			      0);
		if (result > 0)
			return result;
	}
	return result;
}

int64_t claim_free_space(const struct image_header *image, uint64_t bytes)
{
	const struct image_vma *vmas = image_vmas(image);
	uint64_t count = image->vmas.count, from = LOWEST_ADDRESS;
	int64_t result;

	for (uint64_t i = 0; i <= count; i++) {
		uint64_t to = i < count ? vmas[i].start : USER_SPACE_END;

		result = claim_between(from, to, bytes);
		if (result != -ENOMEM && result != -EEXIST)
			return result;
		if (i < count)
			from = vmas[i].end;
	}
	return -ENOMEM;
}

static int64_t map_pool(struct restorer *r, uint64_t at, uint64_t flags)
{
	uint64_t offset = round_down(r->command.image_at);

	return call(mmap, at, r->pool_map_bytes, PROT_READ, MAP_SHARED | flags,
		    r->fds[RESTORE_FD_POOL], offset);
}

static void set_image(struct restorer *r, uint64_t map_at)
{
	uint64_t into = r->command.image_at - round_down(r->command.image_at);

	r->pool_map_at = map_at;
	r->image = (const struct image_header *)(map_at + into);
}

int map_image(struct restorer *r)
{
	uint64_t end = round_up(r->command.image_at + r->command.image_bytes);
	int64_t first, second;

	r->pool_map_bytes = end - round_down(r->command.image_at);
	first = map_pool(r, 0, 0);
	if (first < 0)
		return failed(r, RESTORE_STEP_POOL, 0, first);
	set_image(r, (uint64_t)first);
	if (r->image->magic != IMAGE_MAGIC || r->image->version != IMAGE_VERSION ||
	    r->image->bytes != r->command.image_bytes)
		return failed(r, RESTORE_STEP_POOL, 0, -ENOEXEC);
	/* Where the kernel put it, something of the process may have to be. */
	second = claim_free_space(r->image, r->pool_map_bytes);
	if (second < 0)
		return failed(r, RESTORE_STEP_PLACE, r->pool_map_bytes, second);
	second = map_pool(r, (uint64_t)second, MAP_FIXED);
	if (second < 0)
		return failed(r, RESTORE_STEP_POOL, 0, second);
	set_image(r, (uint64_t)second);
	call(munmap, first, r->pool_map_bytes);
	return 0;
}
