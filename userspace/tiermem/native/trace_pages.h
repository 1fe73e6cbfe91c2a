/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What has to be known of a trace (trace.h) before it is replayed. */
#ifndef TRACE_PAGES_H
#define TRACE_PAGES_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

/* Distinct pages that records touch; *bad takes the position of the first
 * malformed record, or n. UINT64_MAX when the host is out of memory. */
uint64_t trace_count_pages(const uint64_t *records, uint64_t n, uint64_t *bad);

#endif
