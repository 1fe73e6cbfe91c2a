// SPDX-License-Identifier: GPL-2.0-or-later
#include "page_runs.h"

#include <linux/errno.h>
#include <linux/mman.h>

#include "bytes.h"
#include "system.h"

enum { SPARE_RUNS = 64 };

static uint64_t bytes_of(uint64_t room)
{
	uint64_t bytes = room * sizeof(struct image_run);

	return (bytes + IMAGE_PAGE_BYTES - 1) / IMAGE_PAGE_BYTES * IMAGE_PAGE_BYTES;
}

int page_runs_copy(struct page_runs *into, const struct image_run *runs, uint64_t count)
{
	uint64_t room = count * 2 + SPARE_RUNS;
	long at = call(mmap, NULL, bytes_of(room), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at < 0)
		return (int)at;
	*into = (struct page_runs){ (struct image_run *)at, count, room };
	memcpy(into->runs, runs, count * sizeof(*runs));
	return 0;
}

void page_runs_free(struct page_runs *runs)
{
	call(munmap, runs->runs, bytes_of(runs->room));
	*runs = (struct page_runs){ 0 };
}

/* The first run that does not end before or at `page`. */
static uint64_t first_after(const struct page_runs *runs, uint64_t page)
{
	uint64_t low = 0, high = runs->count;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (runs->runs[middle].first_page + runs->runs[middle].pages <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct image_run *page_runs_find(const struct page_runs *runs, uint64_t page)
{
	uint64_t i = first_after(runs, page);

	return i < runs->count && runs->runs[i].first_page <= page ? &runs->runs[i] : NULL;
}

static int make_room(struct page_runs *runs, uint64_t more)
{
	uint64_t room = runs->room * 2 + more;
	long at;

	if (runs->count + more <= runs->room)
		return 0;
	at = call(mremap, runs->runs, bytes_of(runs->room), bytes_of(room), MREMAP_MAYMOVE);
	if (at < 0)
		return (int)at;
	runs->runs = (struct image_run *)at;
	runs->room = room;
	return 0;
}

/* Puts one in before number i; there is room. */
static void insert(struct page_runs *runs, uint64_t i, struct image_run run)
{
	for (uint64_t k = runs->count++; k > i; k--)
		runs->runs[k] = runs->runs[k - 1];
	runs->runs[i] = run;
}

/* The part of a run from `first` to `end`, where both overlap. */
static struct image_run part_of(const struct image_run *run, uint64_t first, uint64_t end)
{
	uint64_t from = run->first_page > first ? run->first_page : first;
	uint64_t to = run->first_page + run->pages;

	if (to > end)
		to = end;
	return (struct image_run){
		.first_page = from,
		.pages = to > from ? to - from : 0,
		.data_page = run->data_page + from - run->first_page,
	};
}

int page_runs_cut(struct page_runs *runs, uint64_t first, uint64_t pages)
{
	uint64_t begin = first_after(runs, first), kept = begin, end = first + pages, i;
	int result = make_room(runs, 1);

	if (result < 0)
		return result;
	for (i = begin; i < runs->count && runs->runs[i].first_page < end; i++) {
		struct image_run whole = runs->runs[i];
		struct image_run before = part_of(&whole, 0, first);
		struct image_run after = part_of(&whole, end, UINT64_MAX);

		if (before.pages && after.pages) {
			runs->runs[i] = after;
			insert(runs, i, before);
			return 0;
		}
		if (before.pages || after.pages)
			runs->runs[kept++] = before.pages ? before : after;
	}
	for (; i < runs->count; i++)
		runs->runs[kept++] = runs->runs[i];
	runs->count = kept;
	return 0;
}

int page_runs_move(struct page_runs *runs, uint64_t from, uint64_t to, uint64_t pages)
{
	struct page_runs moved = { 0 };
	uint64_t begin = first_after(runs, from), end = begin;
	int result;

	while (end < runs->count && runs->runs[end].first_page < from + pages)
		end++;
	result = page_runs_copy(&moved, runs->runs + begin, end - begin);
	if (result < 0)
		return result;
	result = page_runs_cut(runs, from, pages);
	if (result == 0)
		result = page_runs_cut(runs, to, pages);
	if (result == 0)
		result = make_room(runs, moved.count);
	for (uint64_t i = 0; i < moved.count && result == 0; i++) {
		struct image_run run = part_of(&moved.runs[i], from, from + pages);

		run.first_page += to - from;
		insert(runs, first_after(runs, run.first_page), run);
	}
	page_runs_free(&moved);
	return result;
}
