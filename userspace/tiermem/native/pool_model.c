// SPDX-License-Identifier: GPL-2.0-or-later
#define POOL_SITE_BASE 40000
#ifndef POOL_MODEL
#define POOL_MODEL
#endif
#include "pool_model.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "incoherent.h"
#include "pool_memory.h"

enum { SITES_MAX = 50000 };

struct pool_memory {
	struct pool_model *model;
	uint32_t host;
	int is_in;		/* takes turns */
	int is_dead;
	uint64_t accesses;
	uint64_t dies_at;
	int dies_with_cache;
	jmp_buf *death;
};

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

/* --- the pool's calls --- */

/* Runs a call that its host may not survive. */
#define MORTAL(mortal, call)                                          \
	do {                                                          \
		struct pool_memory *const memory_ = (mortal);         \
		jmp_buf death;                                        \
		int result_;                                          \
                                                                      \
		if (memory_->is_dead)                                 \
			return POOL_KILLED;                           \
		memory_->death = &death;                              \
		if (setjmp(death))                                    \
			return POOL_KILLED;                           \
		result_ = (call);                                     \
		return result_;                                       \
	} while (0)

int pool_model_format(struct pool_memory *memory, const struct pool_super *super)
{
	MORTAL(memory, (pool_format(memory, super), POOL_OK));
}

int pool_model_attach(struct pool *pool, struct pool_memory *memory, uint32_t host)
{
	MORTAL(memory, pool_attach(pool, memory, host));
}

int pool_model_begin(struct pool *pool, const char *name)
{
	MORTAL(pool->memory, pool_begin(pool, name));
}

int pool_model_beat(struct pool *pool, uint64_t heartbeat)
{
	MORTAL(pool->memory, (pool_beat(pool, heartbeat), POOL_OK));
}

int pool_model_read_host(struct pool *pool, uint32_t host, struct pool_host *into)
{
	MORTAL(pool->memory, (pool_read_host(pool, host, into), POOL_OK));
}

int pool_model_reserve(struct pool *pool, uint64_t bytes, uint64_t holder,
		       struct pool_extent *extent, uint64_t *offset)
{
	MORTAL(pool->memory, pool_reserve(pool, bytes, holder, extent, offset));
}

int pool_model_fill(struct pool *pool, uint64_t offset, const void *data, uint64_t bytes)
{
	MORTAL(pool->memory, (pool_stream(pool->memory, offset, data, bytes), POOL_OK));
}

int pool_model_claim(struct pool *pool, const struct pool_extent *extent, const char *name,
		     uint32_t checksum, uint64_t kind, uint64_t created_ns)
{
	MORTAL(pool->memory, pool_claim(pool, extent, name, checksum, kind, created_ns));
}

int pool_model_settle(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_settle(pool, extent));
}

int pool_model_withdraw(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_withdraw(pool, extent));
}

int pool_model_find(struct pool *pool, const char *name, struct pool_extent *extent,
		    struct pool_entry *entry)
{
	MORTAL(pool->memory, pool_find(pool, name, extent, entry));
}

int pool_model_hold(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_hold(pool, extent));
}

int pool_model_let_go(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, (pool_let_go(pool, extent), POOL_OK));
}

static int look(struct pool *pool, uint64_t offset, void *into, uint64_t bytes)
{
	pool_invalidate(pool->memory, offset, bytes);
	pool_fence(pool->memory);
	pool_read(pool->memory, offset, into, bytes);
	return POOL_OK;
}

int pool_model_look(struct pool *pool, uint64_t offset, void *into, uint64_t bytes)
{
	MORTAL(pool->memory, look(pool, offset, into, bytes));
}

int pool_model_remove(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_remove(pool, extent));
}

int pool_model_collect(struct pool *pool, uint32_t *freed)
{
	MORTAL(pool->memory, (*freed = pool_collect(pool), POOL_OK));
}

int pool_model_adopt(struct pool *pool, uint32_t dead, uint32_t *freed)
{
	MORTAL(pool->memory, (*freed = pool_adopt(pool, dead), POOL_OK));
}

int pool_model_read_entry(struct pool *pool, uint32_t host, uint32_t entry,
			  struct pool_entry *into)
{
	MORTAL(pool->memory, pool_read_entry(pool, host, entry, into));
}
