// SPDX-License-Identifier: GPL-2.0-or-later
#include "heat_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_SHIFT = 12,
	LINE_SHIFT = 6,
	PLACES_MIN = 1 << 10,	/* so that a tag fits into 32 bits */
	STREAK_MAX = 3,
};

struct heat_table *heat_create(uint64_t places, int64_t half_life_ns, uint32_t mask_rounds)
{
	struct heat_table *t;

	if (places < PLACES_MIN)
		places = PLACES_MIN;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	if (posix_memalign((void **)&t->entries, 64, places * sizeof(*t->entries)))
		t->entries = NULL;
	t->lines = calloc(places, sizeof(*t->lines));
	if (!t->entries || !t->lines || vacancies_init(&t->vacancies, places)) {
		heat_destroy(t);
		return NULL;
	}
	memset(t->entries, 0, places * sizeof(*t->entries));
	t->set_bits = 63 - (uint32_t)__builtin_clzll(places / WAYS);
	t->half_life_ns = (double)half_life_ns;
	t->mask_rounds = mask_rounds;
	return t;
}

void heat_destroy(struct heat_table *t)
{
	if (!t)
		return;
	free(t->entries);
	free(t->lines);
	vacancies_destroy(&t->vacancies);
	free(t->listed);
	free(t->judging.found);
	free(t->judging.keys);
	free(t->judging.spare);
	free(t);
}

static struct entry *set_of(struct heat_table *t, uint64_t hashed)
{
	return &t->entries[(hashed >> (PAGE_BITS - t->set_bits)) * WAYS];
}

static uint32_t tag_of(const struct heat_table *t, uint64_t hashed)
{
	return (uint32_t)(hashed & ((1ULL << (PAGE_BITS - t->set_bits)) - 1));
}

static struct entry *find(struct heat_table *t, uint64_t page)
{
	const uint64_t hashed = page_hash(page);
	const uint32_t tag = tag_of(t, hashed);
	struct entry *set = set_of(t, hashed);
	int way;

	for (way = 0; way < WAYS; way++)
		if (set[way].round && set[way].tag == tag)
			return &set[way];
	return NULL;
}

static double decay_since(const struct heat_table *t, uint32_t round)
{
	const int64_t age_ns = t->times_ns[t->round % ROUNDS_KNOWN] -
			       t->times_ns[round % ROUNDS_KNOWN];

	return age_ns > 0 ? exp2(-(double)age_ns / t->half_life_ns) : 1;
}

/* What is left of heat and visits now; nothing of those of a free entry. */
static double left_of(const struct heat_table *t, const struct entry *e)
{
	const uint32_t rounds = t->round - e->round;

	if (!e->round || rounds >= ROUNDS_KNOWN)
		return 0;
	return rounds < ROUNDS_READY ? t->left[rounds] : decay_since(t, e->round);
}

/* The page's entry; NULL where its set holds only hotter pages than a newcomer's `reads`. */
static struct entry *claim(struct heat_table *t, uint64_t page, double reads)
{
	const uint64_t hashed = page_hash(page);
	const uint32_t tag = tag_of(t, hashed);
	struct entry *set = set_of(t, hashed), *coldest = NULL;
	double least = reads;
	int way;

	for (way = 0; way < WAYS; way++)
		if (set[way].round && set[way].tag == tag)
			return &set[way];
	for (way = 0; way < WAYS; way++) {
		const double heat = set[way].heat * left_of(t, &set[way]);

		if (heat < least) {
			least = heat;
			coldest = &set[way];
		}
	}
	if (!coldest)
		return NULL;
	/* In the place of a page of this round, the entry's number is listed already. */
	*coldest = (struct entry){
		.tag = tag,
		.round = coldest->round == t->round ? t->round : 0,
		.streak = 1,
		.visits = VISITS_ONE,
	};
	memset(&t->lines[coldest - t->entries], 0, sizeof(*t->lines));
	return coldest;
}

void heat_begin_round(struct heat_table *t, int64_t heat_ns, int64_t round)
{
	const uint32_t known_as = (uint32_t)((uint64_t)(round - 1) % ROUND_MAX) + 1;
	uint32_t rounds;

	if (t->round == known_as)
		return;
	t->round = known_as;
	t->times_ns[t->round % ROUNDS_KNOWN] = heat_ns;
	t->nr_listed = 0;
	for (rounds = 0; rounds < ROUNDS_READY && rounds < t->round; rounds++)
		t->left[rounds] = decay_since(t, t->round - rounds);
}

/* Brings an entry up to this round and lists it, once; -1 where there is no memory. */
static int list_entry(struct heat_table *t, struct entry *e)
{
	const double left = left_of(t, e);
	double visits;

	if (e->round == t->round)
		return 0;
	if (t->nr_listed == t->listed_capacity) {
		const uint64_t more = t->listed_capacity ? t->listed_capacity * 2 : 4096;
		uint32_t *larger = realloc(t->listed, more * sizeof(*larger));

		if (!larger) {
			t->out_of_memory = 1;
			return -1;
		}
		t->listed = larger;
		t->listed_capacity = more;
	}
	t->listed[t->nr_listed++] = (uint32_t)(e - t->entries);
	/* What passes by once may do so just when one list ends and the next begins. */
	if (!e->round || t->round - e->round > 1)
		e->streak = 1;
	else if (e->streak < STREAK_MAX)
		e->streak++;
	visits = e->visits * left + (e->streak == 2 ? 0 : VISITS_ONE);
	e->visits = visits < UINT16_MAX ? (uint16_t)visits : UINT16_MAX;
	e->heat = (float)(e->heat * left);
	e->round = t->round;
	e->fresh = 0;
	return 0;
}

static void add_reads(struct heat_table *t, uint64_t page, uint64_t reads)
{
	struct entry *e = claim(t, page, (double)reads);
	uint64_t fresh;

	if (!e || list_entry(t, e))
		return;
	e->heat += (float)reads;
	fresh = e->fresh + reads;
	e->fresh = fresh < UINT16_MAX ? (uint16_t)fresh : UINT16_MAX;
}

void heat_add_pages(struct heat_table *t, uint64_t n, const uint64_t *addresses,
		    const uint64_t *reads, int64_t heat_ns, int64_t round)
{
	uint64_t i;

	heat_begin_round(t, heat_ns, round);
	for (i = 0; i < n; i++)
		add_reads(t, addresses[i] >> PAGE_SHIFT, reads[i]);
}

void heat_add_lines(struct heat_table *t, uint64_t n, const uint64_t *addresses,
		    const uint64_t *reads, int as_heat, int64_t heat_ns, int64_t round)
{
	uint64_t i;

	heat_begin_round(t, heat_ns, round);
	for (i = 0; i < n; i++) {
		const uint64_t page = addresses[i] >> PAGE_SHIFT;
		struct entry *e;

		if (as_heat)
			add_reads(t, page, reads[i]);
		e = find(t, page);
		if (e)
			lines_of(t, e)->now |=
				1ULL << ((addresses[i] >> LINE_SHIFT) % LINES_A_PAGE);
	}
}

void heat_vacate(struct heat_table *t, uint64_t n, const uint64_t *pages, int64_t now_ns)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		struct entry *e = find(t, pages[i]);

		if (e)
			memset(e, 0, sizeof(*e));
		vacancies_add(&t->vacancies, pages[i], now_ns);
	}
}
