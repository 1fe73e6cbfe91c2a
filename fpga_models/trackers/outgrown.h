/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Side table of a sketch: the full values of the few counters beyond 16 bits. */
#ifndef TM_OUTGROWN_H
#define TM_OUTGROWN_H

#include <stdint.h>

struct tm_outgrown_entry {
	uint32_t cell;
	uint32_t value;		/* 0: free */
};

struct tm_outgrown {
	struct tm_outgrown_entry *entries;	/* open addressing, linear probing */
	uint32_t mask;
	uint32_t used;
};

/* Returns 0, or -1 when out of memory. */
int tm_outgrown_init(struct tm_outgrown *outgrown);
void tm_outgrown_destroy(struct tm_outgrown *outgrown);

/* The cell's value, to be set by the caller where it is 0 (the cell is new).
 * NULL when out of memory for a new cell. Valid until the next call. */
uint32_t *tm_outgrown_value(struct tm_outgrown *outgrown, uint32_t cell);

/* The cell's value, or 0. */
uint32_t tm_outgrown_read(const struct tm_outgrown *outgrown, uint32_t cell);
void tm_outgrown_clear(struct tm_outgrown *outgrown);

#endif
