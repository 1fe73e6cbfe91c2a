// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef CHANNEL_MODEL
#define CHANNEL_MODEL
#endif
#include "channel_model_state.h"

#include <stdlib.h>

#include "channel_memory.h"

enum {
	SITES_MAX = 64,
	/* Accesses of one host without a message: it waits for what will not come. */
	PATIENCE = 200000,
	FENCE_TURN = 500,
};

static struct {
	const char *in, *does;
	int32_t site;
} sites[SITES_MAX];
static uint32_t nr_sites;

const char *channel_model_site(uint32_t index, int32_t *site, const char **does)
{
	if (index >= nr_sites)
		return NULL;
	*site = sites[index].site;
	*does = sites[index].does;
	return sites[index].in;
}

/* --- turns --- */

void channel_model_end_trial(struct channel_model *model, uint32_t outcome)
{
	model->outcome = outcome;
	setcontext(&model->home);
}

static void pass_turn(struct channel_memory *memory, uint32_t permille)
{
	struct channel_model *model = memory->model;
	const uint32_t other = 1 - memory->host;

	if (model->takes_turns && !model->sides[other].is_done &&
	    ic_draw(model->system, 1000) < permille)
		swapcontext(&model->sides[memory->host].context, &model->sides[other].context);
}

static void step(struct channel_memory *memory)
{
	struct channel_model *model = memory->model;

	if (++model->accesses - model->last_progress > PATIENCE && model->takes_turns)
		channel_model_end_trial(model, CHANNEL_STALLED);
	pass_turn(memory, model->trial->turn);
}

/* --- channel_memory.h --- */

uint64_t channel_load(struct channel_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
	return value;
}

void channel_store(struct channel_memory *memory, uint64_t at, uint64_t value)
{
	step(memory);
	ic_store(memory->model->system, memory->host, at, &value, sizeof(value));
}

void channel_prefetch(struct channel_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
}

static int is_left_out(struct channel_memory *memory, int site, const char *in, const char *does)
{
	uint32_t i = 0;

	step(memory);
	while (i < nr_sites && sites[i].site != site)
		i++;
	if (i == nr_sites && nr_sites < SITES_MAX) {
		sites[nr_sites].in = in;
		sites[nr_sites].does = does;
		sites[nr_sites++].site = site;
	}
	return memory->model->trial->left_out == site;
}

void channel_write_back_at(struct channel_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "write back"))
		ic_write_back(memory->model->system, memory->host, at, 1);
}

void channel_invalidate_at(struct channel_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "invalidate"))
		ic_invalidate(memory->model->system, memory->host, at, 1);
}

void channel_fence_at(struct channel_memory *memory, int site, const char *in)
{
	/* Before a fence most can go wrong. */
	pass_turn(memory, FENCE_TURN);
	if (!is_left_out(memory, site, in, "fence"))
		ic_fence(memory->model->system, memory->host);
}

/* --- the model --- */

struct channel_model *channel_model_make(const struct channel_trial *trial)
{
	const struct ic_chances chances = {
		.evict = trial->evict,
		.prefetch = trial->prefetch,
		.settle = trial->settle,
	};
	struct channel_model *model = calloc(1, sizeof(*model));

	nr_sites = 0;
	if (!model)
		return NULL;
	model->trial = trial;
	model->system = ic_create(channel_bytes(trial->slots, trial->slot_bytes), HOSTS, chances,
				  trial->seed);
	if (!model->system) {
		free(model);
		return NULL;
	}
	for (uint32_t host = 0; host < HOSTS; host++)
		model->sides[host].memory = (struct channel_memory){ model, host };
	return model;
}

struct channel_verdict channel_model_end(struct channel_model *model)
{
	const struct channel_verdict verdict = {
		.outcome = model->outcome,
		.sites = nr_sites,
		.arrived = model->arrived,
		.accesses = model->accesses,
	};

	ic_destroy(model->system);
	free(model);
	return verdict;
}
