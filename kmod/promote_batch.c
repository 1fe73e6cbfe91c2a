// SPDX-License-Identifier: GPL-2.0-only
/*
 * From PFNs to moved folios.
 *
 * PFNs are judged in the caller's order (hottest first, usually). Folios that
 * can move are isolated and collected until there are batch_pages of them;
 * migrate_pages() then unmaps all, flushes TLBs once and copies. It reports
 * counts, not folios, so the outcome of each is told from two traces it leaves:
 * what remains on the list has failed, and what left the list has moved if our
 * allocator gave it a destination that never came back.
 *
 * MR_NUMA_MISPLACED is the reason given because it is what the kernel's own
 * promotion gives, and because with it a large folio is not split where the
 * target has no large page: it fails as a whole and can be tried again later.
 */
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/vmstat.h>

#include "kernel_calls.h"
#include "promote_batch.h"
#include "promote_seen.h"

#define BATCH_ITEMS_MAX 512
#define LOOKUP_TRIES 3

struct promote_item {
	unsigned long first_pfn;
	unsigned long pages;
	unsigned long pfn;	/* the one that was asked for */
	u32 index;		/* of that PFN in the job */
	bool tried;
	bool no_memory;
	struct folio *destination;	/* of the asked PFN; compared, never followed */
};

struct promote_batch {
	struct list_head folios;
	struct promote_job *job;
	u32 nr_items;
	u32 cursor;		/* item of the last lookup: they come in list order */
	unsigned long pages;
	struct promote_item items[BATCH_ITEMS_MAX];
};

struct promote_run {
	struct promote_job *job;
	struct promote_batch *batch;
	struct promote_seen seen;
	bool drained;		/* per-CPU LRU batches were flushed in this call */
};

static struct promote_item *find_item(struct promote_batch *batch, unsigned long pfn)
{
	u32 n;

	for (n = 0; n < batch->nr_items; n++) {
		struct promote_item *item = &batch->items[batch->cursor];

		if (pfn - item->first_pfn < item->pages)
			return item;
		batch->cursor = (batch->cursor + 1) % batch->nr_items;
	}
	return NULL;
}

static bool folio_holds(struct folio *folio, unsigned long pfn)
{
	return pfn - folio_pfn(folio) < folio_nr_pages(folio);
}

/*
 * No direct reclaim: the caller must not stall or cause an OOM. Waking kswapd
 * lets demotion make room for the next batch.
 */
static struct folio *new_destination(struct folio *src, unsigned long private)
{
	struct promote_batch *batch = (struct promote_batch *)private;
	struct promote_item *item = find_item(batch, folio_pfn(src));
	gfp_t gfp = __GFP_THISNODE | __GFP_NOWARN | __GFP_NORETRY | __GFP_NOMEMALLOC;
	struct folio *dst;

	if (folio_test_large(src))
		gfp |= GFP_TRANSHUGE_LIGHT | __GFP_KSWAPD_RECLAIM;
	else
		gfp |= GFP_HIGHUSER_MOVABLE & ~__GFP_DIRECT_RECLAIM;

	dst = __folio_alloc(gfp, folio_order(src), batch->job->target_node, NULL);
	if (dst)
		batch->job->moved_pages += folio_nr_pages(dst);
	if (item) {
		item->tried = true;
		item->no_memory = !dst;
		if (dst && folio_holds(src, item->pfn))
			item->destination = dst;
	}
	return dst;
}

static void drop_destination(struct folio *dst, unsigned long private)
{
	struct promote_batch *batch = (struct promote_batch *)private;
	u32 n;

	for (n = 0; n < batch->nr_items; n++)
		if (batch->items[n].destination == dst)
			batch->items[n].destination = NULL;
	batch->job->moved_pages -= folio_nr_pages(dst);
	folio_put(dst);
}

/* Why a folio is still on the list. */
static u8 judge_leftover(const struct promote_item *item, struct folio *folio)
{
	if (item->no_memory || !item->tried)
		return TIERMEM_NO_MEMORY;
	if (folio_test_locked(folio) || folio_test_writeback(folio))
		return TIERMEM_BUSY;
	if (folio_maybe_dma_pinned(folio))
		return TIERMEM_NOT_MOVABLE;
	return TIERMEM_REFUSED;
}

/*
 * migrate_pages() gives up on the whole list when one allocation fails. If that
 * was a large folio, smaller ones may still find room: set it aside, go on.
 */
static bool set_aside_large(struct promote_batch *batch, struct list_head *aside)
{
	struct folio *folio, *next;
	bool found = false;

	list_for_each_entry_safe(folio, next, &batch->folios, lru) {
		struct promote_item *item = find_item(batch, folio_pfn(folio));

		if (!item || !item->no_memory)
			continue;
		if (!folio_test_large(folio))
			return false;
		list_move_tail(&folio->lru, aside);
		found = true;
	}
	return found && !list_empty(&batch->folios);
}

