/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detector of sequential misses, one a vCPU: what a prefetcher that works on
 * physical addresses inside 4 KiB pages can see coming.
 *
 * A direct-mapped table by page number remembers each page's last missed line
 * and how many misses in a row went to the next line in one direction. A miss
 * is "streamed" when that run had reached the trigger before it.
 */
#ifndef MS_STREAM_H
#define MS_STREAM_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum ms_stream_layout {
	MS_STREAMS = 32,
};

struct ms_stream_entry {
	uint64_t page;		/* page number + 1; 0: free */
	int32_t line;		/* in the page, 0..63 */
	int32_t direction;	/* +1, -1; 0: no run yet */
	uint32_t run;		/* misses in a row in that direction */
	uint32_t reserved;
};

struct ms_streams {
	struct ms_stream_entry entries[32];
};

/* Takes one miss; returns 1 where a prefetcher would have had the line. */
int ms_streams_miss(struct ms_streams *streams, uint64_t address, uint32_t trigger);

#endif
