/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row's code on the model of hosts without coherence (tests only): a writer on one
 * host and a reader on another, each of which may do a whole call between any two
 * accesses of the other; and a writer that dies between any two.
 */
#ifndef ROW_MODEL_H
#define ROW_MODEL_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum row_outcome {
	ROW_ALL_WELL = 0,
	ROW_WRONG,	/* a row that was never written, or one older than was seen before */
	ROW_LATE,	/* older than what was published before the reader began */
	ROW_LOST,	/* none found, though one had been published and one copy is at rest */
	ROW_NO_MEMORY,
};

struct row_trial {
	uint32_t rows;
	uint32_t words;		/* of a row, at most; each row is of 1 to this */
	uint32_t evict, prefetch, settle;	/* see incoherent.h */
	uint32_t turn;		/* the other does something, in 1/1000 of the accesses */
	uint32_t dies_at;	/* the writer loses power at that access of its own, 0: never */
	int32_t left_out;	/* a site that does nothing, -1: none */
	uint64_t seed;
};

struct row_verdict {
	uint32_t outcome;	/* enum row_outcome */
	uint32_t sites;		/* how many were come by; their names: row_model_site */
	uint32_t published;
	uint32_t reads;
	uint64_t torn;		/* copies that the reader saw not to be whole */
};

struct row_verdict row_model_run(const struct row_trial *trial);

/* The site's number `index` of the last trial: its function, and what it does. NULL: none. */
const char *row_model_site(uint32_t index, int32_t *site, const char **does);

#endif
