// SPDX-License-Identifier: GPL-2.0-or-later
#include "weight_sort.h"

#include <string.h>

enum {
	INDEX_BITS = 31,
	RADIX_BITS = 11,
	RADIX_PASSES = 3,
	RADIX_MASK = (1 << RADIX_BITS) - 1,
};

uint64_t weight_key(double weight, uint32_t index)
{
	uint64_t bits;

	memcpy(&bits, &weight, sizeof(bits));
	return ~(bits >> (INDEX_BITS - 1)) << INDEX_BITS | index;
}

uint32_t weight_index(uint64_t key)
{
	return (uint32_t)(key & ((1ULL << INDEX_BITS) - 1));
}

static void sort_pass(const uint64_t *from, uint64_t *to, uint32_t n, uint32_t shift)
{
	uint32_t starts[1 << RADIX_BITS] = { 0 }, sum = 0, i;

	for (i = 0; i < n; i++)
		starts[from[i] >> shift & RADIX_MASK]++;
	for (i = 0; i <= RADIX_MASK; i++) {
		const uint32_t here = starts[i];

		starts[i] = sum;
		sum += here;
	}
	for (i = 0; i < n; i++)
		to[starts[from[i] >> shift & RADIX_MASK]++] = from[i];
}

const uint64_t *weight_sort(uint64_t *keys, uint64_t *spare, uint32_t n)
{
	uint32_t pass;

	for (pass = 0; pass < RADIX_PASSES; pass++) {
		uint64_t *sorted = spare;

		sort_pass(keys, sorted, n, INDEX_BITS + pass * RADIX_BITS);
		spare = keys;
		keys = sorted;
	}
	return keys;
}
