/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel functions that the promoter needs and the kernel does not export.
 *
 * They are reached through static calls, that is, patched direct calls: an
 * indirect call to a function whose ENDBR the kernel has sealed would fault
 * where IBT is on.
 */
#ifndef TIERMEM_KERNEL_CALLS_H
#define TIERMEM_KERNEL_CALLS_H

#include <linux/migrate.h>
#include <linux/static_call.h>
#include <linux/swap.h>

/* Declared in mm/internal.h, which modules cannot include. */
bool folio_isolate_lru(struct folio *folio);

DECLARE_STATIC_CALL(tiermem_migrate_pages, migrate_pages);
DECLARE_STATIC_CALL(tiermem_putback_movable_pages, putback_movable_pages);
DECLARE_STATIC_CALL(tiermem_folio_isolate_lru, folio_isolate_lru);
DECLARE_STATIC_CALL(tiermem_lru_add_drain_all, lru_add_drain_all);

/* Finds them all; -ENOENT, with the missing name in the log, if one is not there. */
int kernel_calls_find(void);

#endif
