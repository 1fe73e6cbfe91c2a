// SPDX-License-Identifier: GPL-2.0-or-later
#include "h3.h"

#include <stdlib.h>
#include <string.h>

#include "splitmix.h"

enum {
	KEY_BITS = 64,
	KEY_BYTES = 8,
	BYTE_VALUES = 256,
	WORDS_MAX = TM_ROWS_MAX / 2,
};

/*
 * The bit entries are folded into one table a key byte, so that a hash is one
 * lookup a byte; rows are packed two to a word. A zero byte hashes to zero, so
 * a short key costs only its own bytes.
 */
struct tm_h3 {
	uint32_t rows;
	uint32_t words;
	uint64_t folded[];	/* [byte][value][word] */
};

static void fold_byte(struct tm_h3 *h3, const uint32_t *entries, uint32_t byte)
{
	uint64_t *table = h3->folded + (size_t)byte * BYTE_VALUES * h3->words;

	for (uint32_t value = 1; value < BYTE_VALUES; value++) {
		uint32_t low = value & -value;
		uint32_t bit = byte * 8 + (uint32_t)__builtin_ctz(low);
		uint64_t *out = table + (size_t)value * h3->words;
		const uint64_t *rest = table + (size_t)(value ^ low) * h3->words;

		for (uint32_t row = 0; row < h3->rows; row++)
			out[row / 2] |= (uint64_t)entries[bit * h3->rows + row] << (row % 2 * 32);
		for (uint32_t word = 0; word < h3->words; word++)
			out[word] ^= rest[word];
	}
}

struct tm_h3 *tm_h3_create(uint32_t rows, uint32_t columns, uint64_t seed)
{
	uint32_t entries[KEY_BITS * TM_ROWS_MAX];
	uint32_t words = (rows + 1) / 2;
	struct tm_h3 *h3 = calloc(1, sizeof(*h3) + (size_t)KEY_BYTES * BYTE_VALUES * words *
						   sizeof(uint64_t));

	if (!h3)
		return NULL;
	h3->rows = rows;
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

/* Inlined with a constant number of words, so that the words stay in registers. */
static inline void hash_words(const struct tm_h3 *h3, uint64_t key, uint64_t *hash,
			      uint32_t words)
{
	const uint64_t *table = h3->folded;

	for (; key; key >>= 8, table += BYTE_VALUES * words)
		for (uint32_t word = 0; word < words; word++)
			hash[word] ^= table[(key & 0xff) * words + word];
}

void tm_h3_hash(const struct tm_h3 *h3, uint64_t key, uint32_t *columns)
{
	uint64_t hash[WORDS_MAX] = { 0 };

	if (h3->words == 2)
		hash_words(h3, key, hash, 2);
	else
		hash_words(h3, key, hash, h3->words);
	for (uint32_t row = 0; row < h3->rows; row++)
		columns[row] = (uint32_t)(hash[row / 2] >> (row % 2 * 32));
}
