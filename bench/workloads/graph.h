/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A graph file: this header, then vertices + 1 offsets (u64), then the
 * neighbours (u32), in compressed sparse rows; undirected, each edge twice.
 */
#ifndef BENCH_GRAPH_H
#define BENCH_GRAPH_H

#include <stdint.h>

#define GRAPH_MAGIC 0x3148504152474d54ull	/* "TMGRAPH1" */

struct graph_header {
	uint64_t magic;
	uint64_t vertices;
	uint64_t entries;	/* neighbours in all: twice the edges */
	uint64_t seed;
};

#endif
