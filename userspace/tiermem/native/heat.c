// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Heat time and time. Heat halves in half_life_ns of *heat time*, which the caller
 * passes beside the time of day. It advances with it, and the caller may let it
 * leap: after a change of phase that makes all heat old at once.
 */
#include "heat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weight_sort.h"

enum {
	WAYS = 4,
	PAGE_SHIFT = 12,
	LINE_SHIFT = 6,
	LINES_A_PAGE = 64,
	PAGE_BITS = 40,		/* of a page number: x86 has 52 address bits */
	PLACES_MIN = 1 << 10,	/* so that a tag fits into 32 bits */
	VISITS_ONE = 256,	/* visits are kept in 1/256 */
	ROUNDS_KNOWN = 4096,	/* heat of rounds before them is nothing */
	ROUNDS_READY = 64,	/* for so many the decay is worked out once a round */
	STREAK_MAX = 3,
	STRIKES_MAX = 8,
};

#define PAGE_MASK ((1ULL << PAGE_BITS) - 1)
/* Odd, so that multiplying by it modulo 2^40 can be undone. */
#define HASH_FACTOR 0x9e3779b97f4a7c15ULL
#define HASH_INVERSE 0xf1de83e19937733dULL

/*
 * A page's entry, as of the last round in whose lists it was. A set of four is one
 * cache line: a round looks at thousands of them, and what it drives out of the
 * caches is missed by the programs that it is meant to help.
 */
struct entry {
	uint32_t tag;
	float heat;		/* reads */
	uint32_t round : 30;	/* 0: the entry is free */
	uint32_t streak : 2;	/* lists in a row that the page was in */
	uint16_t visits;	/* lists that it was in, decayed */
	uint16_t fresh;		/* reads in the lists of `round` */
};

_Static_assert(sizeof(struct entry) * WAYS == 64, "a set is a cache line");

/* Hot lines seen in this span of rounds, and in the one before. */
struct hot_lines {
	uint64_t now, before;
	int64_t span;
};

/* A frame given up: the kernel hands it to the next page that it demotes. */
struct vacancy {
	uint64_t page;
	int64_t since_ns;
	uint32_t strikes;
};

/* Working space of heat_judge(). */
struct judging {
	struct heat_candidate *found;
	uint64_t *keys, *spare;	/* weight_sort.h */
	uint64_t capacity;
	uint32_t nr;
};

struct heat_table {
	struct entry *entries;
	struct hot_lines *lines;	/* by the entry's number */
	struct vacancy *vacancies;
	uint32_t *listed;		/* numbers of the entries in this round's lists */
	uint64_t nr_listed, listed_capacity;
	uint32_t set_bits, vacancy_bits;
	double half_life_ns;
	uint32_t mask_rounds;
	uint32_t round;
	int64_t times_ns[ROUNDS_KNOWN];	/* heat time of the last rounds */
	double left[ROUNDS_READY];	/* of heat that is so many rounds old */
	struct judging judging;
};

static uint64_t hash(uint64_t page)
{
	return page * HASH_FACTOR & PAGE_MASK;
}

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
	t->vacancies = malloc(places * sizeof(*t->vacancies));
	if (!t->entries || !t->lines || !t->vacancies) {
		heat_destroy(t);
		return NULL;
	}
	memset(t->entries, 0, places * sizeof(*t->entries));
	memset(t->vacancies, 0xff, places * sizeof(*t->vacancies));
	t->vacancy_bits = 63 - (uint32_t)__builtin_clzll(places);
	t->set_bits = t->vacancy_bits - 2;	/* log2 of WAYS */
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
	free(t->vacancies);
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

static uint64_t page_of(const struct heat_table *t, const struct entry *e)
{
	const uint64_t set = (uint64_t)(e - t->entries) / WAYS;

	return (set << (PAGE_BITS - t->set_bits) | e->tag) * HASH_INVERSE & PAGE_MASK;
}

static struct vacancy *vacancy_of(struct heat_table *t, uint64_t page)
{
	return &t->vacancies[hash(page) >> (PAGE_BITS - t->vacancy_bits)];
}

static struct entry *find(struct heat_table *t, uint64_t page)
{
	const uint64_t hashed = hash(page);
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
	const uint64_t hashed = hash(page);
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
	memset(coldest, 0, sizeof(*coldest));
	memset(&t->lines[coldest - t->entries], 0, sizeof(*t->lines));
	coldest->tag = tag;
	return coldest;
}

static void begin_round(struct heat_table *t, int64_t heat_ns, int64_t round)
{
	uint32_t rounds;

	if (t->round == (uint32_t)round)
		return;
	t->round = (uint32_t)round;
	t->times_ns[t->round % ROUNDS_KNOWN] = heat_ns;
	t->nr_listed = 0;
	for (rounds = 0; rounds < ROUNDS_READY && rounds < t->round; rounds++)
		t->left[rounds] = decay_since(t, t->round - rounds);
}

