/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Seeded random numbers: uniform, Zipf, permutations. Same seed, same draws. */
#ifndef BENCH_DRAW_H
#define BENCH_DRAW_H

#include <stdint.h>

struct draw {
	uint64_t state;
};

/* Finalizer of splitmix64: a bijection of 64-bit words that scatters them. */
static inline uint64_t scatter64(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t draw_u64(struct draw *draw)
{
	draw->state += 0x9e3779b97f4a7c15ull;
	return scatter64(draw->state);
}

/* Uniform in [0, bound), bound > 0; bias below 2^-32 for bounds below 2^32. */
static inline uint64_t draw_below(struct draw *draw, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)draw_u64(draw) * bound) >> 64);
}

/* Uniform in [0, 1). */
static inline double draw_unit(struct draw *draw)
{
	return (double)(draw_u64(draw) >> 11) * 0x1p-53;
}

struct draw draw_seeded(uint64_t seed);

/* A permutation of 0..count-1 (Fisher-Yates); the caller frees it. */
uint32_t *draw_permutation(struct draw *draw, uint32_t count);

/*
 * Zipf ranks 0..items-1 with exponent theta in (0, 1), by the inversion of
 * Gray et al., "Quickly generating billion-record synthetic databases"
 * (SIGMOD 1994), which YCSB uses too.
 */
struct zipf {
	uint64_t items;
	double theta;
	double zeta;
	double alpha;
	double eta;
	double second;
};

struct zipf zipf_over(uint64_t items, double theta);
uint64_t zipf_rank(const struct zipf *zipf, struct draw *draw);

#endif
