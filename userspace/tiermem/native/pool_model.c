// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef POOL_MODEL
#define POOL_MODEL
#endif
#include "pool_model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "incoherent.h"
#include "pool_memory.h"
#include "pool_model_state.h"

enum { SITES_MAX = 50000 };

struct pool_model {
	struct ic_system *system;
	uint32_t hosts;
	uint32_t turn_permille;
	uint32_t expected;
	int left_out;
	uint8_t site_seen[SITES_MAX];
	struct pool_memory memories[IC_HOSTS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint32_t whose;
};

struct pool_model *pool_model_create(uint64_t bytes, uint32_t hosts, uint32_t evict,
				     uint32_t prefetch, uint32_t settle, uint32_t turn,
				     uint64_t seed)
{
	const struct ic_chances chances = {
		.evict = evict,
		.prefetch = prefetch,
		.settle = settle,
	};
	struct pool_model *model = calloc(1, sizeof(*model));

	if (!model)
		return NULL;
	model->system = ic_create(bytes, hosts, chances, seed);
	if (!model->system) {
		free(model);
		return NULL;
	}
	model->hosts = hosts;
	model->turn_permille = turn;
	pthread_mutex_init(&model->lock, NULL);
	pthread_cond_init(&model->moved, NULL);
	for (uint32_t host = 0; host < hosts; host++) {
		model->memories[host].model = model;
		model->memories[host].host = host;
		model->memories[host].dies_at = UINT64_MAX;
	}
	return model;
}

void pool_model_destroy(struct pool_model *model)
{
	if (!model)
		return;
	ic_destroy(model->system);
	pthread_mutex_destroy(&model->lock);
	pthread_cond_destroy(&model->moved);
	free(model);
}

struct pool_memory *pool_model_memory(struct pool_model *model, uint32_t host)
{
	return &model->memories[host];
}

uint8_t *pool_model_bytes(struct pool_model *model)
{
	return ic_memory(model->system);
}

/* --- turns --- */

static uint32_t nr_in(const struct pool_model *model)
{
	uint32_t count = 0;

	for (uint32_t host = 0; host < model->hosts; host++)
		count += model->memories[host].is_in;
	return count;
}

/* Gives the turn to one of those that are in, by chance. */
static void pass_turn(struct pool_model *model)
{
	uint32_t left = nr_in(model);

	if (!left)
		return;
	left = ic_draw(model->system, left);
	for (uint32_t host = 0; host < model->hosts; host++) {
		if (model->memories[host].is_in && left-- == 0) {
			model->whose = host;
			break;
		}
	}
	pthread_cond_broadcast(&model->moved);
}

static void wait_for_turn(struct pool_model *model, uint32_t host)
{
	while (model->expected || model->whose != host)
		pthread_cond_wait(&model->moved, &model->lock);
}

void pool_model_expect(struct pool_model *model, uint32_t threads)
{
	model->expected = threads;
}

void pool_model_enter(struct pool_model *model, uint32_t host)
{
	pthread_mutex_lock(&model->lock);
	model->memories[host].is_in = 1;
	/* Nobody begins before all are there, or the first steps would depend on timing. */
	if (model->expected && --model->expected == 0)
		pass_turn(model);
	wait_for_turn(model, host);
	pthread_mutex_unlock(&model->lock);
}

void pool_model_leave(struct pool_model *model, uint32_t host)
{
	pthread_mutex_lock(&model->lock);
	model->memories[host].is_in = 0;
	pass_turn(model);
	pthread_mutex_unlock(&model->lock);
}

static void step(struct pool_memory *memory)
{
	struct pool_model *model = memory->model;

	if (memory->accesses++ >= memory->dies_at) {
		memory->is_dead = 1;
		if (memory->dies_with_cache)
			ic_lose(model->system, memory->host);
		longjmp(*memory->death, 1);
	}
	if (!memory->is_in || ic_draw(model->system, 1000) >= model->turn_permille)
		return;
	pthread_mutex_lock(&model->lock);
	pass_turn(model);
	wait_for_turn(model, memory->host);
	pthread_mutex_unlock(&model->lock);
}

void pool_model_kill_after(struct pool_model *model, uint32_t host, uint64_t accesses,
			   int with_cache)
{
	struct pool_memory *memory = &model->memories[host];

	memory->dies_with_cache = with_cache;
	memory->dies_at = accesses == UINT64_MAX ? accesses : memory->accesses + accesses;
}

void pool_model_revive(struct pool_model *model, uint32_t host)
{
	model->memories[host].is_dead = 0;
	model->memories[host].dies_at = UINT64_MAX;
}

uint64_t pool_model_accesses(struct pool_model *model, uint32_t host)
{
	return model->memories[host].accesses;
}

/* --- sites --- */

void pool_model_leave_out(struct pool_model *model, int site)
{
	model->left_out = site;
}

uint32_t pool_model_sites(struct pool_model *model, int *sites, uint32_t most)
{
	uint32_t count = 0;

	for (int site = 0; site < SITES_MAX; site++) {
		if (!model->site_seen[site])
			continue;
		if (count < most)
			sites[count] = site;
		count++;
	}
	return count;
}

static int is_left_out(struct pool_model *model, int site)
{
	model->site_seen[site] = 1;
	return model->left_out == site;
}

/* --- pool_memory.h --- */

uint64_t pool_load(struct pool_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
	return value;
}

void pool_store(struct pool_memory *memory, uint64_t at, uint64_t value)
{
	step(memory);
	ic_store(memory->model->system, memory->host, at, &value, sizeof(value));
}

void pool_read(struct pool_memory *memory, uint64_t at, void *into, uint64_t bytes)
{
	uint8_t *out = into;

	/* A word at a time: others may have their turn in between. */
	for (uint64_t i = 0; i < bytes; i += sizeof(uint64_t)) {
		const uint64_t here = bytes - i < sizeof(uint64_t) ? bytes - i : sizeof(uint64_t);

		step(memory);
		ic_load(memory->model->system, memory->host, at + i, out + i, here);
	}
}

void pool_stream(struct pool_memory *memory, uint64_t at, const void *from, uint64_t bytes)
{
	const uint8_t *in = from;

	while (bytes) {
		const uint64_t rest = IC_LINE_BYTES - at % IC_LINE_BYTES;
		const uint64_t here = bytes < rest ? bytes : rest;

		step(memory);
		ic_stream(memory->model->system, memory->host, at, in, here);
		at += here;
		in += here;
		bytes -= here;
	}
}

void pool_write_back_site(struct pool_memory *memory, uint64_t at, uint64_t bytes, int site)
{
	step(memory);
	if (!is_left_out(memory->model, site))
		ic_write_back(memory->model->system, memory->host, at, bytes);
}

void pool_invalidate_site(struct pool_memory *memory, uint64_t at, uint64_t bytes, int site)
{
	step(memory);
	if (!is_left_out(memory->model, site))
		ic_invalidate(memory->model->system, memory->host, at, bytes);
}

void pool_fence_site(struct pool_memory *memory, int site)
{
	step(memory);
	if (!is_left_out(memory->model, site))
		ic_fence(memory->model->system, memory->host);
}