/* Brings an entry up to this round and lists it, once. Returns -1 when out of memory. */
static int list_entry(struct heat_table *t, struct entry *e)
{
	const double left = left_of(t, e);
	double visits;

	if (e->round == t->round)
		return 0;
	if (t->nr_listed == t->listed_capacity) {
		const uint64_t more = t->listed_capacity ? t->listed_capacity * 2 : 4096;
		uint32_t *larger = realloc(t->listed, more * sizeof(*larger));

		if (!larger)
			return -1;
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

	begin_round(t, heat_ns, round);
	for (i = 0; i < n; i++)
		add_reads(t, addresses[i] >> PAGE_SHIFT, reads[i]);
}

/* Hot lines are forgotten after one to two spans of mask_rounds rounds without news. */
static struct hot_lines *lines_of(struct heat_table *t, const struct entry *e)
{
	struct hot_lines *lines = &t->lines[e - t->entries];
	const int64_t span = t->round / t->mask_rounds, behind = span - lines->span;

	if (behind > 0) {
		lines->before = behind == 1 ? lines->now : 0;
		lines->now = 0;
		lines->span = span;
	}
	return lines;
}

void heat_add_lines(struct heat_table *t, uint64_t n, const uint64_t *addresses,
		    const uint64_t *reads, int as_heat, int64_t heat_ns, int64_t round)
{
	uint64_t i;

	begin_round(t, heat_ns, round);
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

/*
 * Reads a second to expect of a page of the present list. It is looked at just
 * after it was read, so its heat is at a peak: a page that a scan visits every
 * second would seem hotter than it is. Counting the present list half, and half
 * its time, takes the mean of the heat before and after it.
 *
 * Reads come in bursts: a visit to the lists is one at least, and none has more
 * reads than a page has lines. A rate seen in n bursts is known to within 1/sqrt(n)
 * of it. Without caution, the pages that seem to pay are those that
 * chance was kind to, and each round moves some more of them.
 */
static double rate_of(const struct entry *e, const struct heat_rules *rules)
{
	const double window_s = rules->window_s - rules->interval_s / 2;
	const double bursts = fmax((double)e->visits / VISITS_ONE, e->heat / LINES_A_PAGE);
	const double known = 1 - rules->caution / sqrt(bursts);

	if (known <= 0)
		return 0;
	return known * (e->heat - e->fresh / 2.0) / (window_s > 1e-3 ? window_s : 1e-3);
}

static int is_held_back(struct heat_table *t, uint64_t page, const struct heat_rules *rules,
			int64_t now_ns)
{
	const struct vacancy *v = vacancy_of(t, page);

	return v->page == page && now_ns - v->since_ns < rules->backoff_ns << v->strikes;
}

static enum heat_verdict verdict_of(struct heat_table *t, const struct entry *e,
				    const struct heat_candidate *c,
				    const struct heat_rules *rules, int64_t now_ns)
{
	if ((double)e->visits / VISITS_ONE < rules->min_visits && e->heat < rules->sure_reads)
		return HEAT_ONE_OFF;
	if (c->hot_lines < rules->min_hot_lines)
		return HEAT_SPARSE;
	return is_held_back(t, c->page, rules, now_ns) ? HEAT_BACKED_OFF : HEAT_PROMOTE;
}

static int make_space(struct judging *j, uint64_t n)
{
	if (n <= j->capacity)
		return 0;
	free(j->found);
	free(j->keys);
	free(j->spare);
	j->found = malloc(n * sizeof(*j->found));
	j->keys = malloc(n * sizeof(*j->keys));
	j->spare = malloc(n * sizeof(*j->spare));
	j->capacity = j->found && j->keys && j->spare ? n : 0;
	return j->capacity ? 0 : -1;
}

/* Returns whether the page is a candidate, and fills it in. */
static int judge_one(struct heat_table *t, const struct entry *e,
		     const struct heat_rules *rules, int64_t now_ns, struct heat_candidate *c)
{
	/* A later page of the same round may have taken the place. */
	if (e->round != t->round)
		return 0;
	c->reads_per_s = rate_of(e, rules);
	if (c->reads_per_s < rules->floor_reads_per_s)
		return 0;
	c->page = page_of(t, e);
	c->hot_lines = 0;
	if (rules->line_weight > 0 || rules->min_hot_lines) {
		const struct hot_lines *lines = lines_of(t, e);

		c->hot_lines = (uint32_t)__builtin_popcountll(lines->now | lines->before);
	}
	c->weight = c->reads_per_s * (1 + rules->line_weight * c->hot_lines / LINES_A_PAGE);
	c->verdict = verdict_of(t, e, c, rules, now_ns);
	return 1;
}

uint64_t heat_judge(struct heat_table *t, const struct heat_rules *rules, int64_t now_ns,
		    int64_t heat_ns, int64_t round, struct heat_candidate *out,
		    uint64_t capacity)
{
	struct judging *j = &t->judging;
	const uint64_t *sorted;
	uint64_t i;

	begin_round(t, heat_ns, round);
	if (make_space(j, t->nr_listed))
		return 0;
	j->nr = 0;
	for (i = 0; i < t->nr_listed; i++) {
		struct heat_candidate *c = &j->found[j->nr];

		if (judge_one(t, &t->entries[t->listed[i]], rules, now_ns, c)) {
			j->keys[j->nr] = weight_key(c->weight, j->nr);
			j->nr++;
		}
	}
	sorted = weight_sort(j->keys, j->spare, j->nr);
	for (i = 0; i < j->nr && i < capacity; i++)
		out[i] = j->found[weight_index(sorted[i])];
	return i;
}

void heat_vacate(struct heat_table *t, uint64_t n, const uint64_t *pages, int64_t now_ns)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		struct entry *e = find(t, pages[i]);
		struct vacancy *v = vacancy_of(t, pages[i]);

		if (e)
			memset(e, 0, sizeof(*e));
		if (v->page != pages[i])
			v->strikes = 0;
		else if (v->strikes < STRIKES_MAX)
			v->strikes++;
		v->page = pages[i];
		v->since_ns = now_ns;
	}
}
