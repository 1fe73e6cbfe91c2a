// SPDX-License-Identifier: GPL-2.0-or-later
#include "outgrown.h"

#include <stdlib.h>
#include <string.h>

enum {
	FIRST_PLACES = 256,
};

int tm_outgrown_init(struct tm_outgrown *outgrown)
{
	outgrown->mask = FIRST_PLACES - 1;
	outgrown->used = 0;
	outgrown->entries = calloc(FIRST_PLACES, sizeof(*outgrown->entries));
	return outgrown->entries ? 0 : -1;
}

void tm_outgrown_destroy(struct tm_outgrown *outgrown)
{
	free(outgrown->entries);
}

static uint32_t find(const struct tm_outgrown *outgrown, uint32_t cell)
{
	uint32_t place = cell * 0x9e3779b1u >> 7 & outgrown->mask;

	while (outgrown->entries[place].value && outgrown->entries[place].cell != cell)
		place = (place + 1) & outgrown->mask;
	return place;
}

static int grow(struct tm_outgrown *outgrown)
{
	struct tm_outgrown larger = {
		.mask = outgrown->mask * 2 + 1,
		.used = outgrown->used,
	};

	larger.entries = calloc((size_t)larger.mask + 1, sizeof(*larger.entries));
	if (!larger.entries)
		return -1;
	for (uint32_t place = 0; place <= outgrown->mask; place++)
		if (outgrown->entries[place].value)
			larger.entries[find(&larger, outgrown->entries[place].cell)] =
				outgrown->entries[place];
	free(outgrown->entries);
	*outgrown = larger;
	return 0;
}

uint32_t *tm_outgrown_value(struct tm_outgrown *outgrown, uint32_t cell)
{
	uint32_t place = find(outgrown, cell);

	if (!outgrown->entries[place].value) {
		if (2 * outgrown->used > outgrown->mask) {
			if (grow(outgrown))
				return NULL;
			place = find(outgrown, cell);
		}
		outgrown->entries[place].cell = cell;
		outgrown->used++;
	}
	return &outgrown->entries[place].value;
}

uint32_t tm_outgrown_read(const struct tm_outgrown *outgrown, uint32_t cell)
{
	return outgrown->entries[find(outgrown, cell)].value;
}

void tm_outgrown_clear(struct tm_outgrown *outgrown)
{
	if (outgrown->used)
		memset(outgrown->entries, 0,
		       ((size_t)outgrown->mask + 1) * sizeof(*outgrown->entries));
	outgrown->used = 0;
}
