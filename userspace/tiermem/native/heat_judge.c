// SPDX-License-Identifier: GPL-2.0-or-later
#include "heat_table.h"

#include <math.h>
#include <stdlib.h>

#include "weight_sort.h"

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

static enum heat_verdict verdict_of(const struct heat_table *t, const struct entry *e,
				    const struct heat_candidate *c,
				    const struct heat_rules *rules, int64_t now_ns)
{
	if ((double)e->visits / VISITS_ONE < rules->min_visits && e->heat < rules->sure_reads)
		return HEAT_ONE_OFF;
	if (c->hot_lines < rules->min_hot_lines)
		return HEAT_SPARSE;
	if (vacancies_hold(&t->vacancies, c->page, rules->backoff_ns, now_ns))
		return HEAT_BACKED_OFF;
	return HEAT_PROMOTE;
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
	/* Given up since it was listed. */
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

int64_t heat_judge(struct heat_table *t, const struct heat_rules *rules, int64_t now_ns,
		   int64_t heat_ns, int64_t round, struct heat_candidate *out,
		   uint64_t capacity)
{
	struct judging *j = &t->judging;
	const uint64_t *sorted;
	uint64_t i;

	heat_begin_round(t, heat_ns, round);
	if (t->out_of_memory || make_space(j, t->nr_listed)) {
		t->out_of_memory = 0;
		return -1;
	}
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
	return (int64_t)i;
}