static void flush_batch(struct promote_batch *batch)
{
	u64 start = ktime_get_ns();
	struct folio *folio;
	LIST_HEAD(aside);
	u32 n;

	do {
		static_call(tiermem_migrate_pages)(&batch->folios, new_destination,
						   drop_destination, (unsigned long)batch,
						   MIGRATE_ASYNC, MR_NUMA_MISPLACED, NULL);
	} while (set_aside_large(batch, &aside));
	list_splice(&aside, &batch->folios);

	for (n = 0; n < batch->nr_items; n++) {
		struct promote_item *item = &batch->items[n];

		/* Gone without a destination: freed while it was isolated. */
		batch->job->results[item->index] =
			item->destination ? TIERMEM_MOVED : TIERMEM_NOT_MAPPED;
	}
	list_for_each_entry(folio, &batch->folios, lru) {
		struct promote_item *item = find_item(batch, folio_pfn(folio));

		if (item && folio_holds(folio, item->pfn))
			batch->job->results[item->index] = judge_leftover(item, folio);
	}
	if (!list_empty(&batch->folios))
		static_call(tiermem_putback_movable_pages)(&batch->folios);

	INIT_LIST_HEAD(&batch->folios);
	batch->nr_items = 0;
	batch->cursor = 0;
	batch->pages = 0;
	batch->job->migrate_ns += ktime_get_ns() - start;
}

/* The folio that holds pfn, with a reference; else NULL and why not. */
static struct folio *get_folio(unsigned long pfn, u8 *why)
{
	struct page *page = pfn_to_online_page(pfn);
	int tries;

	if (!page) {
		*why = TIERMEM_NO_SUCH_PFN;
		return NULL;
	}
	for (tries = 0; tries < LOOKUP_TRIES; tries++) {
		struct folio *folio = page_folio(page);

		if (!folio_try_get(folio)) {
			*why = TIERMEM_NOT_MAPPED;
			return NULL;
		}
		if (page_folio(page) == folio)
			return folio;
		folio_put(folio);
	}
	*why = TIERMEM_BUSY;
	return NULL;
}

/* TIERMEM_MOVED when nothing speaks against trying. */
static u8 judge_folio(struct promote_run *run, struct folio *folio)
{
	if (folio_nid(folio) == run->job->target_node)
		return TIERMEM_ALREADY_THERE;
	if (folio_test_hugetlb(folio) || folio_test_hwpoison(folio))
		return TIERMEM_NOT_MOVABLE;
	if (!folio_mapped(folio))
		return TIERMEM_NOT_MAPPED;
	if (folio_maybe_dma_pinned(folio))
		return TIERMEM_NOT_MOVABLE;
	if (!folio_test_lru(folio)) {
		/* A driver's or the kernel's page that a process maps. */
		if (!folio_test_anon(folio) && !folio_mapping(folio))
			return TIERMEM_NOT_MOVABLE;
		if (!run->drained) {
			static_call(tiermem_lru_add_drain_all)();
			run->drained = true;
		}
		if (!folio_test_lru(folio))
			return TIERMEM_BUSY;
	}
	if (folio_test_writeback(folio) || folio_test_locked(folio))
		return TIERMEM_BUSY;
	return TIERMEM_MOVED;
}

static bool isolate_folio(struct promote_batch *batch, struct folio *folio,
			  unsigned long pfn, u32 index)
{
	struct promote_item *item = &batch->items[batch->nr_items];
	unsigned long pages = folio_nr_pages(folio);

	if (!static_call(tiermem_folio_isolate_lru)(folio))
		return false;
	list_add_tail(&folio->lru, &batch->folios);
	node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio), pages);
	*item = (struct promote_item) {
		.first_pfn = folio_pfn(folio),
		.pages = pages,
		.pfn = pfn,
		.index = index,
	};
	batch->nr_items++;
	batch->pages += pages;
	return true;
}

static void take_pfn(struct promote_run *run, u32 index)
{
	unsigned long pfn = run->job->pfns[index];
	u8 *result = &run->job->results[index];
	struct folio *folio;

	if (promote_seen_has(&run->seen, pfn)) {
		*result = TIERMEM_DUPLICATE;
		return;
	}
	folio = get_folio(pfn, result);
	if (!folio)
		return;
	promote_seen_add(&run->seen, folio_pfn(folio), folio_order(folio));
	*result = judge_folio(run, folio);
	if (*result == TIERMEM_MOVED && !run->job->dry_run) {
		/* Until the batch is flushed nothing has moved. */
		*result = TIERMEM_NOT_TRIED;
		if (!isolate_folio(run->batch, folio, pfn, index))
			*result = TIERMEM_BUSY;
	}
	folio_put(folio);
}

static void take_all(struct promote_run *run)
{
	struct promote_job *job = run->job;
	struct promote_batch *batch = run->batch;
	u32 index = 0;

	while (index < job->count && !fatal_signal_pending(current)) {
		u32 stop = min(job->count, index + BATCH_ITEMS_MAX);
		u64 start = ktime_get_ns();

		while (index < stop && batch->nr_items < BATCH_ITEMS_MAX &&
		       batch->pages < job->batch_pages)
			take_pfn(run, index++);
		job->isolate_ns += ktime_get_ns() - start;
		if (batch->nr_items == BATCH_ITEMS_MAX || batch->pages >= job->batch_pages)
			flush_batch(batch);
		cond_resched();
	}
	if (batch->nr_items)
		flush_batch(batch);
}

int promote_run(struct promote_job *job)
{
	struct promote_run run = { .job = job };
	int err;

	memset(job->results, TIERMEM_NOT_TRIED, job->count);
	run.batch = kvzalloc(sizeof(*run.batch), GFP_KERNEL);
	if (!run.batch)
		return -ENOMEM;
	INIT_LIST_HEAD(&run.batch->folios);
	run.batch->job = job;
	err = promote_seen_init(&run.seen, job->count);
	if (!err) {
		take_all(&run);
		promote_seen_free(&run.seen);
	}
	kvfree(run.batch);
	return err;
}
