// SPDX-License-Identifier: GPL-2.0-or-later
#include "h3.h"

#include <stdlib.h>

#include "splitmix.h"

enum {
	KEY_BITS = 64,
	KEY_BYTES = 8,
	BYTE_VALUES = 256,
	NARROW_BITS = 16,
	WIDE_BITS = 32,
	WORDS_MAX = TM_ROWS_MAX * WIDE_BITS / 64,
};

/*
 * The bit entries are folded into one table a key byte, so that a hash is one
 * lookup a byte; a zero byte hashes to zero, so a short key costs only its own
 * bytes. Several rows share a word, four of them where 16 bits name a column.
 */
struct tm_h3 {
	uint32_t rows;
	uint32_t lane_bits;
	uint32_t words;
	uint64_t folded[];	/* [byte][value][word] */
};

static void fold_byte(struct tm_h3 *h3, const uint32_t *entries, uint32_t byte)
{
	uint64_t *table = h3->folded + (size_t)byte * BYTE_VALUES * h3->words;
	uint32_t lanes = 64 / h3->lane_bits;

	for (uint32_t value = 1; value < BYTE_VALUES; value++) {
		uint32_t low = value & -value;
		uint32_t bit = byte * 8 + (uint32_t)__builtin_ctz(low);
		uint64_t *out = table + (size_t)value * h3->words;
		const uint64_t *rest = table + (size_t)(value ^ low) * h3->words;

		for (uint32_t row = 0; row < h3->rows; row++)
			out[row / lanes] |= (uint64_t)entries[bit * h3->rows + row]
					    << (row % lanes * h3->lane_bits);
		for (uint32_t word = 0; word < h3->words; word++)
			out[word] ^= rest[word];
	}
}

struct tm_h3 *tm_h3_create(uint32_t rows, uint32_t columns, uint64_t seed)
{
	uint32_t entries[KEY_BITS * TM_ROWS_MAX];
	uint32_t lane_bits = columns <= 1u << NARROW_BITS ? NARROW_BITS : WIDE_BITS;
	uint32_t words = (rows * lane_bits + 63) / 64;
	struct tm_h3 *h3 = calloc(1, sizeof(*h3) + (size_t)KEY_BYTES * BYTE_VALUES * words *
						   sizeof(uint64_t));

	if (!h3)
		return NULL;
	h3->rows = rows;
	h3->lane_bits = lane_bits;
	h3->words = words;
	for (uint32_t i = 0; i < KEY_BITS * rows; i++)
		entries[i] = (uint32_t)(tm_splitmix64(&seed) >> 32) & (columns - 1);
	for (uint32_t byte = 0; byte < KEY_BYTES; byte++)
		fold_byte(h3, entries, byte);
	return h3;
}

void tm_h3_destroy(struct tm_h3 *h3)
{
	free(h3);
}

/* Inlined with constants, so that the words stay in registers and loops unroll. */
static inline __attribute__((always_inline)) void
hash_keys(const struct tm_h3 *h3, const uint64_t *keys, uint32_t n, uint32_t *columns,
	  uint32_t rows, uint32_t lane_bits, uint32_t words)
{
	const uint32_t lanes = 64 / lane_bits;
	const uint64_t lane_mask = (1ULL << lane_bits) - 1;

	for (uint32_t i = 0; i < n; i++, columns += rows) {
		const uint64_t *table = h3->folded;
		uint64_t hash[WORDS_MAX] = { 0 };

		for (uint64_t key = keys[i]; key; key >>= 8, table += BYTE_VALUES * words)
			for (uint32_t word = 0; word < words; word++)
				hash[word] ^= table[(key & 0xff) * words + word];
		for (uint32_t row = 0; row < rows; row++)
			columns[row] = (uint32_t)(hash[row / lanes] >>
						  (row % lanes * lane_bits) & lane_mask);
	}
}

void tm_h3_hash_many(const struct tm_h3 *h3, const uint64_t *keys, uint32_t n, uint32_t *columns)
{
	if (h3->rows == 4 && h3->lane_bits == NARROW_BITS)
		hash_keys(h3, keys, n, columns, 4, NARROW_BITS, 1);
	else if (h3->rows == 4)
		hash_keys(h3, keys, n, columns, 4, WIDE_BITS, 2);
	else
		hash_keys(h3, keys, n, columns, h3->rows, h3->lane_bits, h3->words);
}

void tm_h3_hash(const struct tm_h3 *h3, uint64_t key, uint32_t *columns)
{
	tm_h3_hash_many(h3, &key, 1, columns);
}
