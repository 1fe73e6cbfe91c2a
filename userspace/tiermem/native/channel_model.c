// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HOST_MODEL
#define HOST_MODEL
#endif
#include "channel_model_state.h"

#include <stdlib.h>

#include "host_memory.h"
#include "model_sites.h"

enum {
	/* Accesses of one host without a message: it waits for what will not come. */
	PATIENCE = 200000,
	FENCE_TURN = 500,
};

const char *channel_model_site(uint32_t index, int32_t *site, const char **does)
{
	return model_sites_get(index, site, does);
}

/* --- turns --- */

void channel_model_end_trial(struct channel_model *model, uint32_t outcome)
{
	model->outcome = outcome;
	setcontext(&model->home);
}

static void pass_turn(struct host_memory *memory, uint32_t permille)
{
	struct channel_model *model = memory->model;
	const uint32_t other = 1 - memory->host;

	if (model->takes_turns && !model->sides[other].is_done &&
	    ic_draw(model->system, 1000) < permille)
		swapcontext(&model->sides[memory->host].context, &model->sides[other].context);
}

static void step(struct host_memory *memory)
{
	struct channel_model *model = memory->model;

	if (++model->accesses - model->last_progress > PATIENCE && model->takes_turns)
		channel_model_end_trial(model, CHANNEL_STALLED);
	pass_turn(memory, model->trial->turn);
}

/* --- host_memory.h --- */

uint64_t host_load(struct host_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
	return value;
}

void host_store(struct host_memory *memory, uint64_t at, uint64_t value)
{
	step(memory);
	ic_store(memory->model->system, memory->host, at, &value, sizeof(value));
}

void host_prefetch(struct host_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
}

static int is_left_out(struct host_memory *memory, int site, const char *in, const char *does)
{
	step(memory);
	model_sites_note(site, in, does);
	return memory->model->trial->left_out == site;
}

void host_write_back_at(struct host_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "write back"))
		ic_write_back(memory->model->system, memory->host, at, 1);
}

void host_invalidate_at(struct host_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "invalidate"))
		ic_invalidate(memory->model->system, memory->host, at, 1);
}

void host_fence_at(struct host_memory *memory, int site, const char *in)
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

	model_sites_forget();
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
		model->sides[host].memory = (struct host_memory){ model, host };
	return model;
}

struct channel_verdict channel_model_end(struct channel_model *model)
{
	const struct channel_verdict verdict = {
		.outcome = model->outcome,
		.sites = model_sites_count(),
		.arrived = model->arrived,
		.accesses = model->accesses,
	};

	ic_destroy(model->system);
	free(model);
	return verdict;
}
