/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table behind heat.h: heat_table.c fills it, heat_judge.c judges what is in it. */
#ifndef HEAT_TABLE_H
#define HEAT_TABLE_H

#include <stdint.h>

#include "heat.h"
#include "page_hash.h"
#include "vacancies.h"

enum {
	WAYS = 4,
	LINES_A_PAGE = 64,
	VISITS_ONE = 256,	/* visits are kept in 1/256 */
	ROUNDS_KNOWN = 4096,	/* heat of rounds before them is nothing */
	ROUND_MAX = (1 << 30) - 1,	/* rounds are numbered anew after it */
	ROUNDS_READY = 64,	/* for so many the decay is worked out once a round */
};

/*
 * A page's entry, as of the last round in whose lists it was. A set of four is one
 * cache line: a round looks at thousands of them, and what it drives out of the
 * caches is missed by the programs that it is meant to help.
 */
struct entry {
	uint32_t tag;
	float heat;		/* reads */
	uint32_t round : 30;	/* 0: the entry is free */
	uint32_t streak : 2;	/* lists in a row that the page was in */
	uint16_t visits;	/* lists that it was in, decayed */
	uint16_t fresh;		/* reads in the lists of `round` */
};

_Static_assert(sizeof(struct entry) * WAYS == 64, "a set is a cache line");

/* Hot lines seen in this span of rounds, and in the one before. */
struct hot_lines {
	uint64_t now, before;
	int64_t span;
};

/* Working space of heat_judge(). */
struct judging {
	struct heat_candidate *found;
	uint64_t *keys, *spare;	/* weight_sort.h */
	uint64_t capacity;
	uint32_t nr;
};

struct heat_table {
	struct entry *entries;
	struct hot_lines *lines;	/* by the entry's number */
	struct vacancies vacancies;
	uint32_t *listed;		/* numbers of the entries in this round's lists */
	uint64_t nr_listed, listed_capacity;
	uint32_t set_bits;
	double half_life_ns;
	uint32_t mask_rounds;
	uint32_t round;
	int out_of_memory;		/* lists are not whole: heat_judge() says so */
	int64_t times_ns[ROUNDS_KNOWN];	/* heat time of the last rounds */
	double left[ROUNDS_READY];	/* of heat that is so many rounds old */
	struct judging judging;
};

/* To be called before a list is added or judged; only a new round changes anything. */
void heat_begin_round(struct heat_table *t, int64_t heat_ns, int64_t round);

static inline uint64_t page_of(const struct heat_table *t, const struct entry *e)
{
	const uint64_t set = (uint64_t)(e - t->entries) / WAYS;

	return page_unhash(set << (PAGE_BITS - t->set_bits) | e->tag);
}

/* Hot lines are forgotten after one to two spans of mask_rounds rounds without news. */
static inline struct hot_lines *lines_of(struct heat_table *t, const struct entry *e)
{
	struct hot_lines *lines = &t->lines[e - t->entries];
	const int64_t span = t->round / t->mask_rounds, behind = span - lines->span;

	if (behind != 0) {
		lines->before = behind == 1 ? lines->now : 0;
		lines->now = 0;
		lines->span = span;
	}
	return lines;
}

#endif
