/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fixed number of (key, count) entries kept sorted by count: the sorted CAM
 * of the hardware, and the summary that Space-Saving needs.
 *
 * Order: hotter first; of equal counts, the one that reached the count earlier
 * comes first. A shift register that inserts behind all entries of equal or
 * greater count has the same order. "Last" is therefore the entry of the
 * smallest count that got there latest.
 */
#ifndef TM_RANKING_H
#define TM_RANKING_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum tm_ranking_limits {
	TM_RANKING_NONE = 0xffff,	/* no slot */
};

struct tm_ranking;

/* capacity: 1..4096. NULL when out of memory. */
struct tm_ranking *tm_ranking_create(uint32_t capacity);
void tm_ranking_destroy(struct tm_ranking *ranking);

uint32_t tm_ranking_size(const struct tm_ranking *ranking);

/* Count of the last entry; 0 while there is room for more. */
uint32_t tm_ranking_floor(const struct tm_ranking *ranking);

/* Sets the key's count (which never falls), adds the key where there is room,
 * or puts it in place of the last entry. */
void tm_ranking_put(struct tm_ranking *ranking, uint64_t key, uint32_t count);

/* The key's count, or 0 where it has no entry. */
uint32_t tm_ranking_count(const struct tm_ranking *ranking, uint64_t key);

/* Hottest first; returns the number of entries written, at most max. */
uint32_t tm_ranking_list(const struct tm_ranking *ranking, uint32_t max,
			 uint64_t *keys, uint32_t *counts);
void tm_ranking_clear(struct tm_ranking *ranking);

#endif
