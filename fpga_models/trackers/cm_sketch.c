// SPDX-License-Identifier: GPL-2.0-or-later
#include "cm_sketch.h"

#include <stdlib.h>
#include <string.h>

#include "h3.h"
#include "outgrown.h"

enum {
	BATCH = 64,		/* keys whose cells are fetched together */
	OUTGROWN = 0xffff,
};

/*
 * Counters are kept in 16 bits whatever their width, since what matters for
 * speed is how much of the sketch fits into the host's caches; the few that
 * outgrow them hold OUTGROWN and have their value in a side table. `touched`
 * remembers the counters that left zero, so that a clear visits only them; once
 * it is full, a clear wipes everything.
 */
struct tm_sketch {
	uint32_t rows;
	uint32_t columns;
	uint32_t max;
	uint32_t small_max;	/* largest value that a cell itself takes */
	uint16_t *cells;
	uint32_t nr_touched;
	uint32_t touched_max;
	uint32_t *touched;
	struct tm_h3 *h3;
	struct tm_outgrown outgrown;
};

static size_t nr_cells(const struct tm_sketch *sketch)
{
	return (size_t)sketch->rows * sketch->columns;
}

static inline uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

struct tm_sketch *tm_sketch_create(uint32_t rows, uint32_t columns, uint32_t counter_bits,
				   uint64_t seed)
{
	struct tm_sketch *sketch = calloc(1, sizeof(*sketch));

	if (!sketch)
		return NULL;
	sketch->rows = rows;
	sketch->columns = columns;
	sketch->max = (uint32_t)((1ULL << counter_bits) - 1);
	sketch->small_max = smaller(sketch->max, OUTGROWN - 1);
	sketch->touched_max = (uint32_t)(nr_cells(sketch) / 8 + 1);
	sketch->touched = malloc(sketch->touched_max * sizeof(*sketch->touched));
	sketch->h3 = tm_h3_create(rows, columns, seed);
	sketch->cells = calloc(nr_cells(sketch), sizeof(*sketch->cells));
	if (!sketch->touched || !sketch->h3 || !sketch->cells ||
	    tm_outgrown_init(&sketch->outgrown)) {
		tm_sketch_destroy(sketch);
		return NULL;
	}
	return sketch;
}

void tm_sketch_destroy(struct tm_sketch *sketch)
{
	if (!sketch)
		return;
	tm_h3_destroy(sketch->h3);
	tm_outgrown_destroy(&sketch->outgrown);
	free(sketch->cells);
	free(sketch->touched);
	free(sketch);
}

static inline void touch(struct tm_sketch *sketch, uint32_t cell)
{
	if (sketch->nr_touched < sketch->touched_max)
		sketch->touched[sketch->nr_touched++] = cell;
}

/* A cell that holds small_max or OUTGROWN. */
static uint32_t bump_large(struct tm_sketch *sketch, uint32_t cell)
{
	uint32_t *value;

	if (sketch->small_max == sketch->max)
		return sketch->max;
	value = tm_outgrown_value(&sketch->outgrown, cell);
	if (!value)
		return sketch->small_max;
	if (!*value)
		*value = sketch->small_max;
	sketch->cells[cell] = OUTGROWN;
	*value += *value < sketch->max;
	return *value;
}

/* cells and small_max are the sketch's; in registers they need no reloading. */
static inline uint32_t bump(struct tm_sketch *sketch, uint16_t *cells, uint32_t small_max,
			    uint32_t cell)
{
	uint32_t value = cells[cell];

	if (!value)
		touch(sketch, cell);
	if (__builtin_expect(value >= small_max, 0))
		return bump_large(sketch, cell);
	cells[cell] = (uint16_t)++value;
	return value;
}

/*
 * Turns the keys' columns into cells and fetches them, then counts. Inlined
 * with the usual number of rows as a constant, so that loops over rows unroll.
 */
static inline __attribute__((always_inline)) void
count_batch(struct tm_sketch *sketch, uint32_t *columns, uint32_t n, uint32_t *estimates,
	    uint32_t rows)
{
	const uint32_t small_max = sketch->small_max;
	const uint32_t row_cells = sketch->columns;
	uint16_t *cells = sketch->cells;

	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t row = 0; row < rows; row++) {
			columns[i * rows + row] += row * row_cells;
			__builtin_prefetch(&cells[columns[i * rows + row]], 1);
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t estimate = UINT32_MAX;

		for (uint32_t row = 0; row < rows; row++)
			estimate = smaller(estimate, bump(sketch, cells, small_max,
							 columns[i * rows + row]));
		estimates[i] = estimate;
	}
}

void tm_sketch_add_many(struct tm_sketch *sketch, const uint64_t *keys, uint32_t n,
			uint32_t *estimates)
{
	uint32_t columns[BATCH * TM_ROWS_MAX];

	for (uint32_t done = 0; done < n; done += BATCH) {
		uint32_t size = smaller(n - done, BATCH);

		tm_h3_hash_many(sketch->h3, keys + done, size, columns);
		if (sketch->rows == 4)
			count_batch(sketch, columns, size, estimates + done, 4);
		else
			count_batch(sketch, columns, size, estimates + done, sketch->rows);
	}
}

uint32_t tm_sketch_add(struct tm_sketch *sketch, uint64_t key)
{
	uint32_t estimate;

	tm_sketch_add_many(sketch, &key, 1, &estimate);
	return estimate;
}

uint32_t tm_sketch_estimate(const struct tm_sketch *sketch, uint64_t key)
{
	uint32_t columns[TM_ROWS_MAX];
	uint32_t estimate = UINT32_MAX;

	tm_h3_hash(sketch->h3, key, columns);
	for (uint32_t row = 0; row < sketch->rows; row++) {
		uint32_t cell = row * sketch->columns + columns[row];
		uint32_t value = sketch->cells[cell];

		if (value == OUTGROWN)
			value = tm_outgrown_read(&sketch->outgrown, cell);
		estimate = smaller(estimate, value);
	}
	return estimate;
}

void tm_sketch_clear(struct tm_sketch *sketch)
{
	if (sketch->nr_touched == sketch->touched_max)
		memset(sketch->cells, 0, nr_cells(sketch) * sizeof(*sketch->cells));
	else
		for (uint32_t i = 0; i < sketch->nr_touched; i++)
			sketch->cells[sketch->touched[i]] = 0;
	sketch->nr_touched = 0;
	tm_outgrown_clear(&sketch->outgrown);
}
