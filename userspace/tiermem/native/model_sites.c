// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_sites.h"

#include <stddef.h>

enum {
	SITES_MAX = 64,
};

static struct {
	const char *in, *does;
	int32_t site;
} sites[SITES_MAX];
static uint32_t nr_sites;

void model_sites_forget(void)
{
	nr_sites = 0;
}

uint32_t model_sites_count(void)
{
	return nr_sites;
}

void model_sites_note(int32_t site, const char *in, const char *does)
{
	uint32_t i = 0;

	while (i < nr_sites && sites[i].site != site)
		i++;
	if (i == nr_sites && nr_sites < SITES_MAX) {
		sites[nr_sites].in = in;
		sites[nr_sites].does = does;
		sites[nr_sites++].site = site;
	}
}

const char *model_sites_get(uint32_t index, int32_t *site, const char **does)
{
	if (index >= nr_sites)
		return NULL;
	*site = sites[index].site;
	*does = sites[index].does;
	return sites[index].in;
}
