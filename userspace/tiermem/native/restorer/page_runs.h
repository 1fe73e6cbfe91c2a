/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs of pages that change: an address space gives some of them back, and moves others. */
#ifndef RESTORER_PAGE_RUNS_H
#define RESTORER_PAGE_RUNS_H

#include <stdint.h>

#include "../fork_image.h"

/* Sorted, disjoint. */
struct page_runs {
	struct image_run *runs;
	uint64_t count;
	uint64_t room;
};

/* -ENOMEM; what was in `into` is not looked at. */
int page_runs_copy(struct page_runs *into, const struct image_run *runs, uint64_t count);
void page_runs_free(struct page_runs *runs);

/* The run that has a page, or NULL. */
const struct image_run *page_runs_find(const struct page_runs *runs, uint64_t page);

/* These pages are not of the image any more. */
int page_runs_cut(struct page_runs *runs, uint64_t first, uint64_t pages);

/* These pages are at `to` now, and what was there is gone. */
int page_runs_move(struct page_runs *runs, uint64_t from, uint64_t to, uint64_t pages);

#endif
