/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames given up lately, which are held back for a while: the kernel hands them
 * to the next pages that it demotes. Of two that share a place, the later is known.
 */
#ifndef VACANCIES_H
#define VACANCIES_H

#include <stdint.h>

struct vacancy {
	uint64_t page;
	int64_t since_ns;
	uint32_t strikes;	/* times in a row that this frame was given up again */
};

struct vacancies {
	struct vacancy *places;
	uint32_t bits;		/* log2 of their number */
};

/* Returns 0, or -1 when out of memory. places: a power of two. */
int vacancies_init(struct vacancies *vacancies, uint64_t places);
void vacancies_destroy(struct vacancies *vacancies);

void vacancies_add(struct vacancies *vacancies, uint64_t page, int64_t now_ns);

/* Whether the frame is to be left alone: for backoff_ns, doubled with each strike. */
int vacancies_hold(const struct vacancies *vacancies, uint64_t page, int64_t backoff_ns,
		   int64_t now_ns);

#endif
