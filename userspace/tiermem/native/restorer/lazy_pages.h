/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that come when they are touched, by userfaultfd: where there is no image module.
 *
 * The process registers its mappings; process 1 serves it, and those that it forks, for
 * as long as they live.
 */
#ifndef RESTORER_LAZY_PAGES_H
#define RESTORER_LAZY_PAGES_H

#include "page_runs.h"

struct image_header;
struct image_vma;
struct restorer;

enum { LAZY_WAITING_MAX = 64 };

/* One address space that is served. */
struct lazy_pages {
	int fd;		/* -1: none */
	uint32_t nr_waiting;
	struct page_runs runs;	/* what may still be asked for, where it is now */
	uint64_t waiting[LAZY_WAITING_MAX];	/* addresses that were touched */
};

/* In the process: what begins it, hands it to process 1, and has a mapping served. */
int lazy_pages_begin(struct restorer *r);
int lazy_pages_add(struct restorer *r, const struct image_vma *vma);

/* In process 1: all that it may be asked for. */
int lazy_pages_take(struct lazy_pages *lazy, int fd, const struct image_header *image);
void lazy_pages_drop(struct lazy_pages *lazy);

/* Whether its address space still exists. */
int lazy_pages_is_needed(const struct lazy_pages *lazy);

/*
 * Serves what waits, without waiting for more. `forked` becomes that of a process that it
 * has forked, if it has; then call again. Returns 1 where there may be more at once.
 */
int lazy_pages_serve(struct lazy_pages *lazy, const struct image_header *image,
		     struct lazy_pages *forked);

#endif
