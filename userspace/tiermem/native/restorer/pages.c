// SPDX-License-Identifier: GPL-2.0-or-later
#include "pages.h"

#include <linux/mman.h>

#include "bytes.h"
#include "restorer.h"

enum { POPULATE_WRITE = 23 };	/* MADV_POPULATE_WRITE */

int copy_pages(struct restorer *r, const struct image_vma *vma)
{
	const struct image_run *run = image_runs(r->image) + vma->first_run;

	for (uint32_t i = 0; i < vma->runs; i++, run++)
		memcpy((void *)(run->first_page * IMAGE_PAGE_BYTES),
		       image_at(r->image, run->data_page * IMAGE_PAGE_BYTES),
		       run->pages * IMAGE_PAGE_BYTES);
	return 0;
}

int lay_pages_over(struct restorer *r, const struct image_vma *vma)
{
	const struct image_run *run = image_runs(r->image) + vma->first_run;
	const struct image_run *end = run + vma->runs;
	uint64_t protection = vma->protection & ~(uint64_t)PROT_EXEC;
	long result = 0;

	while (run < end && result >= 0) {
		uint64_t first = run->first_page, after = first;

		/* What lies apart in the image may follow each other here. */
		for (; run < end && run->first_page == after; run++)
			after += run->pages;
		result = call(mmap, first * IMAGE_PAGE_BYTES, (after - first) * IMAGE_PAGE_BYTES,
			      protection, MAP_PRIVATE | MAP_FIXED, r->fds[RESTORE_FD_PAGES],
			      first * IMAGE_PAGE_BYTES);
	}
	if (result >= 0 && vma->protection & PROT_EXEC)
		result = call(mprotect, vma->start, vma->end - vma->start, vma->protection);
	return result < 0 ? (int)result : 0;
}

/* From bit `from` on, the first that is (not) set; at most `end`. */
static uint64_t next_bit(const uint64_t *words, uint64_t from, uint64_t end, int is_set)
{
	while (from < end) {
		uint64_t word = words[from / 64];

		word = (is_set ? word : ~word) >> (from % 64);
		if (word) {
			from += (uint64_t)__builtin_ctzll(word);
			return from < end ? from : end;
		}
		from += 64 - from % 64;
	}
	return end;
}

static int copy_run_ahead(struct restorer *r, const struct image_run *run)
{
	const uint64_t *accessed = image_at(r->image, r->image->accessed.at);
	uint64_t bit = run->data_page - r->image->data_at / IMAGE_PAGE_BYTES;
	uint64_t begin = bit, end = bit + run->pages, from, to = begin;
	long result = 0;

	while (result == 0 && (from = next_bit(accessed, to, end, 1)) < end) {
		to = next_bit(accessed, from, end, 0);
		result = call(madvise, (run->first_page + from - begin) * IMAGE_PAGE_BYTES,
			      (to - from) * IMAGE_PAGE_BYTES, POPULATE_WRITE);
	}
	return (int)result;
}

int copy_accessed_ahead(struct restorer *r)
{
	const struct image_vma *vmas = image_vmas(r->image);
	int result = 0;

	if (!r->image->has_accessed)
		return 0;
	for (uint64_t i = 0; i < r->image->vmas.count && result == 0; i++) {
		const struct image_run *run = image_runs(r->image) + vmas[i].first_run;

		if (!(vmas[i].protection & PROT_WRITE) || vmas[i].kind == IMAGE_VMA_FILE_SHARED)
			continue;
		for (uint32_t k = 0; k < vmas[i].runs && result == 0; k++, run++)
			result = copy_run_ahead(r, run);
		if (result < 0)
			failed(r, RESTORE_STEP_MAPPING, i, result);
	}
	return result;
}
