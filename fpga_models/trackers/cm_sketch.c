// SPDX-License-Identifier: GPL-2.0-or-later
#include "cm_sketch.h"

#include <stdlib.h>
#include <string.h>

#include "h3.h"

enum {
	BATCH = 64,		/* keys whose cells are fetched together */
};

/*
 * Counters of up to 16 bits are kept in 16, which halves what competes for the
 * host's caches. `touched` remembers the counters that left zero, so that a
 * clear visits only them; once it is full, a clear wipes everything.
 */
struct tm_sketch {
	uint32_t rows;
	uint32_t columns;
	uint32_t max;
	uint16_t *narrow;
	uint32_t *wide;
	uint32_t nr_touched;
	uint32_t touched_max;
	uint32_t *touched;
	struct tm_h3 *h3;
};

static size_t nr_cells(const struct tm_sketch *sketch)
{
	return (size_t)sketch->rows * sketch->columns;
}

struct tm_sketch *tm_sketch_create(uint32_t rows, uint32_t columns, uint32_t counter_bits,
				   uint64_t seed)
{
	struct tm_sketch *sketch = calloc(1, sizeof(*sketch));
	int is_narrow = counter_bits <= 16;

	if (!sketch)
		return NULL;
	sketch->rows = rows;
	sketch->columns = columns;
	sketch->max = (uint32_t)((1ULL << counter_bits) - 1);
	sketch->touched_max = (uint32_t)(nr_cells(sketch) / 8 + 1);
	sketch->touched = malloc(sketch->touched_max * sizeof(*sketch->touched));
	sketch->h3 = tm_h3_create(rows, columns, seed);
	if (is_narrow)
		sketch->narrow = calloc(nr_cells(sketch), sizeof(*sketch->narrow));
	else
		sketch->wide = calloc(nr_cells(sketch), sizeof(*sketch->wide));
	if (!sketch->touched || !sketch->h3 || (!sketch->narrow && !sketch->wide)) {
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
	free(sketch->narrow);
	free(sketch->wide);
	free(sketch->touched);
	free(sketch);
}

static inline void touch(struct tm_sketch *sketch, uint32_t cell)
{
	if (sketch->nr_touched < sketch->touched_max)
		sketch->touched[sketch->nr_touched++] = cell;
}

static inline uint32_t bump_narrow(struct tm_sketch *sketch, uint32_t cell)
{
	uint32_t value = sketch->narrow[cell];

	if (!value)
		touch(sketch, cell);
	value += value < sketch->max;
	sketch->narrow[cell] = (uint16_t)value;
	return value;
}

static inline uint32_t bump_wide(struct tm_sketch *sketch, uint32_t cell)
{
	uint32_t value = sketch->wide[cell];

	if (!value)
		touch(sketch, cell);
	value += value < sketch->max;
	sketch->wide[cell] = value;
	return value;
}

static inline uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The key's cells, one a row. */
static inline void find_cells(const struct tm_sketch *sketch, uint64_t key, uint32_t *cells)
{
	tm_h3_hash(sketch->h3, key, cells);
	for (uint32_t row = 1; row < sketch->rows; row++)
		cells[row] += row * sketch->columns;
}

static inline uint32_t bump_all(struct tm_sketch *sketch, const uint32_t *cells)
{
	uint32_t estimate = UINT32_MAX;

	if (sketch->narrow)
		for (uint32_t row = 0; row < sketch->rows; row++)
			estimate = smaller(estimate, bump_narrow(sketch, cells[row]));
	else
		for (uint32_t row = 0; row < sketch->rows; row++)
			estimate = smaller(estimate, bump_wide(sketch, cells[row]));
	return estimate;
}

uint32_t tm_sketch_add(struct tm_sketch *sketch, uint64_t key)
{
	uint32_t cells[TM_ROWS_MAX];

	find_cells(sketch, key, cells);
	return bump_all(sketch, cells);
}

static void add_batch(struct tm_sketch *sketch, const uint64_t *keys, uint32_t n,
		      uint32_t *estimates)
{
	uint32_t cells[BATCH][TM_ROWS_MAX];

	for (uint32_t i = 0; i < n; i++) {
		find_cells(sketch, keys[i], cells[i]);
		for (uint32_t row = 0; row < sketch->rows; row++)
			if (sketch->narrow)
				__builtin_prefetch(&sketch->narrow[cells[i][row]], 1);
			else
				__builtin_prefetch(&sketch->wide[cells[i][row]], 1);
	}
	for (uint32_t i = 0; i < n; i++)
		estimates[i] = bump_all(sketch, cells[i]);
}

void tm_sketch_add_many(struct tm_sketch *sketch, const uint64_t *keys, uint32_t n,
			uint32_t *estimates)
{
	for (uint32_t done = 0; done < n; done += BATCH)
		add_batch(sketch, keys + done, smaller(n - done, BATCH), estimates + done);
}

uint32_t tm_sketch_estimate(const struct tm_sketch *sketch, uint64_t key)
{
	uint32_t cells[TM_ROWS_MAX];
	uint32_t estimate = UINT32_MAX;

	find_cells(sketch, key, cells);
	for (uint32_t row = 0; row < sketch->rows; row++)
		estimate = smaller(estimate, sketch->narrow ? sketch->narrow[cells[row]] :
							      sketch->wide[cells[row]]);
	return estimate;
}

static void wipe(struct tm_sketch *sketch)
{
	if (sketch->narrow)
		memset(sketch->narrow, 0, nr_cells(sketch) * sizeof(*sketch->narrow));
	else
		memset(sketch->wide, 0, nr_cells(sketch) * sizeof(*sketch->wide));
}

void tm_sketch_clear(struct tm_sketch *sketch)
{
	if (sketch->nr_touched == sketch->touched_max) {
		wipe(sketch);
	} else if (sketch->narrow) {
		for (uint32_t i = 0; i < sketch->nr_touched; i++)
			sketch->narrow[sketch->touched[i]] = 0;
	} else {
		for (uint32_t i = 0; i < sketch->nr_touched; i++)
			sketch->wide[sketch->touched[i]] = 0;
	}
	sketch->nr_touched = 0;
}
