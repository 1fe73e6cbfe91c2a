// SPDX-License-Identifier: GPL-2.0-or-later
#include "vacancies.h"

#include <stdlib.h>
#include <string.h>

#include "page_hash.h"

enum {
	STRIKES_MAX = 8,
};

int vacancies_init(struct vacancies *vacancies, uint64_t places)
{
	const uint64_t bytes = places * sizeof(*vacancies->places);

	vacancies->bits = 63 - (uint32_t)__builtin_clzll(places);
	vacancies->places = malloc(bytes);
	if (!vacancies->places)
		return -1;
	memset(vacancies->places, 0xff, bytes);
	return 0;
}

void vacancies_destroy(struct vacancies *vacancies)
{
	free(vacancies->places);
}

static uint64_t place_of(const struct vacancies *vacancies, uint64_t page)
{
	return page_hash(page) >> (PAGE_BITS - vacancies->bits);
}

void vacancies_add(struct vacancies *vacancies, uint64_t page, int64_t now_ns)
{
	struct vacancy *v = &vacancies->places[place_of(vacancies, page)];

	if (v->page != page)
		v->strikes = 0;
	else if (v->strikes < STRIKES_MAX)
		v->strikes++;
	v->page = page;
	v->since_ns = now_ns;
}

int vacancies_hold(const struct vacancies *vacancies, uint64_t page, int64_t backoff_ns,
		   int64_t now_ns)
{
	const struct vacancy *v = &vacancies->places[place_of(vacancies, page)];

	return v->page == page && now_ns - v->since_ns < backoff_ns << v->strikes;
}
