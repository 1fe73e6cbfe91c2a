// SPDX-License-Identifier: GPL-2.0-or-later
#include "exact.h"

#include <stdlib.h>
#include <string.h>

enum {
	LEAF_SHIFT = 12,
	LEAF_UNITS = 1 << LEAF_SHIFT,
};

struct leaf {
	uint32_t is_dirty;
	uint32_t counts[LEAF_UNITS];
};

struct tm_exact {
	uint64_t base;
	uint64_t bytes;
	uint32_t shift;
	uint64_t total;
	uint64_t nr_leaves;
	struct leaf **leaves;
	uint64_t nr_dirty;
	uint32_t *dirty;	/* indices of leaves with a count */
};

struct tm_exact *tm_exact_create(uint64_t base, uint64_t bytes, uint32_t shift)
{
	struct tm_exact *exact = calloc(1, sizeof(*exact));
	uint64_t units = bytes >> shift;

	if (!exact)
		return NULL;
	exact->base = base;
	exact->bytes = bytes;
	exact->shift = shift;
	exact->nr_leaves = (units + LEAF_UNITS - 1) >> LEAF_SHIFT;
	/* One more, so that an empty range is no special case. */
	exact->leaves = calloc(exact->nr_leaves + 1, sizeof(*exact->leaves));
	exact->dirty = calloc(exact->nr_leaves + 1, sizeof(*exact->dirty));
	if (!exact->leaves || !exact->dirty) {
		tm_exact_destroy(exact);
		return NULL;
	}
	return exact;
}

void tm_exact_destroy(struct tm_exact *exact)
{
	if (!exact)
		return;
	if (exact->leaves)
		for (uint64_t i = 0; i < exact->nr_leaves; i++)
			free(exact->leaves[i]);
	free(exact->leaves);
	free(exact->dirty);
	free(exact);
}

int tm_exact_add(struct tm_exact *exact, uint64_t address)
{
	uint64_t offset = address - exact->base;
	uint64_t unit = offset >> exact->shift;
	uint64_t index = unit >> LEAF_SHIFT;
	struct leaf *leaf;
	uint32_t *count;

	if (offset >= exact->bytes)
		return -1;
	leaf = exact->leaves[index];
	if (!leaf) {
		leaf = calloc(1, sizeof(*leaf));
		if (!leaf)
			return -1;
		exact->leaves[index] = leaf;
	}
	if (!leaf->is_dirty) {
		leaf->is_dirty = 1;
		exact->dirty[exact->nr_dirty++] = (uint32_t)index;
	}
	count = &leaf->counts[unit & (LEAF_UNITS - 1)];
	if (*count < UINT32_MAX)
		(*count)++;
	exact->total++;
	return 0;
}

void tm_exact_read(const struct tm_exact *exact, uint64_t first_unit, uint64_t nr_units,
		   uint32_t *counts)
{
	memset(counts, 0, nr_units * sizeof(*counts));
	for (uint64_t i = 0; i < nr_units;) {
		uint64_t unit = first_unit + i;
		uint64_t in_leaf = unit & (LEAF_UNITS - 1);
		uint64_t run = LEAF_UNITS - in_leaf;
		uint64_t index = unit >> LEAF_SHIFT;

		if (run > nr_units - i)
			run = nr_units - i;
		if (index < exact->nr_leaves && exact->leaves[index])
			memcpy(counts + i, exact->leaves[index]->counts + in_leaf,
			       run * sizeof(*counts));
		i += run;
	}
}

static int is_hotter(const struct tiermem_list_entry *a, const struct tiermem_list_entry *b)
{
	return a->count != b->count ? a->count > b->count : a->address < b->address;
}

/* Restores the heap (coldest at the root) after its root was replaced. */
static void sift_down(struct tiermem_list_entry *heap, uint32_t size, uint32_t root)
{
	struct tiermem_list_entry moved = heap[root];

	for (;;) {
		uint32_t child = 2 * root + 1;

		if (child >= size)
			break;
		if (child + 1 < size && is_hotter(&heap[child], &heap[child + 1]))
			child++;
		if (is_hotter(&heap[child], &moved))
			break;
		heap[root] = heap[child];
		root = child;
	}
	heap[root] = moved;
}

static void heapify(struct tiermem_list_entry *heap, uint32_t size)
{
	for (uint32_t i = size / 2; i-- > 0;)
		sift_down(heap, size, i);
}

static uint32_t consider(struct tiermem_list_entry *heap, uint32_t size, uint32_t max,
			 struct tiermem_list_entry seen)
{
	if (size < max) {
		heap[size++] = seen;
		if (size == max)
			heapify(heap, size);
	} else if (is_hotter(&seen, &heap[0])) {
		heap[0] = seen;
		sift_down(heap, size, 0);
	}
	return size;
}

uint32_t tm_exact_top(const struct tm_exact *exact, uint32_t max,
		      struct tiermem_list_entry *entries)
{
	uint32_t size = 0;

	if (!max)
		return 0;
	for (uint64_t i = 0; i < exact->nr_dirty; i++) {
		uint64_t first = (uint64_t)exact->dirty[i] << LEAF_SHIFT;
		const uint32_t *counts = exact->leaves[exact->dirty[i]]->counts;

		for (uint64_t unit = 0; unit < LEAF_UNITS; unit++) {
			struct tiermem_list_entry seen = {
				.address = exact->base + ((first + unit) << exact->shift),
				.count = counts[unit],
			};

			if (seen.count)
				size = consider(entries, size, max, seen);
		}
	}
	if (size < max)
		heapify(entries, size);
	for (uint32_t left = size; left-- > 1;) {
		struct tiermem_list_entry coldest = entries[0];

		entries[0] = entries[left];
		entries[left] = coldest;
		sift_down(entries, left, 0);
	}
	return size;
}

uint64_t tm_exact_total(const struct tm_exact *exact)
{
	return exact->total;
}

void tm_exact_clear(struct tm_exact *exact)
{
	for (uint64_t i = 0; i < exact->nr_dirty; i++)
		memset(exact->leaves[exact->dirty[i]], 0, sizeof(struct leaf));
	exact->nr_dirty = 0;
	exact->total = 0;
}
