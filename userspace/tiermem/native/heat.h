/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bounded memory of page heat: what the hot lists said of pages lately.
 *
 * A set-associative table, so that taking a list in costs time in proportion to
 * the list and not to the memory being tracked. A page that is new takes the
 * place of the coldest of its set, if that is colder. Decay is applied when an
 * entry is looked at, never by a sweep.
 *
 * Times are in ns on the caller's clock. Heat halves in half_life_ns of *heat time*
 * (heat_ns), which the caller passes beside the time of day. It advances with it,
 * and the caller may let it leap: after a change of phase that makes all heat old
 * at once. `round` numbers the caller's rounds, from 1 up; all lists of one round
 * are added before the round is judged.
 */
#ifndef HEAT_H
#define HEAT_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

struct heat_table;

/* What became of a listed page; the values are those of m5.observation.Verdict. */
enum heat_verdict {
	HEAT_PROMOTE = 0,
	HEAT_ONE_OFF = 1,
	HEAT_SPARSE = 2,
	HEAT_BACKED_OFF = 3,
};

struct heat_rules {
	double window_s;	/* observed time that heat was gathered in, decayed likewise */
	double interval_s;	/* the part of it that this round's lists are of */
	double floor_reads_per_s;	/* pages below are not reported */
	double min_visits;	/* fewer, and fewer reads than sure_reads: one-off */
	double sure_reads;
	double caution;		/* standard deviations that expected rates stay below the mean */
	double line_weight;	/* what 64 hot lines add to a page's weight; 0: none */
	uint32_t min_hot_lines;	/* fewer: sparse */
	int64_t backoff_ns;
};

struct heat_candidate {
	uint64_t page;
	double reads_per_s;
	double weight;
	uint32_t hot_lines;
	uint32_t verdict;	/* enum heat_verdict */
};

/* NULL when out of memory. places: a power of two; few are made 1024. */
struct heat_table *heat_create(uint64_t places, int64_t half_life_ns, uint32_t mask_rounds);
void heat_destroy(struct heat_table *table);

/* Takes in a list of pages, by byte address, and their reads. */
void heat_add_pages(struct heat_table *table, uint64_t n, const uint64_t *addresses,
		    const uint64_t *reads, int64_t heat_ns, int64_t round);

/*
 * Takes in a list of 64 B lines. as_heat: the lines' reads are their pages' heat;
 * otherwise lines only mark pages that are in the table already.
 */
void heat_add_lines(struct heat_table *table, uint64_t n, const uint64_t *addresses,
		    const uint64_t *reads, int as_heat, int64_t heat_ns, int64_t round);

/*
 * Judges the pages of this round's lists, heaviest first; returns how many of
 * them are in `out` (at most `capacity`), each once; -1 when memory ran out.
 * now_ns: for back-off.
 */
int64_t heat_judge(struct heat_table *table, const struct heat_rules *rules, int64_t now_ns,
		   int64_t heat_ns, int64_t round, struct heat_candidate *out,
		   uint64_t capacity);

/* Forgets pages that left their frames, or cannot, and holds these frames back. */
void heat_vacate(struct heat_table *table, uint64_t n, const uint64_t *pages, int64_t now_ns);

#endif
