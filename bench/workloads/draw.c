// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "draw.h"

struct draw draw_seeded(uint64_t seed)
{
	return (struct draw){ .state = scatter64(seed + 1) };
}

uint32_t *draw_permutation(struct draw *draw, uint32_t count)
{
	uint32_t *order = malloc((size_t)count * sizeof(*order));

	if (!order) {
		perror("permutation");
		exit(1);
	}
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = draw_below(draw, i);
		uint32_t kept = order[i - 1];

		order[i - 1] = order[j];
		order[j] = kept;
	}
	return order;
}

struct zipf zipf_over(uint64_t items, double theta)
{
	struct zipf zipf = { .items = items, .theta = theta };
	double first_two = 1.0 + pow(0.5, theta);

	for (uint64_t i = 1; i <= items; i++)
		zipf.zeta += pow((double)i, -theta);
	zipf.alpha = 1.0 / (1.0 - theta);
	zipf.eta = (1.0 - pow(2.0 / (double)items, 1.0 - theta)) / (1.0 - first_two / zipf.zeta);
	zipf.second = first_two;
	return zipf;
}

uint64_t zipf_rank(const struct zipf *zipf, struct draw *draw)
{
	double unit = draw_unit(draw);
	double scaled = unit * zipf->zeta;
	uint64_t rank;

	if (scaled < 1.0)
		return 0;
	if (scaled < zipf->second)
		return 1;
	rank = (uint64_t)((double)zipf->items *
			  pow(zipf->eta * unit - zipf->eta + 1.0, zipf->alpha));
	return rank < zipf->items ? rank : zipf->items - 1;
}
